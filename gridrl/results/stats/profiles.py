"""Performance profiles: which share of the runs, or of the tasks, scores above each threshold.

E. D. Dolan and J. J. Moré, "Benchmarking optimization software with performance profiles" (2002), for scores of many
runs as Agarwal et al. (2021), section 4.2, have it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats.checks import Array, Rng, as_scores, check_confidence, check_resamples, generator
from gridrl.results.stats.estimates import Estimate
from gridrl.results.stats.intervals import percentile_edges
from gridrl.results.stats.resampling import redraws


def performance_profile(scores: npt.ArrayLike, taus: npt.ArrayLike, *, of: str = "runs") -> Array:
    """The share of the runs, or of the tasks, that score above each threshold.

    >>> performance_profile([[0.2, 0.9], [0.4, 0.7]], [0.35, 0.85])
    array([0.75, 0.25])
    >>> performance_profile([[0.2, 0.9], [0.4, 0.7]], [0.35, 0.85], of="tasks")
    array([0.5, 0. ])

    Args:
        scores: [seeds, tasks] or [seeds], normalised.
        taus: the thresholds [taus].
        of: `"runs"`, each counted for itself (the score distribution, which no outlier moves and which shows the
            spread between seeds), or `"tasks"`, by their means over seeds (the average-score distribution).

    Returns:
        [taus], never rising where taus rise.

    Raises:
        ShapeError, NotEnoughData, BadValue: scores or thresholds of another shape, none, or not finite; another `of`.
    """
    array, thresholds = as_scores(scores), _thresholds(taus, of)
    shares: Array = _shares(array[None], thresholds, of)[0]
    return shares


def profile_band(
    scores: npt.ArrayLike,
    taus: npt.ArrayLike,
    *,
    of: str = "runs",
    confidence: float = 0.95,
    resamples: int = 2000,
    rng: Rng = None,
) -> Estimate:
    """A performance profile with the percentile interval of the stratified bootstrap at each threshold.

    Args:
        scores: [seeds, tasks] or [seeds], normalised.
        taus: the thresholds [taus].
        of: as `performance_profile` takes it.
        confidence: 0.95 for 95 %, at each threshold.
        resamples: how many draws.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Returns:
        The profile; its edges are nan with one seed. `count` is the number of seeds.

    Raises:
        ShapeError, NotEnoughData, BadValue: what `performance_profile` raises; a confidence outside (0, 1), too few
            resamples.
    """
    array, thresholds = as_scores(scores), _thresholds(taus, of)
    check_confidence(confidence)
    check_resamples(resamples)
    center = _shares(array[None], thresholds, of)[0]
    count = np.full(thresholds.size, len(array))
    low, high = np.full((2, thresholds.size), np.nan)
    if len(array) > 1:
        draws = [_shares(drawn, thresholds, of) for drawn in redraws(array, resamples, generator(rng))]
        low, high = percentile_edges(np.concatenate(draws).T, confidence)
    return Estimate(center, low, high, count)


def _thresholds(taus: npt.ArrayLike, of: str) -> Array:
    if of not in ("runs", "tasks"):
        raise BadValue(f"of: 'runs' or 'tasks' is needed, not {of!r}.")
    thresholds = np.asarray(taus, dtype=np.float64)
    if thresholds.ndim != 1:
        raise ShapeError(f"taus: [taus] is needed, not {list(thresholds.shape)}.")
    if not thresholds.size:
        raise NotEnoughData("taus: there is none.")
    if np.isnan(thresholds).any():
        raise BadValue("taus: one of them is nan.")
    return thresholds


def _shares(samples: Array, taus: Array, of: str) -> Array:
    """Of [draws, seeds, tasks] the shares above each threshold [draws, taus]."""
    values = samples.mean(axis=1) if of == "tasks" else samples.reshape(len(samples), -1)
    ordered = np.sort(values, axis=1)
    above = [ordered.shape[1] - np.searchsorted(row, taus, side="right") for row in ordered]
    shares: Array = np.array(above) / ordered.shape[1]
    return shares
