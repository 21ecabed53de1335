"""What several curves say together at each point of their grid: the estimates of the documented `--est`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridrl.results.stats.checks import Array


@dataclass(frozen=True)
class Estimate:
    """What several curves say together, at each point of their grid [g].

    Attributes:
        center: the estimate; nan where no curve is.
        low: the lower edge of the spread; nan where fewer than two curves are, or where the estimate has none.
        high: its upper edge.
        count: how many curves are there.
    """

    center: Array
    low: Array
    high: Array
    count: npt.NDArray[np.int64]


def _mean_and_deviation(values: Array) -> tuple[Array, Array, Array]:
    mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1 if len(values) > 1 else 0)
    return mean, mean - deviation, mean + deviation


def _median_and_quartiles(values: Array) -> tuple[Array, Array, Array]:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    return median, low, high


def _alone(function: Callable[..., Array]) -> Callable[[Array], tuple[Array, Array, Array]]:
    def estimate(values: Array) -> tuple[Array, Array, Array]:
        center = function(values, axis=0)
        nothing = np.full(center.shape, np.nan)
        return center, nothing, nothing

    return estimate


ESTIMATES: dict[str, tuple[str, Callable[[Array], tuple[Array, Array, Array]]]] = {
    "mean": ("mean and standard deviation", _mean_and_deviation),
    "median": ("median and quartiles", _median_and_quartiles),
    "max": ("maximum", _alone(np.max)),
    "min": ("minimum", _alone(np.min)),
    "std": ("standard deviation", _alone(np.std)),
    "var": ("variance", _alone(np.var)),
    "sum": ("sum", _alone(np.sum)),
}
"""Ways to make one curve of several: its name in words, and the function."""


def estimate(values: Array, kind: str = "mean") -> Estimate:
    """Makes one curve of several.

    Args:
        values: [number of curves, g], nan where a curve is not.
        kind: a name in `ESTIMATES`. The spread of a mean is the sample standard deviation, that of a median the
            quartiles; the others have none.
    """
    present = ~np.isnan(values)
    count = present.sum(axis=0)
    parts = np.full((3, values.shape[1]), np.nan)
    function = ESTIMATES[kind][1]
    # the points where the very same curves are, at once: two or three groups in practice
    patterns, group = np.unique(present, axis=1, return_inverse=True)
    for index, pattern in enumerate(patterns.T):
        if pattern.any():
            places = group.reshape(-1) == index
            with np.errstate(invalid="ignore"):  # infinities have no spread
                parts[:, places] = function(values[np.ix_(pattern, places)])
    parts[1:, count < 2] = np.nan
    return Estimate(parts[0], parts[1], parts[2], count)
