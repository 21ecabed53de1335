"""Intervals over seeds: worked by hand, against scipy, what must stay the same, and which mistakes show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import (
    METHODS,
    Interval,
    bca_interval,
    bootstrap_t_interval,
    default_method,
    interval,
    iqm,
    percentile_interval,
    stratified_bootstrap,
    student_t_interval,
)
from gridrl.results.stats.intervals import edges, percentile_edges
from gridrl.results.stats.moments import moments
from gridrl.results.stats.scores import TRIMS

NAN = float("nan")

seeds = arrays(np.float64, st.integers(4, 9), elements=st.integers(-100, 100).map(float))


def around(found: Interval) -> tuple[float, float]:
    return found.low, found.high


def test_students_interval_by_hand() -> None:
    # mean 5, s = 1, error 1/sqrt(3), t(0.975, 2) = 4.302653
    found = student_t_interval([4, 5, 6])
    assert around(found) == (pytest.approx(5 - 4.302652730 / 3**0.5), pytest.approx(5 + 4.302652730 / 3**0.5))
    assert (found.center, found.method, found.seeds, found.confidence) == (5, "student_t", 3, 0.95)
    assert student_t_interval([4, 6], confidence=0.5).high == pytest.approx(5 + 1)  # t(0.75, 1) = 1


def test_yuens_interval_of_the_iqm_by_hand() -> None:
    # 0 2 4 6 100: the outer ones drawn in give 2 2 4 6 6, mean 4, squares 4 + 4 + 0 + 4 + 4 = 16 = (n - 1) s_w^2;
    # three are averaged: error^2 = 16 / (3 * 2), two degrees of freedom
    found = student_t_interval([0, 2, 4, 6, 100], "iqm")
    reach = 4.302652730 * math.sqrt(16 / 6)
    assert (found.center, *around(found)) == (4, pytest.approx(4 - reach), pytest.approx(4 + reach))


def test_tasks_add_their_variances() -> None:
    # task variances 2 and 8 of two seeds each: (2/2 + 8/2) / 2^2 = 5/4; df = (1 + 4)^2 / (1 + 16)
    found = student_t_interval([[1, 10], [3, 14]])
    reach = scipy_stats.t.ppf(0.975, 25 / 17) * math.sqrt(5 / 4)
    assert (found.center, *around(found)) == (7, pytest.approx(7 - reach), pytest.approx(7 + reach))


@given(seeds)
def test_students_interval_is_that_of_scipy(values: np.ndarray) -> None:
    if values.std() > 0:
        low, high = scipy_stats.t.interval(0.9, len(values) - 1, values.mean(), scipy_stats.sem(values))
        assert around(student_t_interval(values, confidence=0.9)) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(("method", "scipys"), [("percentile", "percentile"), ("bca", "BCa")])
@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_bootstrap_intervals_are_those_of_scipy(method: str, scipys: str, statistic: str) -> None:
    values = np.random.default_rng(3).gamma(2, size=12)
    trim = 0.25 if statistic == "iqm" else 0.0
    expected = scipy_stats.bootstrap(
        (values,),
        lambda samples, axis: scipy_stats.trim_mean(samples, trim, axis=axis),
        method=scipys,
        n_resamples=20_000,
        rng=np.random.default_rng(4),
    ).confidence_interval
    found = interval(values, statistic, method, resamples=20_000, rng=5)
    assert around(found) == (pytest.approx(expected.low, abs=0.05), pytest.approx(expected.high, abs=0.05))


def test_bca_moves_further_than_the_percentile_where_scores_are_skewed() -> None:
    values = np.random.default_rng(6).lognormal(size=15)
    plain, moved = percentile_interval(values), bca_interval(values)
    assert moved.high > plain.high
    assert moved.low > plain.low


def test_the_bootstrap_t_equals_a_slow_one() -> None:
    values = np.random.default_rng(8).gamma(2, size=10)
    error = values.std(ddof=1) / len(values) ** 0.5
    rng = np.random.default_rng(9)
    t = []
    for _ in range(6000):
        drawn = rng.choice(values, len(values))
        spread = drawn.std(ddof=1) / len(values) ** 0.5
        t.append((drawn.mean() - values.mean()) / max(spread, 0.2 * error))
    low, high = np.quantile(t, [0.025, 0.975])
    found = bootstrap_t_interval(values, resamples=20_000)
    assert around(found) == (
        pytest.approx(values.mean() - high * error, abs=0.08),
        pytest.approx(values.mean() - low * error, abs=0.08),
    )


def test_the_bootstrap_t_stays_near_scores_that_are_nearly_equal() -> None:
    saturated = [500.0, 500.0, 499.99, 499.99, 500.0, 350.0]
    found = bootstrap_t_interval(saturated)
    assert -1000 < found.low < 480
    assert found.high < 1000


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
@pytest.mark.parametrize("method", METHODS)
def test_one_task_drawn_by_counts_equals_tasks_drawn_one_by_one(method: str, statistic: str) -> None:
    """The two ways to draw agree: with one task by a matrix product, with several by drawing scores."""
    rng = np.random.default_rng(11)
    values = rng.gamma(2, size=(12, 1))
    far = 1e-9 * rng.normal(size=(12, 1))  # a second task that adds nothing
    one = interval(values, statistic, method, resamples=20_000)
    if statistic == "mean":
        both = interval(np.hstack([values, far]), statistic, method, resamples=20_000)
        np.testing.assert_allclose(np.array([both.low, both.high]) * 2, [one.low, one.high], rtol=0.02)
    low, high = edges(values[None], TRIMS[statistic], method, 0.95, 20_000, rng)
    np.testing.assert_allclose([low[0], high[0]], [one.low, one.high], rtol=0.02)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("statistic", ["mean", "iqm", "optimality_gap"])
@pytest.mark.parametrize("shape", [(7,), (4, 3)])
def test_intervals_of_every_kind_hold_the_estimate_and_repeat(
    method: str, statistic: str, shape: tuple[int, ...]
) -> None:
    scores = np.random.default_rng(12).normal(size=shape)
    found = interval(scores, statistic, method)
    assert found.low < found.center < found.high
    assert found == interval(scores, statistic, method)
    wider = interval(scores, statistic, method, confidence=0.99)
    assert wider.low <= found.low < found.high <= wider.high


@settings(max_examples=25)
@given(seeds, st.integers(-20, 20), st.sampled_from([0.5, 2.0, 8.0]), st.sampled_from(METHODS))
def test_intervals_move_and_grow_with_the_scores(values: np.ndarray, shift: int, scale: float, method: str) -> None:
    for statistic in ("mean", "iqm"):
        one = interval(values, statistic, method, resamples=200)
        two = interval(values * scale + shift, statistic, method, resamples=200)
        expected = np.array([one.low, one.center, one.high]) * scale + shift
        np.testing.assert_allclose([two.low, two.center, two.high], expected, atol=1e-6)


@settings(max_examples=25)
@given(seeds, st.sampled_from(METHODS))
def test_the_order_of_seeds_does_not_matter_to_formulas(values: np.ndarray, method: str) -> None:
    low, high = edges(values[None, :, None], TRIMS["mean"], method, 0.95, 200, np.random.default_rng(1))
    back = edges(values[None, ::-1, None], TRIMS["mean"], method, 0.95, 200, np.random.default_rng(1))
    np.testing.assert_allclose([low, high], back, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_have_an_interval_of_no_width(method: str) -> None:
    for scores in ([0.1] * 5, [[0.1, 0.7]] * 3):
        found = interval(scores, "mean", method)
        assert around(found) == (pytest.approx(found.center), pytest.approx(found.center))


def test_one_seed_has_no_interval_and_says_so() -> None:
    found = interval([3.0])
    assert (found.center, found.reason, found.method) == (3.0, "1 seed: no interval", "")
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert str(found) == "3 (1 seed: no interval)"


@pytest.mark.parametrize(
    "method", [student_t_interval, percentile_interval, bca_interval, bootstrap_t_interval, stratified_bootstrap]
)
def test_a_method_asked_for_by_name_needs_two_seeds(method: object) -> None:
    assert callable(method)
    with pytest.raises(NotEnoughData, match=r"two seeds at least, and \[1, 10\] is one"):
        method(np.zeros((1, 10)))


def test_two_seeds_have_no_bootstrap_t() -> None:
    """Of two seeds the only draw with a spread is the sample itself: the interval would have no width."""
    with pytest.raises(NotEnoughData, match="needs three seeds at least, not 2"):
        bootstrap_t_interval([1, 2])
    assert bootstrap_t_interval([[1, 5, 9], [2, 4, 8]]).high > 5
    assert interval([1, 2]).high > 7


def test_without_a_method_the_number_of_seeds_decides() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 3, 5, 10, 30):
        scores = rng.normal(size=count)
        for statistic in ("mean", "iqm", "optimality_gap", "median"):
            assert interval(scores, statistic).method == default_method(statistic, count)


def test_any_function_can_be_bootstrapped() -> None:
    scores = np.random.default_rng(13).normal(size=(6, 2))
    found = interval(scores, lambda values: float(np.max(values)), resamples=300)
    assert found.method == "percentile"
    assert found.high == pytest.approx(scores.max())  # no draw exceeds it
    named = interval(scores, "iqm", "percentile", resamples=300)
    assert around(interval(scores, iqm, resamples=300)) == (pytest.approx(named.low), pytest.approx(named.high))


def test_quantiles_leave_absent_draws_out() -> None:
    drawn = np.array([[4.0, NAN, 0.0, 2.0, NAN], [1.0, 1.0, 1.0, 1.0, 1.0]])
    low, high = percentile_edges(drawn, 0.5)
    np.testing.assert_allclose(low, [1.0, 1.0])
    np.testing.assert_allclose(high, [3.0, 1.0])


def test_seeds_are_drawn_within_their_task_never_across_tasks() -> None:
    """Tasks of very different levels and seeds that agree: there is nothing to doubt."""
    levels = np.array([0.0, 10.0, 100.0, 1000.0])
    scores = levels + np.random.default_rng(14).normal(size=(5, 4)) * 1e-6
    found = stratified_bootstrap(scores, "mean")
    assert found.high - found.low < 1e-5
    # the mistake: runs as if they were of one task
    wrong = percentile_interval(scores.ravel())
    assert wrong.high - wrong.low > 300


def test_tasks_are_drawn_independently() -> None:
    """Were the same seeds drawn in every task, opposite tasks would cancel and leave no doubt."""
    one = np.random.default_rng(15).normal(size=(10, 1))
    found = stratified_bootstrap(np.hstack([one, -one]), "mean")
    alone = stratified_bootstrap(one, "mean")
    assert found.high - found.low == pytest.approx((alone.high - alone.low) / 2**0.5, rel=0.1)


def test_episodes_counted_as_seeds_make_intervals_that_miss() -> None:
    """Five runs of a hundred episodes each are five scores: as five hundred they miss the truth most of the time."""
    rng = np.random.default_rng(16)
    runs = rng.normal(size=(1000, 5, 1)) + 0.5 * rng.normal(size=(1000, 5, 100))  # the true mean is 0

    def covered(samples: np.ndarray) -> float:
        low, high = edges(samples[:, :, None], TRIMS["mean"], "student_t", 0.95, 100, rng)
        return float(np.mean((low <= 0) & (high >= 0)))

    assert 0.92 < covered(runs.mean(axis=2)) < 0.98
    assert covered(runs.reshape(1000, 500)) < 0.4
    with pytest.raises(ShapeError, match="average them first"):
        interval(runs[:5])


def test_standard_errors_of_draws_equal_those_by_formula() -> None:
    """A sample with every value twice is a draw of half of them, drawn by counts."""
    from gridrl.results.stats.resampling import _weights

    values = np.array([1.0, 2.0, 4.0, 8.0, 9.0, 11.0])
    counts = np.array([[2, 0, 2, 0, 1, 1]])
    drawn = np.repeat(values, counts[0])
    known = moments(drawn[None, :, None], TRIMS["iqm"])
    middle, drawn_in = _weights(counts, 1)
    assert (middle @ values / 4)[0] == pytest.approx(known.center[0])
    np.testing.assert_array_equal(np.repeat(values, drawn_in[0]), [1.0, 1.0, 4.0, 4.0, 9.0, 9.0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"confidence": 0.0}, "confidence: a number between 0 and 1"),
        ({"confidence": 95}, "confidence: a number between 0 and 1"),
        ({"resamples": 99}, "at least 100"),
        ({"method": "student"}, "there is no 'student'. Did you mean 'student_t'"),
        ({"statistic": "imq"}, "there is no 'imq'. Did you mean 'iqm'"),
        ({"statistic": "median", "method": "bca"}, "median has 'percentile'"),
        ({"statistic": max, "method": "student_t"}, "a function of your own has 'percentile'"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], told: str) -> None:
    with pytest.raises(BadValue, match=told):
        interval([1, 2, 3], **options)  # type: ignore[arg-type]
