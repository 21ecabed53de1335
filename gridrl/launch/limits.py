"""How far a launch goes with runs that fail, hang or want too much: options beside what is computed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gridrl.errors import BadValue, Problems
from gridrl.launch.backend import Ending
from gridrl.launch.memory import memory_bytes

ALIKE = 5
"""As many runs at the beginning that all fail in the same way stop a grid: the next ones would fail too."""


@dataclass(frozen=True)
class Limits:
    """How runs are carried out, whatever they compute.

    Attributes:
        retries: how often a run that has failed, was killed or took too long is started again.
        timeout: seconds that one attempt of a run may take; None: as long as it likes.
        fail_fast: whether the first failure ends the whole grid.
        max_failures: after so many failed runs no more are started; None: a run that fails stops nobody, unless the
            first runs all fail alike.
        threads: of each rank.
        affinity: whether each run is bound to cores that no other one of them is bound to.
        gpus_per_run: the accelerators of each run; below 1: the part of one that is counted for it.
        max_memory: what a run may have resident with all that it has started, as in "4G"; None: any amount.
    """

    retries: int = 0
    timeout: float | None = None
    fail_fast: bool = False
    max_failures: int | None = None
    threads: int = 1
    affinity: bool = False
    gpus_per_run: float = 0
    max_memory: str | None = None

    def check(self) -> None:
        """Makes sure that every option makes sense.

        Raises:
            BadValue: some do not; all of them are told.
        """
        problems = Problems()
        for fault in self._faults():
            problems.add(fault)
        problems.raise_if_any(BadValue)

    def _faults(self) -> Iterator[str]:
        if not _is_whole(self.retries, least=0):
            yield f"retries={self.retries!r}: how often a failed run is started again is a whole number from 0."
        if self.timeout is not None and not _is_positive(self.timeout):
            yield f"timeout={self.timeout!r}: the seconds that a run may take are a number above 0."
        if not _is_switch(self.fail_fast):
            yield f"fail_fast={self.fail_fast!r}: True or False is wanted."
        if self.max_failures is not None and not _is_whole(self.max_failures, least=1):
            yield f"max_failures={self.max_failures!r}: the number of failures that stops a grid is a whole one from 1."
        yield from self._faults_of_resources()

    def _faults_of_resources(self) -> Iterator[str]:
        if not _is_whole(self.threads, least=1):
            yield f"threads={self.threads!r}: the threads of a run are a whole number from 1."
        if not _is_switch(self.affinity):
            yield f"affinity={self.affinity!r}: True or False is wanted."
        if not _is_share(self.gpus_per_run):
            yield f"gpus_per_run={self.gpus_per_run!r}: a whole number from 0, or a part of one such as 0.5, is wanted."
        if self.max_memory is not None:
            try:
                memory_bytes(self.max_memory)
            except BadValue as error:
                yield str(error)


def _is_share(value: Any) -> bool:
    return value == 0 or (_is_positive(value) and (value < 1 or value == int(value)))


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


class Failures:
    """Counts failures and says when there are too many to start more runs.

    Args:
        limits: how many are too many.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0
        self._ways: list[str | None] = []

    def note(self, label: str, ending: Ending) -> str | None:
        """Takes in how a run ended for good; gives why no more should be started, None where they should.

        Args:
            label: what the run is called.
            ending: how it ended.
        """
        has_failed = ending.has_failed
        self._count += has_failed
        if len(self._ways) < ALIKE:
            self._ways.append(_way(ending) if has_failed else None)
        if not has_failed:
            return None
        if self._limits.fail_fast:
            return f"Stopped (fail_fast): {label} {told(ending)}."
        if self._limits.max_failures is not None:
            return self._too_many() if self._count >= self._limits.max_failures else None
        return self._pause(ending) if self._all_alike() else None

    def _too_many(self) -> str:
        return f"Stopped (max_failures={self._limits.max_failures}): {self._count} failed."

    def _all_alike(self) -> bool:
        return self._count == len(self._ways) == ALIKE and len(set(self._ways)) == 1

    def _pause(self, ending: Ending) -> str:
        return (
            f"Paused: the first {ALIKE} runs all ended alike ({told(ending)}), so the next would too. "
            "To go on in spite of failures, say how many are too many, as in max_failures=1000."
        )


def told(ending: Ending) -> str:
    """How a run ended, in words."""
    return f"{ending.state}: {ending.error}" if ending.error else ending.state


def _way(ending: Ending) -> str:
    """How a run failed, without the numbers that differ from run to run."""
    return f"{ending.state} {re.sub(r'0x[0-9a-fA-F]+|[0-9]+', '#', ending.error or '')}"
