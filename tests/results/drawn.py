"""What tests look at on a figure."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


def legend_of(figure: Figure) -> list[str]:
    """The labels of a figure's legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def caption_of(figure: Figure) -> str:
    """What stands above them, or at the foot of a figure without a legend."""
    return figure.legends[0].get_title().get_text() if figure.legends else figure.get_supxlabel()


def curve_lines(ax: Axes) -> list[Line2D]:
    """The thick lines: one for each curve."""
    return [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]


def main_lines(ax: Axes) -> list[tuple[list[float], list[float]]]:
    """The places and values of the thick lines."""
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in curve_lines(ax)]  # type: ignore[arg-type]


def seed_lines(ax: Axes) -> list[list[float]]:
    """The values of the thin lines: one for each seed."""
    return [list(line.get_ydata()) for line in ax.get_lines() if line.get_label() == "_seeds"]  # type: ignore[arg-type]


def bands(ax: Axes) -> int:
    """How many bands there are."""
    return sum(band.get_label() == "_band" for band in ax.collections)


def tick_labels(ax: Axes, axis: str) -> list[str]:
    """The numbers on an axis, within its limits."""
    the_axis = ax.xaxis if axis == "x" else ax.yaxis
    low, high = sorted(the_axis.get_view_interval())
    ax.figure.draw_without_rendering()
    ticks = zip(the_axis.get_majorticklocs(), the_axis.get_majorticklabels(), strict=True)
    return [label.get_text() for place, label in ticks if low <= place <= high]
