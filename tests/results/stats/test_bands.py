"""Bands around curves: each step as if it stood alone."""

from __future__ import annotations

import numpy as np
import pytest

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import METHODS, band, interval
from gridrl.results.stats.scores import TRIMS

NAN = float("nan")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_a_band_is_the_interval_of_each_step(method: str, statistic: str) -> None:
    values = np.random.default_rng(0).gamma(2, size=(12, 3))
    found = band(values, statistic, method, resamples=20_000)
    for step in range(3):
        alone = interval(values[:, step], statistic, method, resamples=20_000)
        assert found.center[step] == pytest.approx(alone.center)
        width = alone.high - alone.low
        assert found.low[step] == pytest.approx(alone.low, abs=0.02 * width)
        assert found.high[step] == pytest.approx(alone.high, abs=0.03 * width)


def test_a_step_has_the_seeds_that_are_there() -> None:
    values = np.array([[1.0, 2.0, 4.0, NAN], [3.0, 4.0, NAN, NAN], [5.0, NAN, NAN, NAN]])
    found = band(values, method="student_t")
    np.testing.assert_array_equal(found.count, [3, 2, 1, 0])
    np.testing.assert_allclose(found.center, [3, 3, 4, NAN])
    three, two = interval([1, 3, 5], method="student_t"), interval([2, 4], method="student_t")
    np.testing.assert_allclose(found.low, [three.low, two.low, NAN, NAN])
    np.testing.assert_allclose(found.high, [three.high, two.high, NAN, NAN])


def test_a_method_that_needs_three_seeds_has_no_edges_where_two_are() -> None:
    found = band([[1.0, 1.0], [2.0, 2.0], [4.0, NAN]], method="bootstrap_t")
    np.testing.assert_array_equal(np.isfinite(found.low), [True, False])
    np.testing.assert_array_equal(found.center, [7 / 3, 1.5])


def test_which_seeds_are_there_does_not_matter_only_their_values() -> None:
    values = np.random.default_rng(1).normal(size=(6, 1))
    gaps = np.vstack([[[NAN]], values[:3], [[NAN]], values[3:]])
    np.testing.assert_array_equal(band(values).low, band(gaps).low)


def test_each_number_of_seeds_has_its_default() -> None:
    values = np.random.default_rng(2).normal(size=(10, 2))
    values[3:, 1] = NAN
    found = band(values)
    np.testing.assert_array_equal(found.high[1], band(values[:3, 1:], method="student_t").high[0])
    np.testing.assert_array_equal(found.high[0], band(values[:, :1], method="bootstrap_t").high[0])


def test_the_median_has_the_percentiles_of_its_draws() -> None:
    values = np.arange(1.0, 8.0)[:, None]
    found = band(values, "median", resamples=4000)
    alone = interval(values[:, 0], "median", resamples=4000)
    assert (found.center[0], found.low[0], found.high[0]) == (4, alone.low, alone.high)


def test_long_curves_are_worked_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(size=(8, 40)).cumsum(axis=1)
    whole = band(values, method="percentile")
    monkeypatch.setattr("gridrl.results.stats.bands._AT_ONCE", 3000)
    seamless = band(values, method="percentile")
    np.testing.assert_allclose(seamless.low, whole.low, rtol=1e-12)  # the draws are the same in all chunks
    np.testing.assert_allclose(seamless.high, whole.high, rtol=1e-12)
    monkeypatch.setattr("gridrl.results.stats.resampling._CHUNK", 300)
    parts = band(values, method="percentile")
    widths = whole.high - whole.low
    assert np.all(np.abs(parts.low - whole.low) < 0.25 * widths)
    np.testing.assert_array_equal(parts.center, whole.center)


def test_an_infinite_score_has_no_edges_and_hurts_no_other_step() -> None:
    values = np.array([[1.0, np.inf, -np.inf], [2.0, 3.0, np.inf], [3.0, 4.0, 1.0]])
    found = band(values)
    assert np.isfinite(found.low[0])
    np.testing.assert_array_equal(found.low[1:], [NAN, NAN])
    np.testing.assert_array_equal(found.center, [2.0, np.inf, NAN])


def test_a_band_repeats_and_a_seed_changes_it() -> None:
    values = np.random.default_rng(4).normal(size=(6, 5))
    np.testing.assert_array_equal(band(values).low, band(values).low)
    assert not np.array_equal(band(values).low, band(values, rng=1).low)
    assert not np.array_equal(band(values).low, band(values, rng=np.random.default_rng(2)).low)


def test_what_cannot_be_a_band_is_told() -> None:
    with pytest.raises(ShapeError, match=r"\[seeds, steps\] is needed, not \[3\]"):
        band([1, 2, 3])
    with pytest.raises(NotEnoughData, match="no seed"):
        band(np.empty((0, 4)))
    with pytest.raises(BadValue, match=r"a curve has mean, iqm, median, not 'maen'. Did you mean 'mean'"):
        band([[1.0]], "maen")
    with pytest.raises(BadValue, match="there is no 'bac'"):
        band([[1.0]], method="bac")
    with pytest.raises(BadValue, match="a median has 'percentile'"):
        band([[1.0]], "median", "bca")
    with pytest.raises(BadValue, match="confidence"):
        band([[1.0]], confidence=1)
    with pytest.raises(BadValue, match="resamples"):
        band([[1.0]], resamples=10)


def test_a_curve_without_steps_is_an_empty_band() -> None:
    assert all(band(np.empty((3, 0)), name).center.size == 0 for name in TRIMS)
