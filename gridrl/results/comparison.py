"""Draws final scores side by side: each variant's runs as points, their estimate and its interval, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gridrl.results.finals import final_scores
from gridrl.results.legends import USUAL_LETTER, wrapped
from gridrl.results.looks import MOST_FONT, plain
from gridrl.results.panels import Sheet
from gridrl.results.scales import number_axis, set_scales
from gridrl.results.spreads import Spread
from gridrl.results.stats import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.31  # inches, of a variant
_LABEL_WIDTH = 3.4  # inches at most, of the words beside a row
_PALE = 0.5
_BELOW = 0.24  # rows, from a variant's estimate down to its seeds


@dataclass
class ComparisonSheet(Sheet):
    """Intervals of final scores, a row for each variant.

    Attributes:
        last: rows that a run's final score is the mean of.
        spread: how seeds are put together.
        log: the axes that are logarithmic; only `x` can be.
    """

    last: int = 10
    spread: Spread = field(default_factory=Spread)
    log: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._scores = {
            (value, place): {
                curve.label: final_scores(curve, value, self.last, self.found) for curve in self.panels[place].curves
            }
            for value, place in self.plots
        }
        self._orders = {value: self._order(value) for value in self.values}

    def _order(self, value: str) -> list[str]:
        """The variants, best first: by the mean of their places in the panels."""
        places: dict[str, list[int]] = {}
        for place in range(len(self.panels)):
            centers = {
                label: self.spread.of(scores).center
                for label, scores in self._scores[value, place].items()
                if scores.size
            }
            for rank, label in enumerate(sorted(centers, key=lambda label: -centers[label])):
                places.setdefault(label, []).append(rank)
        return sorted(places, key=lambda label: float(np.mean(places[label])))

    def draw(self, ax: Axes, place: int, value: str) -> None:
        """Draws a row for each variant."""
        set_scales(ax, [axis for axis in self.log if axis == "x"])
        scores = self._scores[value, place]
        for row, label in enumerate(self._orders[value]):
            if scores.get(label, np.empty(0)).size:
                self._draw_row(ax, row, label, scores[label])
            else:
                ax.annotate("no run", (0.5, row), xycoords=("axes fraction", "data"), color="#999999", va="center")

    def _draw_row(self, ax: Axes, row: int, label: str, scores: Array) -> None:
        from matplotlib import rcParams

        look, found = self.looks[label], self.spread.of(scores)
        width, size = rcParams["lines.linewidth"], rcParams["lines.markersize"]
        if scores.size > 1:
            ax.plot(
                scores, np.full(scores.size, row + _BELOW), "o", color=look.color, markersize=size * 0.8, alpha=_PALE,
                markeredgewidth=0, zorder=2,
            )  # fmt: skip
        if not found.reason and self.spread.has_band:
            ax.plot([found.low, found.high], [row, row], color=look.color, linewidth=width * 1.3, zorder=3)
        ax.plot(
            [found.center], [row], "D" if scores.size > 1 else "o", color=look.color, markersize=size * 1.3,
            markeredgecolor="white", markeredgewidth=width * 0.4, zorder=4, label=plain(label),
        )  # fmt: skip

    def finish(self, axes: Sequence[Axes], value: str) -> None:
        """Sets the names of the rows and the words below."""
        from matplotlib import rcParams

        order = self._orders[value]
        size = rcParams["ytick.labelsize"]
        labels = [wrapped(self._row_label(value, label), _LABEL_WIDTH, size, letter=USUAL_LETTER) for label in order]
        for ax in axes:
            ax.set_yticks(range(len(order)), labels)
            ax.set_ylim(len(order) - 0.4, -0.6)
            ax.tick_params(axis="y", length=0)
            ax.grid(False, axis="y")
            number_axis(ax.xaxis)
            ax.set_xlabel(f"{self.value_words(value)}\nmean of a run's last {self.last} rows")

    def _row_label(self, value: str, label: str) -> str:
        counts = {
            scores.size
            for place in range(len(self.panels))
            if (scores := self._scores[value, place].get(label, np.empty(0))).size
        }
        return self.named(label, min(counts), max(counts))

    def entries(self) -> dict[str, Any]:
        """None: the rows have names."""
        return {}

    def caption(self) -> str:
        """What the points and lines are."""
        parts = [f"large: {self.spread.words} over n seeds; small: single seeds"]
        if self.spread.has_band:
            parts.append(f"line: {self.spread.band_words}")
        if any(scores.size == 1 for found in self._scores.values() for scores in found.values()):
            parts.append("n=1: no interval")
        return "; ".join(parts)

    @property
    def is_empty(self) -> bool:
        """Whether no run has a score."""
        return not any(self._orders.values())

    @property
    def shares(self) -> tuple[bool, bool]:
        """All panels have the same rows."""
        return self.shares_values, True

    def _across(self, width: float | None) -> int:
        """Each column has rows of its own, whose names stand on the left: below each other, not beside."""
        panels = len(self.panels)
        return panels if len(self.values) > 1 and panels <= 4 else super()._across(width)

    def height(self, width: float) -> float:
        """A row for each variant, higher where names are long."""
        rows = {(value, label) for value, order in self._orders.items() for label in order}
        letters = max((len(self._row_label(value, label)) for value, label in rows), default=0)
        lines = 1 + int(letters * USUAL_LETTER * MOST_FONT / _LABEL_WIDTH)
        return 0.9 + _ROW * (1 + 0.6 * (lines - 1)) * max(map(len, self._orders.values()))
