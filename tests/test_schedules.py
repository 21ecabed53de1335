from __future__ import annotations

import math
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue
from gridrl.schedules import (
    BPStepScheduler,
    ConstantSchedule,
    CosineAnnealing,
    CosineAnnealingWarmRestarts,
    CyclicSchedule,
    LinearDecay,
    LinearSchedule,
    Schedule,
)
from gridrl.utils.canonical import canonical

FINITE = st.floats(-1e6, 1e6)

EVERY: dict[str, Callable[[float, float, int], Schedule]] = {
    "constant": lambda initial, final, steps: ConstantSchedule(initial),
    "linear": LinearSchedule,
    "staircase": lambda initial, final, steps: LinearSchedule(initial, final, steps, True, 3),
    "decay": lambda initial, final, steps: LinearDecay(steps, initial, final),
    "triangular": CyclicSchedule,
    "triangular2": lambda initial, final, steps: CyclicSchedule(initial, final, steps, mode="triangular2"),
    "cosine": CosineAnnealing,
    "restarts": CosineAnnealingWarmRestarts,
    "bp": lambda initial, final, steps: BPStepScheduler(2, 2 + steps, initial, final),
}


@pytest.mark.parametrize(("step", "value"), [(-5, 1.0), (0, 1.0), (2.5, 0.875), (5, 0.75), (10, 0.5), (11, 0.5)])
def test_a_linear_schedule_is_level_before_and_after_its_slope(step: float, value: float) -> None:
    assert LinearSchedule(1.0, 0.5, 10).at(step) == value
    assert LinearDecay(10, startp=1.0, endp=0.5).at(step) == value
    assert LinearDecay(10, 1.0, 0.5)(step) == LinearSchedule(1.0, 0.5, 10)(step) == value


def test_a_linear_schedule_can_rise() -> None:
    assert [LinearDecay(4, 0.0, 2.0)(step) for step in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]


def test_the_documented_defaults_go_from_one_to_zero() -> None:
    assert [LinearDecay(steps=2)(step) for step in range(3)] == [1.0, 0.5, 0.0]
    decay = LinearDecay(3, startp=0.5, endp=0.25)
    assert (decay.steps, decay.startp, decay.endp) == (3, 0.5, 0.25)


@given(FINITE, FINITE, st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 50))
def test_the_end_is_exact(initial: float, final: float, steps: int, beyond: int, leaps: int) -> None:
    assert LinearSchedule(initial, final, steps).at(steps + beyond) == final
    assert LinearSchedule(initial, final, steps, True, leaps).at(steps + beyond) == final
    assert BPStepScheduler(7, 7 + steps, initial, final).evaluate_at(7 + steps + beyond) == final


@pytest.mark.parametrize("name", EVERY)
@given(FINITE, FINITE, st.integers(1, 40), st.integers(0, 130))
def test_stepping_through_gives_what_asking_gives(
    name: str, initial: float, final: float, steps: int, count: int
) -> None:
    schedule, asked = EVERY[name](initial, final, steps), EVERY[name](initial, final, steps)
    assert schedule.value == asked.at(0) == initial
    for k in range(1, count + 1):
        schedule.step()
        assert schedule.steps_taken == k
    assert schedule.value == asked.at(count)


@pytest.mark.parametrize("name", EVERY)
@given(FINITE, FINITE, st.integers(1, 40), st.floats(-10, 1e4))
def test_values_lie_between_the_ends(name: str, initial: float, final: float, steps: int, step: float) -> None:
    slack = 1e-9 * (abs(initial) + abs(final))
    assert min(initial, final) - slack <= EVERY[name](initial, final, steps).at(step) <= max(initial, final) + slack


@given(FINITE, FINITE, st.integers(1, 10**6), st.integers(0, 100))
def test_waves_meet_their_ends_exactly(initial: float, final: float, steps: int, wave: int) -> None:
    for schedule in (CyclicSchedule(initial, final, steps), CosineAnnealing(initial, final, steps)):
        assert schedule.at(2 * steps * wave) == initial
        assert schedule.at(2 * steps * wave + steps) == final
    assert CosineAnnealingWarmRestarts(initial, final, steps).at(steps * wave) == initial


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 200))
def test_a_staircase_has_taken_as_many_leaps_as_shares_are_full(steps: int, leaps: int, step: int) -> None:
    full = sum(step * leaps >= leap * steps for leap in range(1, leaps + 1))
    assert LinearSchedule(0.0, 1.0, steps, use_staircase=True, staircase_steps=leaps).at(step) == full / leaps


def test_the_second_triangular_mode_halves_each_wave() -> None:
    schedule = CyclicSchedule(1.0, 3.0, half_period_steps=2, mode="triangular2")
    assert [schedule.at(step) for step in range(10)] == [1.0, 2.0, 3.0, 2.0, 1.0, 1.5, 2.0, 1.5, 1.0, 1.25]
    assert schedule.at(10**9) == 1.0  # no overflow


