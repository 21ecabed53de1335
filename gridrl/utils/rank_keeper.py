"""Stands between `mpiexec` and one rank, and notes how the rank ended before anyone else hears of it.

`mpiexec` ends the other ranks as soon as one breaks off, and then reports the process that it comes across first, often
one that it has ended itself; of a rank that leaves with `os._exit(0)` it reports success. So each rank is the child of
a keeper, which holds the rank's connection to `mpiexec` open until it has written down what happened: the first record
is the cause, and all later ones are consequences.

Run as a program by its path, one interpreter a rank, hence nothing is imported here but the least:
`python -I -S rank_keeper.py MARKS_DIRECTORY COMMAND...`. There, `logs.json` lists a log file per rank (without it the
rank writes where `mpiexec` leads its output); `owner.json` says who the launcher is: the rank ends when it has gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

_OUTLIVED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
_LOOK_S = 0.5  # how often a keeper looks whether mpiexec and the launcher are still there
_KILL_AFTER_LOOKS = 5  # from the SIGTERM to the SIGKILL
LOGS = "logs.json"
OWNER = "owner.json"
FAILED = "failed.json"


def begin_mark(marks: str, rank: int) -> str:
    """The file that says which process a rank is."""
    return os.path.join(marks, f"{rank}.begin.json")


def end_mark(marks: str, rank: int) -> str:
    """The file that a rank writes when its work is done."""
    return os.path.join(marks, f"{rank}.end.json")


def usage_mark(marks: str, rank: int) -> str:
    """The file that says what a rank has used, once it has ended."""
    return os.path.join(marks, f"{rank}.usage.json")


def read_mark(path: str) -> Any | None:
    """The content of a mark, None where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write_mark(path: str, value: dict[str, Any], *, first_only: bool = False) -> bool:
    """Writes a mark so that no reader sees half of it; gives whether it was written.

    Args:
        path: the file.
        value: its JSON content.
        first_only: leave an existing file alone.
    """
    aside = f"{path}.{os.getpid()}.tmp"
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(value, file)
    if not first_only:
        os.replace(aside, path)
        return True
    try:
        os.link(aside, path)  # unlike a rename, it fails where the name is taken
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: two ranks in the same instant are told apart no more
        if os.path.exists(path):
            return False
        os.replace(aside, path)
        return True
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return True


def write_failure(marks: str, rank: int, exit_code: int, reason: str, traceback: str = "") -> bool:
    """Notes that a rank failed; the first note of a run wins. Gives whether it was this one."""
    note = {"rank": rank, "exit_code": exit_code, "reason": reason, "traceback": traceback}
    return write_mark(os.path.join(marks, FAILED), note, first_only=True)


def signal_name(number: int) -> str:
    """'9 (SIGKILL)'."""
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _rank() -> int:
    return next(int(os.environ[name]) for name in _RANK_VARIABLES if name in os.environ)


def _lead_streams(marks: str, rank: int) -> None:
    """Input is empty from here on, and output and errors go to the rank's log, for whatever the rank starts too."""
    # mpiexec gives a rank a pipe that it never closes: who reads it waits for ever.
    _lead(os.devnull, os.O_RDONLY, 0)
    logs = read_mark(os.path.join(marks, LOGS))
    if logs is not None:
        _lead(logs[rank], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1, 2)


def _lead(path: str, flags: int, *targets: int) -> None:
    descriptor = os.open(path, flags, 0o666)
    for target in targets:
        os.dup2(descriptor, target)
    if descriptor not in targets:
        os.close(descriptor)


def _become(command: list[str], keeper: int) -> None:
    """The child's part: turns into the rank's program. Comes back only as exit status 127."""
    try:
        _die_with(keeper)
        os.environ["GRIDRL_RANK_PID"] = str(os.getpid())
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot start {command[0]!r}: {error.strerror}", file=sys.stderr, flush=True)
    finally:
        os._exit(127)


def _die_with(keeper: int) -> None:
    """Lets the kernel kill this process when its keeper is killed: mpiexec would wait for it, and not for a failure."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(127)


class _Watch:
    """Ends the rank when mpiexec or the launcher has gone: nobody waits for it any more, and a resumed run is at hand.

    A SIGTERM first, so that `finally` blocks run; a SIGKILL when that does not help.
    """

    def __init__(self, rank_pid: int, owner: dict[str, Any] | None) -> None:
        self._rank_pid = rank_pid
        self._owner = owner
        self._parent = os.getppid()
        self._looks_since = 0
        self.reason = ""
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)

    def _look(self, *_: object) -> None:
        if not self.reason and os.getppid() != self._parent:
            self.reason = "was ended, as the process of mpiexec that it hung on had gone"
        elif not self.reason and self._owner is not None and not owner_lives(self._owner):
            self.reason = "was ended, as its launcher had gone"
        if self.reason:
            self._looks_since += 1
            if self._looks_since in (1, _KILL_AFTER_LOOKS):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._rank_pid, signal.SIGTERM if self._looks_since == 1 else signal.SIGKILL)

    def close(self) -> None:
        """Stops looking: the rank's pid may be another process's from now on. Ends what an ended rank has left."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.reason and os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)


def owner_mark() -> dict[str, Any]:
    """What tells this process, the launcher, from others: the content of `owner.json`."""
    return {"pid": os.getpid(), "started": _started(os.getpid()), "host": os.uname().nodename}


def owner_lives(owner: dict[str, Any]) -> bool:
    """Whether the launcher still runs; on another host that is for mpiexec to notice."""
    return bool(owner["host"] != os.uname().nodename or _started(owner["pid"]) == owner["started"])


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; elsewhere than on Linux 0; None where it has gone."""
    try:
        if sys.platform != "linux":
            os.kill(pid, 0)
            return 0
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _verdict(marks: str, rank: int, code: int) -> str:
    """Why a rank that ended with this exit code (negative: by a signal) failed; empty where it did not."""
    if code < 0:
        return f"killed by signal {signal_name(-code)}"
    if code > 0:
        return f"ended with exit code {code}"
    if not os.path.exists(end_mark(marks, rank)):
        return "left with exit code 0 before its work was done (os._exit(0)?)"
    return ""


def main(marks: str, command: list[str]) -> int:
    """Runs the rank's command to its end and gives the exit status that `mpiexec` is to see."""
    rank = _rank()
    _lead_streams(marks, rank)
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, keeper)
    # The rank shares this process group and hears every signal itself; how it answers is its own affair.
    for signum in _OUTLIVED:
        signal.signal(signum, lambda *_: None)
    watch = _Watch(pid, read_mark(os.path.join(marks, OWNER)))
    # No mark can be written on a full disk; the rank must not be left alone for that.
    with contextlib.suppress(OSError):
        write_mark(begin_mark(marks, rank), {"rank": rank, "pid": pid, "keeper": keeper})
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    reason = watch.reason or _verdict(marks, rank, code)
    with contextlib.suppress(OSError):
        if reason:
            write_failure(marks, rank, code or 1, reason)
        write_mark(usage_mark(marks, rank), _used(usage))
    watch.close()
    return 128 - code if code < 0 else code or bool(reason)


def _used(usage: Any) -> dict[str, float]:
    """CPU seconds, and the most MiB that the rank, or the largest process it waited for, had resident."""
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    return {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_memory_mb": usage.ru_maxrss / per_mb}


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2:]))
