"""The arrays behind the columns: one row a step, or one value an episode."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gridrl.errors import ColumnError
from gridrl.log.disk import told_when_full
from gridrl.memory.episodes import Episodes
from gridrl.memory.starts import IntArray

Array: TypeAlias = npt.NDArray[Any]


class Draw:
    """The sequences of one sample: where they start, and all of their rows.

    Attributes:
        starts: int64 [B].
        length: rows of each sequence, L.
        rows: int64 [B * L], sequence by sequence.
    """

    def __init__(self, starts: IntArray, length: int) -> None:
        self.starts, self.length = starts, length
        self.rows = starts if length == 1 else (starts[:, None] + np.arange(length)).ravel()


class BaseStorage(MutableMapping[int, Array]):
    """The rows of a column, by episode: `storage[identity]` is that episode's array, a view of the rows.

    An episode of T steps has T rows (an action each), or T + 1 (an observation each, and the last one): the first
    episode settles which. A storage that is made alone keeps its own account of episodes; those of a table share one.

    Attributes:
        shape: of one row.
        dtype: of its numbers.
        extra: rows that an episode has beyond its steps, 0 or 1; None until there has been one.

    >>> storage = BaseStorage((), np.float32)
    >>> storage[3] = np.array([1.0, 2.0])
    >>> storage[3].tolist()
    [1.0, 2.0]
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        *,
        episodes: Episodes | None = None,
        file: Path | None = None,
    ) -> None:
        """Makes room for the rows that `episodes` has.

        Args:
            shape: of one row.
            dtype: of its numbers.
            episodes: where episodes lie; None: an account of its own, where T is the number of rows set.
            file: keeps the rows in this file, mapped into memory, instead of in memory; it is overwritten.

        Raises:
            DiskFull: no room for the file.
        """
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.extra: int | None = None if episodes is not None else 0
        self._alone = episodes is None
        self.episodes = Episodes() if episodes is None else episodes
        self._file = file
        self._rows = self._next = self._make(self.episodes.capacity)
        self.episodes.watch(self._move, self._prepare)

    def put(self, identity: int, value: Array) -> None:
        """Writes the rows of an episode that has its place already; `value` [T or T + 1, *shape]."""
        start, steps = self.episodes.places[identity]
        self.extra = len(value) - steps
        self._rows[start : start + len(value)] = value

    def load(self, rows: IntArray, values: Array) -> None:
        """Writes `values` [N, *shape] into these rows [N]."""
        self._rows[rows] = values

    def gather(self, draw: Draw) -> Array:
        """Copies the rows of sequences, one after the other: [B * L, *shape]."""
        return self._rows.take(draw.rows, axis=0)

    def at(self, rows: IntArray) -> Array:
        """Copies these rows [N], in their order: [N, *shape]."""
        return self._rows.take(rows, axis=0)

    def packed(self) -> tuple[IntArray, Array]:
        """All episodes, the oldest first: where each lies [E, 3] as identity, first row and rows, and the rows."""
        order = self.episodes.order()
        rows = order if self.extra else order[self.episodes.left[order] > 0]
        return self._ranges(self.extra or 0), self.at(rows)

    def _ranges(self, extra: int) -> IntArray:
        places = self.episodes.places
        size = np.fromiter((place.steps + extra for place in places.values()), np.int64, len(places))
        return np.stack([np.fromiter(places, np.int64, len(places)), np.cumsum(size) - size, size], axis=1)

    def __getitem__(self, identity: int) -> Array:
        start, steps = self.episodes.places[identity]
        return self._rows[start : start + steps + (self.extra or 0)]

    def __setitem__(self, identity: int, value: Array) -> None:
        if not self._alone:
            raise ColumnError("The columns of a table are filled together, by add_sequence().")
        rows = np.asarray(value, self.dtype).reshape(-1, *self.shape)
        if identity in self.episodes:
            self.episodes.remove(identity)
        self.episodes.add(identity, len(rows))
        self.put(identity, rows)

    def __delitem__(self, identity: int) -> None:
        if self._alone:
            self.episodes.remove(identity)

    def __iter__(self) -> Iterator[int]:
        return iter(self.episodes.places)

    def __len__(self) -> int:
        return len(self.episodes)

    def get_empty_storage(self, count: int, length: int) -> Array:
        """An array for `count` sequences of `length` rows, [count * rows, *shape]: a new one at each call."""
        return np.empty((count * self.sequence_length_transform(length), *self.shape), self.dtype)

    def sequence_length_transform(self, length: int) -> int:
        """How many rows a sample has for a sequence of `length` steps."""
        return length

    def post_import(self) -> None:
        """Called when an archive has been read; nothing has to be done."""

    def check(self, name: str, value: Any, steps: int, extra: int | None = None) -> Array:
        """The rows of an episode as an array that `put` can take.

        Args:
            name: of the column, for the message.
            value: T or T + 1 rows; where `shape` has one element it may be left out or be 1.
            steps: T.
            extra: rows beyond T that it has to have, 0 or 1; None: either.

        Raises:
            ColumnError: another shape, another number of rows, or numbers that do not go into the dtype.
        """
        rows = value if self._has_form(value) else self._formed(name, value)
        allowed = (steps, steps + 1) if extra is None else (steps + extra,)
        if len(rows) not in allowed:
            raise ColumnError(
                f"Column {name!r} has {len(rows)} rows for {steps} steps: {' or '.join(map(str, allowed))} are needed"
                + ("." if extra is None else ", as in the episodes before.")
            )
        return rows

    def _has_form(self, value: Any) -> bool:
        """Whether it is rows of this shape and dtype as it stands; most are, and need no other question."""
        is_array = type(value) is np.ndarray and value.ndim > 0
        return is_array and value.dtype == self.dtype and value.shape[1:] == self.shape

    def _formed(self, name: str, value: Any) -> Array:
        found = _as_array(name, value)
        if not _fits(found, self.dtype):
            raise ColumnError(f"Column {name!r} holds {self.dtype}: {found.dtype} would lose what it says.")
        rows = _with_shape(found, self.shape)
        if rows is None:
            raise ColumnError(f"Column {name!r} has rows of shape {list(self.shape)}: {list(found.shape)} was given.")
        return rows

    def _make(self, capacity: int) -> Array:
        if self._file is None:
            return np.zeros((capacity, *self.shape), self.dtype)
        aside = self._file.with_name(self._file.name + ".new")
        try:
            with told_when_full(self._file, "the table cannot grow; it stands as it was"), open(aside, "wb") as file:
                if hasattr(os, "posix_fallocate"):  # where a mapped file has no room, a write ends the whole process
                    os.posix_fallocate(file.fileno(), 0, capacity * self.dtype.itemsize * int(np.prod(self.shape)))
            rows = np.memmap(aside, self.dtype, "r+", shape=(capacity, *self.shape))
            aside.replace(self._file)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return rows

    def _prepare(self, capacity: int) -> None:
        self._next = self._make(capacity)

    def _move(self, rows: IntArray, capacity: int) -> None:
        old, self._rows = self._rows, self._next
        for begin in range(0, len(rows), 65_536):  # a piece at a time, for columns larger than memory
            piece = rows[begin : begin + 65_536]
            self._rows[begin : begin + len(piece)] = old[piece]


