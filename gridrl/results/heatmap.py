"""Draws final scores over two hyperparameters: a cell for each pair of values, with its score and number of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from gridrl.errors import BadValue
from gridrl.results.curves import Curve, settings_of
from gridrl.results.facets import in_order, short_keys, value_of
from gridrl.results.finals import final_scores
from gridrl.results.looks import plain
from gridrl.results.panels import Panel, Sheet
from gridrl.results.places import Skipped
from gridrl.results.run import Run
from gridrl.results.scales import number_axis
from gridrl.results.spreads import METRICS, Spread
from gridrl.results.stats import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_CELL = 0.62  # inches high
_MAP = "cividis"
"""Colours that are as far apart for everybody.

J. R. Nuñez, C. R. Anderton, R. S. Renslow, PLoS ONE 13(7), 2018.
"""
_NOTHING = "#F4F4F4"
_GAP = 2.0  # points, between cells

Cells = dict[tuple[str, str], Array]
"""Final scores [seeds] by the values of the two keys."""


@dataclass
class HeatmapSheet(Sheet):
    """Final scores over two keys; runs that differ in other keys fall into one cell, which is told.

    Attributes:
        keys: the key down the side, and the one along the bottom.
        last: rows that a run's final score is the mean of.
        spread: how seeds are put together.
    """

    keys: tuple[str, str] = ("", "")
    last: int = 10
    spread: Spread = field(default_factory=Spread)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_environments()
        self._cells = {(value, place): self._cells_of(self.panels[place], value) for value, place in self.plots}
        self._rows, self._columns = (self._values_of(place) for place in (0, 1))
        mixed = self._mixed()
        if mixed:
            self.found.notes.append(f"each cell of the heatmap takes several values of {', '.join(mixed)} together")

    def _check_environments(self) -> None:
        """Scores of several environments have no mean."""
        for panel in self.panels:
            envs = sorted({env for run in panel.runs if (env := run.env)})
            if len(envs) > 1 and not {"env", "env_name"} & set(self.keys):
                raise BadValue(
                    f"`--heatmap`: a cell cannot take scores of {len(envs)} environments together: {', '.join(envs)}. "
                    "Give a plot to each (`--by env_name`), or choose one (`--where env_name=...`)."
                )

    def _cells_of(self, panel: Panel, value: str) -> Cells:
        members: dict[tuple[str, str], list[Run]] = {}
        for run in panel.runs:
            row, column = (value_of(run, key) for key in self.keys)
            if row is not None and column is not None:
                members.setdefault((row, column), []).append(run)
            else:
                missing = self.keys[0 if row is None else 1]
                self.found.skipped.append(Skipped(run.path, f"its config has no `{missing}`"))
        scores = {
            pair: final_scores(Curve(f"{pair[0]}, {pair[1]}", tuple(runs)), value, self.last, self.found)
            for pair, runs in members.items()
        }
        return {pair: found for pair, found in scores.items() if found.size}

    def _values_of(self, place: int) -> list[str]:
        return sorted({pair[place] for cells in self._cells.values() for pair in cells}, key=in_order)

    def _mixed(self) -> list[str]:
        """Other keys that vary within a cell."""
        mixed: dict[str, None] = {}
        for panel in self.panels:
            by_cell: dict[tuple[str | None, ...], list[dict[str, str]]] = {}
            for run in panel.runs:
                by_cell.setdefault(tuple(value_of(run, key) for key in self.keys), []).append(settings_of(run))
            for members in by_cell.values():
                keys = dict.fromkeys(key for one in members for key in one)
                mixed |= {key: None for key in keys if len({one.get(key) for one in members}) > 1}
        return list(mixed)

    def draw(self, ax: Axes, place: int, value: str) -> None:
        """Draws the cells of a panel, with their numbers."""
        cells = self._cells[value, place]
        centers = np.full((len(self._rows), len(self._columns)), np.nan)
        for row, column, scores in self._placed(cells):
            centers[row, column] = self.spread.of(scores).center
        image = ax.imshow(centers, cmap=_MAP, aspect="auto", norm=self._norm(value, place))
        for row, column in zip(*np.nonzero(np.isnan(centers)), strict=True):
            self._draw_missing(ax, int(row), int(column))
        for row, column, scores in self._placed(cells):
            self._write_cell(ax, image, row, column, scores)

    def _placed(self, cells: Cells) -> list[tuple[int, int, Array]]:
        return [(self._rows.index(row), self._columns.index(column), scores) for (row, column), scores in cells.items()]

    def _norm(self, value: str, place: int) -> Any:
        from matplotlib.colors import Normalize

        places = range(len(self.panels)) if self.shares_values else (place,)
        centers = [self.spread.of(scores).center for at in places for scores in self._cells[value, at].values()]
        return Normalize(min(centers, default=0.0), max(centers, default=1.0))

    def _draw_missing(self, ax: Axes, row: int, column: int) -> None:
        from matplotlib.patches import Rectangle

        hatched: dict[str, Any] = {"facecolor": _NOTHING, "edgecolor": "#BBBBBB", "hatch": "////", "linewidth": 0}
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **hatched))
        ax.text(column, row, "no run", ha="center", va="center", color="#666666", bbox={"color": _NOTHING, "pad": 1.5})

    def _write_cell(self, ax: Axes, image: AxesImage, row: int, column: int, scores: Array) -> None:
        center = self.spread.of(scores).center
        red, green, blue, _ = image.to_rgba(np.array([center]))[0]
        color = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        ax.text(column, row, f"{cell_number(center)}\nn={scores.size}", ha="center", va="center", color=color)

    def finish(self, axes: Sequence[Axes], value: str) -> None:
        """Names the rows and columns, and says what the colours are."""
        side, bottom = short_keys(self.keys)
        for ax in axes:
            ax.set_xticks(range(len(self._columns)), [plain(text) for text in self._columns])
            ax.set_yticks(range(len(self._rows)), [plain(text) for text in self._rows])
            ax.set_xticks(np.arange(1, len(self._columns)) - 0.5, minor=True)
            ax.set_yticks(np.arange(1, len(self._rows)) - 0.5, minor=True)
            ax.tick_params(length=0, which="both")
            ax.grid(False)
            ax.grid(True, which="minor", color="white", linewidth=_GAP, zorder=3)
            ax.set_axisbelow(False)
            ax.spines[:].set_visible(False)
            ax.set_xlabel(plain(bottom))
            ax.set_ylabel(plain(side), labelpad=8)
        groups = [list(axes)] if self.shares_values else [[ax] for ax in axes]
        for group in groups:
            figure = group[0].get_figure(root=True)
            assert figure is not None
            label = self.value_words(value) if group[-1] is axes[-1] else ""
            bar = figure.colorbar(group[0].images[0], ax=group, label=label)
            number_axis(bar.ax.yaxis)
            bar.outline.set_visible(False)

    def entries(self) -> dict[str, Any]:
        """None: the colours have a bar."""
        return {}

    def caption(self) -> str:
        """What the numbers are."""
        return f"{METRICS[self.spread.metric]} over n runs of the mean of their last {self.last} rows"

    @property
    def is_empty(self) -> bool:
        """Whether no cell has a score."""
        return not any(self._cells.values())

    @property
    def shares(self) -> tuple[bool, bool]:
        """All panels have the same rows and columns."""
        return True, True

    def height(self, width: float) -> float:
        """A row for each value of the first key."""
        return 0.9 + _CELL * max(len(self._rows), 2)


def cell_number(value: float) -> str:
    """A number with three digits or so.

    >>> cell_number(0.12345), cell_number(-83.66), cell_number(1234.5), cell_number(123456)
    ('0.123', '−83.7', '1,234', '123k')
    """
    if abs(value) >= 1e5:
        size, unit = next((size, unit) for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= size)
        text = f"{value / size:.3g}{unit}"
    else:
        text = f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"
    return text.replace("-", "−")
