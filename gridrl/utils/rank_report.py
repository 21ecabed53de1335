"""Reads who ended badly out of what `mpiexec` and the MPI library print.

Only for what no rank and no keeper could note itself: an Abort that the MPI library or the user's own code called, and
a keeper that was killed. For anything else their notes are the better witness, as `mpiexec` may report a process that
it has ended itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gridrl.utils.rank_keeper import signal_name
from gridrl.utils.ranks import RankFailure

_MPICH_ABORT = re.compile(r"^Abort\((?P<code>-?\d+)\) on node (?P<rank>\d+)[^:\n]*: *(?P<why>.*)$", re.MULTILINE)
_OPEN_MPI_ABORT = re.compile(r"MPI_ABORT was invoked on rank (?P<rank>\d+).*?Errorcode: *(?P<code>-?\d+)", re.DOTALL)
_OPEN_MPI_SIGNAL = re.compile(r"process rank (?P<rank>\d+) with PID \d+ on node \S+ exited on\s+signal (?P<signal>\d+)")
_OPEN_MPI_EXIT = re.compile(r"Process name: *\[.*,(?P<rank>\d+)\]\s*Exit code: *(?P<code>\d+)")
_HYDRA = re.compile(r"BAD TERMINATION.*?PID (?P<pid>\d+) RUNNING AT.*?EXIT CODE: (?P<code>-?\d+)", re.DOTALL)


def reported_failure(texts: list[str], processes: Mapping[int, int]) -> RankFailure | None:
    """The first failed rank that the output names, None where it names none.

    Args:
        texts: what mpiexec and each rank printed.
        processes: the rank of each process, by pid.
    """
    for read in (_aborted, _open_mpi, _hydra):
        for text in texts:
            found = read(text, processes)
            if found is not None:
                return found
    return None


def _aborted(text: str, processes: Mapping[int, int]) -> RankFailure | None:
    if found := _MPICH_ABORT.search(text):
        # An Abort that follows a traceback is mpi4py's, and the exception the reason.
        before = text[: found.start()].rstrip().rpartition("\n")[2]
        why = before if "Traceback (most recent call last)" in text[: found.start()] else found["why"]
    elif found := _OPEN_MPI_ABORT.search(text):
        why = "MPI_ABORT was invoked"
    else:
        return None
    return RankFailure(int(found["rank"]), f"aborted: {why}", _exit_status(int(found["code"])))


def _open_mpi(text: str, processes: Mapping[int, int]) -> RankFailure | None:
    if found := _OPEN_MPI_SIGNAL.search(text):
        number = int(found["signal"])
        return RankFailure(int(found["rank"]), f"killed by signal {signal_name(number)}", -number)
    if found := _OPEN_MPI_EXIT.search(text):
        code = int(found["code"])
        return RankFailure(int(found["rank"]), f"ended with exit code {code}", _exit_status(code))
    return None


def _hydra(text: str, processes: Mapping[int, int]) -> RankFailure | None:
    found = _HYDRA.search(text)
    if found is None or int(found["pid"]) not in processes:
        return None
    rank, code = processes[int(found["pid"])], int(found["code"])
    by_signal = re.search(rf"EXIT STRING: .*\(signal {code}\)", text)
    if by_signal:
        return RankFailure(rank, f"killed by signal {signal_name(code)}", -code)
    return RankFailure(rank, f"ended with exit code {code}", _exit_status(code))


def _exit_status(code: int) -> int:
    """What fits into an exit status and is not 0; the library's own error numbers do not."""
    return code if 0 < code < 256 else 1
