from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.schedules import ConstantSchedule, LinearDecay, LinearSchedule, Schedule

FINITE = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(("step", "value"), [(-5, 1.0), (0, 1.0), (2.5, 0.875), (5, 0.75), (10, 0.5), (11, 0.5)])
def test_a_linear_schedule_is_level_before_and_after_its_slope(step: float, value: float) -> None:
    assert LinearSchedule(1.0, 0.5, 10).at(step) == value
    assert LinearDecay(10, startp=1.0, endp=0.5).at(step) == value
    assert LinearDecay(10, 1.0, 0.5)(step) == LinearSchedule(1.0, 0.5, 10)(step) == value


def test_a_linear_schedule_can_rise() -> None:
    assert [LinearDecay(4, 0.0, 2.0)(step) for step in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]


def test_the_documented_defaults_go_from_one_to_zero() -> None:
    assert [LinearDecay(steps=2)(step) for step in range(3)] == [1.0, 0.5, 0.0]


@given(FINITE, FINITE, st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_end_is_exact(initial: float, final: float, steps: int, beyond: int) -> None:
    assert LinearSchedule(initial, final, steps).at(steps + beyond) == final


def test_a_slope_without_length_is_at_its_end_from_the_start() -> None:
    assert LinearDecay(0, 1.0, 0.25)(0) == 0.25


def test_asking_for_an_earlier_step_again_gives_the_same() -> None:
    schedule = LinearSchedule(3.0, 1.0, 7)
    first = [schedule.at(step) for step in range(9)]
    assert [schedule.at(step) for step in reversed(range(9))] == first[::-1]


@pytest.mark.parametrize("schedule", [ConstantSchedule(0.3), LinearSchedule(1.0, 0.0, 5), LinearDecay(5)])
def test_schedules_are_schedules_that_pickle_and_compare(schedule: Schedule) -> None:
    assert isinstance(schedule, Schedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule


def test_a_constant_is_constant() -> None:
    assert {ConstantSchedule(0.3).at(step) for step in (-1, 0, 10**9)} == {0.3}
    assert ConstantSchedule(0.3)(4) == 0.3
