"""Performance profiles, against shares counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats import performance_profile, profile_band

SCORES = [[0.0, 0.5, 1.0], [1.0, 0.5, 2.0]]


def test_a_profile_counts_the_runs_above_each_threshold() -> None:
    # six runs: 0, .5, .5, 1, 1, 2; a run at the threshold is not above it
    found = performance_profile(SCORES, [-1, 0, 0.4, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(found, [1, 5 / 6, 5 / 6, 3 / 6, 1 / 6, 1 / 6, 0])


def test_or_the_tasks_whose_mean_is_above() -> None:
    # means .5, .5, 1.5
    np.testing.assert_allclose(performance_profile(SCORES, [0.4, 0.5, 1.5], of="tasks"), [1, 1 / 3, 0])


@given(arrays(np.float64, (4, 3), elements=st.floats(-2, 2)))
def test_a_profile_falls_from_one_to_nothing(scores: np.ndarray) -> None:
    taus = np.linspace(-3, 3, 25)
    for of in ("runs", "tasks"):
        found = performance_profile(scores, taus, of=of)
        assert np.all(np.diff(found) <= 0)
        assert (found[0], found[-1]) == (1, 0)
        np.testing.assert_array_equal(found, performance_profile(scores[::-1, ::-1], taus, of=of))


@given(arrays(np.float64, (3, 2), elements=st.floats(0, 1)))
def test_the_area_below_a_profile_is_the_mean(scores: np.ndarray) -> None:
    taus = (np.arange(4000) + 0.5) / 4000
    assert performance_profile(scores, taus).mean() == pytest.approx(scores.mean(), abs=1e-3)


def test_a_band_has_the_percentiles_of_seeds_drawn_within_tasks() -> None:
    scores = np.random.default_rng(0).normal(size=(6, 2))
    rng = np.random.default_rng(1)
    slow = []
    for _ in range(2000):
        drawn = np.stack([rng.choice(scores[:, task], 6) for task in range(2)], axis=1)
        slow.append([np.mean(drawn > 0), np.mean(drawn.mean(axis=0) > 0.1)])
    expected = np.quantile(slow, [0.025, 0.975], axis=0)
    runs, tasks = profile_band(scores, [0.0]), profile_band(scores, [0.1], of="tasks")
    assert (runs.low[0], runs.high[0]) == pytest.approx(tuple(expected[:, 0]), abs=0.09)
    assert (tasks.low[0], tasks.high[0]) == pytest.approx(tuple(expected[:, 1]), abs=0.01)
    assert (runs.center[0], runs.count[0]) == (performance_profile(scores, [0.0])[0], 6)


def test_one_seed_has_a_profile_and_no_band() -> None:
    found = profile_band([[0.0, 1.0]], [0.5])
    assert (found.center[0], found.count[0]) == (0.5, 1)
    assert np.isnan(found.low[0])


def test_what_has_no_profile_is_told() -> None:
    with pytest.raises(BadValue, match="'runs' or 'tasks' is needed, not 'seeds'"):
        performance_profile(SCORES, [0], of="seeds")
    with pytest.raises(ShapeError, match=r"taus: \[taus\] is needed"):
        performance_profile(SCORES, 0.5)
    with pytest.raises(NotEnoughData, match="taus"):
        performance_profile(SCORES, [])
    with pytest.raises(BadValue, match="taus: one of them is nan"):
        performance_profile(SCORES, [float("nan")])
    with pytest.raises(BadValue, match="confidence"):
        profile_band(SCORES, [0], confidence=2)
