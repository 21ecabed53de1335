"""Smoothing, common grids, areas and final scores, against numbers worked by hand and by slower methods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import MAX_GRID, area_under_curve, final_score, interpolate, smooth

NAN = float("nan")


def arrays(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@pytest.mark.parametrize(
    ("values", "window", "expected"),
    [
        ([1, 2, 3], 1, [1, 2, 3]),
        ([0, 3, 6, 9], 3, [1.5, 3, 6, 7.5]),
        ([0, 3, 6, 9], 2, [0, 1.5, 4.5, 7.5]),  # an even window reaches one further back, as Spinning Up's does
        ([2, 4], 50, [3, 3]),
        ([5], 7, [5]),
        ([], 3, []),
        ([1, NAN, 3], 3, [1, 2, 3]),
        ([NAN, NAN, 4], 2, [NAN, NAN, 4]),
        ([NAN, 1], 1, [NAN, 1]),
    ],
)
def test_the_moving_mean_is_that_of_the_values_there(values: list[float], window: int, expected: list[float]) -> None:
    np.testing.assert_allclose(smooth(arrays(*values), window), expected)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(NAN), max_size=30), st.integers(1, 40))
def test_the_moving_mean_equals_a_slow_one(values: list[float], window: int) -> None:
    expected = []
    for index in range(len(values)):
        near = [v for v in values[max(0, index - window // 2) : index + (window - 1) // 2 + 1] if v == v]
        expected.append(sum(near) / len(near) if near else NAN)
    np.testing.assert_allclose(smooth(arrays(*values), window), expected, atol=1e-6)


def test_curves_with_their_own_points_meet_on_all_points() -> None:
    grid, values = interpolate([(arrays(0, 10), arrays(0, 100)), (arrays(5, 15), arrays(1, 3))])
    np.testing.assert_array_equal(grid, [0, 5, 10, 15])
    np.testing.assert_array_equal(values, [[0, 50, 100, NAN], [NAN, 1, 2, 3]])


def test_a_curve_never_goes_beyond_its_ends() -> None:
    _, values = interpolate([(arrays(0, 1, 2, 3), arrays(1, 1, 1, 1)), (arrays(1, 2), arrays(7, 8))])
    np.testing.assert_array_equal(values[1], [NAN, 7, 8, NAN])


def test_points_out_of_order_twice_or_without_a_value_are_put_right() -> None:
    grid, values = interpolate([(arrays(3, 1, 1, 2, NAN), arrays(30, 9, 10, NAN, 5))])
    np.testing.assert_array_equal(grid, [1, 3])
    np.testing.assert_array_equal(values, [[10, 30]])


def test_very_long_curves_get_an_even_grid_from_end_to_end() -> None:
    places = np.arange(10 * MAX_GRID, dtype=np.float64)
    grid, values = interpolate([(places, 2 * places)])
    assert grid.size == MAX_GRID
    assert (grid[0], grid[-1]) == (0, 10 * MAX_GRID - 1)
    np.testing.assert_allclose(values[0], 2 * grid)


def test_nothing_at_all_gives_nothing() -> None:
    grid, values = interpolate([(arrays(NAN), arrays(1)), (arrays(), arrays())])
    assert (grid.size, values.shape) == (0, (2, 0))


def test_places_and_values_must_pair() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\) and \(3,\)"):
        interpolate([(arrays(1, 2), arrays(1, 2, 3))])


def test_the_area_is_that_of_trapezia() -> None:
    # 0 to 10: a triangle of 10; 10 to 20: a rectangle of 20
    assert area_under_curve([0, 10, 20], [0.0, 2.0, 2.0]) == 30
    assert area_under_curve([0, 10, 20], [0.0, 2.0, 2.0], per_step=True) == 1.5


def test_each_seed_has_the_area_of_its_own_steps() -> None:
    # the second run lacks a point in the middle (the line goes on) and has ended before the last one
    values = [[0, 2, 2, 4], [1, NAN, 3, NAN], [NAN, 5, NAN, NAN]]
    np.testing.assert_allclose(area_under_curve([0, 1, 2, 4], values), [1 + 2 + 6, 4, NAN])
    np.testing.assert_allclose(area_under_curve([0, 1, 2, 4], values, per_step=True), [9 / 4, 2, NAN])


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.floats(-50, 50), st.floats(0.1, 10))
def test_the_mean_height_moves_with_the_curve(values: list[float], shift: float, scale: float) -> None:
    steps = np.arange(len(values)) * scale
    height = area_under_curve(steps, values, per_step=True)
    assert min(values) - 1e-9 <= height <= max(values) + 1e-9
    moved = area_under_curve(steps, arrays(*values) + shift, per_step=True)
    np.testing.assert_allclose(moved, height + shift, atol=1e-9)


def test_steps_must_rise_and_pair() -> None:
    with pytest.raises(BadValue, match="must rise"):
        area_under_curve([0, 2, 1], [1, 2, 3])
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(2,\)"):
        area_under_curve([0, 2], [[1, 2, 3], [1, 2, 3]])
    with pytest.raises(NotEnoughData):
        area_under_curve([], [])


def test_the_final_score_is_the_mean_of_the_last_values() -> None:
    values = [[1, 2, 3, 5], [1, 2, 6, NAN], [NAN, NAN, 7, NAN], [NAN, NAN, NAN, NAN]]
    np.testing.assert_array_equal(final_score(values, 2), [4, 4, 7, NAN])
    np.testing.assert_array_equal(final_score(values, 100), [11 / 4, 3, 7, NAN])
    assert final_score([1.0, 2.0], 1) == 2


def test_a_final_score_needs_a_value() -> None:
    with pytest.raises(BadValue, match="at least one value is needed, not 0"):
        final_score([1.0], 0)
    with pytest.raises(ShapeError):
        final_score(np.zeros((2, 2, 2)), 1)
