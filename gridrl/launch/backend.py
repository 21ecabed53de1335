"""What a place where runs are carried out offers to the scheduler: the interface that every backend implements.

`gridrl.launch.local` is the one for this machine. A new one passes `tests/contracts/backend.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gridrl.launch.placement import VARIABLE, told_cores
from gridrl.utils.files import RunPaths

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""The variables that say how many threads numerical libraries use; torch reads the first."""


@dataclass(frozen=True)
class Resources:
    """What one run is given.

    Attributes:
        num_cpu: its MPI ranks.
        threads: of each rank, for OpenMP, MKL, OpenBLAS and torch.
        cores: the cores that it is bound to; none: it is not bound.
        devices: the accelerators that it sees, as CUDA_VISIBLE_DEVICES calls them; none: those that the launcher sees.
    """

    num_cpu: int = 1
    threads: int = 1
    cores: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def variables(self) -> dict[str, str]:
        """What of this its processes are told by their environment."""
        cores = {VARIABLE: told_cores(self.cores, self.num_cpu)} if self.cores else {}
        devices = {"CUDA_VISIBLE_DEVICES": ",".join(self.devices)} if self.devices else {}
        return cores | devices | dict.fromkeys(THREADS, str(self.threads))


@dataclass(frozen=True)
class Ending:
    """How the process of a run ended.

    Attributes:
        state: "done", "failed", "killed", "timeout" or "preempted"; "running" if it was left alone, as another
            launcher has started it.
        exit_code: its exit status, negative: the signal that ended it; None if it could not be started.
        error: the last line of what went wrong, None where nothing did.
        rank: the MPI rank that failed first, None where none is to be told.
        cpu_s: CPU seconds of the process and the children that it waited for, None where unknown.
        peak_memory_mb: the most that the process had resident, in MiB, None where unknown.
        left_behind: processes that it had left in sessions of their own, which were ended.
        is_ours: whether this launcher had to do with it; another one looks after its status else.
    """

    state: str
    exit_code: int | None
    error: str | None = None
    rank: int | None = None
    cpu_s: float | None = None
    peak_memory_mb: float | None = None
    is_ours: bool = True
    left_behind: tuple[str, ...] = ()

    @property
    def has_failed(self) -> bool:
        """Whether it did not end in order: done, or stopped as it was asked to."""
        return self.state not in ("done", "preempted")

    @property
    def signal(self) -> int | None:
        """The signal that ended the process, None where none did."""
        return -self.exit_code if self.exit_code is not None and self.exit_code < 0 else None


class Handle(Protocol):
    """A run that has been submitted. One thread waits for it, any other may look at it or end it."""

    @property
    def pid(self) -> int | None:
        """The root of its processes on this machine, None where they are elsewhere."""

    @property
    def state(self) -> str:
        """ "running" until `wait` has given the ending, then the ending's state."""

    def wait(self) -> Ending:
        """Waits, without looking again and again, until the run has ended with everything that it has started."""

    def logs(self) -> Sequence[Path]:
        """Where it writes what it prints: one file for each rank."""

    def end(self, grace_s: float) -> None:
        """Ends the run: a request (SIGTERM), `grace_s` seconds, then a SIGKILL for whatever is left of it.

        Comes back when that is done; does nothing where the run has ended. May be called again, with less grace.
        """


class Backend(Protocol):
    """A place where runs are carried out."""

    def submit(self, paths: RunPaths, resources: Resources, *, streams: bool = False) -> Handle:
        """Starts the run whose payload stands in its directory, and comes back at once.

        Any thread may call it. The run records in its `status.json` how it goes, as far as it lives to do so.

        Args:
            paths: the run's files.
            resources: what it is given.
            streams: whether what it prints is shown here too, as it comes (of several ranks: what rank 0 prints).

        Raises:
            OSError: no process can be started, or its log cannot be written.
            GridRLError: something else that it needs is missing, such as an mpiexec.
        """