def _as_array(name: str, value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        found = np.asarray(value)
    except ValueError:
        raise ColumnError(f"Column {name!r}: its rows differ in shape.") from None
    if found.dtype.kind not in "biufc":
        raise ColumnError(f"Column {name!r}: rows of numbers are needed, not of {found.dtype}.")
    return found


def _fits(found: Array, dtype: np.dtype[Any]) -> bool:
    """Whether numbers keep their meaning in `dtype`: whole numbers exactly, others but for rounding."""
    if not found.size:
        return True
    if found.dtype.kind in "biu" and dtype.kind in "biu" and not np.can_cast(found.dtype, dtype, "safe"):
        return bool((found.astype(dtype) == found).all())
    return np.can_cast(found.dtype, dtype, "same_kind")


def _with_shape(found: Array, shape: tuple[int, ...]) -> Array | None:
    """`found` as rows of `shape`, None where it is something else; a single number may stand as () or as (1,)."""
    if found.ndim == 0:
        return None
    if found.shape[1:] == shape or (int(np.prod(shape)) == 1 and int(np.prod(found.shape[1:])) == 1):
        return found.reshape(len(found), *shape)
    return None


class TagStorage(BaseStorage):
    """One value an episode; a sample has one row of it a sequence."""

    def sequence_length_transform(self, length: int) -> int:
        """One row, however long the sequence."""
        return 1

    def gather(self, draw: Draw) -> Array:
        """The tags of the sequences, [B, *shape]."""
        return self.at(draw.starts)

    def packed(self) -> tuple[IntArray, Array]:
        """The tag of each episode, the oldest first, and where it lies."""
        places = self.episodes.places
        ranges = self._ranges(0)
        ranges[:, 1], ranges[:, 2] = np.arange(len(places)), 1
        return ranges, self.at(np.fromiter((place.start for place in places.values()), np.int64, len(places)))

    def put(self, identity: int, value: Array) -> None:
        """Gives all rows of an episode the first row of `value`."""
        start, steps = self.episodes.places[identity]
        self._rows[start : start + steps] = value[0]

    def __setitem__(self, identity: int, value: Array) -> None:
        super().__setitem__(identity, np.reshape(value, (-1, *self.shape)))

    def check(self, name: str, value: Any, steps: int, extra: int | None = None) -> Array:
        """A tag [*shape], or rows of which the first counts, as [rows, *shape].

        Raises:
            ColumnError: another shape, no row, or another kind of number.
        """
        found = _as_array(name, value)
        if found.shape == self.shape:
            found = found[None]
        rows = _with_shape(found, self.shape)
        if rows is None or not len(rows) or not _fits(found, self.dtype):
            raise ColumnError(
                f"Column {name!r} holds one {self.dtype} of shape {list(self.shape)} an episode: "
                f"{found.dtype} {list(found.shape)} was given."
            )
        return rows
