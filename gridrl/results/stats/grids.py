"""One run's curve as numbers, and many on one grid: smoothing, interpolation, area, final score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, NotEnoughData, ShapeError
from gridrl.results.stats.checks import Array

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


def area_under_curve(steps: npt.ArrayLike, values: npt.ArrayLike, *, per_step: bool = False) -> Array:
    """The area under each run's curve by the trapezoidal rule, from its first point to its last.

    Points without a value are left out: the line goes straight from the point before to the point after.

    >>> float(area_under_curve([0, 10, 20], [0.0, 2.0, 2.0]))
    30.0

    Args:
        steps: [steps], rising.
        values: [steps] or [seeds, steps], nan where a run is not.
        per_step: divide by the steps that the run covers, which gives its mean height: what runs of different
            lengths can be compared by.

    Returns:
        [] or [seeds]; nan for a run with fewer than two points.

    Raises:
        ShapeError: steps and values do not pair.
        BadValue: the steps do not rise.
    """
    places, rows = _curves(values, steps)
    if not np.all(np.diff(places) > 0):
        raise BadValue("steps: must rise from point to point, and none may be nan.")
    areas = np.full(len(rows), np.nan)
    for index, row in enumerate(rows):
        there = ~np.isnan(row)
        if there.sum() >= 2:
            x, y = places[there], row[there]
            areas[index] = np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0] if per_step else 1.0)
    return areas.reshape(np.shape(values)[:-1])


def final_score(values: npt.ArrayLike, k: int = 10) -> Array:
    """The mean of each run's last k values; nan does not count as one.

    >>> final_score([[1.0, 2.0, 4.0], [1.0, 3.0, np.nan]], k=2)
    array([3., 2.])

    Args:
        values: [steps] or [seeds, steps].
        k: how many; a shorter run gives the mean of all that it has.

    Returns:
        [] or [seeds]; nan for a run without a value.

    Raises:
        BadValue: k is below 1.
        ShapeError: values of another shape.
    """
    if k < 1:
        raise BadValue(f"k: at least one value is needed, not {k}.")
    _, rows = _curves(values)
    ends = [row[~np.isnan(row)][-k:] for row in rows]
    return np.array([end.mean() if end.size else np.nan for end in ends]).reshape(np.shape(values)[:-1])


def _curves(values: npt.ArrayLike, steps: npt.ArrayLike | None = None) -> tuple[Array, Array]:
    """The steps and [seeds, steps]."""
    rows = np.asarray(values, dtype=np.float64)
    places = np.arange(rows.shape[-1] if rows.ndim else 0) if steps is None else np.asarray(steps)
    if rows.ndim not in (1, 2) or places.shape != rows.shape[-1:]:
        raise ShapeError(
            f"curves: [steps] or [seeds, steps] over [steps] are needed, not {rows.shape} and {places.shape}."
        )
    if not rows.size:
        raise NotEnoughData(f"values: there is none, the shape is {rows.shape}.")
    return places.astype(np.float64), np.atleast_2d(rows)
