"""Many variants at once: who is best, who is worse and how sure that is, and the ranks that the seeds allow."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, ShapeError, did_you_mean
from gridrl.results.stats.checks import Array, Rng, as_scores, check_confidence, check_resamples, generator, same_tasks
from gridrl.results.stats.hypotheses import Difference, holm, permutation_test, welch_test
from gridrl.results.stats.intervals import Interval, interval, percentile_edges
from gridrl.results.stats.resampling import counts, distribution
from gridrl.results.stats.scores import Statistic, statistic_of, wins

_CHUNK = 2_000_000  # numbers at once

TESTS = ("welch", "permutation")
"""Tests that `compare` knows."""


@dataclass(frozen=True)
class Compared:
    """One variant beside the one that all are compared with.

    Attributes:
        name: its name.
        estimate: its score, with interval.
        is_reference: whether it is the one that the others are compared with.
        difference: this one minus the reference; None for the reference.
        p: the probability of such a difference if there were none, corrected for the number of questions; nan for
            the reference, and where there is no test.
        improvement: how likely a run of this one scores higher than one of the reference; None for the reference.
    """

    name: str
    estimate: Interval
    is_reference: bool
    difference: Difference | None
    p: float
    improvement: Interval | None


def compare(
    variants: Mapping[str, npt.ArrayLike],
    against: str | None = None,
    *,
    statistic: Statistic = "mean",
    test: str = "welch",
    higher_is_better: bool = True,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> list[Compared]:
    """The variants, best first, each with the test against the best or another one of them.

    Against a variant that was named beforehand, Holm's correction counts one question for each other variant. The best
    is known from these very scores only, and is partly best by luck; so against the best the correction counts every
    pair of variants.

    Args:
        variants: by name the scores [seeds, tasks] or [seeds]; the seeds may differ in number, the tasks not.
        against: the name that all are compared with; None for the best.
        statistic: as `interval` takes it.
        test: `"welch"`, or `"permutation"`, which every statistic has.
        higher_is_better: whether the highest is the best.
        confidence: of the intervals.
        resamples: how many draws for intervals; a permutation test has ten times as many.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Returns:
        One for each variant. Variants with one seed have no interval and no test.

    Raises:
        NotEnoughData: no variant. ShapeError: other tasks. BadValue: an unknown name, statistic or test, scores that
            are not finite.
    """
    scores = _all_scores(variants)
    if test not in TESTS:
        raise BadValue(f"test: there is no {test!r}.{did_you_mean(test, TESTS)} There are: {', '.join(TESTS)}.")
    if against is not None and against not in scores:
        raise BadValue(f"against: there is no {against!r}.{did_you_mean(against, scores)}")
    draws = generator(rng)
    estimates = {
        name: interval(array, statistic, confidence=confidence, resamples=resamples, rng=draws)
        for name, array in scores.items()
    }
    names = sorted(scores, key=lambda name: estimates[name].center, reverse=higher_is_better)
    reference = names[0] if against is None else against
    others = [name for name in names if name != reference]
    pairs = [(name, reference) for name in others]
    if against is None:
        pairs += itertools.combinations(others, 2)
    asked = _Question(statistic, test, confidence, 10 * resamples, draws)
    answers = {pair: asked.answer(scores[pair[0]], scores[pair[1]]) for pair in pairs}
    corrected = dict(zip(pairs, holm([answer.p for answer in answers.values()]), strict=True))
    found = []
    for name in names:
        pair = (name, reference)
        improvement = None
        if name != reference:
            improvement = improvement_interval(
                scores[name], scores[reference], confidence=confidence, resamples=resamples, rng=draws
            )
        p = float(corrected.get(pair, np.nan))
        found.append(Compared(name, estimates[name], name == reference, answers.get(pair), p, improvement))
    return found


@dataclass(frozen=True)
class _Question:
    """A test with all that it needs but the scores."""

    statistic: Statistic
    test: str
    confidence: float
    resamples: int
    rng: np.random.Generator

    def answer(self, x: Array, y: Array) -> Difference:
        if min(len(x), len(y)) < 2:
            function = statistic_of(self.statistic)
            return Difference(float(function(x) - function(y)), reason="1 seed: no test")
        if self.test == "welch":
            return welch_test(x, y, self.statistic, confidence=self.confidence)
        return permutation_test(x, y, self.statistic, resamples=self.resamples, rng=self.rng)


def _all_scores(variants: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    """Each variant's [seeds, tasks].

    Raises:
        NotEnoughData: no variant. ShapeError: other tasks.
    """
    scores = {name: as_scores(given, name) for name, given in variants.items()}
    if not scores:
        raise NotEnoughData("variants: there is none.")
    tasks = {name: array.shape[1] for name, array in scores.items()}
    if len(set(tasks.values())) > 1:
        told = ", ".join(f"{name}: {count}" for name, count in tasks.items())
        raise ShapeError(f"variants: all need the same tasks; there are {told}.")
    return scores


def improvement_interval(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> Interval:
    """The probability of improvement of X over Y with the percentile interval of the stratified bootstrap.

    Agarwal et al. (2021), section 4.3. Where every pair of runs says the same, every draw says it too, and there is no
    interval: so few runs do not tell how rare the other case is.

    Args:
        x: [n, tasks] or [n].
        y: [m, tasks] or [m], the same tasks.
        confidence: 0.95 for 95 %.
        resamples: how many draws.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Raises:
        ShapeError, NotEnoughData, BadValue: other shapes or tasks, no score, scores that are not finite, a confidence
            outside (0, 1), too few resamples.
    """
    first, second = same_tasks(x, y)
    check_confidence(confidence)
    check_resamples(resamples)
    won = wins(first, second)
    center = float(won.mean())
    seeds = min(len(first), len(second))
    if seeds == 1:
        return Interval(center, confidence=confidence, reason="1 seed: no interval")
    if center in (0.0, 1.0):
        return Interval(center, confidence=confidence, seeds=seeds, reason="every pair says the same: no interval")
    draws = generator(rng)
    tasks = won.shape[2]
    drawn = []
    at_once = max(1, _CHUNK // (tasks * max(won.shape)))
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        counts_x = counts(len(first), some * tasks, draws).reshape(some, tasks, len(first))
        counts_y = counts(len(second), some * tasks, draws).reshape(some, tasks, len(second))
        shares = [np.sum(counts_x[:, t] @ won[:, :, t] * counts_y[:, t], axis=1) for t in range(tasks)]
        drawn.append(np.mean(shares, axis=0) / (len(first) * len(second)))
    low, high = percentile_edges(np.concatenate(drawn)[None], confidence)
    return Interval(center, float(low[0]), float(high[0]), confidence, "percentile", seeds)


@dataclass(frozen=True)
class Rank:
    """Where a variant stands among the others.

    Attributes:
        name: its name.
        rank: 1 for the best; variants that are equal share the mean of their ranks.
        low: the best rank that the seeds allow; nan where one seed is all that there is of some variant.
        high: the worst.
        chances: in which share of the draws it has rank 1, 2, ... [variants].
    """

    name: str
    rank: float
    low: float
    high: float
    chances: Array


def rank_variants(
    variants: Mapping[str, npt.ArrayLike],
    *,
    statistic: Statistic = "mean",
    higher_is_better: bool = True,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> list[Rank]:
    """The variants by rank, with the ranks that they have when seeds are drawn anew.

    A draw of few seeds varies too little, by `sqrt((n - 1) / n)`; that is made good before the ranks are taken.

    Args:
        variants: by name the scores [seeds, tasks] or [seeds]; the seeds may differ in number, the tasks not.
        statistic: as `interval` takes it.
        higher_is_better: whether the highest is the best.
        confidence: 0.95: the ranks of all but the outermost 2.5 % of the draws at each end.
        resamples: how many draws.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Raises:
        NotEnoughData: no variant. ShapeError, BadValue: as `compare`.
    """
    scores = _all_scores(variants)
    check_confidence(confidence)
    check_resamples(resamples)
    function, draws = statistic_of(statistic), generator(rng)
    sign = -1.0 if higher_is_better else 1.0
    centers = np.array([float(function(array)) for array in scores.values()])
    drawn = []
    for center, array in zip(centers, scores.values(), strict=True):
        widening = np.sqrt(len(array) / max(1, len(array) - 1))
        drawn.append(center + (distribution(array, function, resamples, draws) - center) * widening)
    ranks = _ranks(sign * np.stack(drawn, axis=1))
    at_point = _ranks(sign * centers[None])[0]
    tail = (1 - confidence) / 2
    low = np.quantile(ranks, tail, axis=0, method="lower")
    high = np.quantile(ranks, 1 - tail, axis=0, method="higher")
    if min(len(array) for array in scores.values()) < 2:
        low, high = np.full((2, len(scores)), np.nan)
    rounded = np.floor(ranks).astype(np.int64)
    found = [
        Rank(name, float(at_point[v]), float(low[v]), float(high[v]), _chances(rounded[:, v], len(scores)))
        for v, name in enumerate(scores)
    ]
    return sorted(found, key=lambda one: one.rank)


def _ranks(values: Array) -> Array:
    """The rank of each value in its row, 1 for the lowest; equal ones share the mean of theirs [draws, variants]."""
    differences = np.sign(values[:, :, None] - values[:, None, :])
    ranks: Array = (differences > 0).sum(axis=2) + ((differences == 0).sum(axis=2) + 1) / 2
    return ranks


def _chances(ranks: npt.NDArray[np.int64], variants: int) -> Array:
    """The share of the draws in which each rank was had [variants]."""
    chances: Array = np.bincount(ranks - 1, minlength=variants) / len(ranks)
    return chances
