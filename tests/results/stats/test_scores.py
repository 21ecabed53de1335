"""One number of many runs, against numbers worked by hand, scipy's, and what must stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import (
    STATISTICS,
    iqm,
    mean,
    median,
    optimality_gap,
    probability_of_improvement,
    trimmed_mean,
)

scores = st.tuples(st.integers(1, 8), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1e3, 1e3).map(lambda value: round(value, 3)))
)


def test_the_iqm_is_the_mean_of_the_middle_half() -> None:
    assert iqm([1, 2, 3, 4]) == 2.5
    assert iqm([-900, 1, 2, 3, 4, 5, 6, 700]) == (2 + 3 + 4 + 5) / 4
    # ten runs: two go at each end, as scipy's trim_mean(0.25) has it
    assert iqm([0, 0, 1, 2, 3, 4, 5, 6, 99, 99]) == 3.5
    assert iqm([5, 1, 3]) == 3  # a quarter of three is no whole run


def test_the_iqm_is_over_the_runs_of_all_tasks() -> None:
    # the middle four of 0 1 2 3 | 10 11 12 13
    assert iqm([[0, 10], [1, 11], [2, 12], [3, 13]]) == (2 + 3 + 10 + 11) / 4


@given(scores)
def test_the_iqm_and_trimmed_means_are_those_of_scipy(values: np.ndarray) -> None:
    assert iqm(values) == pytest.approx(scipy_stats.trim_mean(values, 0.25, axis=None), abs=1e-9)
    assert trimmed_mean(values, 0.1) == pytest.approx(scipy_stats.trim_mean(values, 0.1, axis=None), abs=1e-9)
    assert trimmed_mean(values, 0) == pytest.approx(mean(values), abs=1e-9)


@given(scores, st.integers(-50, 50), st.sampled_from([0.25, 2.0, 16.0]))
def test_means_move_and_grow_with_the_scores(values: np.ndarray, shift: int, scale: float) -> None:
    for statistic in (mean, median, iqm):
        assert statistic(values * scale + shift) == pytest.approx(statistic(values) * scale + shift, abs=1e-8)
        assert values.min() - 1e-9 <= statistic(values) <= values.max() + 1e-9


@given(scores)
def test_the_order_of_seeds_and_tasks_does_not_matter(values: np.ndarray) -> None:
    rng = np.random.default_rng(7)
    mixed = rng.permuted(values, axis=0)[:, rng.permutation(values.shape[1])]
    for name, statistic in STATISTICS.items():
        assert statistic(mixed) == pytest.approx(statistic(values), abs=1e-9), name


def test_the_median_is_over_the_means_of_tasks() -> None:
    # task means 2, 15, 500: the middle one; over all six runs it would be 6.5
    assert median([[1, 10, 100], [3, 20, 900]]) == 15
    assert median([[1, 10], [3, 20]]) == (2 + 15) / 2


def test_the_median_of_one_task_is_over_its_seeds() -> None:
    assert median([1, 2, 100]) == median([[1], [2], [100]]) == 2


def test_the_optimality_gap_forgives_nothing_by_what_lies_above() -> None:
    # 1 - mean(0.5, 1, 0.75, 1)
    assert optimality_gap([[0.5, 3.0], [0.75, 1.0]]) == 0.1875
    assert optimality_gap([2.0, 5.0]) == 0
    assert optimality_gap([2.0, 6.0], gamma=4) == 4 - 3
    with pytest.raises(BadValue, match="finite"):
        optimality_gap([1.0], gamma=float("inf"))


def test_improvement_counts_pairs_and_half_the_ties() -> None:
    # 1 > 1 no, tie: 0.5; 1 > 2 no: 0; 3 > 1 and 3 > 2: 1 + 1; of four pairs
    assert probability_of_improvement([1, 3], [1, 2]) == 2.5 / 4
    # tasks are weighed alike: 1 on the first, 0 on the second
    assert probability_of_improvement([[2, 2], [3, 3]], [[1, 9]]) == 0.5


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=9),
    st.lists(st.integers(0, 9), min_size=1, max_size=9),
)
def test_improvement_is_mann_and_whitneys_u(x: list[int], y: list[int]) -> None:
    u = scipy_stats.mannwhitneyu(x, y, method="asymptotic").statistic if len({*x, *y}) > 1 else len(x) * len(y) / 2
    assert probability_of_improvement(x, y) == pytest.approx(u / len(x) / len(y))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)


def test_unpaired_numbers_of_seeds_are_fine_and_of_tasks_not() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(2, 2\)"):
        probability_of_improvement(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(ShapeError, match="the same tasks"):
        probability_of_improvement(np.zeros((1, 4)), np.zeros(4))


@pytest.mark.parametrize("statistic", [mean, median, iqm, optimality_gap, lambda values: trimmed_mean(values, 0.1)])
def test_scores_that_are_none_are_told(statistic: object) -> None:
    assert callable(statistic)
    with pytest.raises(NotEnoughData, match="there is none"):
        statistic([])
    with pytest.raises(BadValue, match="2 of 3 are nan or infinite"):
        statistic([1, float("nan"), float("inf")])
    with pytest.raises(BadValue, match="numbers"):
        statistic(["low", "high"])
    with pytest.raises(ShapeError, match="Episodes of one run are no seeds"):
        statistic(np.zeros((5, 2, 10)))
    with pytest.raises(ShapeError):
        statistic(3.0)


def test_half_and_more_cannot_be_trimmed() -> None:
    for proportion in (-0.1, 0.5, float("nan")):
        with pytest.raises(BadValue, match="proportion"):
            trimmed_mean([1, 2, 3], proportion)
