"""Timers for blocks of code, and the running means and variances that they keep.

timer = TimedBlock()
for _ in range(10):
    with timer:
        work()
mean_s, variance = timer.stats()
"""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from types import TracebackType

from gridrl.errors import BadValue

_NOTHING = (math.nan, math.nan)


class StatisticsAccumulator(ABC):
    """Numbers, one after the other, of which it knows mean and variance."""

    @abstractmethod
    def add(self, value: float) -> None:
        """Takes in a number."""

    @abstractmethod
    def current(self) -> tuple[float, float]:
        """Mean and variance (divided by the count) of what it holds; NaN twice while that is nothing."""


class WelfordAccumulator(StatisticsAccumulator):
    """Mean and variance of all numbers so far, in constant memory (Welford 1962).

    >>> statistics = WelfordAccumulator()
    >>> for value in (1.0, 2.0, 6.0):
    ...     statistics.add(value)
    >>> statistics.current()
    (3.0, 4.666666666666667)

    Attributes:
        count: how many numbers there were.
        mean: of them; 0 before the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # sum of squared distances from the mean

    def add(self, value: float) -> None:
        """See `StatisticsAccumulator`."""
        self.count += 1
        distance = value - self.mean
        self.mean += distance / self.count
        self._squares += distance * (value - self.mean)

    def current(self) -> tuple[float, float]:
        """See `StatisticsAccumulator`."""
        return (self.mean, self._squares / self.count) if self.count else _NOTHING


class MovingWindowAccumulator(StatisticsAccumulator):
    """Mean and variance of the last numbers.

    >>> statistics = MovingWindowAccumulator(window=2)
    >>> for value in (100.0, 1.0, 3.0):
    ...     statistics.add(value)
    >>> statistics.current()
    (2.0, 1.0)
    """

    def __init__(self, window: int = 100) -> None:
        """Holds at most `window` numbers.

        Raises:
            BadValue: for a window that holds none.
        """
        if window < 1:
            raise BadValue(f"a window of {window} numbers has no mean: 1 or more.")
        self._values: deque[float] = deque(maxlen=window)

    def add(self, value: float) -> None:
        """See `StatisticsAccumulator`."""
        self._values.append(value)

    def current(self) -> tuple[float, float]:
        """See `StatisticsAccumulator`."""
        values = tuple(self._values)
        if not values:
            return _NOTHING
        mean = math.fsum(values) / len(values)
        return mean, math.fsum((value - mean) ** 2 for value in values) / len(values)


MovingWindowStats = MovingWindowAccumulator
"""The name under which the documentation of `TimedBlock` knows it."""


class TimedBlock:
    """Measures how long a block takes, every time it is run: `with timer:`, or `with timer():`, which is the same.

    Several threads may be inside the block at once, and one thread several times: each entry is measured by itself. A
    block that ends with an exception counts too.
    """

    def __init__(self, tracker_type: Callable[[], StatisticsAccumulator] = MovingWindowAccumulator) -> None:
        """Starts with no measurement.

        Args:
            tracker_type: makes what keeps the statistics.
        """
        self._tracker = tracker_type()
        self._lock = threading.Lock()
        self._entered = _Entered()

    def __call__(self) -> TimedBlock:
        return self

    def __enter__(self) -> TimedBlock:
        self._entered.at.append(time.perf_counter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        taken_s = time.perf_counter() - self._entered.at.pop()
        with self._lock:
            self._tracker.add(taken_s)

    def mean(self) -> float:
        """Mean execution time in seconds."""
        return self.stats()[0]

    def var(self) -> float:
        """Variance of the execution time in seconds squared."""
        return self.stats()[1]

    def stats(self) -> tuple[float, float]:
        """Mean and variance of the execution time, in seconds and seconds squared; NaN before the first."""
        with self._lock:
            return self._tracker.current()


class _Entered(threading.local):
    """When this thread entered the block; once for every time that it is inside."""

    def __init__(self) -> None:
        self.at: list[float] = []


class BlockTimers:
    """Timers by name, each made when it is first asked for.

    >>> timers = BlockTimers()
    >>> with timers.scope("gather"):
    ...     pass
    >>> list(timers.stats())
    ['gather']
    """

    def __init__(self, tracker_type: Callable[[], StatisticsAccumulator] = MovingWindowAccumulator) -> None:
        """Starts with no timer.

        Args:
            tracker_type: makes what keeps the statistics of a timer.
        """
        self._tracker_type = tracker_type
        self._timers: dict[str, TimedBlock] = {}
        self._lock = threading.Lock()

    def scope(self, name: str) -> TimedBlock:
        """The timer of this name, to be used in a `with`."""
        with self._lock:
            if name not in self._timers:
                self._timers[name] = TimedBlock(self._tracker_type)
            return self._timers[name]

    def stats(self) -> dict[str, tuple[float, float]]:
        """Mean and variance of the execution time by name, see `TimedBlock.stats`."""
        with self._lock:
            timers = dict(self._timers)
        return {name: timer.stats() for name, timer in timers.items()}
