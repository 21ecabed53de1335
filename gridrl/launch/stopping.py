"""Ends a grid from outside: its launcher, or where none lives its runs. Nobody else's process is ever touched."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gridrl.launch.door import ask_to_stop
from gridrl.launch.result import count_of
from gridrl.log.claims import launchers_of
from gridrl.log.launchers import Launcher
from gridrl.log.record import Status, derived_state, read_status, write_status
from gridrl.utils.processes import ProcessIdentity, boot_id, end_tree

_LOOK_S = 0.05
_PATIENCE_S = 20.0  # beyond the grace: what a launcher takes to write everything down


@dataclass
class Stopped:
    """What came of a stop.

    Attributes:
        ended: run directories whose process was ended, and launchers, as texts.
        left: what could not be ended, and why.
        waiting: runs that had not been started, and now will not be.
    """

    ended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    waiting: int = 0


def stop(run_dirs: Sequence[Path], grace_s: float, say: Callable[[str], None]) -> Stopped:
    """Ends everything that works on some runs.

    Args:
        run_dirs: the runs. A launcher that has others too goes on with those.
        grace_s: seconds until what is still there is killed; a launcher gives its runs `scheduler.GRACE_S` at most.
        say: is told what is being done.
    """
    stopped = Stopped()
    unfinished = [run_dir for run_dir in run_dirs if derived_state(run_dir) in ("running", "queued")]
    known = launchers_of(run_dirs)
    for launcher in launchers_of(unfinished):
        _stop_launcher(launcher, known[launcher], grace_s, stopped, say)
    _stop_runs([run_dir for run_dir in unfinished if derived_state(run_dir) == "running"], grace_s, stopped, say)
    stopped.waiting = sum(derived_state(run_dir) == "queued" for run_dir in unfinished)
    return stopped


def _stop_launcher(
    launcher: Launcher, run_dirs: Sequence[Path], grace_s: float, stopped: Stopped, say: Callable[[str], None]
) -> None:
    """Ends a launcher that has these runs, unless it has others too."""
    if launcher.is_gone:
        return
    if not launcher.is_here:
        stopped.left.append(f"launcher {launcher}: give the same command on that machine")
        return
    if len(run_dirs) < launcher.runs:
        others = count_of(launcher.runs - len(run_dirs), "other run")
        say(f"Launcher {launcher.pid} has {others} and goes on with them; it may start what waits here.")
        return
    say(f"Launcher {launcher.pid} is asked to stop, as by a Ctrl-C.")
    for wait_s in (grace_s, _PATIENCE_S):  # asked a second time, it kills what is still there
        if not _ask(launcher) or _lets_go(launcher, run_dirs, wait_s):
            break
    if _lets_go(launcher, run_dirs, 0.0):
        stopped.ended.append(f"launcher {launcher.pid}")
    else:
        stopped.left.append(f"launcher {launcher}: it does not answer; its runs are ended one by one")


def _ask(launcher: Launcher) -> bool:
    if launcher.door:
        return ask_to_stop(launcher.door)
    with contextlib.suppress(OSError):
        os.kill(launcher.pid, signal.SIGTERM)
        return True
    return False


def _lets_go(launcher: Launcher, run_dirs: Sequence[Path], timeout_s: float) -> bool:
    """Waits until a launcher has ended or has let go of its runs, so long at most; gives whether it has.

    One that lives on, such as a notebook, launches nothing any more once it has let go.
    """
    deadline = time.monotonic() + timeout_s
    while not launcher.is_gone and any(launcher in launchers_of([run_dir]) for run_dir in run_dirs):
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
    return True


def _stop_runs(run_dirs: Sequence[Path], grace_s: float, stopped: Stopped, say: Callable[[str], None]) -> None:
    """Ends the processes of runs, all at once."""
    threads = []
    for run_dir, status, fault in _judged(run_dirs):
        if fault:
            stopped.left.append(f"{run_dir}: {fault}")
            continue
        say(f"{run_dir}: process {status.pid} is ended; it has {grace_s:g} s.")
        threads.append(threading.Thread(target=_end_run, args=(run_dir, status, grace_s, stopped)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _judged(run_dirs: Sequence[Path]) -> Iterator[tuple[Path, Status, str]]:
    """The runs that run, each with what speaks against ending it from here."""
    for run_dir in run_dirs:
        status = read_status(run_dir)
        if status is None or status.state != "running":
            continue
        if status.boot_id != boot_id():
            yield run_dir, status, f"runs on {status.host}: give the same command on that machine"
        elif _process(status) is None:
            yield run_dir, status, "does not say by which process it runs"
        else:
            yield run_dir, status, ""


def _process(status: Status) -> ProcessIdentity | None:
    if status.pid is None or status.pid_start is None or status.boot_id is None or status.pid <= 1:
        return None
    return ProcessIdentity(status.pid, status.pid_start, status.boot_id)


def _end_run(run_dir: Path, status: Status, grace_s: float, stopped: Stopped) -> None:
    process = _process(status)
    if process is None or not process.is_alive():  # it has ended by itself meanwhile
        return
    try:
        end_tree(process.pid, grace_s)
    except OSError as error:
        stopped.left.append(f"{run_dir}: process {process.pid} cannot be ended: {error.strerror}")
        return
    if process.is_alive():
        stopped.left.append(f"{run_dir}: process {process.pid} does not end")
        return
    stopped.ended.append(f"{run_dir} (process {process.pid})")
    now = read_status(run_dir)
    if now is not None and now.state == "running" and _process(now) == process and not _is_launched(run_dir):
        with contextlib.suppress(OSError):  # its launcher would have noted it
            write_status(run_dir, replace(now, state="killed", ended=time.time(), error="ended by `stop`"))


def _is_launched(run_dir: Path) -> bool:
    return any(launcher.is_here and not launcher.is_gone for launcher in launchers_of([run_dir]))