def test_half_a_cosine_by_hand() -> None:
    # the cosines of 60, 90 and 120 degrees are 1/2, 0 and -1/2
    assert [CosineAnnealing(9.0, 1.0, 6).at(step) for step in range(2, 5)] == pytest.approx([7.0, 5.0, 3.0])
    assert [CosineAnnealing(9.0, 1.0, 6).at(step) for step in range(8, 11)] == pytest.approx([3.0, 5.0, 7.0])
    restarts = CosineAnnealingWarmRestarts(9.0, 1.0, 6)
    assert [restarts.at(step) for step in range(8, 11)] == pytest.approx([7.0, 5.0, 3.0])
    assert restarts.at(6) == 9.0


def test_a_scheduler_between_two_updates_has_the_documented_fields() -> None:
    scheduler = BPStepScheduler(bp_step_begin=10, bp_step_end=20, value_min=5.0, value_max=1.0)
    assert [scheduler.evaluate_at(bp) for bp in (0, 10, 15, 20, 30)] == [5.0, 5.0, 3.0, 1.0, 1.0]
    assert (scheduler.bp_step_begin, scheduler.bp_step_end, scheduler.value_min, scheduler.value_max) == (10, 20, 5, 1)
    assert BPStepScheduler(10, 10, 5.0, 1.0).evaluate_at(0) == 1.0  # no slope: the end, as truncated_linear has it


def test_a_slope_without_length_is_at_its_end_from_the_start() -> None:
    assert LinearDecay(0, 1.0, 0.25)(0) == 0.25
    for schedule in (LinearSchedule(1.0, 0.25, 0), LinearSchedule(1.0, 0.25, 0, use_staircase=True)):
        assert [schedule.at(step) for step in (-1, 0, 1)] == [0.25] * 3


def test_asking_for_an_earlier_step_again_gives_the_same() -> None:
    for make in EVERY.values():
        schedule = make(3.0, 1.0, 7)
        first = [schedule.at(step) for step in range(9)]
        assert [schedule.at(step) for step in reversed(range(9))] == first[::-1]
        assert schedule.value == first[0], "asking is not stepping"


@pytest.mark.parametrize("name", EVERY)
def test_schedules_pickle_with_their_place_and_compare_without(name: str) -> None:
    schedule = EVERY[name](1.0, 0.5, 5)
    schedule.step()
    copy = pickle.loads(pickle.dumps(schedule))
    assert copy == schedule == EVERY[name](1.0, 0.5, 5)
    assert copy.steps_taken == 1
    assert schedule != EVERY[name](2.0, 0.5, 5)
    assert canonical(schedule) == canonical(EVERY[name](1.0, 0.5, 5)) != canonical(EVERY[name](2.0, 0.5, 5))


@pytest.mark.parametrize("name", EVERY)
def test_a_restored_schedule_goes_on_where_it_was_saved(name: str) -> None:
    schedule, restored = EVERY[name](1.0, 0.0, 5), EVERY[name](1.0, 0.0, 5)
    for _ in range(3):
        schedule.step()
    restored.load_state_dict(schedule.state_dict())
    for _ in range(4):
        assert restored.value == schedule.value
        schedule.step()
        restored.step()


def test_a_constant_is_constant() -> None:
    assert {ConstantSchedule(0.3).at(step) for step in (-1, 0, 10**9)} == {0.3}
    assert ConstantSchedule(value=0.3)(4) == 0.3
    assert ConstantSchedule(math.inf).value == math.inf


def test_a_schedule_of_ones_own_says_its_value_and_has_the_rest() -> None:
    class Halving(Schedule):
        def at(self, step: float) -> float:
            return float(self.initial * 0.5**step)

    own = Halving(initial=8.0, final=0.0, steps=3)
    own.step()
    assert (own.value, own.at(3)) == (4.0, 1.0)
    with pytest.raises(NotImplementedError, match="Schedule does not say its value"):
        Schedule(0.0, 1.0, 3).at(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CyclicSchedule(0, 1, 2, "triangle"), "mode 'triangle' .* Did you mean 'triangular'"),
        (lambda: CyclicSchedule(0, 1, 0), "half_period_steps .* more than 0, not 0"),
        (lambda: CosineAnnealing(0, 1, 0), "steps .* more than 0, not 0"),
        (lambda: CosineAnnealingWarmRestarts(0, 1, -2), "steps .* more than 0, not -2"),
        (lambda: LinearSchedule(0, 1, 2, True, 0), "staircase_steps is 1 or more, not 0"),
    ],
)
def test_settings_without_meaning_are_refused(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        make()
