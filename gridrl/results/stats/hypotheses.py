"""Is A better than B: Welch's test, the permutation test, and Holm's correction for many such questions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, ShapeError, did_you_mean
from gridrl.results.stats.checks import Array, Rng, check_confidence, check_resamples, generator, same_tasks
from gridrl.results.stats.distributions import t_quantile, t_tail
from gridrl.results.stats.intervals import as_mean
from gridrl.results.stats.moments import moments
from gridrl.results.stats.scores import Statistic, statistic_of

ALTERNATIVES = ("two-sided", "greater", "less")
"""What a test asks: whether X and Y differ, whether X is greater, whether X is less."""

_CHUNK = 2_000_000  # numbers at once
_ROUNDING = 1e-12  # differences nearer than that share of the scores are equal


@dataclass(frozen=True)
class Difference:
    """How much higher X scores than Y, and how sure that is.

    Attributes:
        center: the difference of the two estimates.
        p: the probability of a difference at least as far out if there were none; nan where there is no test.
        low: the lower edge of the difference's interval; nan where the test gives none.
        high: the upper edge.
        df: the degrees of freedom of Welch's test; nan for the permutation test.
        method: `"welch"`, `"exact permutation"` or `"permutation"`; empty where there is no test.
        reason: why there is no test; empty where there is one.
    """

    center: float
    p: float = math.nan
    low: float = math.nan
    high: float = math.nan
    df: float = math.nan
    method: str = ""
    reason: str = ""


def welch_test(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    statistic: Statistic = "mean",
    *,
    alternative: str = "two-sided",
    confidence: float = 0.95,
) -> Difference:
    """The t test of two samples whose variances need not be equal, and the interval of their difference.

    B. L. Welch, Biometrika 34 (1947); for the IQM K. K. Yuen's test with winsorised deviations, Biometrika 61 (1974).
    Over several tasks the variances of their means are summed.

    Args:
        x: [n] or [n, tasks].
        y: [m] or [m, tasks], the same tasks.
        statistic: `"mean"`, `"iqm"` or `"optimality_gap"`.
        alternative: a name in `ALTERNATIVES`.
        confidence: of the interval, which is two-sided always.

    Returns:
        The difference x - y. Where neither sample has any spread there is no test, and it says so.

    Raises:
        NotEnoughData: one seed in either. ShapeError, BadValue: other shapes or tasks, scores that are not finite,
            another statistic or alternative, a confidence outside (0, 1).
    """
    first, second = same_tasks(x, y)
    _check_alternative(alternative)
    check_confidence(confidence)
    statistic_of(statistic)
    (values_x, trim), (values_y, _) = as_mean(first, statistic), as_mean(second, statistic)
    if trim is None or statistic == "median":
        name = statistic if isinstance(statistic, str) else "a function of your own"
        raise BadValue(f"statistic: Welch's test is for mean, iqm and optimality_gap; {name} has the permutation test.")
    if min(len(first), len(second)) < 2:
        raise NotEnoughData(f"x and y: two seeds of each are needed, not {len(first)} and {len(second)}.")
    one, two = moments(values_x[None], trim), moments(values_y[None], trim)
    center = float(one.center[0] - two.center[0])
    parts = [(float(side.error[0]) ** 2, float(side.df[0])) for side in (one, two)]
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return Difference(center, reason="neither has any spread: no test")
    df = variance**2 / sum(part**2 / df for part, df in parts if part > 0)
    error = math.sqrt(variance)
    reach = t_quantile((1 + confidence) / 2, df) * error
    return Difference(center, _t_p(center / error, df, alternative), center - reach, center + reach, df, "welch")


def _t_p(t: float, df: float, alternative: str) -> float:
    if alternative == "two-sided":
        return 2 * t_tail(abs(t), df)
    return t_tail(t if alternative == "greater" else -t, df)


def permutation_test(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    statistic: Statistic = "mean",
    *,
    alternative: str = "two-sided",
    resamples: int = 20_000,
    rng: Rng = None,
) -> Difference:
    """How often X would be so far from Y if the runs had been labelled X and Y at random.

    R. A. Fisher, The Design of Experiments (1935). All ways to label the runs of one task are tried where there are
    no more than `resamples` of them; else so many are drawn, and the sample itself is counted as one more (B. Phipson
    and G. K. Smyth, 2010). It asks whether the two distributions are the same. Runs change sides within their task.

    Args:
        x: [n] or [n, tasks].
        y: [m] or [m, tasks], the same tasks.
        statistic: as `interval` takes it; its difference is what is looked at.
        alternative: a name in `ALTERNATIVES`.
        resamples: how many labellings at most, and how many are drawn where there are more.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Returns:
        The difference x - y and its p, without an interval. p is at least 1 / the number of labellings: three seeds
        against three cannot go below 0.1, two-sided.

    Raises:
        ShapeError, NotEnoughData, BadValue: other shapes or tasks, no score, scores that are not finite, an unknown
            statistic or alternative, too few resamples.
    """
    first, second = same_tasks(x, y)
    _check_alternative(alternative)
    check_resamples(resamples)
    function = statistic_of(statistic)
    runs = np.concatenate([first, second])
    size = len(first)
    observed = float(function(first) - function(second))
    is_exact = runs.shape[1] == 1 and math.comb(len(runs), size) <= resamples
    labelled = _all_labellings(runs, size) if is_exact else _random_labellings(runs, resamples, generator(rng))
    near = _ROUNDING * float(np.abs(runs).max())
    far, tried = 0, 0
    for chunk in labelled:
        differences = function(chunk[:, :size]) - function(chunk[:, size:])
        far += int(np.sum(_is_as_far(differences, observed, alternative, near)))
        tried += len(chunk)
    p = far / tried if is_exact else (far + 1) / (tried + 1)
    return Difference(observed, p, method="exact permutation" if is_exact else "permutation")


def _is_as_far(differences: Array, observed: float, alternative: str, near: float) -> npt.NDArray[np.bool_]:
    if alternative == "two-sided":
        return np.abs(differences) >= abs(observed) - near
    return differences >= observed - near if alternative == "greater" else differences <= observed + near


def _all_labellings(runs: Array, size: int) -> Iterator[Array]:
    """Every choice of `size` runs for X, those first and the others behind [some, runs, 1]."""
    everyone = range(len(runs))
    at_once = max(1, _CHUNK // len(runs))
    choices = itertools.combinations(everyone, size)
    while some := list(itertools.islice(choices, at_once)):
        chosen = np.array(some, dtype=np.int64)
        is_chosen = np.zeros((len(some), len(runs)), dtype=bool)
        is_chosen[np.arange(len(some))[:, None], chosen] = True
        yield runs[np.argsort(~is_chosen, axis=1, kind="stable")]


def _random_labellings(runs: Array, resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """The runs of each task in random order [some, runs, tasks]."""
    at_once = max(1, _CHUNK // runs.size)
    for start in range(0, resamples, at_once):
        yield rng.permuted(np.broadcast_to(runs, (min(at_once, resamples - start), *runs.shape)), axis=1)


def _check_alternative(alternative: str) -> None:
    if alternative not in ALTERNATIVES:
        raise BadValue(
            f"alternative: there is no {alternative!r}.{did_you_mean(alternative, ALTERNATIVES)} "
            f"There are: {', '.join(ALTERNATIVES)}."
        )


def holm(pvalues: npt.ArrayLike) -> Array:
    """Probabilities corrected for asking several questions at once; call those below 0.05 and err once in twenty times.

    S. Holm, Scandinavian Journal of Statistics 6 (1979): the i-th smallest of k is multiplied by `k - i + 1`, and none
    is less than one before it.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])

    Args:
        pvalues: [k]; nan stands for a question that was not asked, and stays.

    Returns:
        [k], at most 1.

    Raises:
        ShapeError: another shape. BadValue: something that is no probability.
    """
    given = np.asarray(pvalues, dtype=np.float64)
    if given.ndim != 1:
        raise ShapeError(f"pvalues: [k] is needed, not {list(given.shape)}.")
    if np.any((given < 0) | (given > 1)):
        raise BadValue("pvalues: probabilities from 0 to 1 are needed.")
    order = np.argsort(given)  # nan last
    asked = order[: int(np.sum(~np.isnan(given)))]
    corrected = np.full(given.shape, np.nan)
    factors = np.arange(len(asked), 0, -1)
    corrected[asked] = np.minimum(np.maximum.accumulate(given[asked] * factors), 1.0)
    return corrected
