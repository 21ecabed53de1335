"""Carries a plan out: so many runs at once, each in processes of its own, to the end of the last one."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gridrl.errors import BackendError, DiskFull, GridRLError
from gridrl.launch.attempt import Attempt
from gridrl.launch.backend import Backend, Ending, Handle, Resources
from gridrl.launch.configuration import queue_run
from gridrl.launch.launchers import Launcher, note_launcher
from gridrl.launch.limits import Failures, Limits, told
from gridrl.launch.local import LocalBackend
from gridrl.launch.mailbox import Mailbox
from gridrl.launch.order import PlannedRun
from gridrl.launch.payload import write_payload
from gridrl.launch.report import label
from gridrl.launch.result import count_of
from gridrl.launch.slots import Slots
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
        """A run has ended for good, or could not be started."""

    def told(self, message: str) -> None:
        """Something else that the user should know at once."""


class _Nobody:
    """A watcher that is told in vain."""

    def started(self, index: int) -> None:
        return

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        return

    def told(self, message: str) -> None:
        return


@dataclass(frozen=True)
class _Started:
    index: int


@dataclass(frozen=True)
class _Ended:
    index: int
    ending: Ending | None
    elapsed_s: float


class Scheduler:
    """Starts runs in their order, `jobs` at a time; a run that fails does not stop the others.

    The thread that called `carry_out` decides everything; it hears of what happens, and of signals, through a mailbox.
    A thread for each run that goes on starts the run's process and waits for it. Nothing is polled.

    Args:
        runs: what is to be run.
        jobs: how many at once.
        watcher: is told of each start and end.
        limits: what is done about runs that fail or take too long.
        slots: what they get; None: one thread for each rank.
        backend: where they are carried out; None: on this machine.

    Attributes:
        stopped_because: why runs were not started that could have been, None where there are none.
    """

    def __init__(
        self,
        runs: Sequence[PlannedRun],
        jobs: int,
        watcher: Watcher,
        limits: Limits | None = None,
        slots: Slots | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.stopped_because: str | None = None
        self._runs = runs
        self._jobs = jobs
        self._watcher = watcher
        self._limits = limits or Limits()
        self._slots = slots
        self._backend = backend or LocalBackend()
        self._events: Mailbox[_Started | _Ended] = Mailbox()
        self._waiting = deque(range(len(runs)))
        self._attempts: dict[int, Attempt] = {}  # those that go on
        self._failed_before = Counter[int]()
        self._failures = Failures(self._limits)
        self._handles: dict[int, Handle] = {}
        self._lock = threading.Lock()  # of `_handles` and `_stopping`
        self._stopping: str | None = None
        self._interrupted_by: signal.Signals | None = None

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
                self._go_on()
            except BaseException:
                self._watcher = _Nobody()  # it may be what has failed: standard output that was closed
                self._stop(GRACE_S)
                self._go_on()
                raise
            finally:
                for attempt in self._attempts.values():
                    attempt.thread.join()
        if self._interrupted_by is signal.SIGINT:
            raise KeyboardInterrupt
        if self._interrupted_by is not None:
            raise SystemExit(128 + self._interrupted_by)

    def _go_on(self) -> None:
        """Starts what may start and takes in what happens, until nothing runs or waits."""
        while True:
            self._start_more()
            if not self._attempts:
                return
            self._take_in(self._next_event())

    def _next_event(self) -> _Started | _Ended | signal.Signals | None:
        deadlines = [attempt.deadline for attempt in self._attempts.values() if attempt.deadline is not None]
        if not deadlines:
            return self._events.get()
        return self._events.get_within(min(deadlines) - time.monotonic())

    def _take_in(self, event: _Started | _Ended | signal.Signals | None) -> None:
        if event is None:
            self._end_late_ones()
        elif isinstance(event, _Started):
            self._attempts[event.index].start_clock(self._limits.timeout)
            self._watcher.started(event.index)
        elif isinstance(event, _Ended):
            attempt = self._attempts.pop(event.index)
            attempt.thread.join()
            if self._slots is not None:
                self._slots.give_back(attempt.resources)
            if event.ending is not None:
                self._conclude(event.index, attempt.judge(event.ending), event.elapsed_s)
        else:
            self._stop(0.0 if self._interrupted_by else GRACE_S)
            self._interrupted_by = self._interrupted_by or event

    def _start_more(self) -> None:
        while self._waiting and len(self._attempts) < self._jobs:
            resources = self._resources()
            if resources is None:
                return
            index = self._waiting.popleft()
            thread = threading.Thread(target=self._carry, args=(index, resources), daemon=True)
            self._attempts[index] = Attempt(thread, resources)
            thread.start()

    def _resources(self) -> Resources | None:
        """What the next run gets, None where there is not enough left."""
        if self._slots is None:
            return Resources(self._runs[self._waiting[0]].spec.num_cpu)
        return self._slots.take()

    def _conclude(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """Records how an attempt ended; then it is tried again, or that is how the run ended."""
        run = self._runs[index]
        if not ending.is_ours:
            self._watcher.ended(index, ending, elapsed_s)
            return
        if self._stopping and ending.state != "done":
            ending = replace(ending, state="killed", error=self._stopping, rank=None)
        if ending.state != "done" or run.spec.num_cpu > 1:  # else the run has recorded it itself
            _record(run, ending)
        if not self._is_tried_again(index, ending):
            self._watcher.ended(index, ending, elapsed_s)
            if not self._stopping:
                self._judge_grid(index, ending)

    def _is_tried_again(self, index: int, ending: Ending) -> bool:
        if ending.state == "done" or self._stopping or self._failed_before[index] >= self._limits.retries:
            return False
        try:
            _queue(self._runs[index])
        except GridRLError as error:
            self._watcher.told(f"{label(self._runs[index])} cannot be tried again: {error}")
            return False
        self._failed_before[index] += 1
        tries = f"try {self._failed_before[index] + 1} of {self._limits.retries + 1}"
        self._watcher.told(f"{label(self._runs[index])} {told(ending)}; to be started again ({tries})")
        self._waiting.append(index)
        return True

    def _judge_grid(self, index: int, ending: Ending) -> None:
        """Starts no more runs where there were too many failures."""
        reason = self._failures.note(label(self._runs[index]), ending)
        if reason is None or self.stopped_because:
            return
        waiting = len(self._waiting)
        if waiting or self._attempts:
            self.stopped_because = f"{reason} {count_of(waiting, 'run')} not started; the same command again goes on."
            self._watcher.told(self.stopped_because)
        self._waiting.clear()
        if self._limits.fail_fast:
            self._stop(GRACE_S, f"ended because {label(self._runs[index])} failed (fail_fast)")

    def _end_late_ones(self) -> None:
        now = time.monotonic()
        for index, attempt in self._attempts.items():
            if attempt.deadline is not None and attempt.deadline <= now:
                attempt.condemn("timeout", f"not done within {self._limits.timeout:g} s (timeout)")
                self._end([index], GRACE_S)

    def _stop(self, grace_s: float, reason: str = INTERRUPTED) -> None:
        """Starts no more runs and ends the running ones."""
        self._waiting.clear()
        with self._lock:
            self._stopping = self._stopping or reason
        self._end(list(self._attempts), grace_s)

    def _end(self, indices: Sequence[int], grace_s: float) -> None:
        """Ends runs, in threads of their own."""
        with self._lock:
            handles = [self._handles[index] for index in indices if index in self._handles]
        for handle in handles:
            threading.Thread(target=handle.end, args=(grace_s,), daemon=True).start()

    def _carry(self, index: int, resources: Resources) -> None:
        """The life of a run's thread."""
        began = time.monotonic()
        ending = self._attempt(index, resources)
        self._events.put(_Ended(index, ending, time.monotonic() - began))

    def _attempt(self, index: int, resources: Resources) -> Ending | None:
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
                handle = self._backend.submit(run.paths, resources, streams=streams)
                self._handles[index] = handle
            self._events.put(_Started(index))
            return handle.wait()
        except Exception as error:
            kind = "" if isinstance(error, (GridRLError, OSError)) else f"{type(error).__name__}: "
            return Ending("failed", None, f"could not be started: {kind}{error}")
        finally:
            with self._lock:
                self._handles.pop(index, None)


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
