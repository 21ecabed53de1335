"""Several plots on one figure: which stands where, what they share, one legend and one title for all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gridrl.results.curves import Curve, column_of
from gridrl.results.legends import legend_below, legend_within
from gridrl.results.looks import PAGE_WIDTH, Look, axis_words, font_size, plain, told_number
from gridrl.results.reader import RunSet
from gridrl.results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = (0, 1, 2, 3, 2, 3, 3, 4, 4, 3, 4, 4, 4)  # plots beside each other, by their number
_WIDTHS = (0.0, PAGE_WIDTH, 9.6, 11.4, 12.8)  # inches, by the plots beside each other
_LEAST_WIDTH = 2.0  # inches, of a plot beside another


@dataclass(frozen=True)
class Panel:
    """The curves of one plot.

    Attributes:
        title: what they have in common, empty where there is one panel.
        curves: what is drawn.
        env: the environment's id where all of its runs have the same, else empty.
    """

    title: str
    curves: tuple[Curve, ...]
    env: str = ""

    @property
    def runs(self) -> list[Run]:
        """All runs of its curves."""
        return [run for curve in self.curves for run in curve.runs]


@dataclass
class Sheet(ABC):
    """What is drawn on one figure; a kind of figure says how one plot of it is drawn.

    Attributes:
        found: the runs; takes those that cannot be drawn, and notes.
        panels: their curves.
        values: the columns that are drawn, one plot for each, for each panel.
        looks: of every variant, by label: the same in all plots.
    """

    found: RunSet
    panels: Sequence[Panel]
    values: Sequence[str]
    looks: Mapping[str, Look]
    single: frozenset[str] = field(init=False)
    """Labels of curves that were asked for as those of single runs."""
    mixing: frozenset[str] = field(init=False)
    """Labels of variants whose seeds were made by different code."""

    def __post_init__(self) -> None:
        curves = [curve for panel in self.panels for curve in panel.curves]
        self.single = frozenset(curve.label for curve in curves if curve.is_one_run)
        self.mixing = frozenset(curve.label for curve in curves if curve.mixes_code)

    def named(self, label: str, fewest: int, most: int) -> str:
        """A variant's name with what must be known of it: over how many seeds it is, whether these mix code."""
        notes = [] if label in self.single else [told_number(fewest, most)]
        notes += ["mixes code"] if label in self.mixing else []
        return plain(f"{label} ({', '.join(notes)})" if notes else label)

    @abstractmethod
    def draw(self, ax: Axes, place: int, value: str) -> None:
        """Draws the plot of a panel, by its place, and of a column; without its limits and words."""

    @abstractmethod
    def finish(self, axes: Sequence[Axes], value: str) -> None:
        """Sets limits, numbers and words of the plots of a column, all of which are drawn."""

    @abstractmethod
    def entries(self) -> dict[str, Any]:
        """What stands in the legend: by label what stands before it; empty for none."""

    @abstractmethod
    def caption(self) -> str:
        """What the figure shows, for the legend or the foot."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether nothing could be drawn."""

    def height(self, width: float) -> float:
        """How high a plot is that is so wide, both in inches."""
        return width * (0.54 if width > 6 else 0.72 if width > 2.6 else 0.8)

    @property
    def plots(self) -> list[tuple[str, int]]:
        """Column and panel of each plot, in order."""
        return [(value, place) for value in self.values for place in range(len(self.panels))]

    @property
    def shares_values(self) -> bool:
        """Whether the numbers of all panels can stand on one scale: returns of several environments cannot."""
        return len({panel.env for panel in self.panels}) == 1

    @property
    def shares(self) -> tuple[bool, bool]:
        """Whether all panels have one scale along the bottom, and one up the side."""
        return True, self.shares_values

    @property
    def default_width(self) -> float:
        """Inches, where nobody asks for another width."""
        return _WIDTHS[self._across(None)]

    def draw_figure(self, figure: Figure, width: float | None) -> None:
        """Draws everything onto an empty figure.

        Args:
            figure: with the layout "constrained".
            width: in inches; None: as the number of plots demands.
        """
        across = self._across(width)
        width = width or self.default_width
        down = math.ceil(len(self.plots) / across)
        axes = self._make_axes(figure, down, across)
        self._draw_all(axes)
        self._leave_out_inner_words(axes, across)
        height = down * self.height(width / across)
        title = "" if any(panel.title for panel in self.panels) else _common([panel.env for panel in self.panels])
        if title:
            figure.suptitle(plain(title))
        height += legend_below(figure, self.entries(), self.caption(), width)
        figure.set_size_inches(width, height + (0.3 if title else 0))

    def _across(self, width: float | None) -> int:
        plots, panels = len(self.plots), len(self.panels)
        across = _ACROSS[plots] if plots < len(_ACROSS) else 4
        if 1 < panels <= 4 and len(self.values) > 1:
            across = panels
        return across if width is None else max(1, min(across, int(width / _LEAST_WIDTH)))

    def _make_axes(self, figure: Figure, down: int, across: int) -> list[Axes]:
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        axes, spare = grid[: len(self.plots)], grid[len(self.plots) :]
        for ax in spare:
            ax.remove()
        shares_x, shares_y = self.shares
        for index, ax in enumerate(axes):
            first = axes[index - index % len(self.panels)]  # of the same column
            if ax is not first and shares_x:
                ax.sharex(first)
            if ax is not first and shares_y:
                ax.sharey(first)
        return axes

    def _draw_all(self, axes: Sequence[Axes]) -> None:
        for ax, (value, place) in zip(axes, self.plots, strict=True):
            self.draw(ax, place, value)
            if self.panels[place].title:
                ax.set_title(plain(self.panels[place].title))
        panels = len(self.panels)
        for index, value in enumerate(self.values):
            self.finish(axes[index * panels : (index + 1) * panels], value)

    def _leave_out_inner_words(self, axes: Sequence[Axes], across: int) -> None:
        """Words and numbers that the plot of the same column below or on the left has too are left out."""
        shares_x, shares_y = self.shares
        columns = [value for value, _ in self.plots]
        for index, ax in enumerate(axes):
            below = index + across
            if below < len(axes) and columns[below] == columns[index] and shares_x:
                ax.set_xlabel("")
                ax.tick_params(labelbottom=False)
            if index % across and columns[index - 1] == columns[index]:
                ax.set_ylabel("")
                if shares_y:
                    ax.tick_params(labelleft=False)

    def value_words(self, value: str) -> str:
        """A column as it stands beside an axis: the one that the runs have of those that it may mean."""
        used = {column_of(run, value) for panel in self.panels for run in panel.runs} - {None}
        return axis_words(str(used.pop()) if len(used) == 1 else value)

    def draw_into(self, axes: Sequence[Axes], width: float | None) -> Figure:
        """Draws everything into axes that are there already, one for each plot, and gives their figure.

        Args:
            axes: somebody else's.
            width: of the figure that they are made for, in inches: letters are as large as fits it. None: as they are.
        """
        self._draw_all(axes)
        size = None if width is None else font_size(width)
        if size is not None:
            for ax in axes:
                _set_letters(ax, size)
        if self.entries():
            legend_within(axes[-1], self.entries(), self.caption(), None if size is None else size * 0.92)
        else:
            axes[-1].set_xlabel(f"{axes[-1].get_xlabel()}\n{self.caption()}")
        figure = axes[0].get_figure(root=True)
        assert figure is not None  # axes that have been taken off their figure cannot be drawn into
        return figure


def _set_letters(ax: Axes, size: float) -> None:
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_fontsize(size)
    ax.tick_params(labelsize=size * 0.92)


def _common(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else ""
