"""Carries a plan out: so many runs at once, each in processes of its own, to the end of the last one."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gridrl.errors import BackendError, DiskFull, GridRLError, RunDirectoryInUse
from gridrl.launch.admission import Admission
from gridrl.launch.attempt import Attempt
from gridrl.launch.backend import Backend, Ending, Handle, Resources
from gridrl.launch.configuration import queue_run
from gridrl.launch.guard import Guard
from gridrl.launch.limits import Failures, Limits, told
from gridrl.launch.local import LocalBackend
from gridrl.launch.mailbox import Mailbox
from gridrl.launch.memory import LOOK_S, bytes_over, memory_bytes, told_bytes
from gridrl.launch.order import PlannedRun
from gridrl.launch.payload import write_payload
from gridrl.launch.report import label
from gridrl.launch.result import count_of
from gridrl.launch.slots import Slots
from gridrl.launch.spec import has_grown
from gridrl.launch.watcher import Nobody, Watcher
from gridrl.log.record import Status, derived_state, read_status, write_status
from gridrl.utils.console import warn_line
from gridrl.utils.files import read_json

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL for the runs of a launcher that is interrupted."""

MEMORY_GRACE_S = 1.0
"""The same for a run that takes too much memory, and may take more every moment."""

INTERRUPTED = "interrupted"
SHORTAGE = (
    "Memory is short: runs wait until one more, as large as the largest so far, would leave 15 % of it available."
)


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
        self._admission = Admission(jobs, slots)
        self._next_look: float | None = None  # at the memory of runs
        self._has_told_shortage = False
        self._watcher = watcher
        self._limits = limits or Limits()
        self._backend = backend or LocalBackend()
        self._guard: Guard
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
        for run in self._runs:
            _queue(run)
        closing = contextlib.closing
        with closing(self._events), self._events.hearing_signals(), closing(Guard()) as self._guard:
            try:
                self._go_on()
            except BaseException:
                self._watcher = Nobody()  # it may be what has failed: standard output that was closed
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

    def interrupt(self) -> None:
        """Does what a Ctrl-C does, from any thread; nothing once everything has ended."""
        self._events.put(signal.SIGINT)

    def _go_on(self) -> None:
        """Starts what may start and takes in what happens, until nothing runs or waits."""
        while True:
            self._start_more()
            if not self._attempts and not self._waiting:
                return
            self._take_in(self._next_event())

    def _next_event(self) -> _Started | _Ended | signal.Signals | None:
        deadlines = [attempt.deadline for attempt in self._attempts.values()]
        wake_up = min((at for at in (*deadlines, self._next_look) if at is not None), default=None)
        if wake_up is None:
            return self._events.get()
        return self._events.get_within(wake_up - time.monotonic())

    def _take_in(self, event: _Started | _Ended | signal.Signals | None) -> None:
        if event is None:
            self._end_late_ones()
            self._look_at_memory()
        elif isinstance(event, _Started):
            self._attempts[event.index].start_clock(self._limits.timeout)
            self._watcher.started(event.index)
        elif isinstance(event, _Ended):
            attempt = self._attempts.pop(event.index)
            attempt.thread.join()
            self._admission.leave(event.index, attempt.resources, event.ending)
            if event.ending is not None:
                self._conclude(event.index, attempt.judge(event.ending), event.elapsed_s)
        else:
            self._stop(0.0 if self._interrupted_by else GRACE_S)
            self._interrupted_by = self._interrupted_by or event

    def _start_more(self) -> None:
        while self._waiting:
            resources = self._admission.admit(self._attempts, self._runs[self._waiting[0]].spec.num_cpu)
            if resources is None:
                break
            index = self._waiting.popleft()
            thread = threading.Thread(target=self._carry, args=(index, resources), daemon=True)
            thread.start()  # first: what does not start never ends
            self._attempts[index] = Attempt(thread, resources)
        waits = bool(self._waiting) and self._admission.waits_for_memory
        if waits and self._admission.memory.is_short and not self._has_told_shortage:
            self._has_told_shortage = True
            self._watcher.told(SHORTAGE)
        is_watched = self._limits.max_memory is not None and bool(self._attempts)
        if not (waits or is_watched):
            self._next_look = None
        elif self._next_look is None:
            self._next_look = time.monotonic() + LOOK_S

    def _conclude(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """Records how an attempt ended; then it is tried again, or that is how the run ended."""
        run = self._runs[index]
        if not ending.is_ours:
            self._watcher.ended(index, ending, elapsed_s)
            return
        if ending.left_behind:
            self._watcher.told(f"{label(run)} left {', '.join(ending.left_behind)} behind: ended.")
        if self._stopping and ending.has_failed:
            ending = replace(ending, state="killed", error=self._stopping, rank=None)
        if ending.has_failed or run.spec.num_cpu > 1:  # else the run has recorded it itself
            _record(run, ending)
        if not self._is_tried_again(index, ending):
            self._watcher.ended(index, ending, elapsed_s)
            if not self._stopping:
                self._judge_grid(index, ending)

    def _is_tried_again(self, index: int, ending: Ending) -> bool:
        if not ending.has_failed or self._stopping or self._failed_before[index] >= self._limits.retries:
            return False
        try:
            _queue(self._runs[index])
        except GridRLError as error:
            self._watcher.told(f"{label(self._runs[index])} cannot be tried again: {error}")
            return False
        self._failed_before[index] += 1
        tries = f"try {self._failed_before[index] + 1} of {self._limits.retries + 1}"
        message = f"{label(self._runs[index])} {told(ending)}; to be started again ({tries})"
        self._watcher.retried(index, ending, message)
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
                self._condemn(index, "timeout", f"not done within {self._limits.timeout:g} s (timeout)", GRACE_S)

    def _look_at_memory(self) -> None:
        if self._next_look is None or self._next_look > time.monotonic():
            return
        self._next_look = None
        with self._lock:
            roots = {index: handle.pid for index, handle in self._handles.items() if handle.pid is not None}
        used = self._admission.memory.look(roots)
        if self._limits.max_memory is None:
            return
        for index, count in bytes_over(memory_bytes(self._limits.max_memory), used, roots).items():
            error = f"used {told_bytes(count)} of memory, more than max_memory={self._limits.max_memory}"
            self._condemn(index, "failed", error, MEMORY_GRACE_S)

    def _condemn(self, index: int, state: str, error: str, grace_s: float) -> None:
        """Ends a run for a reason that its ending is to tell."""
        if index in self._attempts and self._attempts[index].condemn(state, error):
            self._end([index], grace_s)

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
        try:
            if (elsewhere := _elsewhere(run)) is not None:
                return elsewhere
            write_payload(run.paths.payload, run.payload())
            with self._lock:  # whoever stops sees every run that has been started
                if self._stopping:
                    return None
                streams = len(self._runs) == 1
                handle = self._backend.submit(run.paths, resources, streams=streams)
                self._handles[index] = handle
            self._guard.watch(handle.pid)
            self._events.put(_Started(index))
            ending = handle.wait()
            self._guard.release(handle.pid)
            return ending
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
    except (OSError, RunDirectoryInUse) as error:
        warn_line(str(error))
