"""What a set of final scores [seeds, tasks] says in one number, and how two sets compare.

Most of it follows R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. G. Bellemare, "Deep Reinforcement
Learning at the Edge of the Statistical Precipice", NeurIPS 2021 (arXiv:2108.13264). Every function takes [seeds] too:
one task. Scores of different tasks must be normalised before they are put together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, did_you_mean
from gridrl.results.stats.checks import Array, as_scores, same_tasks

Statistic = str | Callable[[Array], float]
"""A name in `STATISTICS`, or a function of scores [seeds, tasks]."""

TRIMS: dict[str, Callable[[int], int]] = {
    "mean": lambda _count: 0,
    "iqm": lambda count: count // 4,
    "median": lambda count: (count - 1) // 2,
}
"""Estimates that are the mean of the middle values: how many of `count` are left out at each end."""


def mean_of_middle(samples: Array, trim: Callable[[int], int]) -> Array:
    """The mean of the middle of the runs of all tasks.

    Args:
        samples: [..., seeds, tasks].
        trim: how many of so many runs are left out at each end.

    Returns:
        [...]
    """
    runs = samples.reshape(*samples.shape[:-2], -1)
    count = runs.shape[-1]
    cut = trim(count)
    if not cut:
        whole: Array = runs.mean(axis=-1)
        return whole
    middle: Array = np.partition(runs, (cut, count - cut - 1), axis=-1)[..., cut : count - cut].mean(axis=-1)
    return middle


def _median(samples: Array) -> Array:
    tasks = samples[..., 0] if samples.shape[-1] == 1 else samples.mean(axis=-2)
    middle: Array = np.median(tasks, axis=-1)
    return middle


def _gap(samples: Array, gamma: float = 1.0) -> Array:
    gap: Array = gamma - np.minimum(samples, gamma).mean(axis=(-2, -1))
    return gap


STATISTICS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda samples: mean_of_middle(samples, TRIMS["mean"]),
    "iqm": lambda samples: mean_of_middle(samples, TRIMS["iqm"]),
    "median": _median,
    "optimality_gap": _gap,
}
"""Statistics by name, from [..., seeds, tasks] to [...]."""


def statistic_of(statistic: Statistic) -> Callable[[Array], Array]:
    """The function from [..., seeds, tasks] to [...] that `statistic` stands for.

    Raises:
        BadValue: there is no such name; a near match is told.
    """
    if not isinstance(statistic, str):
        return lambda samples: _one_by_one(statistic, samples)
    if statistic not in STATISTICS:
        raise BadValue(
            f"statistic: there is no {statistic!r}.{did_you_mean(statistic, STATISTICS)} "
            f"There are: {', '.join(STATISTICS)}, and any function of scores [seeds, tasks]."
        )
    return STATISTICS[statistic]


def _one_by_one(function: Callable[[Array], float], samples: Array) -> Array:
    flat = samples.reshape(-1, *samples.shape[-2:])
    return np.array([float(function(one)) for one in flat]).reshape(samples.shape[:-2])


def mean(scores: npt.ArrayLike) -> float:
    """The mean over all runs of all tasks.

    Args:
        scores: [seeds, tasks] or [seeds].

    Raises:
        ShapeError, NotEnoughData, BadValue: scores of another shape, none, or not finite. So do all functions here.
    """
    return float(STATISTICS["mean"](as_scores(scores)))


def median(scores: npt.ArrayLike) -> float:
    """The median over tasks of each task's mean over seeds, as benchmarks report it; of one task, that over its seeds.

    Agarwal et al. (2021), section 4.3, advise the IQM instead: half of the tasks could score nothing unnoticed.

    >>> median([[1.0, 10.0, 100.0], [3.0, 20.0, 900.0]]), median([1.0, 2.0, 100.0])
    (15.0, 2.0)

    Args:
        scores: [seeds, tasks] or [seeds].
    """
    return float(STATISTICS["median"](as_scores(scores)))


def trimmed_mean(scores: npt.ArrayLike, proportion: float) -> float:
    """The mean of all runs but the lowest and the highest ones.

    Args:
        scores: [seeds, tasks] or [seeds].
        proportion: that share of the runs, rounded down to whole runs, is left out at each end; in [0, 0.5).

    Raises:
        BadValue: another proportion.
    """
    if not 0 <= proportion < 0.5:
        raise BadValue(f"proportion: a number from 0 to below 0.5 is left out at each end, not {proportion}.")
    return float(mean_of_middle(as_scores(scores), lambda count: int(proportion * count)))


def iqm(scores: npt.ArrayLike) -> float:
    """The interquartile mean: the mean of the middle half of all runs of all tasks.

    A quarter of the runs, rounded down, is left out at each end. Agarwal et al. (2021), section 4.3: nearly as
    steady as the mean, and no outlier moves it.

    >>> iqm([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 700.0])
    3.5

    Args:
        scores: [seeds, tasks] or [seeds].
    """
    return float(STATISTICS["iqm"](as_scores(scores)))


def optimality_gap(scores: npt.ArrayLike, gamma: float = 1.0) -> float:
    """How far the runs fall short of `gamma` on average; what lies above it makes up for nothing.

    Agarwal et al. (2021), section 4.3: `gamma - mean(min(score, gamma))`. Lower is better.

    >>> optimality_gap([[0.5, 3.0], [0.75, 1.0]])
    0.1875

    Args:
        scores: [seeds, tasks] or [seeds], normalised.
        gamma: the score that is good enough, in the unit of the scores.
    """
    if not np.isfinite(gamma):
        raise BadValue(f"gamma: a finite score is needed, not {gamma}.")
    return float(_gap(as_scores(scores), gamma))


def probability_of_improvement(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """How likely a run of X scores higher than a run of Y, on a task drawn at random; a tie counts half.

    Agarwal et al. (2021), section 4.3, by Mann and Whitney's U: `mean over tasks of U / (n m)`. 0.5 says that
    neither is better.

    >>> probability_of_improvement([1.0, 3.0], [1.0, 2.0])
    0.625

    Args:
        x: [n, tasks] or [n].
        y: [m, tasks] or [m], the same tasks in the same order.

    Raises:
        ShapeError: another number of tasks.
    """
    first, second = same_tasks(x, y)
    return float(wins(first, second).mean())


def wins(x: Array, y: Array) -> Array:
    """Which run of X is better than which of Y: 1, or a half where both are equal, or 0 [n, m, tasks]."""
    difference = x[:, None, :] - y[None, :, :]
    return (np.sign(difference) + 1) / 2
