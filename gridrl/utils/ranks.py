"""The marks that the ranks of a run leave in its `ranks` directory, and the guard around what a rank does.

A run of several ranks is done only if every rank wrote its end mark; the first rank that failed is in `failed.json`.
One writer a file, and the first failure wins, so nothing here needs a lock or MPI.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from gridrl.utils.files import RunPaths, read_json, write_atomic
from gridrl.utils.mpi_environment import rank_in_environment
from gridrl.utils.rank_keeper import FAILED, begin_mark, end_mark, usage_mark, write_failure, write_mark

_REASON_LIMIT = 300  # characters of an exception's message that stand in a table; the whole is in error.txt


@dataclass(frozen=True)
class RankFailure:
    """How the first rank that failed did so.

    Attributes:
        rank: its number.
        reason: in words that follow "rank 1": "raised ValueError: x", "killed by signal 9 (SIGKILL)".
        exit_code: its exit status, negative: the signal that ended it; never 0.
        traceback: of its exception, empty where there was none.
    """

    rank: int
    reason: str
    exit_code: int
    traceback: str = ""


def this_rank() -> int:
    """The number of this rank by its environment, 0 outside MPI; imports no MPI."""
    return rank_in_environment() or 0


def begin_rank(paths: RunPaths) -> None:
    """Notes that this process is a rank of the run."""
    paths.ranks.mkdir(parents=True, exist_ok=True)
    keeper = os.getppid() if os.environ.get("GRIDRL_RANK_PID") == str(os.getpid()) else None
    mark = {"rank": this_rank(), "pid": os.getpid(), "keeper": keeper}
    write_mark(begin_mark(str(paths.ranks), this_rank()), mark)


def end_rank(paths: RunPaths, how: str = "done") -> None:
    """Notes that this rank has done its work; how it leaves from here on cannot lose any.

    Args:
        paths: the run's files.
        how: a word on the way it ended, kept in the mark.
    """
    write_mark(end_mark(str(paths.ranks), this_rank()), {"rank": this_rank(), "how": how})


def first_failure(paths: RunPaths) -> RankFailure | None:
    """The failure of the rank that failed first, None while none has."""
    found = read_json(paths.ranks / FAILED)
    if not isinstance(found, dict):
        return None
    return RankFailure(found["rank"], found["reason"], found["exit_code"], found.get("traceback", ""))


def rank_processes(paths: RunPaths) -> dict[int, int]:
    """The rank of every process that is one or keeps one, by its pid, as far as they have begun."""
    found = {}
    for path in paths.ranks.glob("*.begin.json"):
        mark = read_json(path)
        if isinstance(mark, dict):
            found.update({mark[who]: mark["rank"] for who in ("pid", "keeper") if mark.get(who)})
    return found


def unfinished_ranks(paths: RunPaths, num_ranks: int) -> list[int]:
    """The ranks without an end mark."""
    return [rank for rank in range(num_ranks) if not os.path.exists(end_mark(str(paths.ranks), rank))]


def rank_usage(paths: RunPaths, num_ranks: int) -> tuple[float | None, float | None]:
    """CPU seconds, and MiB at the peak, of all ranks together; None where one has not told."""
    found = [read_json(Path(usage_mark(str(paths.ranks), rank))) for rank in range(num_ranks)]
    marks = [mark for mark in found if isinstance(mark, dict)]
    if len(marks) < num_ranks:
        return None, None
    return round(sum(mark["cpu_s"] for mark in marks), 3), round(sum(mark["peak_memory_mb"] for mark in marks), 1)


@contextlib.contextmanager
def rank_guard(paths: RunPaths, *, exit_is_failure: bool = True) -> Iterator[None]:
    """Surrounds the work of a rank: its end is marked, its failure recorded and made the end of all ranks.

    An exception, or `sys.exit` whatever its status, is printed, written to `error.txt` (by the first rank that fails)
    and, under MPI, turned into an Abort with an exit status that is not 0: else the other ranks would wait for this
    one in their next exchange, for ever.

    Args:
        paths: the run's files.
        exit_is_failure: False for programs that may leave by `sys.exit(0)`, which then counts as a return.

    Raises:
        SystemExit: with a status that is not 0, after a failure outside MPI.
    """
    begin_rank(paths)
    try:
        yield
        end_rank(paths)
    except BaseException as error:
        if not exit_is_failure and isinstance(error, SystemExit) and error.code in (None, 0):
            end_rank(paths, "exit")
            raise
        code = _exit_code(error)
        _record(paths, error, code)
        _abort(code)
        raise SystemExit(code) from error


def _exit_code(error: BaseException) -> int:
    """The status that a failed rank ends with: that of `sys.exit` where it tells a failure, else 1."""
    wanted = error.code if isinstance(error, SystemExit) else 1
    return wanted if isinstance(wanted, int) and 0 < wanted < 256 else 1


def _record(paths: RunPaths, error: BaseException, code: int) -> None:
    text = "".join(traceback.format_exception(type(error), error, _below_guard(error.__traceback__)))
    print(text, end="", file=sys.stderr, flush=True)
    # A disk too full for the record must not keep the other ranks waiting: they are ended in any case.
    with contextlib.suppress(OSError):
        if write_failure(str(paths.ranks), this_rank(), code, _in_words(error), text):
            write_atomic(paths.error, text)


def _below_guard(trace: TracebackType | None) -> TracebackType | None:
    return trace.tb_next if trace is not None and trace.tb_next is not None else trace


def _in_words(error: BaseException) -> str:
    """The end of a sentence that begins with the rank's number."""
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"[:_REASON_LIMIT]
    try:
        message = next(iter(str(error).strip().splitlines()), "")
    except Exception:
        message = "(its message cannot be printed)"
    return f"raised {type(error).__name__}{': ' if message else ''}{message}"[:_REASON_LIMIT]


def _abort(code: int) -> None:
    """Ends all ranks at once, where MPI runs in this process; does not come back then."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        sys.stdout.flush()
        mpi.COMM_WORLD.Abort(code)
