"""What so many seeds may show."""

from __future__ import annotations

import pytest

from gridrl.errors import BadValue
from gridrl.results.stats import METHODS, advice, default_method
from gridrl.results.stats.advising import DEFAULT_METHODS


def test_one_seed_says_so() -> None:
    one = advice(1)
    assert (one.shows_interval, one.shows_band, one.shows_seeds, one.words) == (
        False,
        False,
        True,
        "1 seed: no interval",
    )


def test_below_five_seeds_there_are_lines_and_no_band() -> None:
    assert [advice(seeds).shows_band for seeds in range(2, 7)] == [False, False, False, True, True]
    assert [advice(seeds).shows_seeds for seeds in range(2, 7)] == [True, True, True, False, False]
    assert advice(3).words == "3 seeds: a line for each, no band"
    assert advice(5).words == "5 seeds"
    assert all(advice(seeds).shows_interval for seeds in range(2, 7))


def test_no_iqm_below_ten_runs() -> None:
    assert [advice(9).allows_iqm, advice(10).allows_iqm] == [False, True]
    assert [advice(3, tasks=3).allows_iqm, advice(3, tasks=4).allows_iqm] == [False, True]


def test_there_is_no_advice_on_nothing() -> None:
    with pytest.raises(BadValue, match="not 0 and 1"):
        advice(0)


def test_tables_use_students_t_below_five_seeds() -> None:
    for statistic in ("mean", "iqm", "optimality_gap"):
        assert {default_method(statistic, seeds) for seeds in (2, 3, 4)} == {"student_t"}


def test_a_default_holds_from_its_row_to_the_next() -> None:
    for statistic, by_seeds in DEFAULT_METHODS.items():
        assert set(by_seeds.values()) <= set(METHODS)
        assert default_method(statistic, 9) == by_seeds[5]
        assert default_method(statistic, 29) == by_seeds[10]
        assert default_method(statistic, 1000) == by_seeds[30]


def test_what_has_no_formula_is_bootstrapped() -> None:
    assert default_method("median", 5) == default_method(max, 30) == "percentile"
