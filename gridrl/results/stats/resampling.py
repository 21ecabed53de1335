"""The bootstrap: seeds drawn again and again, within each task on its own.

B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993); drawn within the strata of tasks as Agarwal et
al. (2021), section 4.1, do it. Work is done in chunks, so that memory stays within some tens of MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from gridrl.results.stats.checks import Array
from gridrl.results.stats.moments import moments

_CHUNK = 2_000_000  # numbers at once


def redraws(scores: Array, resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Scores drawn anew, seeds within each task independently, in chunks [some, seeds, tasks] of `resamples` in all.

    Args:
        scores: [seeds, tasks].
        resamples: how many.
        rng: where the draws come from.
    """
    seeds, tasks = scores.shape
    at_once = max(1, _CHUNK // scores.size)
    for start in range(0, resamples, at_once):
        drawn = rng.integers(0, seeds, size=(min(at_once, resamples - start), seeds, tasks), dtype=np.int32)
        yield scores[drawn, np.arange(tasks)]


def distribution(scores: Array, statistic: Callable[[Array], Array], resamples: int, rng: np.random.Generator) -> Array:
    """A statistic of each of `resamples` draws [resamples].

    Args:
        scores: [seeds, tasks].
        statistic: from [..., seeds, tasks] to [...].
        resamples: how many.
        rng: where the draws come from.
    """
    return np.concatenate([statistic(samples) for samples in redraws(scores, resamples, rng)])


def redrawn_estimates(
    samples: Array, trim: Callable[[int], int], resamples: int, rng: np.random.Generator, *, with_errors: bool
) -> tuple[Array, Array | None]:
    """A mean of middle values of each draw, for problems side by side, and its standard error if wanted.

    Args:
        samples: [problems, seeds, tasks].
        trim: how many of so many runs are left out at each end.
        resamples: how many draws.
        rng: where they come from.
        with_errors: also give the standard errors.

    Returns:
        [problems, resamples] twice, or once and None. A draw of a single seed has a standard error of nan.
    """
    if samples.shape[2] == 1:
        return _of_one_task(samples[:, :, 0], trim, resamples, rng, with_errors=with_errors)
    centers, errors = [], []
    for problem in samples:
        drawn = [moments(chunk, trim) for chunk in redraws(problem, resamples, rng)]
        centers.append(np.concatenate([one.center for one in drawn]))
        errors.append(np.concatenate([one.error for one in drawn]))
    return np.stack(centers), np.stack(errors) if with_errors else None


def _of_one_task(
    values: Array, trim: Callable[[int], int], resamples: int, rng: np.random.Generator, *, with_errors: bool
) -> tuple[Array, Array | None]:
    """For [problems, seeds], as a matrix product.

    A draw is told by how often each seed is in it. Which seed is which does not matter to one problem, so the counts
    may stand for the seeds in the order of their values, in every problem: then the mean of the middle of a draw is
    a weighted sum of the sorted values, with weights that are the same for all problems.
    """
    ordered = np.sort(values, axis=1)
    ordered -= ordered.mean(axis=1, keepdims=True)  # a variance of small numbers loses no digits
    shift = values.mean(axis=1, keepdims=True)
    seeds = values.shape[1]
    cut = trim(seeds)
    kept = seeds - 2 * cut
    centers = np.empty((len(values), resamples))
    errors = np.empty((len(values), resamples)) if with_errors else None
    for start, counts in _counts(seeds, resamples, rng):
        middle, drawn_in = _weights(counts, cut)
        part = slice(start, start + len(counts))
        centers[:, part] = ordered @ (middle / kept).T + shift
        if errors is not None:
            first, second = ordered @ drawn_in.T / seeds, ordered**2 @ drawn_in.T / seeds
            variance = second - first**2
            largest = np.abs(ordered).max(axis=1, keepdims=True)
            variance[variance <= 1e-12 * largest**2] = 0.0  # rounding
            errors[:, part] = np.sqrt(variance * seeds / (kept * (kept - 1)))
            errors[:, part][:, np.count_nonzero(drawn_in, axis=1) == 1] = np.nan
    return centers, errors


def _counts(seeds: int, resamples: int, rng: np.random.Generator) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Where a chunk of draws begins, and how often each seed is in each of them [some, seeds]."""
    at_once = max(1, _CHUNK // seeds)
    for start in range(0, resamples, at_once):
        some = min(at_once, resamples - start)
        drawn = rng.integers(0, seeds, size=(some, seeds)) + seeds * np.arange(some)[:, None]
        yield start, np.bincount(drawn.ravel(), minlength=some * seeds).reshape(some, seeds)


def _weights(counts: npt.NDArray[np.int64], cut: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How often each ordered value is in the middle of a draw, and how often once the outer ones are drawn in."""
    if not cut:
        return counts, counts
    seeds = counts.shape[1]
    up_to = counts.cumsum(axis=1)
    middle = np.diff(np.clip(up_to, cut, seeds - cut), axis=1, prepend=cut)
    drawn_in = middle.copy()
    rows = np.arange(len(counts))
    drawn_in[rows, np.argmax(up_to > cut, axis=1)] += cut
    drawn_in[rows, np.argmax(up_to >= seeds - cut, axis=1)] += cut
    return middle, drawn_in
