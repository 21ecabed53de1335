"""One command as several MPI ranks: started, watched, ended, and told apart: done, or which rank failed and why."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gridrl.errors import MPIError
from gridrl.utils import rank_keeper
from gridrl.utils.files import RunPaths, write_atomic, write_json
from gridrl.utils.mpiexec import Mpiexec, check_mpi, find_mpiexec
from gridrl.utils.processes import ProcessTree
from gridrl.utils.rank_report import reported_failure
from gridrl.utils.ranks import RankFailure, first_failure, rank_processes, rank_usage, unfinished_ranks

_TICK_S = 0.1
_CLEANUP_S = 3.0  # what mpiexec gets to end the other ranks by itself after one has failed
_REFRESH_S = 5.0  # how often the descendants of the ranks are recorded
_KILL_WAIT_S = 5.0
_TAIL_BYTES = 65536
_MARK_BYTES = 4096  # more than any mark of a rank takes


@dataclass(frozen=True)
class RankOutcome:
    """How a run of several ranks ended.

    Attributes:
        exit_code: 0 only if every rank has done its work; else that of the failed rank, negative: its signal.
        failed_rank: the rank that failed first, None where no single one can be named.
        reason: why it failed, in words that follow "rank 1": "raised ValueError: x"; empty after a success.
        cpu_s: CPU seconds of all ranks together; None where a rank did not end by itself.
        peak_memory_mb: the most MiB that each rank had resident, added up; None as above.
    """

    exit_code: int
    failed_rank: int | None
    reason: str
    cpu_s: float | None = field(default=None, compare=False)
    peak_memory_mb: float | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the run is done."""
        return self.exit_code == 0

    def __str__(self) -> str:
        if self.ok:
            return "done"
        return self.reason if self.failed_rank is None else f"rank {self.failed_rank} {self.reason}"


