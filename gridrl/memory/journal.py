"""A table on disk beside a checkpoint: what has come is written once, whatever the table holds besides."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gridrl.errors import CheckpointError, VersionMismatch
from gridrl.memory import snapshot
from gridrl.memory.chunks import check_chunk, load_chunk, write_chunk
from gridrl.memory.episodes import rows_in
from gridrl.memory.staging import Staging
from gridrl.memory.starts import IntArray
from gridrl.memory.table import ArrayMemoryTable

# Raised when what a position holds gets another form.
FORMAT = 1

_NAME = re.compile(r"steps_(\d+)\.npz")
_NONE = np.zeros((0, 3), np.int64)


class ReplayJournal:
    """Keeps a table for checkpoints, at a cost in proportion to what has come since the last one.

    `commit` writes the episodes that have come into one new file, aside and renamed, and gives the *position*: plain
    values (where each episode lies, generators, priorities, staged steps; small beside the rows) for the checkpoint
    that is saved next. `restore` brings table and staging back to a position: the same draws follow. A file goes when
    nothing in it is held any more and no checkpoint that counts needs it. Where episodes do not leave in their order,
    files that are mostly empty are written anew: no more than twice what the table holds, and what the checkpoint
    before needs, stays on the disk.

    Save the checkpoint after each commit and before the next one. A process that is killed between the two, or in the
    middle of either, goes on from the checkpoint before.

    Attributes:
        directory: where the files are; made with the first one. Of one table alone.
        table: that is kept.
        staging: on the way into it; None: there is none.

    >>> import tempfile
    >>> from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
    >>> from gridrl.memory.builders import DictObsMemoryTable
    >>> spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"obs": BoxSpace(np.float32, (3,))}))
    >>> table, again = (DictObsMemoryTable(spaces=spaces, maxlen=1000) for _ in range(2))
    >>> table.add_sequence(0, {"obs": np.zeros((6, 3)), "actions": np.zeros((5, 1)), "rewards": np.ones(5)})
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     position = ReplayJournal(Path(directory), table).commit()
    ...     ReplayJournal(Path(directory), again).restore(position)
    >>> again.size()
    5
    """

    def __init__(self, directory: Path, table: ArrayMemoryTable, staging: Staging | None = None) -> None:
        """Writes and reads nothing yet.

        Args:
            directory: where the files are, or will be.
            table: that is kept.
            staging: on the way into it.
        """
        self.directory, self.table, self.staging = Path(directory), table, staging
        self._where = _NONE  # of each episode that is on the disk: its number, its file, its first row there
        self._tokens: dict[int, str] = {}
        self._rows: dict[int, int] = {}  # of each file
        self._loads = table.episodes.loads
        self._last: set[int] | None = None  # the files of the last commit; None: there has been none

    @property
    def bytes_per_step(self) -> int:
        """What a step takes on the disk; an episode, or a piece of one, takes one step more than it has."""
        return sum(
            storage.dtype.itemsize * int(np.prod(storage.shape)) for storage in snapshot.stored(self.table).values()
        )

    def commit(self, kept: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Writes what has come since the last commit.

        Args:
            kept: positions in checkpoints that count beside the one of the last commit (or restore): whatever else has
                been written goes.

        Returns:
            The position: tensors, numbers, text, lists and dicts, see `gridrl.log.checkpoints`.

        Raises:
            DiskFull: no room; the last commit stands, and the next one tries again.
            RunDirectoryInUse: another launcher has taken the run over.
        """
        with self.table.lock:
            places = self.table.episodes.table()
            where = self._still_there(places)
            new = self._sparse(where, places) | (where[:, 1] < 0)
            if new.any():
                where[new] = self._write(places[new])
            position = self._position(places, where)
        needed = {chunk for chunk, _, _ in position["chunks"]}
        if self._last is not None:  # before the first commit nobody knows what the files there are needed for
            counting = {chunk for other in kept for chunk, _, _ in other["chunks"]} | needed | self._last
            self._drop(lambda chunk: chunk not in counting)
        self._where, self._last = where, needed
        return position

    def restore(self, position: Mapping[str, Any]) -> None:
        """Brings table and staging to where they were at a commit, and drops what was written after it.

        Args:
            position: what `commit` gave, or what came back of it from a checkpoint.

        Raises:
            CheckpointError: a file is missing, cut off or another one, or table or staging are not as they were then;
                nothing has changed.
        """
        with self.table.lock:
            self._check(position)
            files = {chunk: (token, rows) for chunk, token, rows in position["chunks"]}
            where = np.asarray(position["where"])
            self.table.take_up(position["table"], lambda: self._fill(where, files))
            if self.staging is not None:
                self.staging.load_state_dict(position["staging"])
            self._tokens = {chunk: token for chunk, (token, _) in files.items()}
            self._rows = {chunk: rows for chunk, (_, rows) in files.items()}
            self._where, self._last, self._loads = where, set(files), self.table.episodes.loads
        self._drop(lambda chunk: chunk > position["newest"])

    def _still_there(self, places: IntArray) -> IntArray:
        """Where the episodes are on the disk, [E, 3]: number, file and first row, the latter -1 where they are not."""
        if self._loads != self.table.episodes.loads:  # others have taken their place, with the same numbers
            self._where, self._loads = _NONE, self.table.episodes.loads
        where = np.full((len(places), 3), -1, np.int64)
        where[:, 0] = places[:, 3]
        known = np.searchsorted(self._where[:, 0], where[:, 0])
        found = np.flatnonzero(known < len(self._where))
        found = found[self._where[known[found], 0] == where[found, 0]]
        where[found] = self._where[known[found]]
        return where

    def _sparse(self, where: IntArray, places: IntArray) -> npt.NDArray[np.bool_]:
        """Which episodes lie in files that are mostly empty, bool [E]; none while the files are not much too large."""
        written = where[:, 1] >= 0
        chunks, of_chunk = np.unique(where[written, 1], return_inverse=True)
        held = np.bincount(of_chunk, places[written, 2] + 1, len(chunks))
        rows = np.array([self._rows[chunk] for chunk in chunks.tolist()], np.int64)
        if rows.sum() <= 2 * (places[:, 2] + 1).sum():
            return np.zeros(len(where), np.bool_)
        return np.isin(where[:, 1], chunks[2 * held < rows])

    def _write(self, places: IntArray) -> IntArray:
        """Writes these episodes [E, 4] into a new file, and says where they are, [E, 3]."""
        rows = rows_in(places)
        chunk = max([0, *self._chunks(), *self._tokens]) + 1
        token = secrets.token_hex(8)
        write_chunk(self._path(chunk), token, snapshot.stored(self.table), rows)
        self._tokens[chunk], self._rows[chunk] = token, len(rows)
        first = np.cumsum(places[:, 2] + 1) - places[:, 2] - 1
        return np.stack([places[:, 3], np.full(len(places), chunk), first], axis=1)

    def _position(self, places: IntArray, where: IntArray) -> dict[str, Any]:
        chunks = np.unique(where[:, 1]).tolist()
        return {
            "format": FORMAT,
            "newest": max([0, *self._tokens]),
            "chunks": [[chunk, self._tokens[chunk], self._rows[chunk]] for chunk in chunks],
            "where": torch.from_numpy(where.copy()),
            "table": snapshot.outline(self.table),
            "staging": None if self.staging is None else self.staging.state_dict(),
        }

    def _check(self, position: Mapping[str, Any]) -> None:
        if position.get("format") != FORMAT:
            raise VersionMismatch(
                f"The memory in {self.directory} has format {position.get('format')!r}, this gridrl reads {FORMAT}."
            )
        snapshot.check(self.table, position["table"])
        if (self.staging is None) != (position["staging"] is None):
            raise CheckpointError("The checkpoint was written with a staging or without, and here it is not so.")
        if self.staging is not None:
            self.staging.check_state(position["staging"])
        for chunk, token, _ in position["chunks"]:
            check_chunk(self._path(chunk), token)

    def _fill(self, where: IntArray, files: Mapping[int, tuple[str, int]]) -> None:
        places = self.table.episodes.table()
        for chunk, (_, rows) in files.items():
            goal = np.full(rows, -1, np.int64)
            here = where[:, 1] == chunk
            source = places[here].copy()
            source[:, 1] = where[here, 2]
            goal[rows_in(source)] = rows_in(places[here])
            load_chunk(self._path(chunk), snapshot.stored(self.table), goal)

    def _path(self, chunk: int) -> Path:
        return self.directory / f"steps_{chunk:06d}.npz"

    def _chunks(self) -> list[int]:
        """The files that are there, and no others': those that were being written when a process was killed go."""
        if not self.directory.is_dir():
            return []
        for unfinished in self.directory.glob(".steps_*.npz.*.tmp"):
            unfinished.unlink(missing_ok=True)
        matches = (_NAME.fullmatch(path.name) for path in self.directory.iterdir())
        return [int(match[1]) for match in matches if match]

    def _drop(self, needless: Callable[[int], bool]) -> None:
        for chunk in self._chunks():
            if needless(chunk):
                self._path(chunk).unlink(missing_ok=True)
                self._tokens.pop(chunk, None)
                self._rows.pop(chunk, None)
