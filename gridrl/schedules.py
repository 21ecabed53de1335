"""Values that change over training, as pure functions of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """A value for every step. It holds no state: asking for an earlier step again gives the same."""

    def at(self, step: float) -> float:
        """The value at `step`, counted from 0 in whatever unit its user counts (env steps, epochs)."""
        ...


@dataclass(frozen=True)
class ConstantSchedule:
    """The same value always.

    >>> ConstantSchedule(0.5).at(1000)
    0.5
    """

    value: float

    def at(self, step: float) -> float:
        """`value`, whatever the step."""
        return self.value

    def __call__(self, epoch: float) -> float:
        return self.value


@dataclass(frozen=True)
class LinearSchedule:
    """A straight line from `initial` at step 0 to `final` at `steps`, level before and after.

    >>> [LinearSchedule(0.0, 1.0, 4).at(step) for step in (-1, 0, 1, 4, 9)]
    [0.0, 0.0, 0.25, 1.0, 1.0]

    Attributes:
        initial: the value up to step 0.
        final: the value from step `steps` on, exactly.
        steps: the length of the slope; 0 makes it `final` from the start.
    """

    initial: float
    final: float
    steps: float

    def at(self, step: float) -> float:
        """The value at `step`."""
        if step >= self.steps:
            return self.final
        return self.initial + (self.final - self.initial) * (max(step, 0) / self.steps)

    def __call__(self, epoch: float) -> float:
        return self.at(epoch)


@dataclass(frozen=True)
class LinearDecay:
    """`LinearSchedule` with its arguments in AllenAct's order; calling it gives the value.

    >>> decay = LinearDecay(steps=10)
    >>> decay(0), decay(5), decay(20)
    (1.0, 0.5, 0.0)

    Attributes:
        steps: the length of the slope; 0 makes it `endp` from the start.
        startp: the value up to step 0.
        endp: the value from step `steps` on, exactly.
    """

    steps: float
    startp: float = 1.0
    endp: float = 0.0

    def at(self, step: float) -> float:
        """The value at `step`."""
        return LinearSchedule(self.startp, self.endp, self.steps).at(step)

    def __call__(self, epoch: float) -> float:
        return self.at(epoch)
