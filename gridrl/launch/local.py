"""Runs as processes of this machine: a fresh interpreter each, or `mpiexec` where several ranks are asked for."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

from gridrl.launch.backend import THREADS, Ending, Resources
from gridrl.launch.lifeline import Lifeline
from gridrl.log.record import read_status
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi_environment import without_mpi
from gridrl.utils.mpirun import RunningRanks, start_ranks
from gridrl.utils.processes import end_stragglers, end_tree

_IS_POSIX = os.name == "posix"
_WORKER = "gridrl.launch.worker"
# glibc hands large arrays back to the kernel as soon as they are free and faults each page in again at the next one:
# an update on a whole rollout makes dozens of a megabyte each, and keeping them saves it a tenth of its CPU time. What
# the user has set goes before. More than 32 MiB for the first is refused by older versions.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20)}
_STRAGGLERS_S = 1.0  # what processes that a run leaves behind get to end after a SIGTERM
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


class LocalBackend:
    """Carries runs out on this machine; see `gridrl.launch.backend.Backend`."""

    def submit(self, paths: RunPaths, resources: Resources, *, streams: bool = False) -> LocalRun:
        """See `Backend.submit`; raises MPIError where mpiexec cannot be started."""
        return LocalRun(paths, resources.num_cpu, start(paths, resources, streams=streams))


def start(paths: RunPaths, resources: Resources, *, streams: bool = False) -> Running:
    """Starts a run's process in the way that its resources ask for; see `Backend.submit`."""
    if resources.num_cpu > 1:
        return Ranks(paths, resources, streams)
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
    package_root = str(Path(__file__).resolve().parents[2])
    if package_root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        known = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        environ["PYTHONPATH"] = os.pathsep.join([*known, package_root])  # however this process has found gridrl
    return environ


def run_environment(resources: Resources) -> dict[str, str]:
    """The variables of a run's process that has these resources."""
    return worker_environment(resources.threads) | resources.variables


def worker_command(paths: RunPaths, *, ranks: bool = False) -> list[str]:
    """The command line of a run's process, or of one of its ranks.

    With `-P`: a `json.py` in the working directory is the user's own business, not what the worker imports.
    """
    return [sys.executable, "-P", *(["-m", "mpi4py"] if ranks else []), "-m", _WORKER, str(paths.payload.absolute())]


class FreshProcess:
    """A run in an interpreter of its own, in a session of its own: a Ctrl-C at the terminal does not reach it."""

    def __init__(self, paths: RunPaths, resources: Resources, streams: bool) -> None:
        self._paths = paths
        self._has_ended = False
        self._lock = threading.Lock()
        log = open(paths.stdout, "ab", buffering=0)  # noqa: SIM115 (closed by the copying thread)
        self._lifeline = Lifeline()
        try:
            self._process = subprocess.Popen(
                worker_command(paths),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if streams else log,
                stderr=subprocess.STDOUT,
                env=run_environment(resources) | self._lifeline.variables,
                pass_fds=self._lifeline.inherited,
                start_new_session=_IS_POSIX,
            )
        except BaseException:
            log.close()
            self._lifeline.close()
            raise
        self._lifeline.started()
        self._copying = _copy_in_background(self._process.stdout, log) if streams else None
        if not streams:
            log.close()

    @property
    def pid(self) -> int:
        """See `Running.pid`."""
        return self._process.pid

    def wait(self) -> Ending:
        """See `Running.wait`."""
        pid = self._process.pid
        if hasattr(os, "waitid"):  # it stays a zombie: its process group cannot be mistaken for another one
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._lock:  # from here on the pid may be somebody else's
            self._has_ended = True
        end_stragglers(pid, _STRAGGLERS_S)
        code, cpu_s, peak_mb = self._reap()
        if self._copying is not None:
            self._copying.join(timeout=_STRAGGLERS_S)
        said = self._lifeline.message()
        self._lifeline.close()
        return replace(_judged(code, said, self._paths, pid), cpu_s=cpu_s, peak_memory_mb=peak_mb)

    def _reap(self) -> tuple[int, float | None, float | None]:
        """Exit status, CPU seconds and peak memory in MiB of the ended process."""
        if not hasattr(os, "wait4"):
            return self._process.wait(), None, None
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        peak_mb = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return code, round(usage.ru_utime + usage.ru_stime, 3), round(peak_mb, 1)

    def end(self, grace_s: float) -> None:
        """See `Running.end`."""
        with self._lock:
            if self._has_ended:
                return
        end_tree(self._process.pid, grace_s)


def _judged(code: int, said: Mapping[str, Any], paths: RunPaths, pid: int) -> Ending:
    """What an exit code means, with what the process has told of itself."""
    status = read_status(paths.root)
    own = status if status is not None and status.pid == pid else None
    state = said.get("state") or (own.state if own else None)
    error = said.get("error") or (own.error if own else None)
    if state == "done":  # what goes wrong while an interpreter shuts down takes nothing away
        return Ending("done", code)
    if code < 0:
        return Ending("killed", code, f"killed by {signal_name(-code)}{_suspicion(-code)}")
    if code == 0:
        return Ending("failed", code, "the process left with exit status 0 before its thunk returned (os._exit(0)?)")
    return Ending("failed", code, error or _last_line(paths.stdout) or f"exit status {code}")


def signal_name(number: int) -> str:
    """A signal's name, `SIGKILL`; its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _suspicion(number: int) -> str:
    return " (the system does this when memory runs out)" if number == signal.SIGKILL else ""


def _last_line(log: Path) -> str:
    lines = log_tail(log, 1)
    return lines[0][:300] if lines else ""


def log_tail(log: Path, count: int) -> list[str]:
    """The last lines of a log that are not empty; none where there is no log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _CHUNK_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()][-count:]


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
        self._log = paths.stdout
        self._shown = self._log.stat().st_size if self._log.exists() else 0
        self._terminal = Terminal() if streams else None
        command = worker_command(paths, ranks=True)
        self._running: RunningRanks = start_ranks(
            command, resources.num_cpu, paths, run_environment(resources), threads=resources.threads
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
        ending = Ending("done", 0, cpu_s=outcome.cpu_s, peak_memory_mb=outcome.peak_memory_mb)
        if outcome.ok:
            return ending
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
