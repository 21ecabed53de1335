"""Runs as processes of this machine: a fresh interpreter each, or `mpiexec` where several ranks are asked for."""

from __future__ import annotations

import codecs
import contextlib
import functools
import os
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol

from gridrl.launch.backend import THREADS, Ending, Resources
from gridrl.launch.leftovers import VARIABLE as RUN_VARIABLE
from gridrl.launch.leftovers import end_left_behind, marked
from gridrl.launch.lifeline import Lifeline
from gridrl.launch.run_process import STRAGGLERS_S, Reaped, RunProcess
from gridrl.log.current import PREEMPTED
from gridrl.log.record import read_status
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi_environment import without_mpi
from gridrl.utils.mpirun import RunningRanks, start_ranks

_IS_POSIX = os.name == "posix"
_WORKER = "gridrl.launch.worker"
# glibc hands large arrays back to the kernel as soon as they are free and faults each page in again at the next one:
# an update on a whole rollout makes dozens of a megabyte each, and keeping them saves it a tenth of its CPU time. What
# the user has set goes before. More than 32 MiB for the first is refused by older versions.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20)}
_CHUNK_BYTES = 65536
_LOOK_S = 0.2  # how often the log of a run of several ranks is looked at, where it is shown


class Running(Protocol):
    """One kind of process that a run is carried out in. One thread waits for it, any other may end it."""

    @property
    def pid(self) -> int:
        """The root of the run's processes."""

    def wait(self) -> Ending:
        """Waits until the run has ended, with everything that it has started."""

    def end(self, grace_s: float) -> None:
        """Ends the run: a SIGTERM, `grace_s` seconds, then a SIGKILL for whatever is left of it."""


class Forking(Protocol):
    """Starts processes that have imported already what a run needs."""

    def start(self, paths: RunPaths, environ: Mapping[str, str]) -> Running | None:
        """Starts a run of one rank and one thread; None where it needs an interpreter of its own."""


class LocalBackend:
    """Carries runs out on this machine; see `gridrl.launch.backend.Backend`.

    Args:
        forks: starts runs quickly that have one rank and one thread and are not shown; None: each gets an interpreter
            of its own.
    """

    def __init__(self, forks: Forking | None = None) -> None:
        self._forks = forks

    def submit(self, paths: RunPaths, resources: Resources, *, streams: bool = False) -> LocalRun:
        """See `Backend.submit`; raises MPIError where mpiexec cannot be started."""
        return LocalRun(paths, resources.num_cpu, start(paths, resources, streams=streams, forks=self._forks))


def start(paths: RunPaths, resources: Resources, *, streams: bool = False, forks: Forking | None = None) -> Running:
    """Starts a run's process in the way that its resources ask for; see `Backend.submit`."""
    if resources.num_cpu > 1:
        return Ranks(paths, resources, streams)
    if forks is not None and resources.threads == 1 and not streams:
        running = forks.start(paths, run_environment(paths, resources))
        if running is not None:
            return running
    return FreshProcess(paths, resources, streams)


class LocalRun:
    """A run on this machine, whatever kind of process it has; see `gridrl.launch.backend.Handle`."""

    def __init__(self, paths: RunPaths, num_cpu: int, running: Running) -> None:
        self._paths = paths
        self._num_cpu = num_cpu
        self._running = running
        self._ending: Ending | None = None

    @property
    def pid(self) -> int:
        """See `Handle.pid`."""
        return self._running.pid

    @property
    def state(self) -> str:
        """See `Handle.state`."""
        return "running" if self._ending is None else self._ending.state

    def wait(self) -> Ending:
        """See `Handle.wait`."""
        if self._ending is None:
            self._ending = self._running.wait()
        return self._ending

    def logs(self) -> list[Path]:
        """See `Handle.logs`."""
        return [self._paths.rank_stdout(rank) for rank in range(self._num_cpu)]

    def end(self, grace_s: float) -> None:
        """See `Handle.end`."""
        if self._ending is None:
            self._running.end(grace_s)


