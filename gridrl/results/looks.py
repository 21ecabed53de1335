"""How figures look: colours and dashes that everybody can tell apart, sizes that fit a page or a column, words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridrl.results.columns import TIME, meaning_of, words_of

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D", "#6A3D00")
"""Okabe and Ito's colours, told apart with every common kind of colour blindness; their yellow is too pale for lines,
and a brown stands in its place. A test simulates the three kinds and measures the distances.

M. Okabe, K. Ito: Color Universal Design, https://jfly.uni-koeln.de/color/ (2008).
"""

Dash = str | tuple[int, tuple[float, ...]]
_DASHES: tuple[Dash, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.5, 1.4, 1.5)))
_MARKERS = ("", "o", "s", "^")

PAGE_WIDTH = 7.2
"""Inches: a figure of one plot, as wide as the text of a page."""

LEAST_FONT, MOST_FONT = 7.0, 11.0


@dataclass(frozen=True)
class Look:
    """What a variant is known by in every plot of a figure.

    Attributes:
        color: of its line, its points and its band.
        dash: matplotlib's line style.
        marker: on its line; empty for the first variants, which the colour alone tells apart.
        rank: its place among the variants; the first lies on top.
    """

    color: str
    dash: Dash
    marker: str
    rank: int

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of `Axes.plot`."""
        return {"color": self.color, "linestyle": self.dash, "zorder": 4 - self.rank / 1000}


def look(rank: int) -> Look:
    """The look of the variant that stands at a place.

    The palette is gone through once with plain lines, then with dashes and markers, so that 32 variants differ.

    >>> look(1).color == look(9).color, look(1).dash == look(9).dash
    (True, False)
    """
    turn = rank // len(PALETTE)
    return Look(PALETTE[rank % len(PALETTE)], _DASHES[turn % len(_DASHES)], _MARKERS[turn % len(_MARKERS)], rank)


def font_size(width: float) -> float:
    """The size of letters, in points, that fits a figure of so many inches: 8 in a column, 11 on a page.

    >>> round(font_size(3.3), 1), font_size(7.2), font_size(1)
    (8.1, 11.0, 7.0)
    """
    return min(MOST_FONT, max(LEAST_FONT, 5.6 + 0.75 * width))


def style(size: float = MOST_FONT) -> dict[str, Any]:
    """matplotlib's settings while a figure is made and written.

    Args:
        size: of the letters, in points.
    """
    return {
        "font.size": size,
        "axes.titlesize": size,
        "axes.labelsize": size,
        "xtick.labelsize": size * 0.92,
        "ytick.labelsize": size * 0.92,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.linewidth": 0.073 * size,
        "axes.unicode_minus": True,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.073 * size,
        "lines.linewidth": 0.18 * size,
        "lines.markersize": 0.45 * size,
        "legend.frameon": False,
        "legend.fontsize": size * 0.92,
        "legend.title_fontsize": size * 0.84,
        "figure.titlesize": size * 1.09,
        "hatch.linewidth": 0.6,
        "savefig.dpi": 160,
        **FILE_STYLE,
    }


FILE_STYLE: dict[str, Any] = {
    "pdf.fonttype": 42,  # text stays text: publishers refuse the other kind
    "svg.fonttype": "none",
    "svg.hashsalt": "gridrl",  # else the names within a file are drawn by chance
    "figure.autolayout": False,
    "figure.constrained_layout.use": False,
}
"""Settings while files are written."""


def axis_words(column: str) -> str:
    """A column as it stands beside an axis."""
    return "wall time" if meaning_of(column) is TIME else plain(words_of(column))


def told_number(fewest: int, most: int) -> str:
    """The number of seeds behind a label.

    >>> told_number(5, 5), told_number(3, 5)
    ('n=5', 'n=3–5')
    """
    return f"n={most}" if fewest == most else f"n={fewest}–{most}"


def plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")