class RunningRanks:
    """The ranks of one run while they run, from `start_ranks`.

    Its methods may be called from several threads: one waits, another ends.

    Attributes:
        process: mpiexec.
    """

    def __init__(self, process: subprocess.Popen[bytes], num_ranks: int, paths: RunPaths, logs: Sequence[Path]) -> None:
        self.process = process
        self._num_ranks = num_ranks
        self._paths = paths
        self._logs = [(log, log.stat().st_size if log.exists() else 0) for log in logs]
        self._tree = ProcessTree(process.pid)
        self._recorded: set[int] = set()
        self._refreshed = time.monotonic()
        self._failed_at: float | None = None
        self._ended_because = ""
        self._outcome: RankOutcome | None = None
        self._lock = threading.RLock()

    def poll(self) -> RankOutcome | None:
        """The outcome, None while the ranks run. To be called now and then: it also watches over them."""
        with self._lock:
            if self._outcome is None:
                if self.process.poll() is None:
                    self._watch()
                else:
                    self._outcome = self._conclude()
            return self._outcome

    def wait(self, timeout_s: float | None = None) -> RankOutcome | None:
        """Waits for the outcome; None when `timeout_s` seconds pass first."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (outcome := self.poll()) is None:
            left_s = _TICK_S if deadline is None else min(_TICK_S, deadline - time.monotonic())
            if left_s <= 0:
                return None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(left_s)
        return outcome

    def end(self, grace_s: float = 5.0, reason: str = "ended by its launcher") -> RankOutcome:
        """Ends the ranks and all that they have started; nothing of them is left.

        mpiexec gets a SIGTERM, which it hands to the ranks; after `grace_s` seconds whatever still runs is killed.

        Args:
            grace_s: seconds that the ranks have to end by themselves.
            reason: stands in the outcome, unless a rank had failed already or all of them still end well.
        """
        with self._lock:
            if self._outcome is None and first_failure(self._paths) is None:
                self._ended_because = reason
            if self.process.poll() is None:
                self._record_ranks()
                self._tree.refresh()
                self._tree.terminate()
        self._tree.wait(grace_s)
        with self._lock:
            self._kill_rest()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_KILL_WAIT_S)
            if self._outcome is None:
                self._outcome = self._conclude()
            return self._outcome

    def _watch(self) -> None:
        self._record_ranks()
        now = time.monotonic()
        if now - self._refreshed > _REFRESH_S:
            self._refreshed = now
            self._tree.refresh()
        if self._failed_at is None and first_failure(self._paths) is not None:
            self._failed_at = now
        if self._failed_at is not None and now - self._failed_at > _CLEANUP_S:
            self._tree.refresh()
            self._kill_rest()

    def _record_ranks(self) -> None:
        """Notes the ranks' processes while they surely are theirs: a pid can belong to another one later."""
        if len(self._recorded) < 2 * self._num_ranks:
            for pid in set(rank_processes(self._paths)) - self._recorded:
                self._recorded.add(pid)
                self._tree.add(pid)

    def _kill_rest(self) -> None:
        if self._tree.alive():
            self._tree.kill()
            self._tree.wait(_KILL_WAIT_S)

    def _conclude(self) -> RankOutcome:
        outcome = self._outcome_now()
        if not outcome.ok:
            # mpiexec has ended the ranks it knew; what they had started, and the ranks of a killed mpiexec, are left.
            self._record_ranks()
            self._tree.wait(0.2)
            self._kill_rest()
            if not self._paths.error.exists():
                with contextlib.suppress(OSError):
                    write_atomic(self._paths.error, self._error_text(outcome))
        cpu_s, peak_memory_mb = rank_usage(self._paths, self._num_ranks)
        return replace(outcome, cpu_s=cpu_s, peak_memory_mb=peak_memory_mb)

    def _outcome_now(self) -> RankOutcome:
        code = self.process.returncode
        missing = unfinished_ranks(self._paths, self._num_ranks)
        has_ended_well = code == 0 or self._ended_because != ""  # mpiexec calls no end by a signal a success
        if has_ended_well and not missing and first_failure(self._paths) is None:
            return RankOutcome(0, None, "")
        if self._ended_because:
            return RankOutcome(_failed(code), None, self._ended_because)
        failure = first_failure(self._paths)
        if failure is None or failure.exit_code == -signal.SIGTERM:  # which Open MPI ends the others with
            failure = self._reported() or failure
        if failure is not None:
            return RankOutcome(failure.exit_code, failure.rank, self._explained(failure))
        if code == 0:
            return RankOutcome(1, missing[0], "ended without an error before its work was done")
        last = _last_line(_tail(self._mpiexec_log, 0))
        return RankOutcome(_failed(code), None, f"mpiexec {_ending(code)}{last and ': '}{last}{self._why_wordless()}")

    def _why_wordless(self) -> str:
        """Why no rank could write down what happened, where the disk is the reason."""
        try:
            write_atomic(self._paths.ranks / "room.tmp", bytes(_MARK_BYTES))
        except OSError as error:
            return f"; {self._paths.root} cannot be written: {error.strerror}"
        return ""

    @property
    def _mpiexec_log(self) -> Path:
        return self._paths.ranks / "mpiexec.log"

    def _reported(self) -> RankFailure | None:
        texts = [_tail(log, start) for log, start in [(self._mpiexec_log, 0), *self._logs]]
        return reported_failure(texts, rank_processes(self._paths))

    def _explained(self, failure: RankFailure) -> str:
        """The reason; where it is a bare exit code, with the last line that the rank printed."""
        if failure.exit_code < 0 or failure.traceback or failure.rank >= len(self._logs):
            return failure.reason
        if not failure.reason.startswith("ended with exit code"):
            return failure.reason
        last = _last_line(_tail(*self._logs[failure.rank]))
        return f"{failure.reason}; the last line of its log: {last}" if last else failure.reason

    def _error_text(self, outcome: RankOutcome) -> str:
        failure = first_failure(self._paths)
        if failure is not None and failure.traceback and not self._ended_because:
            return failure.traceback
        return f"{outcome}\n"


