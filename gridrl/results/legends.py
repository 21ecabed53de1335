"""Legends that cover no curve: below a figure of ours, in a free corner or below the axes of somebody else's."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gridrl.results.looks import font_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox, Transform

_LETTER, USUAL_LETTER = 0.0096, 0.0074  # inches, of letters of 1 point: wide, usual
_LINE, _BETWEEN = 2.2, 1.3  # letters, of the line before a label and between two columns
_PAD = 0.8  # letters, behind that line and around all columns
_MANY, _SMALLER = 10, 0.8  # more labels than that are smaller
_HANDLE = 0.05  # inches a point, of what stands before a label
_CORNERS = ("upper left", "lower right", "upper right", "lower left", "center right", "center left")
_GAP = 4.0  # points, between a legend and what stands above it


def wrapped(label: str, width: float, size: float, *, letter: float = _LETTER) -> str:
    """A label in lines that fit.

    Args:
        label: the text.
        width: of the text, in inches.
        size: of its letters, in points.
        letter: how wide one of 1 point is, in inches; the default is wider than most.
    """
    letters = max(8, int(width / (letter * size)))
    # trailing blanks would count as a line of their own
    return textwrap.fill(label, letters, subsequent_indent="  ", drop_whitespace=False, break_on_hyphens=False)


def legend_below(figure: Figure, entries: Mapping[str, Any], caption: str, width: float) -> float:
    """Puts a legend below a figure, in as many columns as fit; the figure's layout keeps the place free.

    Args:
        figure: with the layout "constrained".
        entries: what stands before a label, by label; without any there is the caption alone.
        caption: above the labels.
        width: of the figure, in inches.

    Returns:
        How many inches high it is.
    """
    size = font_size(width) * (_SMALLER if len(entries) > _MANY else 0.92)
    caption = "\n".join(textwrap.wrap(caption, int(width / (USUAL_LETTER * font_size(width) * 0.84))))
    if not entries:
        foot = figure.supxlabel(caption, fontsize=font_size(width) * 0.84)
        return foot.get_window_extent().height / figure.dpi + 0.05
    labels = [wrapped(label, width - _HANDLE * size, size) for label in entries]

    def put(columns: int) -> Legend:
        legend = figure.legend(
            list(entries.values()), labels, title=caption or None, loc="outside lower center", ncols=columns,
            fontsize=size, handlelength=_LINE, columnspacing=_BETWEEN,
        )  # fmt: skip
        legend.get_title().set_multialignment("center")
        return legend

    legend = put(1)
    widest = max(text.get_window_extent().width for text in legend.get_texts()) / figure.dpi
    columns = min(len(labels), _columns_of(widest, width, size / 72))
    while columns > 1:
        legend.remove()
        legend = put(columns)
        if legend.get_window_extent().width <= width * figure.dpi:
            break
        columns -= 1
    else:
        legend.remove()
        legend = put(1)
    return float(legend.get_window_extent().height) / figure.dpi + 0.05


def _columns_of(widest: float, width: float, letter: float) -> int:
    """How many labels stand side by side, all in inches."""
    column = widest + (_LINE + _PAD + _BETWEEN) * letter
    return max(1, int((width + (_BETWEEN - _PAD) * letter) / column))


def legend_within(ax: Axes, entries: Mapping[str, Any], caption: str, size: float | None = None) -> Legend:
    """Puts a legend into a corner where no curve is, if need be without its caption, or else below the axes.

    The axes make room for it where no layout engine does, within the place that they had.

    Args:
        ax: axes with everything in them.
        entries: what stands before a label, by label.
        caption: above the labels.
        size: of the letters, in points; None: as matplotlib's settings have it.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None  # axes that have been taken off their figure cannot be drawn into
    given: dict[str, Any] = {"handles": list(entries.values()), "labels": list(entries), "title": caption or None}
    if size is not None:
        given |= {"fontsize": size, "title_fontsize": size * 0.92}
    figure.draw_without_rendering()
    return _in_corner(ax, given) or _in_corner(ax, {**given, "title": None}) or _below(ax, given)


def _in_corner(ax: Axes, given: Mapping[str, Any]) -> Legend | None:
    for corner in _CORNERS:
        options = {**given, "loc": corner}
        legend: Legend = ax.legend(**options)
        box = legend.get_window_extent()
        if _is_inside(box, ax.bbox) and not covers(ax, box):
            return legend
    return None


def covers(ax: Axes, box: Bbox) -> bool:
    """Whether a box, in pixels, lies over a line, a band or a point of axes."""
    for line in ax.get_lines():
        if _meets(line.get_path(), line.get_transform(), box, is_filled=False):
            return True
    for band in ax.collections:
        if any(_meets(path, band.get_transform(), box, is_filled=True) for path in band.get_paths()):
            return True
    return False


def _meets(path: Path, transform: Transform, box: Bbox, *, is_filled: bool) -> bool:
    drawn = transform.transform_path(path)
    if np.size(drawn.vertices) == 0:
        return False
    return bool(drawn.intersects_bbox(box, filled=is_filled))


def _is_inside(box: Bbox, place: Bbox) -> bool:
    return bool(box.x0 >= place.x0 and box.x1 <= place.x1 and box.y0 >= place.y0 and box.y1 <= place.y1)


def _below(ax: Axes, given: dict[str, Any]) -> Legend:
    from matplotlib.transforms import ScaledTranslation

    figure = ax.get_figure(root=True)
    assert figure is not None
    low = _low_end(ax)
    depth = (ax.bbox.y0 - low) / figure.dpi + _GAP / 72  # inches, of the numbers and words below the axes
    place = ax.transAxes + ScaledTranslation(0, -depth, figure.dpi_scale_trans)

    def put(columns: int) -> Legend:
        anchored: dict[str, Any] = {"bbox_to_anchor": (0.5, 0.0), "bbox_transform": place, "borderaxespad": 0}
        options = {**given, **anchored, "loc": "upper center", "ncols": columns}
        legend: Legend = ax.legend(**options)
        return legend

    columns = len(given["labels"])
    legend = put(columns)
    while columns > 1 and legend.get_window_extent().width > ax.bbox.width * 1.05:
        columns -= 1
        legend = put(columns)
    if figure.get_layout_engine() is None:
        _make_room(ax, max(low, _GAP / 2) - legend.get_window_extent().y0)
    return legend


def _low_end(ax: Axes) -> float:
    words = ax.xaxis.get_tightbbox()
    return float(ax.bbox.y0 if words is None else min(ax.bbox.y0, words.y0))


def _make_room(ax: Axes, pixels: float) -> None:
    """Lifts the lower edge of axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    place = ax.get_position()
    share = min(max(pixels / figure.bbox.height, 0.0), 0.6 * place.height)
    ax.set_position((place.x0, place.y0 + share, place.width, place.height - share))
