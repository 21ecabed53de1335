"""How fast data come into a buffer and go out of it: measured, told, and held within limits; no thread is needed."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

log = logging.getLogger(__name__)


class ThroughputLog:
    """Counts what is pushed, sampled and removed, and tells of it when a period is over and something happens.

    Attributes:
        counts: of the period.
    """

    def __init__(
        self, name: str, seconds: float, tb_logger: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begins a period.

        Args:
            name: of the buffer.
            seconds: that a period takes.
            tb_logger: has `add_scalar(tag, value, step)`; None: only the log is written.
            clock: gives seconds.
        """
        self._name, self._seconds, self._writer, self._clock = name, seconds, tb_logger, clock
        self._begun = self._first = clock()
        self._clear()

    def _clear(self) -> None:
        self.counts = {"pushed_in": 0, "sampled_out": 0, "removed": 0}

    def add(self, what: str, count: int, current: int) -> None:
        """Counts `count` of "pushed_in", "sampled_out" or "removed"; `current` data are in the buffer now."""
        self.counts[what] += count
        now = self._clock()
        if now - self._begun < self._seconds:
            return
        told = {**self.counts, "current_have": current}
        log.info("%s: in the last %.0f s: %s", self._name, now - self._begun, told)
        if self._writer is not None:
            for key, value in told.items():
                self._writer.add_scalar(f"{self._name}_sec/{key}", value, round(now - self._first))
        self._begun = now
        self._clear()


class ThroughputController:
    """Keeps the number of data pushed, divided by that of data sampled, within limits.

    Both are counts that decay: what happened `window_seconds` ago weighs a hundredth.
    """

    def __init__(
        self, limits: Mapping[str, float], window_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Has seen nothing.

        Args:
            limits: `max` and `min` of pushed / sampled; inf and 0 set none.
            window_seconds: see above.
            clock: gives seconds.
        """
        self._most, self._least = float(limits.get("max", math.inf)), float(limits.get("min", 0.0))
        self._decay, self._clock = 0.01 ** (1 / window_seconds), clock
        self._pushed = self._sampled = 0.0
        self._at = clock()

    def can_push(self, count: int) -> bool:
        """Whether so many more keep below `max`; always, while nothing has been sampled."""
        self._fade()
        return self._sampled <= 0 or self._pushed + count <= self._most * self._sampled

    def can_sample(self, count: int) -> bool:
        """Whether so many more keep above `min`."""
        self._fade()
        return self._pushed >= self._least * (self._sampled + count)

    def add(self, *, pushed: int = 0, sampled: int = 0) -> None:
        """Counts what has been pushed and sampled."""
        self._fade()
        self._pushed, self._sampled = self._pushed + pushed, self._sampled + sampled

    def _fade(self) -> None:
        now = self._clock()
        factor = self._decay ** (now - self._at)
        self._pushed, self._sampled, self._at = self._pushed * factor, self._sampled * factor, now
