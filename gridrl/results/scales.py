"""Axes: numbers that are short, time in a unit that suits it, logarithms, where an axis begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gridrl.results.columns import TIME, meaning_of
from gridrl.results.looks import axis_words
from gridrl.results.stats import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_SLACK = 0.15  # of the height that runs have reached, above and below
_TIME_UNITS = ((86400.0, "d", 3.0), (3600.0, "h", 3.0), (60.0, "min", 5.0))  # seconds, name, used from so many on


def axis_number(value: float, largest: float) -> str:
    """A number as it stands on an axis, in the unit that suits the axis' largest number.

    >>> axis_number(0.25, 1), axis_number(-1500, 9000), axis_number(1500, 20000), axis_number(500000, 3e6)
    ('0.25', '−1,500', '1.5k', '0.5M')
    """
    size, unit = next(((size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= size), (1, ""))
    if largest < 1e4:
        size, unit = 1, ""
    text = f"{value / size:,.6g}" if abs(value / size) < 1e6 else f"{value / size:g}"
    return f"{text}{unit if value else ''}".replace("-", "−")


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit for an axis that goes so far: its length in seconds, and its name.

    >>> time_unit(90), time_unit(7200), time_unit(20000)
    ((1.0, 's'), (60.0, 'min'), (3600.0, 'h'))
    """
    return next(((size, name) for size, name, least in _TIME_UNITS if seconds >= size * least), (1.0, "s"))


def set_scales(ax: Axes, log: Collection[str]) -> None:
    """Makes axes logarithmic; before anything is drawn."""
    if "x" in log:
        ax.set_xscale("log")
    if "y" in log:
        ax.set_yscale("log")


def finish_axes(axes: Sequence[Axes], xaxis: str, ylabel: str) -> None:
    """Sets the limits, numbers and words of plots that have the same columns.

    Args:
        axes: with everything in them.
        xaxis: the column along the bottom.
        ylabel: what stands beside them.
    """
    drawn = [ax.dataLim for ax in axes if np.all(np.isfinite(ax.dataLim.intervalx))]
    left, right = min((box.x0 for box in drawn), default=0.0), max((box.x1 for box in drawn), default=1.0)
    for ax in axes:
        if ax.get_xscale() != "linear":
            ax.margins(x=0.03)
        elif 0 <= left < 0.2 * right:  # steps, epochs and seconds are counted from 0
            ax.set_xlim(0, right * 1.015)
        else:
            ax.margins(x=0.015)
        ax.set_xlabel(_number_x(ax, xaxis, right))
        number_axis(ax.yaxis)
        ax.set_ylabel(ylabel)


def limit_to(ax: Axes, seeds: Sequence[Array]) -> None:
    """Keeps an axis near the values that runs have reached: an interval of few seeds may go far beyond them.

    Args:
        ax: with everything in it.
        seeds: the values of all runs.
    """
    reached = np.concatenate([values.ravel() for values in seeds] or [np.empty(0)])
    reached = reached[np.isfinite(reached)]
    if not reached.size or reached.min() == reached.max():
        return
    scale = ax.yaxis.get_transform()
    ends = scale.transform(np.array([reached.min(), reached.max()]))
    slack = _SLACK * (ends[1] - ends[0])
    lowest, highest = scale.inverted().transform(np.array([ends[0] - slack, ends[1] + slack]))
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, lowest), min(high, highest))


def _number_x(ax: Axes, xaxis: str, right: float) -> str:
    """Numbers the axis along the bottom, and says what stands below it."""
    if meaning_of(xaxis) is not TIME:
        number_axis(ax.xaxis)
        return axis_words(xaxis)
    if ax.get_xscale() != "linear":
        number_axis(ax.xaxis)
        return f"{axis_words(xaxis)} (s)"
    return f"{axis_words(xaxis)} ({_use_time(ax.xaxis, right)})"


def number_axis(axis: Axis) -> None:
    """Gives an axis short numbers: 2,500, 20k, 1.5M."""
    if axis.get_scale() == "log":
        _number_log_axis(axis)
    else:
        axis.set_major_formatter(_formatter(axis, 1.0))


def _number_log_axis(axis: Axis) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if _decades(axis) < 2.2 else (1.0,)))
    axis.set_major_formatter(lambda value, _position: axis_number(value, value))
    axis.set_minor_formatter(NullFormatter())


def _decades(axis: Axis) -> float:
    low, high = sorted(axis.get_view_interval())
    return math.log10(high / low) if 0 < low < high else 0.0


def _use_time(axis: Axis, seconds: float) -> str:
    from matplotlib.ticker import MaxNLocator

    size, name = time_unit(seconds)

    class InUnits(MaxNLocator):
        """Ticks at round numbers of the unit."""

        def tick_values(self, vmin: float, vmax: float) -> list[float]:
            return [size * place for place in super().tick_values(vmin / size, vmax / size)]

    axis.set_major_locator(InUnits(nbins="auto", steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(_formatter(axis, size))
    return name


def _formatter(axis: Axis, size: float) -> Callable[[float, float], str]:
    return lambda value, _position: axis_number(value / size, max(map(abs, axis.get_view_interval())) / size)
