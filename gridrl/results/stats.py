"""Numbers over seeds: smoothing, a common grid, an estimate with its spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridrl.errors import ShapeError

Array = npt.NDArray[np.float64]

MAX_GRID = 2000
"""A common grid has at most so many points; a figure shows no more."""


def smooth(values: Array, window: int) -> Array:
    """The moving mean, centred; near the ends over as many values as there are.

    A value that is nan counts as absent, and a window of nothing but nan gives nan.

    >>> smooth(np.array([0.0, 3.0, 6.0, 9.0]), 3)
    array([1.5, 3. , 6. , 7.5])

    Args:
        values: [n].
        window: how many values at most go into one mean; 1 changes nothing, it may be larger than n.

    Returns:
        [n]
    """
    if window <= 1 or not values.size:
        return values
    present = ~np.isnan(values)
    start = (window - 1) // 2
    ones = np.ones(window)
    sums = np.convolve(np.where(present, values, 0.0), ones)[start : start + values.size]
    counts = np.convolve(present.astype(float), ones)[start : start + values.size]
    means: Array = np.divide(sums, counts, out=np.full(values.size, np.nan), where=counts > 0.5)
    return means


def interpolate(series: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Brings curves with points of their own onto one grid, linearly between their points.

    The grid holds every point of every curve where they are few, else `MAX_GRID` evenly spaced ones. Points with a
    nan are left out; of two points at one place the later counts.

    Args:
        series: per curve its places [n] in any order, and its values [n].

    Returns:
        The grid, rising [g], and the values [number of curves, g]: nan before a curve's first and after its last point.
    """
    cleaned = [_rising(places, values) for places, values in series]
    everywhere = np.unique(np.concatenate([places for places, _ in cleaned] or [np.empty(0)]))
    grid = everywhere
    if everywhere.size > MAX_GRID:
        grid = np.linspace(everywhere[0], everywhere[-1], MAX_GRID)
    values = np.full((len(cleaned), grid.size), np.nan)
    for row, (places, heights) in zip(values, cleaned, strict=True):
        if places.size:
            row[:] = np.interp(grid, places, heights, left=np.nan, right=np.nan)
    return grid, values


def _rising(places: Array, values: Array) -> tuple[Array, Array]:
    if places.shape != values.shape or places.ndim != 1:
        raise ShapeError(f"a curve has one value for each place, [n] and [n], not {places.shape} and {values.shape}.")
    present = np.isfinite(places) & ~np.isnan(values)
    places, values = places[present][::-1], values[present][::-1]
    unique, last = np.unique(places, return_index=True)
    return unique, values[last]


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
