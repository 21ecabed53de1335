"""How precise a mean of middle values is, by formula: standard error, degrees of freedom, acceleration.

Everything here takes problems side by side: [problems, seeds, tasks], one for each step of a curve for example. Runs
of different tasks are strata: each adds its own variance (W. G. Cochran, Sampling Techniques, 3rd ed. 1977, ch. 5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gridrl.results.stats.checks import Array

_NO_SPREAD = 1e-12
"""A deviation smaller than that share of the largest value is rounding: the seeds are equal."""


@dataclass(frozen=True)
class Moments:
    """What is known of each problem [problems].

    Attributes:
        center: the estimate.
        error: its standard error.
        df: the degrees of freedom of that; nan where there is no spread.
    """

    center: Array
    error: Array
    df: Array


def moments(samples: Array, trim: Callable[[int], int]) -> Moments:
    """The estimate, its standard error and degrees of freedom, from two seeds on.

    Of one task and nothing left out it is the mean with `s / sqrt(n)` and `n - 1`; of one task with values left out
    Tukey and McLaughlin's interval as K. K. Yuen has it (Biometrika 61, 1974): the deviation is that of the values
    with the outer ones drawn in, `h` of `n` are averaged, `error^2 = (n - 1) s_w^2 / (h (h - 1))` and `df = h - 1`.
    Of several tasks the variances add up, and the degrees of freedom follow from Welch and Satterthwaite.

    Args:
        samples: [problems, seeds, tasks].
        trim: how many of so many runs are left out at each end.
    """
    runs = samples.shape[1] * samples.shape[2]
    cut = trim(runs)
    return moments_of_drawn_in(*_drawn_in(samples, cut), kept=runs - 2 * cut)


def moments_of_drawn_in(drawn_in: Array, center: Array, kept: int) -> Moments:
    """The same of values that are drawn in already.

    Args:
        drawn_in: [problems, seeds, tasks], the outer values replaced by the last that are kept.
        center: the means of the middle [problems].
        kept: how many runs those average.
    """
    problems, seeds, tasks = drawn_in.shape
    runs = seeds * tasks
    variances = drawn_in.var(axis=1, ddof=1) / seeds / tasks**2  # of each task's part [problems, tasks]
    largest = np.abs(drawn_in).max(axis=(1, 2))
    variances[np.sqrt(variances) <= _NO_SPREAD * largest[:, None] / tasks] = 0.0
    variance = variances.sum(axis=1)
    df = np.full(problems, np.nan)
    spread = variance > 0
    shares = variances[spread] / variance[spread, None]
    df[spread] = (seeds - 1) / (shares**2).sum(axis=1) * (kept - 1) / (runs - 1)
    widening = (runs - 1) * runs / (kept * (kept - 1))
    return Moments(center, np.sqrt(variance * widening), df)


def _drawn_in(samples: Array, cut: int) -> tuple[Array, Array]:
    """The samples with the outer `cut` at each end drawn in to their neighbours, and the mean of the middle."""
    if not cut:
        return samples, samples.mean(axis=(1, 2))
    flat = np.sort(samples.reshape(len(samples), -1), axis=1)
    runs = flat.shape[1]
    low, high = flat[:, cut, None, None], flat[:, runs - cut - 1, None, None]
    return np.clip(samples, low, high), flat[:, cut : runs - cut].mean(axis=1)


def acceleration(samples: Array, trim: Callable[[int], int]) -> Array:
    """How fast the standard error changes with the estimate: the `a` of BCa, by the jackknife over runs.

    B. Efron, "Better Bootstrap Confidence Intervals", JASA 82 (1987), and for several samples the sum over them.
    Leaving run i out of a mean of middle values gives `(S - w_i) / h`, where `w_i` is the run's value drawn in to the
    middle; so the jackknife's values are those, up to a factor that falls out.

    Args:
        samples: [problems, seeds, tasks].
        trim: how many of so many runs are left out at each end.

    Returns:
        [problems]; 0 where there is no spread.
    """
    runs = samples.shape[1] * samples.shape[2]
    drawn_in, _ = _drawn_in(samples, trim(runs - 1))
    influence = drawn_in - drawn_in.mean(axis=1, keepdims=True)
    cubes, squares = (influence**3).sum(axis=(1, 2)), (influence**2).sum(axis=(1, 2))
    result: Array = np.divide(cubes, 6 * squares**1.5, out=np.zeros(len(samples)), where=squares > 0)
    return result
