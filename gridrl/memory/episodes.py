"""Where episodes lie among the rows of a memory: whole, side by side, in a ring that grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gridrl.errors import BadValue, NotEnoughData
from gridrl.memory.starts import IntArray, Starts
from gridrl.typing import SamplePoint

LARGEST_IDENTITY = 2**63 - 1
_FIRST_CAPACITY = 256
_SPARE = 1.25  # rows there are for each row in use, so that the ring seldom has to be laid anew


class Place(NamedTuple):
    """Where an episode lies: `steps + 1` rows from `start` on, the last one for what follows the last step."""

    start: int
    steps: int


class Episodes:
    """Which rows belong to which episode; the columns themselves are elsewhere and share these row numbers.

    Episodes are laid one after the other around a ring of rows and are never cut in two. Where the ring has no gap
    that is long enough, the episodes are laid anew in the same order, in more rows where few are free; each row is
    moved a bounded number of times on average. Whoever keeps something by row is told through `watch`.

    Attributes:
        capacity: rows that exist now.
        size: steps of all episodes together.
        left: int64 [capacity], steps from a row to the end of its episode, 0 for the last row of an episode and for
            free ones.
        owner: int64 [capacity], the identity of the row's episode; -1 for free rows.
        number: int64 [capacity], which row since the beginning it is, from 1 on and never used again, other than
            identities; it goes with the row wherever that is moved to; 0 for free rows.
        count: how many rows have come since the beginning.
        loads: how often `load_state` has put others in their place.
        places: identity -> where the episode lies, the oldest first.

    >>> episodes = Episodes()
    >>> episodes.add(7, 3)
    Place(start=0, steps=3)
    >>> episodes.left[:5].tolist(), episodes.starts(2).rows.tolist()
    ([3, 2, 1, 0, 0], [0, 1])
    """

    def __init__(self, limit: int | None = None) -> None:
        """Holds nothing.

        Args:
            limit: steps that will be held at most; more rows than that needs are only made where there are many
                short episodes, each of which takes one row more than it has steps. None: not known.
        """
        self.limit = limit
        self._watchers: list[Callable[[IntArray, int], None]] = []
        self._prepared: list[Callable[[int], None]] = []
        self.count = self.loads = 0
        self._reset(_FIRST_CAPACITY)

    def _reset(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self.places: dict[int, Place] = {}
        self.left = np.zeros(capacity, np.int64)
        self.owner = np.full(capacity, -1, np.int64)
        self.number = np.zeros(capacity, np.int64)
        self._head = 0
        self._starts: dict[int, Starts] = {}

    def watch(self, moved: Callable[[IntArray, int], None], prepare: Callable[[int], None] | None = None) -> None:
        """Tells somebody of rows that move.

        Args:
            moved: called as `moved(rows, capacity)` whenever rows move: row `rows[i]` is now row i, of `capacity` rows.
            prepare: called as `prepare(capacity)` before any of this has changed: if it raises, nothing changes.
        """
        self._watchers.append(moved)
        if prepare is not None:
            self._prepared.append(prepare)

    def __contains__(self, identity: int) -> bool:
        return identity in self.places

    def __len__(self) -> int:
        return len(self.places)

    def add(self, identity: int, steps: int) -> Place:
        """Makes room for an episode.

        Raises:
            BadValue: the identity is taken, negative, or no whole number; or there is no step.
        """
        self.check(identity, steps)
        start = self._room(steps + 1)
        if start is None:
            self._lay_anew(steps + 1)
            start = self._head
        place = self._lay(identity, start, steps, self.count + 1)
        self.count += steps + 1
        self._head = start + steps + 1
        for starts in self._starts.values():
            starts.add(start, steps)
        return place

    def _lay(self, identity: int, start: int, steps: int, number: int) -> Place:
        place = self.places[identity] = Place(start, steps)
        end = start + steps + 1
        self.left[start:end] = np.arange(steps, -1, -1)
        self.owner[start:end] = identity
        self.number[start:end] = np.arange(number, number + steps + 1)
        self.size += steps
        return place

    def check(self, identity: int, steps: int) -> None:
        """Raises what `add` would, and changes nothing."""
        if isinstance(identity, bool) or not isinstance(identity, int | np.integer):
            raise BadValue(f"identity: a whole number is needed, not {identity!r}.")
        if not 0 <= identity <= LARGEST_IDENTITY:
            raise BadValue(f"identity {identity}: a whole number from 0 to 2**63 - 1 is needed.")
        if identity in self.places:
            raise BadValue(f"identity {identity} is taken: each episode needs an identity of its own.")
        if steps < 1:
            raise BadValue(f"identity {identity}: an episode has at least one step, this one has {steps}.")

    def remove(self, identity: int) -> None:
        """Frees the rows of an episode.

        Raises:
            KeyError: there is no such episode.
        """
        start, steps = self.places.pop(identity)
        self.left[start : start + steps + 1] = 0
        self.owner[start : start + steps + 1] = -1
        self.number[start : start + steps + 1] = 0
        self.size -= steps
        for starts in self._starts.values():
            starts.remove(start, steps)

    def clear(self) -> None:
        """Forgets every episode; the rows stay."""
        self._reset(self.capacity)

    def starts(self, length: int) -> Starts:
        """The rows where a sequence of `length` steps can start; kept up to date once it has been asked for.

        Raises:
            BadValue: the length is no positive whole number.
        """
        if length not in self._starts:
            if length < 1:
                raise BadValue(f"sequence_length: at least 1 is needed, not {length}.")
            self._starts[length] = Starts(length, self.capacity)
            order = self.order()
            self._starts[length].load(order[self.left[order] >= length], self.capacity)
        return self._starts[length]

    def require(self, length: int) -> Starts:
        """`starts(length)` where there is at least one.

        Raises:
            NotEnoughData: no episode is as long.
        """
        starts = self.starts(length)
        if not starts.count:
            longest = max((place.steps for place in self.places.values()), default=0)
            raise NotEnoughData(
                f"A sequence of {length} steps, with those that columns of later rows need, was asked for; the memory "
                f"holds {len(self)} episodes, the longest of {longest} steps. Collect more, or ask for shorter ones."
            )
        return starts

    def points(self, rows: IntArray) -> list[SamplePoint]:
        """Each of these rows as (identity, step)."""
        owners = self.owner[rows].tolist()
        steps = np.fromiter((self.places[owner].steps for owner in owners), np.int64, len(owners))
        return list(zip(owners, (steps - self.left[rows]).tolist(), strict=True))

    def rows_of(self, points: Iterable[SamplePoint]) -> IntArray:
        """The rows of (identity, step) pairs."""
        return np.array([self.places[identity].start + step for identity, step in points], np.int64)

    def order(self) -> IntArray:
        """All rows in use, the oldest episode first, the last row of each included."""
        return rows_in(self.table())

    def table(self) -> IntArray:
        """Each episode, the oldest first, [E, 4]: identity, first row, steps and that row's number; numbers ascend."""
        found = np.empty((len(self.places), 4), np.int64)
        if len(found):
            found[:, 0] = list(self.places)
            found[:, 1:3] = list(self.places.values())
            found[:, 3] = self.number[found[:, 1]]
        return found

    def state(self) -> dict[str, Any]:
        """All that is needed to lay the same rows in the same places, and to draw the same from them."""
        known = self._starts.items()
        return {
            "capacity": self.capacity,
            "head": self._head,
            "count": self.count,
            "places": self.table(),
            "starts": {length: starts.rows for length, starts in known if not starts.in_order},
            "in_order": [length for length, starts in known if starts.in_order],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` gave; who watches is told of the rows, none of which comes from where it was."""
        for prepare in self._prepared:
            prepare(int(state["capacity"]))
        self.loads += 1
        self._reset(int(state["capacity"]))
        for identity, start, steps, number in np.asarray(state["places"]).tolist():
            self._lay(identity, start, steps, number)
        self._head, self.count = int(state["head"]), int(state["count"])
        for length, rows in state["starts"].items():
            self._starts[int(length)] = Starts(int(length), self.capacity)
            self._starts[int(length)].load(np.asarray(rows, np.int64), self.capacity, in_order=False)
        for length in state["in_order"]:  # now: their order is that of the episodes no longer when one has left
            self.starts(int(length))
        for moved in self._watchers:
            moved(np.zeros(0, np.int64), self.capacity)

    def _room(self, rows: int) -> int | None:
        """The first row of a gap behind the newest episode, or at the ring's beginning; None where none is as long."""
        if not self.places:
            return 0 if rows <= self.capacity else None
        tail = next(iter(self.places.values())).start
        end = self._head + rows
        if self._head <= tail:  # the ring has come around: free are the rows up to the oldest episode
            return self._head if end <= tail else None
        if end <= self.capacity:
            return self._head
        return 0 if rows <= tail else None

    def _lay_anew(self, rows: int) -> None:
        order = self.order()
        needed = int(_SPARE * (len(order) + rows)) + 1
        capacity = self.capacity
        if needed > capacity:
            doubled = 2 * capacity if self.limit is None else min(2 * capacity, int(_SPARE * self.limit))
            capacity = max(needed + needed // 8, doubled)
        for prepare in self._prepared:
            prepare(capacity)
        new_row = np.zeros(self.capacity, np.int64)
        new_row[order] = np.arange(len(order))
        self.left, self.number = _moved(self.left, order, capacity), _moved(self.number, order, capacity)
        owner, self.owner = self.owner[order], np.full(capacity, -1, np.int64)
        self.owner[: len(order)] = owner
        self.places = {
            identity: Place(int(new_row[place.start]), place.steps) for identity, place in self.places.items()
        }
        self.capacity, self._head = capacity, len(order)
        for starts in self._starts.values():
            starts.move(new_row, capacity)
        for moved in self._watchers:
            moved(order, capacity)


def rows_in(table: IntArray) -> IntArray:
    """All rows of the episodes [E, 4] that `Episodes.table` tells of, one after the other, the last one included."""
    start, rows = table[:, 1], table[:, 2] + 1
    first = np.cumsum(rows) - rows  # of each episode, in the order
    return np.repeat(start - first, rows) + np.arange(int(rows.sum()))


def _moved(values: IntArray, rows: IntArray, capacity: int) -> IntArray:
    found = np.zeros(capacity, np.int64)
    found[: len(rows)] = values[rows]
    return found
