"""Tests of differences: against scipy, against labellings counted by hand, and what must stay the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import Difference, holm, permutation_test, welch_test

RNG = np.random.default_rng(0)
X, Y = RNG.normal(1, 1, 8), RNG.normal(0, 3, 6)


def test_welchs_test_by_hand() -> None:
    # means 2 and 6, variances 1 and 4, errors 1/3 and 4/3: t = -4 / sqrt(5/3),
    # df = (5/3)^2 / ((1/3)^2 / 2 + (4/3)^2 / 2) = 2 * 25 / 17
    found = welch_test([1, 2, 3], [4, 6, 8])
    assert (found.center, found.method) == (-4, "welch")
    assert found.df == pytest.approx(50 / 17)
    assert found.p == pytest.approx(2 * scipy_stats.t.sf(4 / math.sqrt(5 / 3), 50 / 17))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize(("statistic", "trim"), [("mean", 0.0), ("iqm", 0.25)])
def test_welchs_and_yuens_tests_are_those_of_scipy(statistic: str, trim: float, alternative: str) -> None:
    found = welch_test(X, Y, statistic, alternative=alternative)
    expected = scipy_stats.ttest_ind(X, Y, equal_var=False, trim=trim, alternative=alternative)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    if trim == 0:
        assert found.df == pytest.approx(expected.df)
        between = scipy_stats.ttest_ind(X, Y, equal_var=False).confidence_interval(0.95)
        assert (found.low, found.high) == (pytest.approx(between.low), pytest.approx(between.high))


def test_the_interval_and_the_test_agree() -> None:
    for shift in np.linspace(-4, 4, 17):
        found = welch_test(X + shift, Y, confidence=0.9)
        assert (found.low > 0 or found.high < 0) == (found.p < 0.1)


def test_tasks_are_compared_with_themselves() -> None:
    """Levels of tasks that differ by far are no doubt about the variants; thrown together they drown the difference."""
    levels = np.array([0.0, 100.0, 10_000.0])
    x, y = RNG.normal(1, 0.1, (5, 3)) + levels, RNG.normal(0, 0.1, (5, 3)) + levels
    for found in (welch_test(x, y), permutation_test(x, y)):
        assert found.center == pytest.approx(1, abs=0.2)
        assert found.p < 0.001
    assert welch_test(x.ravel(), y.ravel()).p > 0.9


def test_two_samples_without_spread_have_no_test() -> None:
    found = welch_test([1, 1, 1], [2, 2])
    assert (found.center, found.method, found.reason) == (-1, "", "neither has any spread: no test")
    assert math.isnan(found.p)
    assert welch_test([1, 1, 1], [2, 3]).df == pytest.approx(1)  # all doubt is the second's


def test_every_labelling_of_few_runs_is_tried() -> None:
    # of the 20 ways to pick three of 1 2 3 | 4 5 6, one is as low as this, and one as high
    assert permutation_test([1, 2, 3], [4, 5, 6]) == Difference(-3.0, 0.1, method="exact permutation")
    assert permutation_test([1, 2, 3], [4, 5, 6], alternative="less").p == 1 / 20
    assert permutation_test([1, 2, 3], [4, 5, 6], alternative="greater").p == 1
    # 1 2 | 2 3: the six pairs sum to 3 3 4 4 5 5 (the two 2s are told apart); 3 or less: two; 3 or less or 5 or more: 4
    assert permutation_test([1, 2], [2, 3], alternative="less").p == 2 / 6
    assert permutation_test([1, 2], [2, 3]).p == 4 / 6


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_exact_labellings_are_those_of_scipy(alternative: str) -> None:
    expected = scipy_stats.permutation_test(
        (X, Y),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        n_resamples=np.inf,
        vectorized=True,
        alternative=alternative,
    )
    found = permutation_test(X, Y, alternative=alternative)
    assert (found.p, found.method) == (pytest.approx(expected.pvalue), "exact permutation")


def test_many_labellings_are_drawn_and_the_sample_is_one_of_them() -> None:
    exact = permutation_test(X, Y).p
    drawn = permutation_test(X, Y, resamples=2000)
    assert drawn.method == "permutation"
    assert drawn.p == pytest.approx(exact, abs=0.03)
    assert drawn == permutation_test(X, Y, resamples=2000)
    assert drawn != permutation_test(X, Y, resamples=2000, rng=1)
    apart = permutation_test(np.arange(20), np.arange(20) + 1000, resamples=999)
    assert apart.p == 1 / 1000


def test_any_statistic_can_be_permuted() -> None:
    assert permutation_test([1, 2, 3], [4, 5, 60], "median").center == -3
    assert permutation_test([1, 2, 3], [4, 5, 6], lambda scores: float(scores.max())).p == 2 / 20


@given(st.lists(st.integers(0, 6), min_size=2, max_size=5), st.lists(st.integers(0, 6), min_size=2, max_size=5))
def test_a_test_has_no_favourite(x: list[int], y: list[int]) -> None:
    for test in (welch_test, permutation_test):
        one, two = test(x, y), test(y, x)
        assert one.center == pytest.approx(-two.center)
        assert one.p == pytest.approx(two.p, nan_ok=True)
        greater, less = test(x, y, alternative="greater").p, test(y, x, alternative="less").p
        assert greater == pytest.approx(less, nan_ok=True)


def test_equal_variants_are_told_apart_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(1)
    ps = [welch_test(rng.normal(size=5), rng.normal(size=7)).p for _ in range(800)]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.025)


def test_holm_by_hand() -> None:
    # smallest times 4, next times 3, next times 2, last times 1, none below the one before
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])
    np.testing.assert_allclose(holm([0.02, float("nan"), 0.01]), [0.02, float("nan"), 0.02])
    assert holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_keeps_the_order_and_only_raises(given_ps: list[float]) -> None:
    ps = np.array(given_ps)
    corrected = holm(ps)
    assert np.all(corrected >= ps)
    assert np.all(corrected <= np.minimum(1, ps * len(ps)))  # never beyond Bonferroni's
    assert np.all(np.diff(corrected[np.argsort(ps)]) >= 0)


@pytest.mark.parametrize("test", [welch_test, permutation_test])
def test_what_cannot_be_compared_is_told(test: object) -> None:
    assert callable(test)
    with pytest.raises(ShapeError, match="the same tasks"):
        test(np.zeros((3, 2)), np.zeros((3, 1)))
    with pytest.raises(BadValue, match=r"there is no 'grater'\. Did you mean 'greater'"):
        test([1, 2], [1, 2], alternative="grater")
    with pytest.raises(BadValue, match="x: 1 of 2 are nan or infinite"):
        test([1, float("nan")], [1, 2])
    with pytest.raises(NotEnoughData, match="y: there is none"):
        test([1, 2], [])


def test_welchs_test_needs_two_seeds_and_a_mean() -> None:
    with pytest.raises(NotEnoughData, match="two seeds of each are needed, not 1 and 2"):
        welch_test([1], [1, 2])
    with pytest.raises(BadValue, match="median has the permutation test"):
        welch_test([1, 2], [1, 2], "median")
    with pytest.raises(BadValue, match="a function of your own has the permutation test"):
        welch_test([1, 2], [1, 2], max)
    with pytest.raises(BadValue, match="there is no 'imq'"):
        welch_test([1, 2], [1, 2], "imq")
    with pytest.raises(BadValue, match="confidence"):
        welch_test([1, 2], [1, 2], confidence=0)
    with pytest.raises(BadValue, match="resamples"):
        permutation_test([1, 2], [1, 2], resamples=3)


def test_holm_takes_probabilities_in_a_row() -> None:
    with pytest.raises(ShapeError):
        holm([[0.1]])
    with pytest.raises(BadValue, match="from 0 to 1"):
        holm([1.1])
