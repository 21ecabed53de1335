"""Values that change over training, as pure functions of the step, which can also be stepped through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gridrl.errors import BadValue, did_you_mean


@dataclass
class Schedule:
    """A value for every step. A schedule of your own is a subclass that says its value in `at`.

    `at(step)` depends on nothing but the step: asking for an earlier one again gives the same. Whoever would rather
    count in the schedule itself calls `step()`; then `value` is `at(k)` after k calls. Two schedules are equal if their
    settings are, wherever they stand.

    Attributes:
        initial: the value at step 0 and before.
        final: the value that the schedule leads to.
        steps: how many steps that takes.
        steps_taken: calls of `step` so far.

    >>> schedule = LinearSchedule(1.0, 0.0, 4)
    >>> schedule.step()
    >>> schedule.value, schedule.at(2), schedule.value
    (0.75, 0.5, 0.75)
    """

    initial: float
    final: float
    steps: float

    steps_taken = 0  # no field: it belongs to neither equality nor a run's id

    def at(self, step: float) -> float:
        """The value at `step`, counted from 0 in whatever unit its user counts (env steps, updates, epochs)."""
        raise NotImplementedError(f"{type(self).__name__} does not say its value: a schedule overrides at(step).")

    def __call__(self, epoch: float) -> float:
        return self.at(epoch)

    @property
    def value(self) -> float:
        """The value at the step that `step` has come to."""
        return self.at(self.steps_taken)

    def step(self) -> None:
        """Goes one step on."""
        self.steps_taken += 1

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, for a checkpoint."""
        return {"steps_taken": self.steps_taken}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was taken."""
        self.steps_taken = int(state_dict["steps_taken"])


@dataclass(init=False)
class ConstantSchedule(Schedule):
    """The same value always.

    >>> ConstantSchedule(0.5).at(1000)
    0.5
    """

    def __init__(self, value: float) -> None:
        super().__init__(value, value, 0)

    def at(self, step: float) -> float:
        """The one value, whatever the step."""
        return self.final


@dataclass
class LinearSchedule(Schedule):
    """A straight line from `initial` at step 0 to `final` at `steps`, level before and after.

    >>> [LinearSchedule(0.0, 1.0, 4).at(step) for step in (-1, 0, 1, 4, 9)]
    [0.0, 0.0, 0.25, 1.0, 1.0]
    >>> [LinearSchedule(0.0, 1.0, 4, use_staircase=True, staircase_steps=2).at(step) for step in range(5)]
    [0.0, 0.0, 0.5, 0.5, 1.0]

    Attributes:
        initial: the value up to step 0.
        final: the value from step `steps` on, exactly.
        steps: the length of the slope; 0 makes it `final` from the start.
        use_staircase: whether it goes by equal leaps with level parts between.
        staircase_steps: how many leaps there are, the last one at `steps`.
    """

    use_staircase: bool = False
    staircase_steps: int = 5

    def __post_init__(self) -> None:
        if self.use_staircase and self.staircase_steps < 1:
            raise BadValue(f"staircase_steps is 1 or more, not {self.staircase_steps}.")

    def at(self, step: float) -> float:
        """The value at `step`."""
        if step >= self.steps or self.steps <= 0:
            return self.final
        step = max(step, 0)
        if self.use_staircase:
            return _between(
                self.initial, self.final, (step * self.staircase_steps // self.steps) / self.staircase_steps
            )
        return _between(self.initial, self.final, step / self.steps)


@dataclass(init=False)
class LinearDecay(LinearSchedule):
    """`LinearSchedule` with its arguments in AllenAct's order; calling it gives the value.

    >>> decay = LinearDecay(steps=10)
    >>> decay(0), decay(5), decay(20)
    (1.0, 0.5, 0.0)
    """

    def __init__(self, steps: float, startp: float = 1.0, endp: float = 0.0) -> None:
        """Takes the length of the slope and its two ends.

        Args:
            steps: the length; 0 makes it `endp` from the start.
            startp: the value up to step 0.
            endp: the value from step `steps` on, exactly.
        """
        super().__init__(startp, endp, steps)

    @property
    def startp(self) -> float:
        """The value up to step 0."""
        return self.initial

    @property
    def endp(self) -> float:
        """The value from step `steps` on."""
        return self.final


_DAMPING = {"triangular": 1.0, "triangular2": 0.5}


@dataclass(init=False)
class CyclicSchedule(Schedule):
    """A triangle wave between `initial` and `final` (Smith 2017, section 3, https://arxiv.org/abs/1506.01186).

    >>> [CyclicSchedule(0.0, 1.0, 2).at(step) for step in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    >>> [CyclicSchedule(0.0, 1.0, 2, "triangular2").at(step) for step in (2, 6, 10)]
    [1.0, 0.5, 0.25]
    """

    mode: str = "triangular"

    def __init__(self, initial: float, final: float, half_period_steps: float, mode: str = "triangular") -> None:
        """Takes the ends of the wave and its length.

        Args:
            initial: the value at the start of every period, and before step 0.
            final: the value in the middle of the first period.
            half_period_steps: steps from `initial` to `final`, and back.
            mode: triangular (all waves alike) or triangular2 (each half as high as the one before).

        Raises:
            BadValue: for an unknown mode or a period without length.
        """
        super().__init__(initial, final, half_period_steps)
        if mode not in _DAMPING:
            raise BadValue(
                f"mode {mode!r} of a cyclic schedule: triangular or triangular2.{did_you_mean(mode, _DAMPING)}"
            )
        _check_length("half_period_steps", half_period_steps)
        self.mode = mode

    def at(self, step: float) -> float:
        """The value at `step`."""
        cycle, phase = divmod(max(step, 0), 2 * self.steps)
        share = min(phase, 2 * self.steps - phase) / self.steps
        return _between(self.initial, self.final, share * _DAMPING[self.mode] ** cycle)


@dataclass
class CosineAnnealing(Schedule):
    """Half a cosine from `initial` at step 0 to `final` at `steps`, and back in as many more, and so on.

    Loshchilov & Hutter 2017, equation 5, https://arxiv.org/abs/1608.03983, continued as torch continues it.

    >>> [round(CosineAnnealing(1.0, 0.0, 4).at(step), 3) for step in (0, 1, 2, 4, 6, 8)]
    [1.0, 0.854, 0.5, 0.0, 0.5, 1.0]
    """

    def __post_init__(self) -> None:
        _check_length("steps", self.steps)

    def at(self, step: float) -> float:
        """The value at `step`."""
        phase = max(step, 0) % (2 * self.steps)
        return _between(self.initial, self.final, _cosine(min(phase, 2 * self.steps - phase) / self.steps))


@dataclass
class CosineAnnealingWarmRestarts(Schedule):
    """Half a cosine from `initial` towards `final`, which begins anew every `steps` steps.

    `final` itself is never reached: where it would be, the next period starts, as in torch's scheduler of this name.

    >>> [round(CosineAnnealingWarmRestarts(1.0, 0.0, 4).at(step), 3) for step in range(6)]
    [1.0, 0.854, 0.5, 0.146, 1.0, 0.854]
    """

    def __post_init__(self) -> None:
        _check_length("steps", self.steps)

    def at(self, step: float) -> float:
        """The value at `step`."""
        return _between(self.initial, self.final, _cosine(max(step, 0) % self.steps / self.steps))


@dataclass(init=False)
class BPStepScheduler(Schedule):
    """A straight line from `value_min` at one update to `value_max` at another, level outside.

    >>> scheduler = BPStepScheduler(100, 200, 1.0, 5.0)
    >>> [scheduler.evaluate_at(bp) for bp in (0, 100, 150, 200, 900)]
    [1.0, 1.0, 3.0, 5.0, 5.0]

    Attributes:
        bp_step_begin: the update up to which the value is `value_min`.
        bp_step_end: the update from which on it is `value_max`; at or before `bp_step_begin` it is that always.
    """

    bp_step_begin: float
    bp_step_end: float

    def __init__(self, bp_step_begin: float, bp_step_end: float, value_min: float, value_max: float) -> None:
        super().__init__(value_min, value_max, bp_step_end - bp_step_begin)
        self.bp_step_begin, self.bp_step_end = bp_step_begin, bp_step_end

    @property
    def value_min(self) -> float:
        """The value at the beginning; it may be the greater one."""
        return self.initial

    @property
    def value_max(self) -> float:
        """The value at the end."""
        return self.final

    def evaluate_at(self, bp: float) -> float:
        """The value at update `bp`."""
        if self.steps < 1e-10:
            return self.final
        return LinearSchedule(self.initial, self.final, self.steps).at(bp - self.bp_step_begin)

    def at(self, step: float) -> float:
        """The value at update `step`."""
        return self.evaluate_at(step)


def _between(initial: float, final: float, share: float) -> float:
    return final if share >= 1.0 else initial + (final - initial) * share


def _cosine(share: float) -> float:
    """How much of the way from one end to the other half a cosine has gone after this share of the steps."""
    return 0.5 * (1.0 - math.cos(math.pi * share))


def _check_length(name: str, steps: float) -> None:
    if not steps > 0:
        raise BadValue(f"{name} of a schedule that repeats itself is more than 0, not {steps}.")
