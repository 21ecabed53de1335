"""What is drawn from a buffer: how often it has been used, how old it is, how important."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

log = logging.getLogger(__name__)

_OBSERVED = ("use", "priority", "staleness")


class SampleMonitor:
    """Tells, every so many batches, of mean, largest and least in a batch, averaged over the newest ones.

    Attributes:
        envstep: of the collector, where it writes to `{name}_step/`.
    """

    def __init__(self, name: str, tb_logger: Any = None, average_range: int = 5, print_freq: int = 200) -> None:
        """Has seen nothing.

        Args:
            name: of the buffer.
            tb_logger: has `add_scalar(tag, value, step)`; None: only the log is written.
            average_range: batches that are averaged over.
            print_freq: batches between two reports.
        """
        self._name, self._writer, self._every = name, tb_logger, max(1, print_freq)
        self._recent: deque[dict[str, float]] = deque(maxlen=average_range)
        self._batches, self.envstep = 0, 0

    def add(self, batch: Sequence[Mapping[str, Any]], learner_iter: int) -> None:
        """Takes note of a batch that was drawn."""
        self._batches += 1
        due = self._batches % self._every
        if 0 < due <= self._every - (self._recent.maxlen or 0):  # before the next report's batches
            return
        self._recent.append(_summary(batch))
        if due == 0:
            self._report(learner_iter)

    def _report(self, learner_iter: int) -> None:
        told = {key: _mean([one[key] for one in self._recent]) for key in self._recent[0]}
        log.info("%s: drawn in the last %d batches: %s", self._name, len(self._recent), told)
        if self._writer is not None:
            for key, value in told.items():
                self._writer.add_scalar(f"{self._name}_iter/{key}", value, learner_iter)
                self._writer.add_scalar(f"{self._name}_step/{key}", value, self.envstep)


def _summary(batch: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for key in _OBSERVED:
        values = [float(item[key]) for item in batch]
        found |= {f"{key}_avg": _mean(values), f"{key}_max": max(values), f"{key}_min": min(values)}
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
