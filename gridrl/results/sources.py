"""What a run's rows are read from: one source a directory, whichever program wrote there.

Where several stand side by side the first of these counts, so that no run is counted twice: `progress.txt` (gridrl,
Spinning Up), `progress.csv` (stable-learning-control, stable-baselines3, RLlib), `monitor.csv` (one or several, of
stable-baselines3 and OpenAI Baselines), TensorBoard's event files (CleanRL and many others).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who only looks for runs needs no numpy
    from gridrl.log.tables import Table

PROGRESS_NAMES = ("progress.txt", "progress.csv")
"""Files of rows, the first one wins."""


class Source:
    """The rows of a run, read when they are asked for and kept.

    Args:
        kind: "progress", "monitor" or "events".
        files: what is read.
    """

    def __init__(self, kind: str, files: Sequence[Path]) -> None:
        self.kind = kind
        self.files = tuple(files)
        self._known: Table | None = None

    @property
    def path(self) -> Path:
        """The file, or the first of several."""
        return self.files[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be tolerated, as far as it has been read."""
        return self._known.notes if self._known else ()

    def names(self) -> tuple[str, ...]:
        """Its columns.

        Raises:
            OSError, Unreadable: it cannot be read.
        """
        from gridrl.log.tables import read_layout
        from gridrl.results import cache

        if self._known is None:
            self._known = cache.load(self.kind, self.files, cache.marks_of(self.files))
        if self._known is not None:
            return self._known.names
        return tuple(read_layout(self.path).names) if self.kind == "progress" else self.read(()).names

    def read(self, wanted: Iterable[str] | None = None) -> Table:
        """Reads columns, those alone that have not been read yet.

        Args:
            wanted: those that there are not are left out. None: all.

        Returns:
            Everything that has been read. Numbers only: nan where a cell is empty or holds text.

        Raises:
            OSError, Unreadable: it cannot be read, or has no row.
        """
        from gridrl.log.tables import Table, only_numbers
        from gridrl.results import cache

        marks = cache.marks_of(self.files)
        known = self._known or cache.load(self.kind, self.files, marks)
        missing = None if wanted is None else list(wanted)
        if known is not None:
            asked = known.names if missing is None else missing
            missing = [name for name in asked if name in known.names and name not in known.columns]
        if known is None or missing:
            table = only_numbers(self.cells(missing))
            if known is not None and known.rows != table.rows:  # the file has grown
                table = only_numbers(self.cells([*known.columns, *(missing or ())]))
            elif known is not None:
                notes = tuple(dict.fromkeys((*known.notes, *table.notes)))
                table = Table(table.names, {**known.columns, **table.columns}, table.rows, notes)
            known = table
            cache.store(self.kind, self.files, marks, table)
        self._known = known
        return known

    def cells(self, wanted: Iterable[str] | None = None) -> Table:
        """Reads columns with the text in them, afresh.

        Raises:
            OSError, Unreadable: it cannot be read, or has no row.
        """
        from gridrl.log.tables import Unreadable

        table = read_source(self.kind, self.files, None if wanted is None else list(wanted))
        if not table.rows:
            raise Unreadable("holds a header and no row")
        return table


def is_monitor(name: str) -> bool:
    """Whether a file is called like a monitor's: `monitor.csv`, `3.monitor.csv`."""
    return name == "monitor.csv" or name.endswith(".monitor.csv")


def is_event_file(name: str) -> bool:
    """Whether a file is called like TensorBoard's event files."""
    return "tfevents" in name and not name.endswith(".profile-empty")


def source_in(directory: Path, files: Sequence[str]) -> Source | None:
    """The source of a directory, None where it holds none.

    Args:
        directory: where.
        files: the names of what is in it.
    """
    for name in PROGRESS_NAMES:
        if name in files and (directory / name).is_file():
            return Source("progress", [directory / name])
    monitors = [directory / name for name in files if is_monitor(name) and (directory / name).is_file()]
    if monitors:
        return Source("monitor", monitors)
    events = [directory / name for name in files if is_event_file(name) and (directory / name).is_file()]
    return Source("events", events) if events else None


def read_source(kind: str, files: Sequence[Path], wanted: Sequence[str] | None) -> Table:
    """Reads columns of a source, afresh; see `gridrl.log.tables.read_table` and its likes."""
    if kind == "progress":
        from gridrl.log.tables import read_table

        return read_table(files[0], wanted)
    if kind == "monitor":
        from gridrl.results.monitor import read_monitors

        return read_monitors(files, wanted)
    from gridrl.results.events import read_events

    return read_events(files, wanted)
