"""Reads files of rows, of whichever program: wanted columns alone, by numpy's reader, a piece at a time.

Our own format stands in `gridrl.log.cells`. What other programs, people and crashes make of such files is tolerated:
other separators, rows that are too short, a header that stands twice, text between numbers, half a row at the end.
"""

from __future__ import annotations

import codecs
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gridrl.errors import ColumnError
from gridrl.log.cells import Cell, is_number
from gridrl.log.scanning import Quoted, delimiter_of, scan_rows

Column: TypeAlias = npt.NDArray[Any]

PIECE = 1 << 22
"""Bytes that are taken apart at once, so that memory grows with the wanted columns and not with the file."""

_LONGEST = 1 << 20  # bytes of a header
_BLANK = " "  # as a delimiter: any number of blanks
_NOTHING = codecs.BOM_UTF8 + b" \t\r\n"
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_HALF_ROW = "half a row at its end is left out"
_HEADER_AGAIN = "its header stands in the middle again"


class Unreadable(ColumnError):
    """A file that cannot be taken for a table of rows; the message says why, without the file's name."""


@dataclass(frozen=True)
class Table:
    """What a file of rows holds.

    Attributes:
        names: all its columns.
        columns: the wanted ones: name -> [rows]. float64, nan where a cell is empty; a column that holds text anywhere
            is of dtype object: str, float, or None where a cell is empty.
        rows: how many there are.
        notes: what had to be tolerated.
    """

    names: tuple[str, ...]
    columns: dict[str, Column]
    rows: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a file of rows is laid out.

    Attributes:
        names: its columns, by the place of their cells.
        delimiter: between cells.
        start: the byte at which the rows begin.
    """

    names: Mapping[str, int]
    delimiter: str
    start: int


def read_layout(path: Path, comment: str = "") -> Layout:
    """Looks at the head of a file of any program.

    Args:
        path: the file. A comma separates the cells of a `*.csv`, a tab those of every other; where none stands in the
            header: a tab, comma, semicolon, bar or blanks.
        comment: lines in front of the header that start so are left out.

    Raises:
        OSError: it cannot be read.
        Unreadable: it is empty, or its first line is no header.
    """
    with open(path, "rb") as file:
        return _layout(file, path, comment)


def read_table(path: Path, wanted: Iterable[str] | None = None, comment: str = "") -> Table:
    """Reads wanted columns of a file of any program, also of one that is being written.

    Args:
        path: see `read_layout`.
        wanted: in this order; those that the file lacks are left out. None: all.
        comment: see `read_layout`.

    Raises:
        OSError, Unreadable: see `read_layout`.
    """
    with open(path, "rb") as file:
        layout = _layout(file, path, comment)
        file.seek(layout.start)
        return _read(file, layout, layout.names if wanted is None else wanted)


def read_ours(path: Path, wanted: Iterable[str] | None = None) -> Table:
    """Reads wanted columns of a file that gridrl has written: whatever its header says is a name.

    Raises:
        OSError: it cannot be read.
        Unreadable: it holds no whole header.
    """
    delimiter = delimiter_of(path)
    with open(path, "rb") as file:
        header = _scan(_first_row(file, is_ours=True), delimiter)[0]
        names: dict[str, int] = {}
        for place, name in enumerate(header):
            names.setdefault(str(name), place)
        return _read(file, Layout(names, delimiter, file.tell()), names if wanted is None else wanted)


def only_numbers(table: Table) -> Table:
    """The same table with nan in the place of text, which is told where a column is not all text."""
    notes = dict.fromkeys(table.notes)
    columns: dict[str, Column] = {}
    for name, column in table.columns.items():
        columns[name] = column
        if column.dtype == object:
            columns[name] = np.array([cell if isinstance(cell, float) else np.nan for cell in column], np.float64)
            texts = sum(isinstance(cell, str) for cell in column)
            if texts < table.rows:
                notes[f"`{name}`: text in {texts} of {table.rows} rows counts as missing"] = None
    return Table(table.names, columns, table.rows, tuple(notes))


def _layout(file: IO[bytes], path: Path, comment: str) -> Layout:
    header = _first_row(file, comment)
    start = file.tell()
    delimiter = _separator(header, file.readline(_LONGEST).decode(errors="replace"), delimiter_of(path))
    names: dict[str, int] = {}
    for place, name in enumerate(_scan(header, delimiter)[0]):
        if name.strip():
            names.setdefault(name.strip(), place)
    if any(_CONTROL.search(name) for name in names):
        raise Unreadable("is no table: its first line is no text")
    if all(is_number(name) for name in names):
        raise Unreadable("has no header: its first line holds numbers" if names else "has no header")
    return Layout(names, delimiter, start)


def _first_row(file: IO[bytes], comment: str = "", *, is_ours: bool = False) -> str:
    """The header with its line end; the file is left behind it."""
    header = b""
    while line := file.readline(_LONGEST):
        header += line
        if not is_ours and (not header.strip(_NOTHING) or (comment and header.startswith(comment.encode()))):
            header = b""
        elif header.endswith(b"\n") and header.count(b'"') % 2 == 0:
            return decoded(header.removeprefix(codecs.BOM_UTF8) if not is_ours else header)
        elif len(header) >= _LONGEST:
            raise Unreadable("is no table: its first line does not end")
    raise Unreadable("holds half a header" if header else "is empty")


def _separator(header: str, row: str, usual: str) -> str:
    """What separates the cells: the usual delimiter wherever it stands in the header."""
    for candidate in (usual, "\t", ",", ";", "|"):
        if candidate in header:
            return candidate
    return _BLANK if len(header.split()) == len(row.split()) > 1 else usual


def _read(file: IO[bytes], layout: Layout, wanted: Iterable[str]) -> Table:
    """Reads the rows from where the file stands."""
    names = [name for name in dict.fromkeys(wanted) if name in layout.names]
    notes: dict[str, None] = {}
    start = file.tell()
    pieces = [_take(piece, layout, names, notes) for piece in _pieces(file, notes)]
    kinds = [{columns[index].dtype for columns, _ in pieces} for index in range(len(names))]
    texts = [name for name, kind in zip(names, kinds, strict=True) if len(kind) > 1]
    if texts:  # an empty cell and "nan" are not the same in a column of text: what was taken for numbers was not
        file.seek(start)
        pieces = [_take(piece, layout, names, notes, texts) for piece in _pieces(file, notes)]
    columns = {name: _joined([columns[index] for columns, _ in pieces]) for index, name in enumerate(names)}
    return Table(tuple(layout.names), columns, sum(rows for _, rows in pieces), tuple(notes))


def _pieces(file: IO[bytes], notes: dict[str, None]) -> Iterator[bytes]:
    """The rows, some at a time; each piece ends where a row ends."""
    rest = b""
    while read := file.read(max(PIECE, len(rest))):
        rest += read
        end = rest.rfind(b"\n") + 1
        if end and rest.count(b'"', 0, end) % 2 == 0:
            yield rest[:end]
            rest = rest[end:]
    if b"\n" in rest:  # a quote that is not closed, or stood in the middle of a cell
        yield rest
    elif rest.strip():
        notes[_HALF_ROW] = None


def _take(
    piece: bytes, layout: Layout, names: Sequence[str], notes: dict[str, None], texts: Sequence[str] = ()
) -> tuple[list[Column], int]:
    """The wanted columns of some rows, and how many rows these are."""
    if b'"' not in piece:
        if not names:
            lines = piece.split(b"\n")[:-1]
            return [], len(lines) if len(layout.names) == 1 else sum(bool(line.strip(b"\r")) for line in lines)
        found = None if texts else _by_numpy(piece, layout, names)
        if found is not None:
            return list(found), found.shape[1]
    text = decoded(piece)
    rows, left = _scan_all(text, layout.delimiter)
    if left.strip():
        notes[_HALF_ROW] = None
    if len(layout.names) > 1:
        rows = [row for row in rows if row not in ([""], [])]
    header = list(layout.names)
    if any(row[: len(header)] == header for row in rows):
        notes[_HEADER_AGAIN] = None
        rows = [row for row in rows if row[: len(header)] != header]
    columns = []
    for name in names:
        place = layout.names[name]
        columns.append(_column([row[place] if place < len(row) else "" for row in rows], name in texts))
    return columns, len(rows)


def _by_numpy(piece: bytes, layout: Layout, names: Sequence[str]) -> Column | None:
    """The wanted columns [names, rows], None where something else than numbers stands in them."""
    lines = piece.decode("latin-1").split("\n")[:-1]
    if len(layout.names) == 1 and "" in lines:  # an empty cell; numpy takes it for no row
        return None
    delimiter = None if layout.delimiter == _BLANK else layout.delimiter
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of rows that are all blank
            places = [layout.names[name] for name in names]
            rows = np.loadtxt(lines, delimiter=delimiter, usecols=places, comments=None, ndmin=2)
    except (ValueError, UserWarning):
        return None
    return np.ascontiguousarray(rows.T)


def _scan(text: str, delimiter: str) -> list[list[str]]:
    return _scan_all(text, delimiter)[0]


def _scan_all(text: str, delimiter: str) -> tuple[list[list[str]], str]:
    """The whole rows of a text, and what is left behind them."""
    if delimiter == _BLANK:
        *lines, left = text.split("\n")
        return [line.split() for line in lines], left
    if '"' in text or "\r" in text:
        rows, ends = scan_rows(text, delimiter)
        return rows, text[ends[-1] if ends else 0 :]
    *lines, left = text.split("\n")
    return [line.split(delimiter) for line in lines], left


def _joined(parts: Sequence[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0)


def decoded(content: bytes) -> str:
    """Bytes of a file of rows as text; whatever they are, something comes of it."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # another program's, or half a letter at its end
        return content.decode("utf-8", "replace")


def _column(cells: Sequence[str], is_text: bool = False) -> Column:
    try:
        if not is_text and not any(isinstance(cell, Quoted) for cell in cells):
            return np.fromiter((float(cell or "nan") for cell in cells), np.float64, len(cells))
    except ValueError:
        pass
    column = np.empty(len(cells), dtype=object)
    column[:] = [_read_cell(cell) for cell in cells]
    return column


def _read_cell(cell: str) -> Cell:
    if isinstance(cell, Quoted):
        return str(cell)
    if not cell:
        return None
    return float(cell) if is_number(cell) else cell
