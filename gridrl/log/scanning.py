"""Rows of a file of rows, taken apart; needs no numpy, so that a launcher can look at its runs' files.

How cells are written stands in `gridrl.log.cells`.
"""

from __future__ import annotations

import re
from pathlib import Path

_QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')


class Quoted(str):
    """Text that stood in quotes: never a number, never missing."""

    __slots__ = ()


def delimiter_of(path: Path) -> str:
    """A comma for a file named `*.csv`, a tab for every other."""
    return "," if path.suffix == ".csv" else "\t"


def scan_rows(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Takes text apart into rows of cells.

    Args:
        text: lines ended by "\\n" or "\\r\\n". What follows the last complete row is left out: a row is complete with
            the line end that stands in no quotes.
        delimiter: one character.

    Returns:
        The rows, their cells as they stand, those from quotes as `Quoted`; and where each row ends in `text`.
    """
    rows: list[list[str]] = []
    ends: list[int] = []
    row: list[str] = []
    bare, end = re.compile(f"([^{delimiter}\n]*)([{delimiter}\n])"), re.compile(f"({delimiter}|\r?\n)")
    at = 0
    while at < len(text):
        quoted = _QUOTED.match(text, at) if text[at] == '"' else None
        if text[at] == '"' and (not quoted or quoted.end() == len(text)):
            break  # opened and not closed yet: a quote at the end may be the first of two
        if quoted and (closed := end.match(text, quoted.end())):
            row.append(Quoted(quoted[1].replace('""', '"')))
            mark, at = closed[1][-1], closed.end()
        elif found := bare.match(text, at):
            mark, at = found[2], found.end()
            row.append(found[1].removesuffix("\r") if mark == "\n" else found[1])
        else:
            break
        if mark == "\n":
            rows.append(row)
            ends.append(at)
            row = []
    return rows, ends


def row_ends(text: str, delimiter: str) -> list[int]:
    """Where each complete row ends in `text`; fast where nothing stands in quotes."""
    if '"' in text:
        return scan_rows(text, delimiter)[1]
    return [line_end.end() for line_end in re.finditer("\n", text)]
