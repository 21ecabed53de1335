"""Sees to it that no run outlives its launcher, however that dies and whatever the run makes of it.

A run hears of its launcher's death itself and ends in time, with its process group; see `gridrl.launch.lifeline`. What
is left then (a process that was stopped, children in sessions of their own) is ended by a small process beside the
launcher. Its standard input is a pipe from the launcher; its end means that the launcher has died.

Run as a program by its path, hence nothing is imported at the top but the least: `python -I -S guard.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

KILL_AFTER_S = 4.2
"""Seconds from the launcher's death to the SIGKILL for what is left: a little more than runs give themselves."""

_LOOK_S = 0.25  # how often descendants are recorded in that time
_FAREWELL = b"bye\n"


class Guard:
    """The launcher's side: says which processes are roots of runs. Does nothing where there is no /proc."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the runs end by themselves, as good as they can
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    bufsize=0,
                    start_new_session=True,
                )

    def watch(self, pid: int | None) -> None:
        """A run has started with this process; None: none of this machine."""
        self._tell(f"+{pid}\n".encode() if pid is not None else b"")

    def release(self, pid: int | None) -> None:
        """A run has ended, with everything that it has started."""
        self._tell(f"-{pid}\n".encode() if pid is not None else b"")

    def close(self) -> None:
        """Nothing is left to be watched."""
        self._tell(_FAREWELL)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()

    def _tell(self, message: bytes) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            if message and self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(message)


Family = dict[int, int]
"""Processes by pid, each with its start time: a pid can belong to another one later."""


def main() -> None:
    """The guard's own life: takes notes, and acts when the pipe ends without a farewell."""
    roots: Family = {}
    for line in sys.stdin.buffer:
        if line == _FAREWELL:
            return
        pid = int(line[1:])
        found = process(pid) if line.startswith(b"+") else None
        if found is not None:
            roots[pid] = found[0]
        else:
            roots.pop(pid, None)
    end_all(roots)


def end_all(roots: Family) -> None:
    """Gives runs their time to end by themselves, then kills what is left of them.

    Args:
        roots: the processes that runs were started with.
    """
    family = dict(roots)
    deadline = time.monotonic() + KILL_AFTER_S
    while time.monotonic() < deadline:
        extend(family)
        alive = living(family)
        if not alive:
            return
        for pid in alive:
            send(pid, signal.SIGCONT)  # one that is stopped does not hear of anything
        time.sleep(max(0.0, min(_LOOK_S, deadline - time.monotonic())))
    extend(family)
    for pid in living(family):
        send(pid, signal.SIGKILL)


def extend(family: Family) -> None:
    """Adds the children of a family's processes, and all who are in a session that one of them leads."""
    found = processes()
    size = -1
    while size != len(family):
        size = len(family)
        for pid, (started, parent, session) in found.items():
            if pid not in family and any(_is_own(other, family, found) for other in (parent, session)):
                family[pid] = started


def _is_own(pid: int, family: Family, found: dict[int, tuple[int, int, int]]) -> bool:
    """Whether this is a process of the family; one that has gone left its number to its session alone."""
    return pid in family and (pid not in found or found[pid][0] == family[pid])


def living(family: Family) -> list[int]:
    """The processes of a family that still run."""
    found = processes()
    return [pid for pid, started in family.items() if pid in found and found[pid][0] == started]


def processes() -> dict[int, tuple[int, int, int]]:
    """Start time, parent and session of every process that is no zombie."""
    found = {int(name): process(int(name)) for name in os.listdir("/proc") if name.isdecimal()}
    return {pid: known for pid, known in found.items() if known is not None}


def process(pid: int) -> tuple[int, int, int] | None:
    """Start time, parent and session of a process; None where it has gone, or is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # its name may hold spaces and brackets
    if fields[0] in (b"Z", b"X", b"x"):
        return None
    return int(fields[19]), int(fields[1]), int(fields[3])


def send(pid: int, signum: signal.Signals) -> None:
    """Sends a signal, if there is still somebody to get it."""
    with contextlib.suppress(OSError):
        os.kill(pid, signum)


if __name__ == "__main__":
    main()
