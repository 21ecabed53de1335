"""Variants beside each other: who leads, who is worse for sure, and the ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import (
    compare,
    holm,
    improvement_interval,
    interval,
    permutation_test,
    probability_of_improvement,
    rank_variants,
    welch_test,
)

RNG = np.random.default_rng(0)
NOISE = np.array([-1.5, -1.0, -0.5, -0.1, 0.1, 0.4, 1.1, 1.5])
VARIANTS = {name: level + NOISE for name, level in {"low": 0.0, "high": 5.0, "middle": 4.5}.items()}


def test_the_best_stands_first_with_the_others_measured_by_it() -> None:
    first, second, third = compare(VARIANTS)
    assert [one.name for one in (first, second, third)] == ["high", "middle", "low"]
    assert (first.is_reference, first.difference, first.improvement) == (True, None, None)
    assert math.isnan(first.p)
    assert third.difference == welch_test(VARIANTS["low"], VARIANTS["high"])
    assert third.improvement is not None
    assert third.improvement.center == probability_of_improvement(VARIANTS["low"], VARIANTS["high"])
    assert second.estimate.center == interval(VARIANTS["middle"]).center


def test_against_the_best_every_pair_is_a_question() -> None:
    pairs = [("middle", "high"), ("low", "high"), ("middle", "low")]
    expected = holm([welch_test(VARIANTS[x], VARIANTS[y]).p for x, y in pairs])
    found = {one.name: one.p for one in compare(VARIANTS)}
    assert (found["middle"], found["low"]) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_against_a_named_one_each_other_is_a_question() -> None:
    found = compare(VARIANTS, "low")
    assert [(one.name, one.is_reference) for one in found] == [("high", False), ("middle", False), ("low", True)]
    expected = holm([welch_test(VARIANTS[name], VARIANTS["low"]).p for name in ("high", "middle")])
    assert [one.p for one in found[:2]] == pytest.approx(list(expected))
    assert found[0].difference is not None
    assert found[0].difference.center > 4


def test_the_best_of_many_equal_variants_is_seldom_called_better() -> None:
    """Eight variants that are the same: had only the pairs with the best been counted, the luckiest would win."""
    rng = np.random.default_rng(2)
    right, wrong = 0, 0
    for _ in range(80):
        variants = {str(index): rng.normal(size=5) for index in range(8)}
        found = compare(variants, resamples=100)
        right += min(one.p for one in found[1:]) < 0.05
        wrong += min(holm([one.difference.p for one in found[1:] if one.difference])) < 0.05
    assert right <= 9  # 4 are expected at most; more than 9 once in a hundred times
    assert wrong > right


def test_lower_can_be_better() -> None:
    assert [one.name for one in compare(VARIANTS, higher_is_better=False)] == ["low", "middle", "high"]
    assert [one.name for one in rank_variants(VARIANTS, higher_is_better=False)] == ["low", "middle", "high"]


def test_permutations_serve_every_statistic() -> None:
    found = compare(VARIANTS, "low", test="permutation", statistic="median")
    expected = permutation_test(VARIANTS["high"], VARIANTS["low"], "median")
    assert found[0].difference == expected
    with pytest.raises(BadValue, match="median has the permutation test"):
        compare(VARIANTS, statistic="median")


def test_one_seed_is_listed_without_interval_or_test() -> None:
    for found in (compare({"a": [1.0], "b": [0.0, 0.5]}), compare({"a": [[1.0, 2.0]], "b": [[0.0, 0.5]]})):
        best, other = found
        assert best.estimate.reason == "1 seed: no interval"
        assert other.difference is not None
        assert other.difference.reason == "1 seed: no test"
        assert math.isnan(other.p)
        assert other.improvement is not None
        assert other.improvement.reason == "1 seed: no interval"
    (alone,) = compare({"a": [1.0, 2.0]})
    assert alone.is_reference


def test_improvement_has_the_interval_of_redrawn_seeds() -> None:
    x, y = RNG.normal(0.5, 1, (6, 2)), RNG.normal(0, 1, (4, 2))
    rng = np.random.default_rng(3)
    slow = []
    for _ in range(4000):
        drawn_x = np.stack([rng.choice(x[:, task], 6) for task in range(2)], axis=1)
        drawn_y = np.stack([rng.choice(y[:, task], 4) for task in range(2)], axis=1)
        slow.append(probability_of_improvement(drawn_x, drawn_y))
    found = improvement_interval(x, y, resamples=4000)
    assert found.center == probability_of_improvement(x, y)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=0.04)


def test_pairs_that_all_say_the_same_give_no_interval() -> None:
    found = improvement_interval([3, 4, 5], [0, 1, 2])
    assert (found.center, found.reason) == (1.0, "every pair says the same: no interval")
    assert math.isnan(found.low)


def test_improvement_is_worked_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridrl.results.stats.comparisons._CHUNK", 50)
    found = improvement_interval(VARIANTS["high"], VARIANTS["middle"], resamples=300)
    assert found.low < found.center < found.high


def test_ranks_of_variants_far_apart_are_certain() -> None:
    found = rank_variants({"b": [1.0, 1.1, 1.2], "a": [9.0, 9.1, 9.2], "c": [0.0, 0.1, 0.2]})
    assert [(one.name, one.rank, one.low, one.high) for one in found] == [
        ("a", 1, 1, 1),
        ("b", 2, 2, 2),
        ("c", 3, 3, 3),
    ]
    np.testing.assert_array_equal(found[1].chances, [0, 1, 0])


def test_ranks_of_variants_alike_are_open() -> None:
    first, second, third = rank_variants(VARIANTS)
    assert (first.low, first.high, second.low, second.high) == (1, 2, 1, 2)
    assert (third.low, third.high) == (3, 3)
    assert first.chances[0] > second.chances[0] > 0.02


def test_equal_variants_share_their_ranks() -> None:
    found = rank_variants({"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [0.0, 0.0]})
    assert [one.rank for one in found] == [1.5, 1.5, 3]


def test_with_one_seed_ranks_have_no_interval() -> None:
    found = rank_variants({"a": [1.0], "b": [0.0, 0.5]})
    assert [one.rank for one in found] == [1, 2]
    assert all(math.isnan(one.low) and math.isnan(one.high) for one in found)


@given(st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=4), min_size=1, max_size=4))
def test_ranks_sum_up_and_hold_the_point(scores: list[list[int]]) -> None:
    variants = {str(index): values for index, values in enumerate(scores)}
    found = rank_variants(variants, resamples=100)
    assert sum(one.rank for one in found) == len(scores) * (len(scores) + 1) / 2
    for one in found:
        assert 1 <= one.low <= one.high <= len(scores)
        assert one.chances.sum() == pytest.approx(1)


def test_what_cannot_be_compared_is_told() -> None:
    for function in (compare, rank_variants):
        with pytest.raises(NotEnoughData, match="variants: there is none"):
            function({})
        with pytest.raises(ShapeError, match="there are a: 1, b: 2"):
            function({"a": [1, 2], "b": [[1, 2]]})
        with pytest.raises(BadValue, match="b: 1 of 2 are nan"):
            function({"a": [1, 2], "b": [1, float("nan")]})
    with pytest.raises(BadValue, match=r"against: there is no 'hihg'\. Did you mean 'high'"):
        compare(VARIANTS, "hihg")
    with pytest.raises(BadValue, match=r"test: there is no 'welsh'\. Did you mean 'welch'"):
        compare(VARIANTS, test="welsh")
