"""Help pages: headings, aligned rows, examples; coloured where somebody looks, plain text elsewhere."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from gridrl.utils.console import colorize, say

MAX_WIDTH = 120
"""Lines longer than that are hard to read."""

_COLORS = ("green", None)
_MARGIN = 2
_GAP = 2
_LEAST_TEXT = 24  # letters; where less is left for the last column, it goes below the others


class Page:
    """A page that is printed as it grows, as wide as the terminal and at most `MAX_WIDTH`."""

    def __init__(self) -> None:
        self.width = min(shutil.get_terminal_size((100, 24)).columns - 1, MAX_WIDTH)

    def heading(self, text: str, note: str = "") -> None:
        """A heading with an empty line above it, and a quiet remark behind it."""
        say(f"\n{colorize(text, 'cyan', bold=True)}{f'  ({note})' if note else ''}")

    def text(self, text: str) -> None:
        """A paragraph, wrapped."""
        say(textwrap.fill(text, self.width, break_long_words=False, break_on_hyphens=False))

    def lines(self, lines: Iterable[str], indent: int = _MARGIN) -> None:
        """Lines that are never wrapped, so that they can be copied."""
        for line in lines:
            say(" " * indent + line)

    def rows(self, rows: Iterable[Sequence[str]]) -> None:
        """Aligned columns, as many cells in each row; the last one is wrapped."""
        rows = list(rows)
        widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)] if rows else []
        left = self.width - _MARGIN - sum(widths) - _GAP * len(widths)
        for row in rows:
            cells = [_cell(cell, width, index) for index, (cell, width) in enumerate(zip(row, widths, strict=False))]
            start = " " * _MARGIN + (" " * _GAP).join(cells)
            if left >= _LEAST_TEXT:
                indent = self.width - left
                lines = _wrap(row[-1], left)
                say((start + " " * _GAP + lines[0]).rstrip() if lines else start.rstrip())
            else:
                indent = _MARGIN + 6
                lines = ["", *_wrap(row[-1], self.width - indent)]
                say(start.rstrip())
            for line in lines[1:]:
                say(" " * indent + line)


def _cell(text: str, width: int, index: int) -> str:
    color = _COLORS[min(index, len(_COLORS) - 1)]
    return (colorize(text, color) if color and text else text) + " " * (width - len(text))


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
