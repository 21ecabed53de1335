"""An estimate over seeds with its interval at every step of a curve."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, ShapeError, did_you_mean
from gridrl.results.stats.advising import default_method
from gridrl.results.stats.checks import Array, Rng, check_confidence, check_resamples, generator
from gridrl.results.stats.estimates import Estimate
from gridrl.results.stats.intervals import METHODS, Trim, edges, has_edges
from gridrl.results.stats.scores import TRIMS

_AT_ONCE = 64_000  # draws held at once: half a MB, which stays in the processor's cache


def band(
    values: npt.ArrayLike,
    statistic: str = "mean",
    method: str | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    rng: Rng = None,
) -> Estimate:
    """The mean, IQM or median over the seeds that are there at each step, with an interval for each step.

    The intervals are pointwise: at each step the true value lies within with that confidence, the whole curve with
    less. `advice` tells whether there are seeds enough to show it.

    Args:
        values: [seeds, steps], as `interpolate` gives them: nan where a seed is not.
        statistic: `"mean"`, `"iqm"` or `"median"`.
        method: a name in `METHODS`; None takes, at each step, the default for the number of seeds that are there.
        confidence: 0.95 for 95 %.
        resamples: how many draws.
        rng: where they come from: a Generator, a seed, or None for seed 0.

    Returns:
        The estimate; its edges are nan where fewer than two seeds are (three for the bootstrap-t), or one is infinite.

    Raises:
        ShapeError: values of another shape.
        NotEnoughData: no seed.
        BadValue: an unknown statistic or method, one that do not go together, a confidence outside (0, 1).
    """
    rows = np.asarray(values, dtype=np.float64)
    _check(rows, statistic, method, confidence, resamples)
    trim = TRIMS[statistic]
    draws = generator(rng)
    ordered = np.sort(rows, axis=0).T  # [steps, seeds], nan last
    count = rows.shape[0] - np.isnan(ordered).sum(axis=1)
    parts = np.full((3, rows.shape[1]), np.nan)
    for seeds in np.unique(count[count > 0]):
        places = count == seeds
        there = ordered[places, :seeds]
        cut = trim(int(seeds))
        with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
            parts[0, places] = there[:, cut : seeds - cut].mean(axis=1)
        places &= np.isfinite(ordered[:, 0]) & np.isfinite(ordered[:, seeds - 1])
        chosen = method or default_method(statistic, int(seeds))
        if has_edges(chosen, int(seeds), 1) and places.any():
            low, high = _in_chunks(ordered[places, :seeds, None], trim, chosen, confidence, resamples, draws)
            parts[1, places], parts[2, places] = low, high
    return Estimate(parts[0], parts[1], parts[2], count)


def _in_chunks(
    samples: Array, trim: Trim, method: str, confidence: float, resamples: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    chunks = np.array_split(samples, max(1, len(samples) * resamples // _AT_ONCE))
    # the same draws for all chunks: a band has no seams, wherever they are cut
    draws = [*(copy.deepcopy(rng) for _ in chunks[1:]), rng]
    found = [edges(chunk, trim, method, confidence, resamples, own) for chunk, own in zip(chunks, draws, strict=True)]
    return np.concatenate([low for low, _ in found]), np.concatenate([high for _, high in found])


def _check(rows: Array, statistic: str, method: str | None, confidence: float, resamples: int) -> None:
    if rows.ndim != 2:
        raise ShapeError(f"values: [seeds, steps] is needed, not {list(rows.shape)}.")
    if not len(rows):
        raise NotEnoughData("values: there is no seed.")
    check_confidence(confidence)
    check_resamples(resamples)
    if statistic not in TRIMS:
        raise BadValue(f"statistic: a curve has {', '.join(TRIMS)}, not {statistic!r}.{did_you_mean(statistic, TRIMS)}")
    if method is not None and method not in METHODS:
        raise BadValue(
            f"method: there is no {method!r}.{did_you_mean(method, METHODS)} There are: {', '.join(METHODS)}."
        )
    if statistic == "median" and method not in (None, "percentile"):
        raise BadValue(f"method: {method!r} is for the mean and the IQM; a median has 'percentile'.")
