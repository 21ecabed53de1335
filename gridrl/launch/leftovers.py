"""What a run leaves behind when it ends: processes in sessions of their own, which its process group does not hold.

A run's process takes in the orphans among its descendants while it lives, so that a daemon stays a descendant; in the
end it tells the launcher which ones there are. A run that was killed tells nothing: what it has left is known by a
variable that everything it has started by a command inherits. Nothing else is touched. Linux only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gridrl.utils.processes import ProcessIdentity, boot_id, process_identity
from gridrl.utils.subreaper import become_subreaper

VARIABLE = "GRIDRL_RUN"
"""The environment variable that names the run directory to all that a run starts."""

_MOST_TOLD = 500  # processes that a run tells of: more do not fit into what it can send


def keep_descendants() -> None:
    """From here on the orphans among this process's descendants stay its descendants."""
    become_subreaper()


def descendants() -> list[tuple[int, float]]:
    """Pid and start time of this process's descendants; none where the system does not list them."""
    found: dict[int, float] = {}
    waiting = [os.getpid()]
    while waiting and len(found) < _MOST_TOLD:
        for pid in _children(waiting.pop()):
            identity = process_identity(pid)
            if identity is not None and pid not in found:
                found[pid] = identity.started
                waiting.append(pid)
    return list(found.items())


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii").split())
    return children


def told_by_run(family: Any) -> list[ProcessIdentity]:
    """The processes that a run has told of as its `descendants`."""
    pairs = family if isinstance(family, list) else []
    return [ProcessIdentity(int(pid), float(started), boot_id()) for pid, started in pairs]


def marked(run_dir: Path) -> Iterator[ProcessIdentity]:
    """The processes that have inherited the run's variable, found by a look at all there are."""
    if sys.platform != "linux":
        return
    mark = f"{VARIABLE}={run_dir}".encode()
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            with contextlib.suppress(OSError):  # somebody else's, or gone
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    identity = process_identity(int(name))
                    if identity is not None:
                        yield identity


def end_left_behind(processes: Iterable[ProcessIdentity], grace_s: float) -> tuple[str, ...]:
    """Ends those of some processes that still live: a SIGTERM, so many seconds, a SIGKILL.

    Returns:
        What was ended, as `"sleep (4711)"`.
    """
    alive = [process for process in processes if process.is_alive()]
    names = tuple(f"{_name(process.pid)} ({process.pid})" for process in alive)
    for signum in (signal.SIGTERM, signal.SIGKILL):
        for process in alive:
            _send(process, signum)
        alive = _await_end(alive, grace_s)
    return names


def _send(process: ProcessIdentity, signum: signal.Signals) -> None:
    if process.is_alive():
        with contextlib.suppress(OSError):
            os.kill(process.pid, signum)


def _await_end(processes: Sequence[ProcessIdentity], timeout_s: float) -> list[ProcessIdentity]:
    """Waits so long at most; gives those that still live. The ended ones that this process has inherited are reaped."""
    deadline = time.monotonic() + timeout_s
    while alive := [process for process in processes if process.is_alive()]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    for process in processes:
        if process not in alive:
            with contextlib.suppress(OSError):  # another process's child
                os.waitpid(process.pid, os.WNOHANG)
    return alive


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    return "process"
