"""What every statistic asks of its numbers, and how a fault is told."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, ShapeError

Array = npt.NDArray[np.float64]

Rng = np.random.Generator | int | None
"""Where draws come from: a Generator, a seed, or None for seed 0, so that the same data give the same edges."""


def as_scores(scores: npt.ArrayLike, name: str = "scores") -> Array:
    """Scores as [seeds, tasks]; [seeds] is one task.

    Raises:
        ShapeError: neither [seeds] nor [seeds, tasks].
        NotEnoughData: no score at all.
        BadValue: something that is no finite number.
    """
    try:
        array = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadValue(f"{name}: numbers in a [seeds] or [seeds, tasks] array are needed ({error}).") from error
    if array.ndim not in (1, 2):
        raise ShapeError(
            f"{name}: [seeds] or [seeds, tasks] is needed, not {list(array.shape)}. "
            "Episodes of one run are no seeds: average them first."
        )
    if not array.size:
        raise NotEnoughData(f"{name}: there is none, the shape is {list(array.shape)}.")
    missing = int(np.sum(~np.isfinite(array)))
    if missing:
        raise BadValue(
            f"{name}: {missing} of {array.size} are nan or infinite. Leave those runs out, or say what they count as."
        )
    return array[:, None] if array.ndim == 1 else array


def same_tasks(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
    """Two sets of scores over the same tasks, [n, tasks] and [m, tasks].

    Raises:
        ShapeError: another number of tasks. What `as_scores` raises.
    """
    first, second = as_scores(x, "x"), as_scores(y, "y")
    if first.shape[1] != second.shape[1]:
        raise ShapeError(
            f"x and y: the same tasks are needed, [n, tasks] and [m, tasks], not {np.shape(x)} and {np.shape(y)}."
        )
    return first, second


def check_confidence(confidence: float) -> None:
    """Raises BadValue unless it lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise BadValue(f"confidence: a number between 0 and 1 is needed (0.95 for 95 %), not {confidence}.")


def check_resamples(resamples: int) -> None:
    """Raises BadValue for fewer than 100: the edges would be those of the draw."""
    if resamples < 100:
        raise BadValue(f"resamples: at least 100 are needed for an interval, not {resamples}.")


def generator(rng: Rng) -> np.random.Generator:
    """The Generator that `rng` stands for."""
    return np.random.default_rng(0 if rng is None else rng)
