"""The rows where a sequence of one length can start, ready to be drawn from."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]


class Starts:
    """The start rows of sequences of one length, packed without a gap: a draw is one number and one look-up.

    An episode of T steps has `T - length + 1` starts, none where it is shorter. They stand in a ring, in the order in
    which the episodes came, and come and go as a block: the oldest and the newest one leave the order as it is; a gap
    between others is filled up from the end. So the cost is that of the rows that change, never of all rows.

    Attributes:
        length: steps of the sequences.
        count: how many starts there are.
        in_order: whether they stand as the episodes came, so that nothing but these is needed to make them again.

    >>> starts = Starts(length=2, capacity=10)
    >>> starts.add(0, 4)  # an episode in rows 0 to 4: its last row holds only what follows the last step
    >>> starts.rows.tolist()
    [0, 1, 2]
    """

    def __init__(self, length: int, capacity: int) -> None:
        """Knows no episode.

        Args:
            length: steps of a sequence, at least 1.
            capacity: rows that exist; each may hold a start.
        """
        self.length, self.in_order = length, True
        self._first = self.count = 0
        self.load(np.zeros(0, np.int64), capacity)

    @property
    def rows(self) -> IntArray:
        """int64 [count], a copy, in the order in which they are drawn from."""
        return self._rows.take(np.arange(self._first, self._first + self.count), mode="wrap")

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """`count` rows [count], each start with the same probability; there has to be one."""
        return self._rows.take(rng.integers(self._first, self._first + self.count, count), mode="wrap")

    def add(self, start: int, steps: int) -> None:
        """Takes in an episode of `steps` steps that begins in row `start`."""
        more = steps - self.length + 1
        if more <= 0:
            return
        self.in_order = self.in_order or not self.count
        places = self._places(self.count, more)
        rows = np.arange(start, start + more)
        self._rows[places] = rows
        self._place[rows] = places
        self.count += more

    def remove(self, start: int, steps: int) -> None:
        """Forgets an episode that was taken in with the same numbers."""
        fewer = steps - self.length + 1
        if fewer <= 0:
            return
        self.count -= fewer
        if self.in_order and self._place[start] == self._first:
            self._first = (self._first + fewer) % len(self._rows)
            return
        holes = self._place[start : start + fewer]
        holes = holes[(holes - self._first) % len(self._rows) < self.count]
        last = self._rows[self._places(self.count, fewer)]
        movers = last[(last < start) | (last >= start + fewer)]
        self.in_order = self.in_order and not movers.size
        self._rows[holes] = movers
        self._place[movers] = holes

    def move(self, new_row: IntArray, capacity: int) -> None:
        """Follows rows to other places, in the same order; `new_row` [old capacity] says where each went."""
        self.load(new_row[self.rows], capacity, in_order=self.in_order)

    def load(self, rows: IntArray, capacity: int, *, in_order: bool = True) -> None:
        """Takes these rows [count] for all starts, in this order."""
        self.count, self.in_order, self._first = len(rows), in_order, 0
        self._rows: IntArray = np.zeros(capacity, np.int64)  # a ring
        self._place: IntArray = np.zeros(capacity, np.int64)  # row -> where it stands in _rows
        self._rows[: self.count] = rows
        self._place[rows] = np.arange(self.count)

    def _places(self, begin: int, count: int) -> IntArray:
        """Where in the ring the starts `begin`, `begin + 1`, ... stand."""
        return np.arange(self._first + begin, self._first + begin + count) % len(self._rows)
