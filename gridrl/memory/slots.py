"""Objects of any kind in a ring of slots: what comes takes the place of the oldest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gridrl.memory.starts import IntArray


class Slots:
    """What DI-engine's buffers keep their data in: a slot for each datum, and where the next one goes.

    A slot may be emptied before its time. Numbers that belong to a slot are kept in arrays beside it.

    Attributes:
        items: what is in each slot, None where it is empty.
        number: int64 [capacity], which datum since the beginning a slot holds, from 1 on; 0 where it is empty.
        tail: the slot that the next datum goes into.
        pushed: how many have come since the beginning.
        count: slots that hold something.

    >>> slots = Slots(3)
    >>> slots.push("abcd").tolist(), slots.items, [slots.items[slot] for slot in slots.order()]
    ([1, 2, 0], ['d', 'b', 'c'], ['b', 'c', 'd'])
    """

    def __init__(self, capacity: int, leaves: Callable[[Any], None] | None = None) -> None:
        """Makes empty slots.

        Args:
            capacity: how many, 1 or more.
            leaves: called with each datum that leaves; None: nobody is told.
        """
        self.items: list[Any] = [None] * capacity
        self.number: IntArray = np.zeros(capacity, np.int64)
        self.tail = self.pushed = self.count = 0
        self._leaves = leaves

    def push(self, items: Sequence[Any]) -> IntArray:
        """Puts data into slots, the oldest go.

        Args:
            items: of which only the last ones stay, where they are more than there are slots.

        Returns:
            The slots [N] of those that stayed.
        """
        capacity = len(self.items)
        stay = items[-capacity:] if len(items) > capacity else items
        if self._leaves is not None:
            for item in items[: len(items) - len(stay)]:
                self._leaves(item)
        self.tail = (self.tail + len(items) - len(stay)) % capacity
        self.pushed += len(items) - len(stay)
        slots = np.arange(self.tail, self.tail + len(stay)) % capacity
        for slot, item in zip(slots.tolist(), stay, strict=True):
            self._put(slot, item)
        self.tail = (self.tail + len(stay)) % capacity
        return slots

    def _put(self, slot: int, item: Any) -> None:
        if not self.number[slot]:
            self.count += 1
        elif self._leaves is not None:
            self._leaves(self.items[slot])
        self.pushed += 1
        self.items[slot], self.number[slot] = item, self.pushed

    def order(self) -> IntArray:
        """The slots that hold something, the oldest first."""
        around = np.concatenate([np.arange(self.tail, len(self.items)), np.arange(self.tail)])
        return around if self.count == len(around) else around[self.number[around] > 0]

    def aged(self, places: IntArray) -> IntArray:
        """The slots of these places in the order of age, 0 the oldest; none may have been emptied before its time."""
        slots: IntArray = (self.tail - self.count + places) % len(self.items)
        return slots

    def remove(self, slots: IntArray) -> None:
        """Empties slots, each of which holds something and stands once."""
        self.number[slots] = 0
        self.count -= len(slots)
        for slot in slots.tolist():
            if self._leaves is not None:
                self._leaves(self.items[slot])
            self.items[slot] = None

    def state(self) -> dict[str, Any]:
        """All that is needed to fill the same slots with the same: the data, the oldest first, are not copied."""
        order = self.order()
        data = [self.items[slot] for slot in order.tolist()]
        places = {"slots": order, "number": self.number[order], "tail": self.tail}
        counts = {"capacity": len(self.items), "push_count": self.pushed, "valid_count": self.count}
        return {"data": data, **places, **counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` gave of as many slots; nobody is told of what was there."""
        order = np.asarray(state["slots"], np.int64)
        self.items, self.number = [None] * len(self.items), np.zeros(len(self.items), np.int64)
        for slot, item in zip(order.tolist(), state["data"], strict=True):
            self.items[slot] = item
        self.number[order] = np.asarray(state["number"])
        self.tail, self.pushed, self.count = int(state["tail"]), int(state["push_count"]), len(order)
