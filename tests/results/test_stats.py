"""Smoothing, common grids and estimates, against numbers worked by hand and by slower methods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import ShapeError
from gridrl.results.stats import ESTIMATES, MAX_GRID, estimate, interpolate, smooth

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


def test_a_mean_has_the_sample_deviation_around_it() -> None:
    found = estimate(np.array([[1.0, 1.0], [3.0, 1.0], [5.0, 1.0]]))
    np.testing.assert_allclose(found.center, [3, 1])
    np.testing.assert_allclose(found.low, [1, 1])
    np.testing.assert_allclose(found.high, [5, 1])
    np.testing.assert_array_equal(found.count, [3, 3])


def test_a_median_has_the_quartiles_around_it() -> None:
    found = estimate(np.array([[1.0], [2.0], [3.0], [4.0], [100.0]]), "median")
    assert (found.center[0], found.low[0], found.high[0]) == (3, 2, 4)


def test_where_seeds_have_ended_the_others_speak() -> None:
    found = estimate(np.array([[1.0, 2.0, 4.0, NAN], [3.0, 4.0, NAN, NAN]]))
    np.testing.assert_allclose(found.center, [2, 3, 4, NAN])
    np.testing.assert_array_equal(found.count, [2, 2, 1, 0])
    np.testing.assert_allclose(found.low, [2 - 2**0.5, 3 - 2**0.5, NAN, NAN])


@pytest.mark.parametrize(
    ("kind", "center"), [("max", 5), ("min", 1), ("sum", 9), ("std", np.std([1, 3, 5])), ("var", np.var([1, 3, 5]))]
)
def test_other_estimates_have_no_spread(kind: str, center: float) -> None:
    found = estimate(np.array([[1.0], [3.0], [5.0]]), kind)
    assert found.center[0] == pytest.approx(center)
    assert np.isnan(found.low[0])


def test_every_estimate_of_one_curve_is_told_without_a_warning() -> None:
    for kind in ESTIMATES:
        assert np.isfinite(estimate(np.array([[1.0, NAN]]), kind).center[0])
