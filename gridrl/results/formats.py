"""Tables of cells as text, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gridrl.utils.texts import one_line, shortened

Cells = Sequence[Sequence[str]]
"""Rows of cells; the first is the header."""

_GAP = 2
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def aligned(cells: Cells, to_the_left: Sequence[bool], width: int | None = None) -> list[str]:
    """Lines of plain text, as wide as they need to be or as there is room.

    Args:
        cells: the header and the rows.
        to_the_left: of each column, whether it is words rather than numbers.
        width: characters of a line; the first column gives way, its middle goes. None: as many as it takes.
    """
    shown = [[one_line(cell) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    if width is not None:
        widths[0] = max(1, min(widths[0], width - sum(other + _GAP for other in widths[1:])))
    return [
        (" " * _GAP).join(_placed(row, widths, to_the_left)).rstrip()[: None if width is None else width]
        for row in shown
    ]


def _placed(row: Sequence[str], widths: Sequence[int], to_the_left: Sequence[bool]) -> list[str]:
    return [
        shortened(cell, width).ljust(width) if is_left else cell.rjust(width)
        for cell, width, is_left in zip(row, widths, to_the_left, strict=True)
    ]


def markdown(cells: Cells, to_the_left: Sequence[bool]) -> str:
    """A table for a README, aligned in the source too."""
    shown = [[_in_markdown(cell) for cell in row] for row in cells]
    widths = [max(3, *map(len, column)) for column in zip(*shown, strict=True)]
    rule = ["-" * width if left else "-" * (width - 1) + ":" for width, left in zip(widths, to_the_left, strict=True)]
    rows = [shown[0], rule, *shown[1:]]
    return "".join(f"| {' | '.join(_placed(row, widths, to_the_left))} |\n" for row in rows)


def _in_markdown(cell: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*<>|~$&]|(?<!\w)_|_(?!\w)|\](?=[(\[:]))", r"\\\1", one_line(cell))


def latex(cells: Cells, to_the_left: Sequence[bool], *, bold: Sequence[int] = ()) -> str:
    r"""A `tabular` with the rules of the package booktabs.

    Args:
        cells: the header and the rows.
        to_the_left: of each column, whether it is words rather than numbers.
        bold: rows that stand in bold; the header is row 0.
    """
    shown = [
        _guarded(
            [in_latex(cell) if left else _signed(in_latex(cell)) for cell, left in zip(row, to_the_left, strict=True)]
        )
        for row in cells
    ]
    for row in bold:
        shown[row] = [f"\\textbf{{{cell}}}" if cell else "" for cell in shown[row]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [" & ".join(_placed(row, widths, to_the_left)).rstrip() + r" \\" for row in shown]
    columns = "".join("l" if is_left else "r" for is_left in to_the_left)
    ruled = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", *ruled, r"\end{tabular}", ""])


def _signed(number: str) -> str:
    """A number whose sign is a minus and no hyphen."""
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", number)


def _guarded(row: Sequence[str]) -> list[str]:
    """A row that began with a bracket would be taken for an option of the line end before it."""
    return [f"{{}}{row[0]}" if row[0].startswith(("[", "*")) else row[0], *row[1:]]


def in_latex(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> in_latex("lr_0 50%")
    'lr\\_0 50\\%'
    """
    escaped = "".join(_LATEX.get(letter, letter) for letter in one_line(text))
    return escaped.replace("--", "-{}-")  # two of them would become a dash
