"""Estimates over the seeds that are there, against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.results.stats import ESTIMATES, estimate

NAN = float("nan")


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
