"""Carries a plan out: so many runs at once, each in processes of its own, to the end of the last one."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gridrl.errors import BackendError, DiskFull, GridRLError
from gridrl.launch.backend import Backend, Ending, Handle, Resources
from gridrl.launch.configuration import queue_run
from gridrl.launch.launchers import Launcher, note_launcher
from gridrl.launch.local import LocalBackend
from gridrl.launch.mailbox import Mailbox
from gridrl.launch.order import THREADS, PlannedRun
from gridrl.launch.payload import write_payload
from gridrl.launch.spec import has_grown
from gridrl.log.record import Status, derived_state, read_status, write_status
from gridrl.utils.console import warn_line
from gridrl.utils.files import read_json

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL for the runs of a launcher that is interrupted."""

INTERRUPTED = "interrupted"


class Watcher(Protocol):
    """Who is told how the runs go; called from the launcher's thread alone."""

    def started(self, index: int) -> None:
        """A run's process has been started."""

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """A run has ended, or could not be started."""


class _Nobody:
    """A watcher that is told in vain."""

    def started(self, index: int) -> None:
        return

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        return


@dataclass(frozen=True)
class _Started:
    index: int


@dataclass(frozen=True)
class _Ended:
    index: int
    ending: Ending
    elapsed_s: float


class _SlotClosed:
    """A slot has no more runs to start."""


class Scheduler:
    """Starts runs in their order, `jobs` at a time; a run that fails does not stop the others.

    One thread a slot starts a run's process and waits for it. The thread that called `carry_out` hears of that, and of
    signals, through a mailbox. Nothing is polled.

    Args:
        runs: what is to be run.
        jobs: how many at once.
        watcher: is told of each start and end.
        backend: where they are carried out; None: on this machine.
    """

    def __init__(self, runs: Sequence[PlannedRun], jobs: int, watcher: Watcher, backend: Backend | None = None) -> None:
        self._runs = runs
        self._backend = backend or LocalBackend()
        self._watcher = watcher
        self._events: Mailbox[_Started | _Ended | _SlotClosed] = Mailbox()
        self._waiting = iter(range(len(runs)))
        self._running: dict[int, Handle] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._interrupted_by: signal.Signals | None = None
        self._open_slots = min(jobs, len(runs))
        self._slots: list[threading.Thread] = []

    def carry_out(self) -> None:
        """Runs everything; whatever ends this call early, an interruption too, ends all that it has started.

        Raises:
            DiskFull: the run directories cannot be made; then nothing has been started.
            BackendError: likewise, for another reason.
            KeyboardInterrupt: Ctrl-C; the running ones have been ended and recorded as killed. A second one kills them.
            SystemExit: the launcher got a SIGTERM or SIGHUP, likewise.
        """
        launcher = Launcher.this_process(len(self._runs))
        for run in self._runs:
            _queue(run)
            note_launcher(run.paths, launcher)
        with contextlib.closing(self._events), self._events.hearing_signals():
            try:
                self._open()
                self._listen()
            except BaseException:
                self._watcher = _Nobody()  # it may be what has failed: standard output that was closed
                self._stop(GRACE_S)
                self._listen()
                raise
            finally:
                for slot in self._slots:
                    slot.join()
        if self._interrupted_by is signal.SIGINT:
            raise KeyboardInterrupt
        if self._interrupted_by is not None:
            raise SystemExit(128 + self._interrupted_by)

    def _open(self) -> None:
        self._slots = [threading.Thread(target=self._fill_slot, daemon=True) for _ in range(self._open_slots)]
        for slot in self._slots:
            slot.start()

    def _listen(self) -> None:
        """Passes on what happens until every slot has closed."""
        while self._open_slots:
            event = self._events.get()
            if isinstance(event, _SlotClosed):
                self._open_slots -= 1
            elif isinstance(event, _Started):
                self._watcher.started(event.index)
            elif isinstance(event, _Ended):
                self._conclude(event)
            else:
                self._stop(0.0 if self._interrupted_by else GRACE_S)
                self._interrupted_by = self._interrupted_by or event

    def _conclude(self, event: _Ended) -> None:
        run, ending = self._runs[event.index], event.ending
        if self._stopping and ending.is_ours and ending.state != "done":
            ending = replace(ending, state="killed", error=INTERRUPTED, rank=None)
        if ending.is_ours and (ending.state != "done" or run.spec.num_cpu > 1):  # else the run has recorded it itself
            _record(run, ending)
        self._watcher.ended(event.index, ending, event.elapsed_s)

    def _stop(self, grace_s: float) -> None:
        """Starts no more runs and ends the running ones, in threads of their own."""
        with self._lock:
            self._stopping = True
            running = list(self._running.values())
        for run in running:
            threading.Thread(target=run.end, args=(grace_s,), daemon=True).start()

    def _fill_slot(self) -> None:
        """One slot's life: the next waiting run, until none is left or the launcher stops."""
        try:
            while (index := self._next()) is not None:
                began = time.monotonic()
                ending = self._carry(index)
                if ending is not None:
                    self._events.put(_Ended(index, ending, time.monotonic() - began))
        finally:
            self._events.put(_SlotClosed())

    def _next(self) -> int | None:
        with self._lock:
            return None if self._stopping else next(self._waiting, None)

    def _carry(self, index: int) -> Ending | None:
        """Starts a run and waits for it; None where the launcher has stopped before."""
        run = self._runs[index]
        if (elsewhere := _elsewhere(run)) is not None:
            return elsewhere
        try:
            write_payload(run.paths.payload, run.payload())
            with self._lock:  # whoever stops sees every run that has been started
                if self._stopping:
                    return None
                streams = len(self._runs) == 1
                handle = self._backend.submit(run.paths, Resources(run.spec.num_cpu, THREADS), streams=streams)
                self._running[index] = handle
        except Exception as error:
            kind = "" if isinstance(error, (GridRLError, OSError)) else f"{type(error).__name__}: "
            return Ending("failed", None, f"could not be started: {kind}{error}")
        self._events.put(_Started(index))
        ending = handle.wait()
        with self._lock:
            del self._running[index]
        return ending


def _queue(run: PlannedRun) -> None:
    try:
        queue_run(run.paths, run.config)
    except DiskFull:
        raise
    except OSError as error:
        raise BackendError(f"{run.paths.root}: the run directory cannot be made: {error.strerror or error}.") from error


def _elsewhere(run: PlannedRun) -> Ending | None:
    """How a run stands that another launcher has started since this one queued it; None where none has."""
    state = derived_state(run.paths.root)
    if state == "running":
        return Ending("running", None, "another launcher has started it", is_ours=False)
    config = read_json(run.paths.config)
    grows = config.get("grows") if isinstance(config, dict) else None
    if state == "done" and isinstance(grows, dict) and not has_grown(grows, run.spec.grows):
        return Ending("done", None, is_ours=False)
    return None


def _record(run: PlannedRun, ending: Ending) -> None:
    """Writes how a run ended where the run could not do that itself."""
    before = read_status(run.paths.root) or Status("queued")
    status = replace(
        before,
        state=ending.state,
        started=before.started,
        ended=time.time(),
        exit_code=ending.exit_code,
        signal=ending.signal,
        cpu_s=ending.cpu_s if ending.cpu_s is not None else before.cpu_s,
        peak_memory_mb=ending.peak_memory_mb if ending.peak_memory_mb is not None else before.peak_memory_mb,
        error=ending.error,
        rank=ending.rank,
    )
    try:
        write_status(run.paths.root, status)
    except OSError as error:
        warn_line(str(error))
