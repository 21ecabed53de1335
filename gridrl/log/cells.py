"""Rows as text: numbers that read back to the last bit, text that reads back to the last letter.

A cell is empty (no value), a number (bare) or text. Text is written bare where nothing else could be meant, and in
double quotes, with inner ones doubled, where it is empty, would be read as a number, or holds a delimiter, a quote or
a line end.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from gridrl.errors import ColumnError
from gridrl.log.floats import is_tensor

Cell: TypeAlias = int | float | str | None

_SPECIAL = re.compile(r'[\t,"\r\n]')


def to_cell(key: str, value: Any) -> Cell:
    """What is written for a value: its number, its text, or nothing.

    Args:
        key: the column, for the error.
        value: a number of any kind (numpy's and tensors with one element too; booleans become 0 and 1, so that they
            can be drawn), None for an empty cell; anything else is written as `str(value)`.

    Raises:
        ColumnError: an array or tensor that does not have exactly one element.
    """
    if value is None or type(value) in (float, int, str):
        return value  # type: ignore[no-any-return]  # the three types of a cell
    if isinstance(value, bool | np.bool_ | numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real | np.floating):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if is_tensor(value) or isinstance(value, np.ndarray):
        return _only_element(key, value)
    if hasattr(type(value), "__float__") and not isinstance(value, np.generic):
        return float(value)
    return str(value)


def _only_element(key: str, value: Any) -> Cell:
    shape = tuple(value.shape)
    if int(np.prod(shape)) != 1:
        raise ColumnError(
            f"{key!r}: an array of shape {shape} does not fit into one cell. "
            "Log one number, or store() it and log its statistics."
        )
    return to_cell(key, value.detach().cpu().item() if is_tensor(value) else value.reshape(-1)[0].item())


def is_number(text: str) -> bool:
    """Whether a bare cell with this text is read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def row_text(cells: Iterable[Cell], delimiter: str, is_header: bool = False) -> str:
    """One line, its line end included."""
    return delimiter.join(_cell_text(cell, is_header) for cell in cells) + "\n"


def _cell_text(cell: Cell, is_header: bool) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return repr(cell)
    if not cell or _SPECIAL.search(cell) or (not is_header and is_number(cell)):
        return '"' + cell.replace('"', '""') + '"'
    return cell
