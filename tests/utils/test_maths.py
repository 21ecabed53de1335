from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.schedules import BPStepScheduler
from gridrl.utils.maths import truncated_linear


@pytest.mark.parametrize(("x", "y"), [(-9, 1.0), (2, 1.0), (3, 1.5), (4, 2.0), (6, 3.0), (7, 3.0)])
def test_a_truncated_line_by_hand(x: float, y: float) -> None:
    assert truncated_linear(min_x=2, max_x=6, min_y=1.0, max_y=3.0, x=x) == y


def test_a_truncated_line_can_fall() -> None:
    assert [truncated_linear(0, 4, 10, 0, x) for x in (-1, 0, 1, 4, 5)] == [10, 10, 7.5, 0, 0]


def test_without_a_slope_it_is_the_value_at_the_end() -> None:
    assert {truncated_linear(3, end, 1.0, 2.0, x) for end in (3, 3 + 1e-11, 1) for x in (-5, 3, 9)} == {2.0}


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(-10, 10), st.floats(-10, 10), st.floats(-300, 300))
def test_it_is_what_the_scheduler_evaluates(begin: float, end: float, low: float, high: float, x: float) -> None:
    scheduler = BPStepScheduler(begin, end, low, high)
    assert truncated_linear(begin, end, low, high, x) == pytest.approx(scheduler.evaluate_at(x), abs=1e-9)
