"""Stands between `mpiexec` and one rank, and notes how the rank ended before anyone else hears of it.

`mpiexec` ends the other ranks as soon as one breaks off, and then reports the process that it comes across first, often
one that it has ended itself; of a rank that leaves with `os._exit(0)` it reports success. So each rank is the child of
a keeper, which holds the rank's connection to `mpiexec` open until it has written down what happened: the first record
is the cause, and all later ones are consequences.

Run as a program by its path, one interpreter a rank, hence nothing is imported here but the least:
`python -I -S rank_keeper.py MARKS_DIRECTORY COMMAND...`. `MARKS_DIRECTORY/logs.json` lists a log file per rank; without
it the rank writes where `mpiexec` leads its output.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

_OUTLIVED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
_LOOK_S = 0.5  # how often a keeper looks whether mpiexec is still there
LOGS = "logs.json"
FAILED = "failed.json"


def begin_mark(marks: str, rank: int) -> str:
    """The file that says which process a rank is."""
    return os.path.join(marks, f"{rank}.begin.json")


def end_mark(marks: str, rank: int) -> str:
    """The file that a rank writes when its work is done."""
    return os.path.join(marks, f"{rank}.end.json")


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
    logs = os.path.join(marks, LOGS)
    if os.path.exists(logs):
        with open(logs, encoding="utf-8") as file:
            log = json.load(file)[rank]
        _lead(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1, 2)


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


def _watch_parent(rank_pid: int) -> list[str]:
    """Kills the rank when the part of mpiexec that started this keeper is gone; what is said then is in the list."""
    parent = os.getppid()
    said: list[str] = []

    def look(*_: object) -> None:
        if os.getppid() != parent and not said:
            said.append("was ended, as the process of mpiexec that it hung on was gone")
            os.kill(rank_pid, signal.SIGKILL)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
    return said


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
    said = _watch_parent(pid)
    write_mark(begin_mark(marks, rank), {"rank": rank, "pid": pid, "keeper": keeper})
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    reason = said[0] if said else _verdict(marks, rank, code)
    if reason:
        write_failure(marks, rank, code or 1, reason)
    return 128 - code if code < 0 else code or bool(reason)


if __name__ == "__main__":
    os._exit(main(sys.argv[1], sys.argv[2:]))