def worker_environment(threads: int) -> dict[str, str]:
    """The variables of a run's process: this process's, without an MPI around it, and what makes runs repeatable."""
    environ = _KEEP_MEMORY | without_mpi(os.environ) | dict.fromkeys(THREADS, str(threads))
    environ |= {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
    if (package_root := _package_root()) is not None:
        known = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        environ["PYTHONPATH"] = os.pathsep.join([*known, package_root])  # however this process has found gridrl
    return environ


@functools.cache
def _package_root() -> str | None:
    """Where gridrl lies, unless it is installed where every interpreter looks."""
    root = str(Path(__file__).resolve().parents[2])
    return None if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")) else root


def run_environment(paths: RunPaths, resources: Resources) -> dict[str, str]:
    """The variables of the processes of a run that has these resources."""
    return worker_environment(resources.threads) | resources.variables | {RUN_VARIABLE: str(paths.root)}


def worker_command(paths: RunPaths, *, ranks: bool = False) -> list[str]:
    """The command line of a run's process, or of one of its ranks.

    With `-P`: a `json.py` in the working directory is the user's own business, not what the worker imports.
    """
    return [sys.executable, "-P", *(["-m", "mpi4py"] if ranks else []), "-m", _WORKER, str(paths.payload.absolute())]


class FreshProcess(RunProcess):
    """A run in an interpreter of its own."""

    def __init__(self, paths: RunPaths, resources: Resources, streams: bool) -> None:
        log = open(paths.stdout, "ab", buffering=0)  # noqa: SIM115 (closed by the copying thread)
        lifeline = Lifeline()
        try:
            self._process = subprocess.Popen(
                worker_command(paths),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if streams else log,
                stderr=subprocess.STDOUT,
                env=run_environment(paths, resources) | lifeline.variables,
                pass_fds=lifeline.inherited,
                start_new_session=_IS_POSIX,
            )
        except BaseException:
            log.close()
            lifeline.close()
            raise
        lifeline.started()
        super().__init__(paths, self._process.pid, lifeline)
        self._copying = _copy_in_background(self._process.stdout, log) if streams else None
        if not streams:
            log.close()

    def _await_end(self) -> None:
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def _reap(self) -> Reaped:
        if not hasattr(os, "wait4"):
            return Reaped(self._process.wait())
        reaped = Reaped.of(self.pid)
        self._process.returncode = reaped.code
        return reaped

    def _finish(self) -> None:
        if self._copying is not None:
            self._copying.join(timeout=STRAGGLERS_S)


def _copy_in_background(source: IO[bytes] | None, log: IO[bytes]) -> threading.Thread:
    """Copies what a run prints to its log and to this process's standard output, until the run's end."""

    def copy() -> None:
        assert source is not None
        terminal = Terminal()
        with source, log:
            while chunk := os.read(source.fileno(), _CHUNK_BYTES):
                with contextlib.suppress(OSError):  # a full disk: the terminal still shows it
                    log.write(chunk)
                terminal.show(chunk)

    thread = threading.Thread(target=copy, name="gridrl-copy", daemon=True)
    thread.start()
    return thread


class Terminal:
    """Shows the bytes that a run prints on this process's standard output, whatever stands for that."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def show(self, chunk: bytes) -> None:
        """Shows a piece; letters that are cut wait for their other half."""
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more: the log has it
            text = self._decoder.decode(chunk)
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
            sys.stdout.flush()


class Ranks:
    """A run of several MPI ranks under `mpiexec`; each writes a log of its own."""

    def __init__(self, paths: RunPaths, resources: Resources, streams: bool) -> None:
        self._paths = paths
        self._log = paths.stdout
        self._shown = self._log.stat().st_size if self._log.exists() else 0
        self._terminal = Terminal() if streams else None
        command = worker_command(paths, ranks=True)
        self._running: RunningRanks = start_ranks(
            command, resources.num_cpu, paths, run_environment(paths, resources), threads=resources.threads
        )

    @property
    def pid(self) -> int:
        """See `Running.pid`."""
        return self._running.process.pid

    def wait(self) -> Ending:
        """See `Running.wait`."""
        while (outcome := self._running.wait(_LOOK_S if self._terminal else None)) is None:
            self._show_more()
        self._show_more()
        left_behind = end_left_behind(marked(self._paths.root), STRAGGLERS_S)
        ending = Ending("done", 0, cpu_s=outcome.cpu_s, peak_memory_mb=outcome.peak_memory_mb, left_behind=left_behind)
        if outcome.ok:
            status = read_status(self._paths.root)
            was_stopped = status is not None and status.state == "preempted"
            return replace(ending, state="preempted", exit_code=PREEMPTED) if was_stopped else ending
        # A rank that a signal ended is one rank's failure; "killed" is a run that was ended as a whole.
        return replace(
            ending, state="failed", exit_code=outcome.exit_code, error=str(outcome), rank=outcome.failed_rank
        )

    def end(self, grace_s: float) -> None:
        """See `Running.end`."""
        self._running.end(grace_s)

    def _show_more(self) -> None:
        """Shows what rank 0 has printed since the last look."""
        if self._terminal is not None and self._log.exists():
            with open(self._log, "rb") as log:
                log.seek(self._shown)
                self._terminal.show(log.read())
                self._shown = log.tell()
