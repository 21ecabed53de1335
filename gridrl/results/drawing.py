"""Draws learning curves into axes: the line over seeds, its band, single seeds where they are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gridrl.results.curves import Curve, series
from gridrl.results.looks import Look
from gridrl.results.panels import Sheet
from gridrl.results.scales import finish_axes, limit_to, set_scales
from gridrl.results.spreads import Spread
from gridrl.results.stats import Array, Estimate, advice, interpolate
from gridrl.results.stats.advising import SEEDS_FOR_BAND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MANY = 8
"""More curves than that have paler bands."""


@dataclass
class _Entry:
    """A line of the legend: what stands before it, and over how many seeds it is at least and at most."""

    handle: Line2D
    fewest: int
    most: int

    def take(self, count: npt.NDArray[np.int64]) -> None:
        there = count[count > 0]
        self.fewest, self.most = min(self.fewest, int(there.min())), max(self.most, int(there.max()))


@dataclass
class CurveSheet(Sheet):
    """Learning curves: one plot for each column and panel.

    Attributes:
        xaxis: the column along the bottom.
        smooth: rows that go into the moving mean.
        spread: how seeds are put together.
        log: the axes that are logarithmic: `x`, `y`.
    """

    xaxis: str = "TotalEnvInteracts"
    smooth: int = 1
    spread: Spread = field(default_factory=Spread)
    log: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._seeds: dict[tuple[str, int], dict[str, tuple[Array, Array]]] = {}
        self._entries: dict[str, _Entry] = {}
        self._has_bands = False
        self._has_seeds = False
        self._some_have_ended = False
        for value, place in self.plots:
            found = {curve.label: self._seeds_of(curve, value) for curve in self.panels[place].curves}
            self._seeds[value, place] = {label: seeds for label, seeds in found.items() if seeds[0].size}

    def _seeds_of(self, curve: Curve, value: str) -> tuple[Array, Array]:
        """The grid of a curve, and the values of its seeds there: what can stand on the axes; the rest is told."""
        grid, values = interpolate(series(curve, self.xaxis, value, self.smooth, self.found.skipped))
        there = grid > 0 if "x" in self.log else np.full(grid.shape, True)
        if "y" in self.log and values.size:
            values = np.where(values > 0, values, np.nan)
            there &= ~np.isnan(values).all(axis=0)
        if not there.all():
            self.found.notes.append(
                f"{curve.label}: {int((~there).sum())} of {there.size} points are not above 0 and have no place on a "
                "logarithmic axis"
            )
        return grid[there], values[:, there]

    @property
    def is_empty(self) -> bool:
        """Whether there is no curve."""
        return not any(self._seeds.values())

    def draw(self, ax: Axes, place: int, value: str) -> None:
        """Draws every curve of a panel."""
        set_scales(ax, self.log)
        for label, (grid, values) in self._seeds[value, place].items():
            self._draw_curve(ax, label, grid, values)

    def finish(self, axes: Sequence[Axes], value: str) -> None:
        """Sets limits, numbers and words."""
        reached = [[values for _, values in self._seeds[value, place].values()] for place in range(len(self.panels))]
        if self.shares_values:
            reached = [[values for one in reached for values in one]] * len(reached)
        for ax, seeds in zip(axes, reached, strict=True):
            limit_to(ax, seeds)
        finish_axes(axes, self.xaxis, self.value_words(value))

    def _draw_curve(self, ax: Axes, label: str, grid: Array, values: Array) -> None:
        summary, seeds, look = self.spread.over(values), len(values), self.looks[label]
        advised = advice(seeds)
        if self.spread.band is None and self.spread.has_band and advised.shows_seeds and seeds > 1:
            self._draw_seeds(ax, grid, values, look)
        elif self.spread.has_band and seeds > 1 and (advised.shows_band or self.spread.band is not None):
            few = summary.count < SEEDS_FOR_BAND if self.spread.band is None else np.zeros(grid.size, dtype=bool)
            self._draw_band(ax, grid, np.where(few, np.nan, summary.low), np.where(few, np.nan, summary.high), look)
        line = self._draw_line(ax, grid, summary, seeds, look)
        self._entries.setdefault(label, _Entry(line, seeds, 0)).take(summary.count)
        line.set_label(self._label(label))

    def _draw_seeds(self, ax: Axes, grid: Array, values: Array, look: Look) -> None:
        from matplotlib import rcParams

        self._has_seeds = True
        width = 0.4 * rcParams["lines.linewidth"]
        ax.plot(grid, values.T, **look.line, linewidth=width, alpha=0.55, label="_seeds")

    def _draw_band(self, ax: Axes, grid: Array, low: Array, high: Array, look: Look) -> None:
        self._has_bands = True
        alpha = 0.2 if len(self.looks) <= _MANY else 0.1
        ax.fill_between(grid, low, high, color=look.color, alpha=alpha, linewidth=0, zorder=2, label="_band")

    def _draw_line(self, ax: Axes, grid: Array, summary: Estimate, seeds: int, look: Look) -> Line2D:
        from matplotlib import rcParams

        width = rcParams["lines.linewidth"]
        if (summary.count < seeds).any():  # where some seeds have ended, what is left looks like less
            self._some_have_ended = True
            ax.plot(grid, summary.center, **look.line, linewidth=width / 2, alpha=0.5, label="_fewer seeds")
        complete = np.where(summary.count == seeds, summary.center, np.nan)
        marks: dict[str, Any] = {"marker": look.marker or None}
        if np.isfinite(complete).sum() == 1:
            marks["marker"] = look.marker or "o"
        elif look.marker:  # a few on each line, not all at the same places
            every = max(1, grid.size // 8)
            marks["markevery"] = (look.rank * 3 % every, every)
        (line,) = ax.plot(grid, complete, **look.line, **marks)
        return line

    def entries(self) -> dict[str, Any]:
        """What stands in the legend."""
        return {self._label(label): self._entries[label].handle for label in self.looks if label in self._entries}

    def _label(self, label: str) -> str:
        entry = self._entries[label]
        text = self.named(label, entry.fewest, entry.most)
        # matplotlib leaves labels out that start with an underscore
        return f" {text}" if text.startswith("_") else text

    def caption(self) -> str:
        """What the lines and bands are."""
        parts = []
        seeds = [entry.most for label, entry in self._entries.items() if label not in self.single]
        if any(count > 1 for count in seeds):
            parts.append(f"{self.spread.words} over n seeds")
        if self._has_bands:
            where = f" from {SEEDS_FOR_BAND} seeds on" if self._has_seeds else ""
            parts.append(f"band: {self.spread.band_words}{where}")
        if self._has_seeds:
            parts.append("thin: single seeds")
        if 1 in seeds:
            parts.append("n=1: a single seed, which says little")
        if self.smooth > 1:
            parts.append(f"moving mean of {self.smooth} rows")
        if self._some_have_ended:
            parts.append("pale: not all seeds are there")
        return "; ".join(parts)