def _failed(code: int | None) -> int:
    """An exit code that is not 0: a run that was ended, or whose mpiexec is stuck, is no success."""
    return code or 1


def _ending(code: int | None) -> str:
    if code is None:
        return "could not be ended"
    return f"was killed by signal {rank_keeper.signal_name(-code)}" if code < 0 else f"ended with exit code {code}"


def _tail(path: Path, start: int) -> str:
    """The end of a log, of what was written behind byte `start`; empty where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(start, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_line(text: str) -> str:
    """The last line that says something, rules and frames of mpiexec's set aside."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip(" =-\t"))]
    return lines[-1][:300] if lines else ""


def start_ranks(
    argv: Sequence[str],
    num_ranks: int,
    paths: RunPaths,
    env: Mapping[str, str],
    *,
    threads: int = 1,
    bind_to_core: bool = False,
    logs: bool = True,
    mpiexec: Mpiexec | None = None,
    cwd: Path | None = None,
) -> RunningRanks:
    """Starts a command as several MPI ranks, and comes back at once.

    Every rank has a keeper, see `gridrl.utils.rank_keeper`. Standard input is closed. The marks and the error of an
    earlier attempt are removed; its logs are appended to.

    Args:
        argv: the command of a rank, which must mark its end: its work stands in `gridrl.utils.ranks.rank_guard`.
        num_ranks: how many.
        paths: the run's files: marks, and the log of each rank.
        env: the ranks' environment; what belongs to an MPI around this process is stripped.
        threads: of each rank.
        bind_to_core: whether each rank is bound to a core.
        logs: whether each rank writes into its own log; False: to this process's standard output and error.
        mpiexec: what starts the ranks; None: what `find_mpiexec` finds.
        cwd: where the ranks start; None: here.

    Raises:
        MPIError: mpiexec is missing, does not fit mpi4py or cannot be started.
    """
    mpiexec = mpiexec or check_mpi(num_ranks) or find_mpiexec()
    log_files = [paths.rank_stdout(rank) for rank in range(num_ranks)] if logs else []
    _make_room(paths, log_files)
    keeper = [sys.executable, "-I", "-S", rank_keeper.__file__, str(paths.ranks)]
    command = mpiexec.command(num_ranks, [*keeper, *argv], bind_to_core)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open(paths.ranks / "mpiexec.log", "wb")) if logs else None
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if logs else None,
                env=mpiexec.environment(env, threads, bind_to_core),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise MPIError(f"{command[0]} cannot be started: {error.strerror}.") from error
    return RunningRanks(process, num_ranks, paths, log_files)


def _make_room(paths: RunPaths, logs: Sequence[Path]) -> None:
    shutil.rmtree(paths.ranks, ignore_errors=True)
    paths.ranks.mkdir(parents=True)
    paths.error.unlink(missing_ok=True)
    write_json(paths.ranks / rank_keeper.OWNER, rank_keeper.owner_mark())
    if logs:
        write_json(paths.ranks / rank_keeper.LOGS, [str(log.absolute()) for log in logs])


def run_ranks(
    argv: Sequence[str],
    num_ranks: int,
    paths: RunPaths,
    env: Mapping[str, str],
    *,
    threads: int = 1,
    timeout_s: float | None = None,
) -> RankOutcome:
    """Runs a command as several MPI ranks to its end, see `start_ranks`.

    Args:
        argv: the command of a rank.
        num_ranks: how many.
        paths: the run's files.
        env: the ranks' environment.
        threads: of each rank.
        timeout_s: seconds after which the ranks are ended; None: never.

    Returns:
        The outcome. However this call ends, by an exception such as KeyboardInterrupt too, no rank is left.
    """
    running = start_ranks(argv, num_ranks, paths, env, threads=threads)
    try:
        outcome = running.wait(timeout_s)
    except BaseException:
        running.end()
        raise
    return outcome or running.end(reason=f"not done within {timeout_s:g} s")
