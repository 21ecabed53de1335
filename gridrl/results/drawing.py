"""How learning curves look: colours, axes, legend, the spread over seeds."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gridrl.log.standing import PERFORMANCE
from gridrl.results.columns import meaning_of
from gridrl.results.curves import Curve, column_of, series
from gridrl.results.reader import RunSet
from gridrl.results.run import Run
from gridrl.results.stats import ESTIMATES, Array, estimate, interpolate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D")
"""Okabe and Ito's colours, told apart with every common kind of colour blindness; their yellow is too pale for lines.

M. Okabe, K. Ito: Color Universal Design, https://jfly.uni-koeln.de/color/ (2008).
"""

FEW_SEEDS = 3
"""Fewer seeds than that are drawn one by one: a spread would say nothing."""

STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.title_fontsize": 9,
    "figure.titlesize": 12,
    "pdf.fonttype": 42,  # text stays text: publishers refuse the other kind
    "svg.fonttype": "none",
    "savefig.dpi": 160,
}
"""matplotlib's settings while a figure is made and written."""

_LETTER = 0.095  # inches, of a wide letter in the legend
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))  # for a second and a third round through the palette

_WORDS = {PERFORMANCE: "return per episode"}


class Drawing:
    """Curves, and how they are drawn.

    Args:
        found: the runs; takes those that lack a column.
        curves: the runs that belong together.
        xaxis: the column along the bottom.
        smooth: rows that go into the moving mean.
        est: a name in `gridrl.results.stats.ESTIMATES`.
    """

    def __init__(self, found: RunSet, curves: Sequence[Curve], xaxis: str, smooth: int, est: str) -> None:
        self.found = found
        self.curves = curves
        self.xaxis = xaxis
        self.smooth = smooth
        self.est = est
        self._entries: dict[str, Line2D] = {}  # of the legend
        self._most_seeds = 1
        self._some_have_ended = False

    @property
    def is_empty(self) -> bool:
        """Whether no curve has been drawn."""
        return not self._entries

    def draw(self, figure: Figure, values: Sequence[str]) -> None:
        """Draws columns onto an empty figure, a plot for each, with one legend below that covers no curve."""
        across = min(len(values), 3)
        down = math.ceil(len(values) / across)
        width = 7.2 if across == 1 else 4.8 * across
        plots = list(figure.subplots(down, across, squeeze=False).flat)
        for ax, value in zip(plots, values, strict=False):
            self.draw_value(ax, value)
        for ax in plots[len(values) :]:
            ax.remove()
        labels = [_wrapped(label, width) for label in self._entries]
        columns = _legend_columns(labels, width)
        lines = math.ceil(sum(label.count("\n") + 1 for label in labels) / columns)
        figure.set_size_inches(width, 3.9 * down + 0.22 * (lines + 1) + 0.3)
        handles = list(self._entries.values())
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=self._caption())
        title = _common_env([run for curve in self.curves for run in curve.runs])
        if title:
            figure.suptitle(_plain(title))

    def draw_into(self, ax: Axes, value: str) -> Figure:
        """Draws a column into axes that are there already, and gives their figure."""
        self.draw_value(ax, value)
        ax.legend(list(self._entries.values()), list(self._entries), title=self._caption())
        figure = ax.get_figure(root=True)
        assert figure is not None  # axes that have been taken off their figure cannot be drawn into
        return figure

    def draw_value(self, ax: Axes, value: str) -> None:
        """Draws every curve of a column."""
        for index, curve in enumerate(self.curves):
            style = {
                "color": PALETTE[index % len(PALETTE)],
                "linestyle": _DASHES[index // len(PALETTE) % len(_DASHES)],
                "zorder": 4 - index / len(self.curves),  # the first curve lies on top
            }
            found = series(curve, self.xaxis, value, self.smooth, self.found.skipped)
            if found:
                line = self._draw_curve(ax, *interpolate(found), style)
                self._entries.setdefault(_label(curve, len(found)), line)
        ax.set_xlabel(_plain(_words(self.xaxis)))
        ax.set_ylabel(_plain(self._value_words(value)))
        _finish_axes(ax)

    def _draw_curve(self, ax: Axes, grid: Array, values: Array, style: dict[str, Any]) -> Line2D:
        found, seeds = estimate(values, self.est), len(values)
        self._most_seeds = max(self._most_seeds, seeds)
        if 1 < seeds < FEW_SEEDS:
            for row in values:
                ax.plot(grid, row, **{**style, "linewidth": 0.8, "alpha": 0.55})
        elif seeds >= FEW_SEEDS:
            ax.fill_between(grid, found.low, found.high, color=style["color"], alpha=0.17, linewidth=0, zorder=2)
        if (found.count < seeds).any():  # where some seeds have ended, what is left looks like less
            self._some_have_ended = True
            ax.plot(grid, found.center, **{**style, "linewidth": 1.0, "alpha": 0.5})
        complete = np.where(found.count == seeds, found.center, np.nan)
        marker = "o" if grid.size == 1 else None
        (line,) = ax.plot(grid, complete, linewidth=2.0, marker=marker, **style)
        return line

    def _caption(self) -> str | None:
        parts = []
        if self._most_seeds > 1:
            words = ESTIMATES[self.est][0]
            parts.append(f"{words if self._most_seeds >= FEW_SEEDS else words.partition(' and ')[0]} over seeds")
        if self.smooth > 1:
            parts.append(f"moving mean of {self.smooth} rows")
        if self._some_have_ended:
            parts.append("thin: not all seeds are there")
        return "; ".join(parts) or None

    def _value_words(self, value: str) -> str:
        used = {column_of(run, value) for curve in self.curves for run in curve.runs} - {None}
        column = str(used.pop()) if len(used) == 1 else value
        return _words(column)


def _finish_axes(ax: Axes) -> None:
    left, right = ax.dataLim.intervalx
    if 0 < left < 0.2 * right:  # steps, epochs and seconds are counted from 0
        ax.set_xlim(0, right * 1.015)
    else:
        ax.margins(x=0.015)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(_formatter(axis))


def _formatter(axis: Axis) -> Callable[[float, float], str]:
    return lambda value, _position: axis_number(value, max(map(abs, axis.get_view_interval())))


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


def _label(curve: Curve, seeds: int) -> str:
    notes = [] if curve.is_one_run else [f"{seeds} seed{'' if seeds == 1 else 's'}"]
    notes += ["mixes code"] if curve.mixes_code else []
    label = f"{curve.label} ({', '.join(notes)})" if notes else curve.label
    # matplotlib leaves labels out that start with an underscore
    return _plain(f" {label}" if label.startswith("_") else label)


def _words(column: str) -> str:
    meaning = meaning_of(column)
    return meaning.words if meaning else _WORDS.get(column, column)


def _plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _wrapped(label: str, width: float) -> str:
    return textwrap.fill(label, int((width - 0.6) / _LETTER), subsequent_indent="  ", drop_whitespace=False)


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """As many columns as fit into a figure of that width in inches."""
    longest = max((len(line) for label in labels for line in label.split("\n")), default=1)
    return max(1, min(len(labels), int(width / (_LETTER * longest + 0.55))))


def _common_env(runs: Sequence[Run]) -> str:
    """The environment's id where all runs have the same."""
    names = {run.env for run in runs}
    return names.pop() if len(names) == 1 else ""
