"""The bootstrap: seeds drawn again and again, within each task on its own.

B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993); drawn within the strata of tasks as Agarwal et
al. (2021), section 4.1, do it. Work is done in chunks, so that memory stays within some tens of MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from gridrl.results.stats.checks import Array
from gridrl.results.stats.moments import moments_of_drawn_in

Values = TypeVar("Values", Array, npt.NDArray[np.uint16] | npt.NDArray[np.int64])

_CHUNK = 2_000_000  # numbers at once


def redraws(scores: Values, resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    """Scores, or what stands for them, drawn anew: seeds, within each task independently, [some, seeds, tasks] at once.

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
    found = [_of_tasks(problem, trim, resamples, rng, with_errors=with_errors) for problem in samples]
    centers = np.stack([center for center, _ in found])
    return centers, np.stack([error for _, error in found]) if with_errors else None


def _of_tasks(
    scores: Array, trim: Callable[[int], int], resamples: int, rng: np.random.Generator, *, with_errors: bool
) -> tuple[Array, Array]:
    """For one problem [seeds, tasks].

    What is drawn and sorted are the places of the runs in the order of their scores: small whole numbers sort
    ten times faster than the scores themselves.
    """
    runs = scores.size
    cut = trim(runs)
    ordered = np.sort(scores, axis=None)
    places = _places(scores)
    centers, errors = [], []
    for drawn in redraws(places, resamples, rng):
        middle = np.sort(drawn.reshape(len(drawn), runs), axis=1)[:, cut : runs - cut] if cut else drawn
        values = ordered[middle.reshape(len(drawn), -1)]
        centers.append(values.mean(axis=1))
        if with_errors:
            drawn_in = ordered[np.clip(drawn, middle[:, :1, None], middle[:, -1:, None]) if cut else drawn]
            errors.append(moments_of_drawn_in(drawn_in, centers[-1], runs - 2 * cut).error)
    return np.concatenate(centers), np.concatenate(errors or [np.empty(0)])


def _places(scores: Array) -> npt.NDArray[np.uint16] | npt.NDArray[np.int64]:
    """How many runs come before each run in the order of their scores [seeds, tasks]."""
    places = np.argsort(np.argsort(scores, axis=None)).reshape(scores.shape)
    return places.astype(np.uint16) if scores.size <= 2**16 else places


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
    at_once = max(1, _CHUNK // seeds)
    for start in range(0, resamples, at_once):
        part = slice(start, min(start + at_once, resamples))
        middle, drawn_in = _weights(counts(seeds, part.stop - start, rng), cut)
        centers[:, part] = ordered @ (middle / kept).T + shift
        if errors is not None:
            first, second = ordered @ (drawn_in / seeds).T, ordered**2 @ (drawn_in / seeds).T
            variance = np.maximum(second - first * first, 0.0)  # rounding may leave less
            errors[:, part] = np.sqrt(variance * (seeds / (kept * (kept - 1))))
            errors[:, part][:, np.count_nonzero(drawn_in, axis=1) == 1] = np.nan
    return centers, errors


def counts(seeds: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each seed is in each draw of so many [draws, seeds]."""
    drawn = rng.integers(0, seeds, size=(draws, seeds)) + seeds * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * seeds).reshape(draws, seeds)


def _weights(drawn: npt.NDArray[np.int64], cut: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """From how often each ordered seed was drawn [draws, seeds]: how often it is in the middle, and how often where the
    outer ones are drawn in to the middle.
    """
    if not cut:
        return drawn, drawn
    seeds = drawn.shape[1]
    up_to = drawn.cumsum(axis=1)
    middle = np.diff(np.clip(up_to, cut, seeds - cut), axis=1, prepend=cut)
    drawn_in = middle.copy()
    rows = np.arange(len(drawn))
    drawn_in[rows, np.argmax(up_to > cut, axis=1)] += cut
    drawn_in[rows, np.argmax(up_to >= seeds - cut, axis=1)] += cut
    return middle, drawn_in
