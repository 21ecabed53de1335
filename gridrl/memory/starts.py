"""The rows where a sequence of one length can start, ready to be drawn from."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]


class Starts:
    """The start rows of sequences of one length, packed without a gap: a draw is one number and one look-up.

    An episode of T steps has `T - length + 1` starts, none where it is shorter. They come and go as a block: what is
    taken out is filled up from the end, so the cost is that of the rows that change, never of all rows.

    Attributes:
        length: steps of the sequences.
        count: how many starts there are.

    >>> starts = Starts(length=2, capacity=10)
    >>> starts.add(0, 4)  # an episode in rows 0 to 4: its last row holds only what follows the last step
    >>> sorted(starts.rows.tolist())
    [0, 1, 2]
    """

    def __init__(self, length: int, capacity: int) -> None:
        """Knows no episode.

        Args:
            length: steps of a sequence, at least 1.
            capacity: rows that exist; each may hold a start.
        """
        self.length = length
        self.count = 0
        self._rows = np.zeros(capacity, np.int64)
        self._place = np.zeros(capacity, np.int64)  # row -> where it stands in _rows

    @property
    def rows(self) -> IntArray:
        """int64 [count], a view, in no order that means anything."""
        return self._rows[: self.count]

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """`count` rows [count], each start with the same probability; there has to be one."""
        return self._rows[rng.integers(0, self.count, count)]

    def add(self, start: int, steps: int) -> None:
        """Takes in an episode of `steps` steps that begins in row `start`."""
        more = steps - self.length + 1
        if more <= 0:
            return
        end = self.count + more
        self._rows[self.count : end] = np.arange(start, start + more)
        self._place[start : start + more] = np.arange(self.count, end)
        self.count = end

    def remove(self, start: int, steps: int) -> None:
        """Forgets an episode that was taken in with the same numbers."""
        fewer = steps - self.length + 1
        if fewer <= 0:
            return
        remaining = self.count - fewer
        places = self._place[start : start + fewer]
        last = self._rows[remaining : self.count]
        movers = last[(last < start) | (last >= start + fewer)]
        holes = places[places < remaining]
        self._rows[holes] = movers
        self._place[movers] = holes
        self.count = remaining

    def move(self, new_row: IntArray, capacity: int) -> None:
        """Follows rows to other places, in the same order; `new_row` [old capacity] says where each went."""
        rows = new_row[self.rows]
        self.load(rows, capacity)

    def load(self, rows: IntArray, capacity: int) -> None:
        """Takes these rows [count] for all starts, in this order."""
        self.count = len(rows)
        self._rows, self._place = np.zeros(capacity, np.int64), np.zeros(capacity, np.int64)
        self._rows[: self.count] = rows
        self._place[rows] = np.arange(self.count)
