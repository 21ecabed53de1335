"""Confidence intervals over seeds: Student's t, and the percentile, BCa and bootstrap-t intervals of the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, did_you_mean
from gridrl.results.stats.advising import default_method
from gridrl.results.stats.checks import Array, Rng, as_scores, check_confidence, check_resamples, generator
from gridrl.results.stats.distributions import normal_cdf, normal_quantile, t_quantile
from gridrl.results.stats.moments import acceleration, moments
from gridrl.results.stats.resampling import distribution, redrawn_estimates
from gridrl.results.stats.scores import TRIMS, Statistic, statistic_of

METHODS = ("student_t", "percentile", "bca", "bootstrap_t")
"""Ways to make an interval. All serve the mean, the IQM and the optimality gap; other statistics have `percentile`."""

LEAST_ERROR = 0.2
"""Of the sample's standard error, what a draw of the bootstrap-t has at least; costs 0.6 points of coverage at most."""

Trim = Callable[[int], int]


@dataclass(frozen=True)
class Interval:
    """An estimate and the range in which the true value is believed to lie.

    >>> print(Interval(2.0, 1.5, 2.5, 0.95, "student_t", 5))
    2 [1.5, 2.5]
    >>> print(Interval(2.0, reason="1 seed: no interval"))
    2 (1 seed: no interval)

    Attributes:
        center: the estimate.
        low: the lower edge; nan where there is no interval.
        high: the upper edge.
        confidence: in how many of a hundred experiments, as a share, such a range holds the true value.
        method: a name in `METHODS`; empty where there is no interval.
        seeds: how many.
        reason: why there is no interval; empty where there is one.
    """

    center: float
    low: float = float("nan")
    high: float = float("nan")
    confidence: float = 0.95
    method: str = ""
    seeds: int = 1
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.center:.4g} " + (f"({self.reason})" if self.reason else f"[{self.low:.4g}, {self.high:.4g}]")


