"""Where a legend stands, and that it lies over nothing."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gridrl.results.legends import covers, legend_below, legend_within, wrapped


def entries(count: int, letters: int = 8) -> dict[str, Line2D]:
    return {f"{index:0{letters}}": Line2D([], []) for index in range(count)}


def with_lines(*lines: tuple[list[float], list[float]]) -> Axes:
    ax = Figure(figsize=(6, 4)).subplots()
    for x, y in lines:
        ax.plot(x, y)
    return ax


def test_a_legend_stands_in_a_free_corner() -> None:
    ax = with_lines(([0, 1], [0, 1]))
    legend = legend_within(ax, entries(2), "a caption")
    assert legend.get_title().get_text() == "a caption"
    box = legend.get_window_extent()
    assert not covers(ax, box)
    assert ax.bbox.x0 <= box.x0 < box.x1 <= ax.bbox.x1
    assert box.y0 > ax.bbox.y0 + 0.5 * ax.bbox.height  # upper left


def test_the_next_corner_is_tried() -> None:
    ax = with_lines(([0, 1], [1, 0]))
    box = legend_within(ax, entries(2), "").get_window_extent()
    assert not covers(ax, box)
    assert box.x0 > ax.bbox.x0 + 0.5 * ax.bbox.width


def test_a_caption_that_leaves_no_corner_is_left_out() -> None:
    ax = with_lines(([0, 1], [0, 1]))
    legend = legend_within(ax, entries(1), "a caption that is much too long to stand within any corner of these axes")
    assert not legend.get_title().get_visible() or legend.get_title().get_text() in ("", "None")
    assert legend.get_window_extent().y0 > ax.bbox.y0


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_where_every_corner_is_taken_the_legend_stands_below(layout: str | None) -> None:
    figure = Figure(figsize=(6, 4), layout=layout)
    ax = figure.subplots()
    x = np.linspace(0, 1, 400)
    ax.plot(x, np.sin(300 * x))
    ax.set_xlabel("steps")
    legend = legend_within(ax, entries(3), "a caption")
    figure.draw_without_rendering()
    box, words = legend.get_window_extent(), ax.xaxis.get_tightbbox()
    assert words is not None
    assert box.y1 < words.y0
    assert box.y0 >= 0
    assert ax.bbox.height > 100


def test_bands_count_as_much_as_lines() -> None:
    ax = Figure(figsize=(6, 4)).subplots()
    ax.fill_between([0, 1], [0, 0], [1, 1])
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    assert covers(ax, ax.get_window_extent())
    assert legend_within(ax, entries(1), "").get_window_extent().y1 < ax.bbox.y0


def test_a_line_of_nothing_but_nan_is_in_nobodys_way() -> None:
    ax = with_lines(([0, 1], [np.nan, np.nan]), ([], []))
    assert not covers(ax, ax.get_window_extent())


@pytest.mark.parametrize(("count", "letters", "width"), [(3, 8, 7.2), (20, 30, 7.2), (12, 8, 3.3), (1, 200, 3.3)])
def test_a_legend_below_fits_and_the_plot_keeps_its_height(count: int, letters: int, width: float) -> None:
    figure = Figure(layout="constrained")
    figure.subplots().plot([0, 1], [0, 1])
    height = legend_below(figure, entries(count, letters), "a caption", width)
    figure.set_size_inches(width, 3 + height)
    figure.draw_without_rendering()
    box, ax = figure.legends[0].get_window_extent(), figure.axes[0]
    assert box.width <= width * figure.dpi * 1.02
    assert box.y1 < ax.bbox.y0
    assert ax.bbox.height > 2 * figure.dpi
    assert len(figure.legends) == 1


def test_short_labels_stand_side_by_side() -> None:
    figure = Figure(layout="constrained")
    assert legend_below(figure, entries(5, 3), "", 7.2) < legend_below(
        Figure(layout="constrained"), entries(5, 60), "", 7.2
    )


def test_a_long_label_is_broken_not_cut() -> None:
    label = "name_" * 40
    lines = wrapped(label, 3.0, 10.0).split("\n")
    assert "".join(line.strip() for line in lines) == label
    assert max(map(len, lines)) < 45
    assert wrapped("a-name-of-a-run_lr0-001 (n=5)", 2.3, 10.0).split() == ["a-name-of-a-run_lr0-001", "(n=5)"]
