"""`progress.txt`: one row per epoch, appended and flushed, never lost, wider when a column comes late."""

from __future__ import annotations

import contextlib
import glob
import io
import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from gridrl.errors import BadValue, CheckpointError
from gridrl.log.cells import Cell, row_text
from gridrl.log.disk import told_when_full
from gridrl.log.scanning import delimiter_of, row_ends, scan_rows
from gridrl.log.tables import Column, Unreadable, decoded, read_ours
from gridrl.utils.files import atomic_path


class ProgressFile:
    """A file of rows with a header, tab separated (commas in a `*.csv`).

    Every row is handed to the system by one write before `append` returns, so a killed process loses none of them.
    Rows of an earlier attempt are kept by `keep_rows`; those that are not move to `progress.cut.txt` beside it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     progress = ProgressFile(Path(directory, "progress.txt"))
    ...     progress.append({"Epoch": 0, "Loss": 0.5})
    ...     progress.append({"Epoch": 1, "Loss": 0.25, "Note": "a late column"})
    ...     progress.close()
    ...     print(read_progress(progress.path, ["Epoch", "Loss"]))
    {'Epoch': array([0., 1.]), 'Loss': array([0.5 , 0.25])}
    """

    def __init__(self, path: Path | str) -> None:
        """Touches nothing: the file is opened, and an earlier attempt's rows are moved, with the first row.

        Args:
            path: the file; its directory is made with the first row.
        """
        self.path = Path(path)
        self.columns: dict[str, None] = {}
        self.rows = 0
        self._delimiter = delimiter_of(self.path)
        self._file: io.FileIO | None = None
        self._size = 0
        self._is_settled = False  # whether the rows of an earlier attempt are kept or moved

    @property
    def cut_path(self) -> Path:
        """Where rows go that are not kept: blocks of a header and rows."""
        return self.path.with_name(f"{self.path.stem}.cut{self.path.suffix}")

    def keep_rows(self, rows: int) -> None:
        """Goes on after the first `rows` rows of the file; those behind, half a row too, move to `cut_path`.

        Raises:
            CheckpointError: the file has fewer rows. Nothing is changed then.
        """
        if rows < 0:
            raise BadValue(f"keep_rows({rows}): a number of rows is 0 or more.")
        self.close()
        self._remove_leftovers()
        content = self.path.read_bytes() if self.path.exists() else b""
        # Latin-1 maps bytes to letters one to one: the places found in the text are places in the file.
        ends = row_ends(content.decode("latin-1"), self._delimiter)
        if rows > max(0, len(ends) - 1):
            raise CheckpointError(
                f"{self.path}: {max(0, len(ends) - 1)} rows stand there, but the checkpoint was written after {rows}. "
                "Bring the file back from where it went, or start the run afresh without its checkpoints."
            )
        kept = ends[rows] if rows else 0
        first = ends[0] if ends else 0
        self._cut(content[:first], content[max(kept, first) :])
        if kept < len(content):
            os.truncate(self.path, kept)
        header, _ = scan_rows(decoded(content[:first]), self._delimiter)
        self.columns = dict.fromkeys(str(name) for name in header[0]) if rows else {}
        self.rows, self._size, self._is_settled = rows, kept, True

    def append(self, row: Mapping[str, Cell]) -> None:
        """Writes one row; columns that it lacks are empty, those that the file lacks are added to it.

        Raises:
            DiskFull: no room; the file stands as it was before.
        """
        if not self._is_settled:
            self.keep_rows(0)
        late = [name for name in row if name not in self.columns]
        line = row_text([row.get(name) for name in [*self.columns, *late]], self._delimiter)
        header = row_text([*self.columns, *late], self._delimiter, is_header=True)
        with told_when_full(self.path, f"row {self.rows + 1} was not written, the {self.rows} before it stand"):
            if late and self.rows:
                self._rewrite(header, line, len(late))
            else:
                self._write(_encoded(line if self.rows else header + line))
        self.columns.update(dict.fromkeys(late))
        self.rows += 1

    def sync(self) -> None:
        """Returns when the rows would survive a power failure too."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; a row appended later opens it again."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _write(self, content: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(self.path, "ab")
        _append_whole(self._file, content, self._size)
        self._size += len(content)

    def _rewrite(self, header: str, line: str, num_late: int) -> None:
        """Writes the file aside with the wider header and the new row; the name moves over at the end."""
        content = self.path.read_bytes()
        ends = row_ends(content.decode("latin-1"), self._delimiter)
        padding = self._delimiter.encode() * num_late
        old = [content[start : end - 1] + padding + b"\n" for start, end in itertools.pairwise(ends)]
        wider = b"".join([_encoded(header), *old, _encoded(line)])
        self.close()
        with atomic_path(self.path) as aside:
            aside.write_bytes(wider)
        self._size = len(wider)

    def _cut(self, header: bytes, rows: bytes) -> None:
        """Appends rows to the file of cut ones, safely on the disk before they leave this one."""
        if not rows:
            return
        content = header + rows + (b"" if rows.endswith(b"\n") else b"\n")
        with (
            told_when_full(self.cut_path, "rows of an earlier attempt could not be moved there; they stand"),
            io.FileIO(self.cut_path, "ab") as file,
        ):
            _append_whole(file, content, os.fstat(file.fileno()).st_size)
            os.fsync(file.fileno())

    def _remove_leftovers(self) -> None:
        """Takes away what a process that was killed while it wrote aside has left."""
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name[:100])}.*.tmp"):
            leftover.unlink(missing_ok=True)


def _append_whole(file: io.FileIO, content: bytes, size: int) -> None:
    """Appends everything, or leaves the file with the `size` bytes that it has."""
    left = memoryview(content)
    try:
        while left:  # a disk that fills up takes a part first, and refuses the rest with the next write
            left = left[file.write(left) or 0 :]
    except BaseException:
        with contextlib.suppress(OSError):
            file.truncate(size)
        raise


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def read_progress(path: Path | str, columns: Iterable[str] | None = None) -> dict[str, Column]:
    """Reads a file of rows of ours, also one that is being written or was cut off in the middle of a row.

    Args:
        path: the file; a comma separates its cells where it is named `*.csv`, a tab else. Those of other programs are
            read by `gridrl.log.tables.read_table`.
        columns: those wanted, in this order; those that the file lacks are left out. None: all.

    Returns:
        name -> [rows]: float64, nan where a cell is empty; a column that holds text anywhere is of dtype object: str,
        float, or None where a cell is empty. Half a row at the end is left out; rows that are too short are filled up.
    """
    try:
        return read_ours(Path(path), columns).columns
    except Unreadable:  # nothing has been written yet
        return {}