def interval(
    scores: npt.ArrayLike,
    statistic: Statistic = "mean",
    method: str | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> Interval:
    """A statistic over seeds, with its interval; one seed has none, and it says so.

    >>> print(interval([4.0, 5.0, 6.0]))
    5 [2.516, 7.484]
    >>> print(interval([4.0]))
    4 (1 seed: no interval)

    Args:
        scores: [seeds] or [seeds, tasks].
        statistic: `"mean"`, `"iqm"`, `"median"`, `"optimality_gap"` or a function of scores [seeds, tasks].
        method: a name in `METHODS`; None takes the one whose coverage came nearest to 95 % with so many seeds
            (docs/statistics.md).
        confidence: 0.95 for 95 %.
        resamples: how many draws, for the three methods that draw.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Raises:
        ShapeError, NotEnoughData, BadValue: scores of another shape, none, or not finite; an unknown statistic or
            method, one that do not go together, a confidence outside (0, 1), too few resamples.
    """
    array = as_scores(scores)
    seeds = len(array)
    function = statistic_of(statistic)
    chosen = default_method(statistic, seeds) if method is None else method
    _check(statistic, chosen, confidence, resamples)
    center = float(function(array))
    if seeds == 1:
        return Interval(center, confidence=confidence, reason="1 seed: no interval")
    draws = generator(rng)
    values, trim = as_mean(array, statistic)
    if trim is None:
        low, high = percentile_edges(distribution(array, function, resamples, draws)[None], confidence)
    else:
        low, high = edges(values[None], trim, chosen, confidence, resamples, draws)
    return Interval(center, float(low[0]), float(high[0]), confidence, chosen, seeds)


def _check(statistic: Statistic, method: str, confidence: float, resamples: int) -> None:
    check_confidence(confidence)
    check_resamples(resamples)
    if method not in METHODS:
        raise BadValue(
            f"method: there is no {method!r}.{did_you_mean(method, METHODS)} There are: {', '.join(METHODS)}."
        )
    if method != "percentile" and statistic not in ("mean", "iqm", "optimality_gap"):
        name = statistic if isinstance(statistic, str) else "a function of your own"
        raise BadValue(f"method: {method!r} is for mean, iqm and optimality_gap; {name} has 'percentile'.")


def as_mean(scores: Array, statistic: Statistic) -> tuple[Array, Trim | None]:
    """Scores, and what is left out of them at each end, whose mean is the statistic; None where it is none such."""
    if statistic == "optimality_gap":
        return 1 - np.minimum(scores, 1.0), TRIMS["mean"]
    if statistic == "median" and scores.shape[1] == 1:
        return scores, TRIMS["median"]
    if isinstance(statistic, str) and statistic in ("mean", "iqm"):
        return scores, TRIMS[statistic]
    return scores, None


def has_edges(method: str, seeds: int, tasks: int) -> bool:
    """Whether a method can make an interval of so many seeds: two seeds of one task have but one draw with a t."""
    return seeds > (2 if method == "bootstrap_t" and tasks == 1 else 1)


def edges(
    samples: Array, trim: Trim, method: str, confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The edges of the intervals of many problems at once.

    Args:
        samples: [problems, seeds, tasks], two seeds at least, finite.
        trim: how many of so many runs are left out at each end.
        method: a name in `METHODS`.
        confidence: 0.95 for 95 %.
        resamples: how many draws.
        rng: where they come from.

    Returns:
        low and high, each [problems].

    Raises:
        NotEnoughData: the method needs three seeds.
    """
    if not has_edges(method, *samples.shape[1:]):
        raise NotEnoughData(
            f"method: {method!r} needs three seeds at least, not {samples.shape[1]}; Student's t has two."
        )
    if method == "student_t":
        return _student_t(samples, trim, confidence)
    with_errors = method == "bootstrap_t"
    centers, errors = redrawn_estimates(samples, trim, resamples, rng, with_errors=with_errors)
    if errors is not None:
        return _bootstrap_t(samples, trim, confidence, centers, errors)
    if method == "bca":
        return _bca(samples, trim, confidence, centers)
    return percentile_edges(centers, confidence)


def percentile_edges(drawn: Array, confidence: float) -> tuple[Array, Array]:
    """The middle `confidence` of each row of draws [problems, resamples]."""
    tail = (1 - confidence) / 2
    low, high = _quantiles(drawn, np.full(len(drawn), tail), np.full(len(drawn), 1 - tail))
    return low, high


def _student_t(samples: Array, trim: Trim, confidence: float) -> tuple[Array, Array]:
    known = moments(samples, trim)
    share = (1 + confidence) / 2
    # one quantile for each number of degrees of freedom: of one task they are all the same
    different, where = np.unique(known.df, return_inverse=True)
    quantiles = np.array([0.0 if np.isnan(df) else t_quantile(share, float(df)) for df in different])
    reach = quantiles[where] * known.error
    return known.center - reach, known.center + reach


def _bca(samples: Array, trim: Trim, confidence: float, drawn: Array) -> tuple[Array, Array]:
    """Percentiles, moved for bias and skewness (Efron 1987)."""
    center = moments(samples, trim).center[:, None]
    resamples = drawn.shape[1]
    near = 1e-12 * np.abs(drawn).max(axis=1, keepdims=True)  # equal but for rounding counts half
    below = ((drawn < center - near).mean(axis=1) + (drawn <= center + near).mean(axis=1)) / 2
    bias = normal_quantile(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))
    rate = acceleration(samples, trim)

    def moved(share: float) -> Array:
        reach = bias + float(normal_quantile(np.array(share)))
        slack = 1 - rate * reach
        ends = np.where(reach > 0, np.inf, -np.inf)
        return normal_cdf(bias + np.divide(reach, slack, out=ends, where=slack > 0))

    tail = (1 - confidence) / 2
    return _quantiles(drawn, moved(tail), moved(1 - tail))


def _bootstrap_t(samples: Array, trim: Trim, confidence: float, drawn: Array, errors: Array) -> tuple[Array, Array]:
    """The draws' own t instead of Student's (Efron and Tibshirani 1993, ch. 12).

    Where most seeds are nearly equal (they have reached the best score that there is), a draw of those alone has next
    to no spread, its t has no bound, and an edge would lie a hundred times farther off than any score. So a draw's
    standard error counts as `LEAST_ERROR` of the sample's at least.
    """
    known = moments(samples, trim)
    least = np.where(known.error > 0, LEAST_ERROR * known.error, 1.0)  # where nothing varies any number will do
    t = drawn - known.center[:, None]
    t /= np.maximum(errors, least[:, None])  # nan for draws of a single seed
    tail = (1 - confidence) / 2
    low, high = _quantiles(t, np.full(len(t), tail), np.full(len(t), 1 - tail))
    return known.center - high * known.error, known.center - low * known.error


def _quantiles(drawn: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Two quantiles of each row, with shares of its own, linear between draws; nan draws count as absent."""
    ordered = np.sort(drawn, axis=1)  # nan last
    count = drawn.shape[1] - np.isnan(ordered).sum(axis=1)
    found = []
    for share in (low, high):
        place = share * np.maximum(count - 1, 0)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        left, right = (np.take_along_axis(ordered, index[:, None], axis=1)[:, 0] for index in (below, above))
        found.append(left + (place - below) * (right - left))
    return found[0], found[1]


def student_t_interval(scores: npt.ArrayLike, statistic: Statistic = "mean", *, confidence: float = 0.95) -> Interval:
    """Student's t interval: exact for the mean of normal scores, however few.

    For the IQM, Yuen's (1974) with winsorised deviation; for several tasks the variances of the tasks are summed.

    Args:
        scores: [seeds] or [seeds, tasks], two seeds at least.
        statistic: `"mean"`, `"iqm"` or `"optimality_gap"`.
        confidence: 0.95 for 95 %.

    Raises:
        NotEnoughData: one seed. What `interval` raises.
    """
    return _of_two_seeds(scores, statistic, "student_t", confidence, 2000, None)


def percentile_interval(
    scores: npt.ArrayLike,
    statistic: Statistic = "mean",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> Interval:
    """The percentile bootstrap: the middle of the statistic's draws. Too narrow with few seeds.

    Args and errors are those of `interval`, and one seed is NotEnoughData.
    """
    return _of_two_seeds(scores, statistic, "percentile", confidence, resamples, rng)


def bca_interval(
    scores: npt.ArrayLike,
    statistic: Statistic = "mean",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> Interval:
    """The bootstrap's percentiles, corrected for bias and acceleration (B. Efron, JASA 82, 1987).

    Args and errors are those of `interval`, and one seed is NotEnoughData.
    """
    return _of_two_seeds(scores, statistic, "bca", confidence, resamples, rng)


def bootstrap_t_interval(
    scores: npt.ArrayLike,
    statistic: Statistic = "mean",
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> Interval:
    """The bootstrap of the studentised statistic (Efron and Tibshirani 1993, ch. 12): wide where scores are skewed.

    Args and errors are those of `interval`, and one seed is NotEnoughData.
    """
    return _of_two_seeds(scores, statistic, "bootstrap_t", confidence, resamples, rng)


def stratified_bootstrap(
    scores: npt.ArrayLike,
    statistic: Statistic = "iqm",
    resamples: int = 2000,
    rng: Rng = None,
    confidence: float = 0.95,
) -> Interval:
    """The percentile interval of seeds drawn within each task independently, as Agarwal et al. (2021, 4.1) advise.

    Args and errors are those of `interval`, and one seed is NotEnoughData.
    """
    return _of_two_seeds(scores, statistic, "percentile", confidence, resamples, rng)


def _of_two_seeds(
    scores: npt.ArrayLike, statistic: Statistic, method: str, confidence: float, resamples: int, rng: Rng
) -> Interval:
    found = interval(scores, statistic, method, confidence=confidence, resamples=resamples, rng=rng)
    if found.reason:
        raise NotEnoughData(
            f"scores: an interval needs two seeds at least, and {list(np.shape(scores))} is one. "
            "Scores are [seeds] or [seeds, tasks]."
        )
    return found
