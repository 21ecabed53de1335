"""Trees that keep the sum or the least of many numbers while these change: whole batches at a time.

The tree of Schaul et al., Prioritized Experience Replay (2016), appendix B.2.1, as an array: node i has the children
2i and 2i + 1, the leaves come last. A batch walks all its paths side by side, one numpy call a level.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue

_ON_ARRAYS: dict[Any, Any] = {operator.add: np.add, min: np.minimum, max: np.maximum, operator.mul: np.multiply}


class SegmentTree:
    """An array whose stretches are reduced in logarithmic time.

    `tree[index]` reads and `tree[index] = value` writes; both take one index or an array of them. Where an index stands
    twice in an array, its last value counts.

    Attributes:
        capacity: how many values it holds, a power of two.

    >>> tree = SegmentTree(4, max, float("-inf"))
    >>> tree[np.arange(4)] = [3.0, 1.0, 4.0, 1.0]
    >>> tree.reduce(0, 2)
    3.0
    """

    def __init__(self, capacity: int, operation: Callable[[Any, Any], Any], neutral_element: Any) -> None:
        """Holds the neutral element everywhere.

        Args:
            capacity: a power of two.
            operation: combines two values, and is associative. A numpy function, or `operator.add`, `min` and the
                like, works on whole arrays of float64; any other is called value by value.
            neutral_element: changes nothing when it is combined: 0 for a sum, inf for the least.

        Raises:
            BadValue: the capacity is no power of two.
        """
        if capacity < 1 or capacity & (capacity - 1):
            raise BadValue(f"capacity: a power of two is needed, not {capacity}.")
        self.capacity = capacity
        self.neutral_element = neutral_element
        known = _ON_ARRAYS.get(operation, operation)
        self._combine: Callable[..., Any] = known if isinstance(known, np.ufunc) else np.frompyfunc(operation, 2, 1)
        self._values = np.full(2 * capacity, neutral_element, np.float64 if isinstance(known, np.ufunc) else object)

    def __getitem__(self, index: Any) -> Any:
        found: Any = self._values[self._leaves(index)]
        if np.ndim(index):
            return found
        return found.item() if isinstance(found, np.ndarray | np.generic) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        nodes = np.atleast_1d(self._leaves(index))
        self._values[nodes] = value
        nodes = nodes >> 1
        while nodes.size and nodes[0]:  # all nodes are of one level
            self._values[nodes] = self._combine(self._values[2 * nodes], self._values[2 * nodes + 1])
            nodes = nodes >> 1

    def __len__(self) -> int:
        return self.capacity

    def reduce(self, start: int = 0, end: int | None = None) -> Any:
        """The values from `start` up to, not including, `end`, combined in their order.

        Args:
            start: 0 or more.
            end: None: the capacity. A negative one counts from there.
        """
        end = self.capacity if end is None else end + self.capacity if end < 0 else end
        low, high = start + self.capacity, end + self.capacity
        left = right = self.neutral_element
        while low < high:
            if low & 1:
                left, low = self._combine(left, self._values[low]), low + 1
            if high & 1:
                high -= 1
                right = self._combine(self._values[high], right)
            low, high = low >> 1, high >> 1
        total = self._combine(left, right)
        return total if self._values.dtype == object else float(total)

    def _leaves(self, index: Any) -> npt.NDArray[np.int64]:
        place = np.asarray(index)
        if place.size and (place.min() < 0 or place.max() >= self.capacity):
            raise IndexError(f"index: 0 to {self.capacity - 1} are in the tree, not {index}.")
        leaves: npt.NDArray[np.int64] = place + self.capacity
        return leaves


class SumSegmentTree(SegmentTree):
    """Numbers from 0 on, their sums, and draws in proportion to them.

    >>> tree = SumSegmentTree(4)
    >>> tree[[0, 1, 3]] = [1.0, 2.0, 5.0]
    >>> tree.sum(), tree.find_prefixsum_idx(2.5), tree.find_prefixsum_idx(np.array([0.0, 3.0])).tolist()
    (8.0, 1, [0, 3])
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, np.add, 0.0)

    def sum(self, start: int = 0, end: int | None = None) -> float:
        """The sum of the values from `start` up to, not including, `end`."""
        total: float = self.reduce(start, end)
        return total

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float(self._values[1])

    def find_prefixsum_idx(self, prefixsum: Any) -> Any:
        """The highest index i with `values[0] + ... + values[i - 1] <= prefixsum`, for a number or an array of them.

        A number drawn uniformly below `total` finds each index with a probability in proportion to its value, and
        never one whose value is 0.

        Raises:
            BadValue: a number below 0, or above the sum of all by more than rounding.
        """
        wanted = np.asarray(prefixsum, np.float64)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() <= self.total * (1 + 1e-6) + 1e-9):
            raise BadValue(f"prefixsum: 0 to {self.total} is in the tree, not {prefixsum}.")
        values = self._values
        rest, nodes = np.atleast_1d(wanted).copy(), np.ones(max(wanted.size, 1), np.int64)
        for _ in range(self.capacity.bit_length() - 1):
            nodes = nodes << 1
            left = values[nodes]
            # to the right where the left is used up, unless rounding leads to where there is nothing
            right = (rest >= left) & (values[nodes + 1] > 0)
            rest -= left * right
            nodes += right
        found = nodes - self.capacity
        return found if wanted.ndim else int(found[0])


class MinSegmentTree(SegmentTree):
    """Numbers, and the least of any stretch of them; inf where none has been set.

    >>> tree = MinSegmentTree(4)
    >>> tree[2] = 3.0
    >>> tree.min(), tree.min(0, 2)
    (3.0, inf)
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, np.minimum, float("inf"))

    def min(self, start: int = 0, end: int | None = None) -> float:
        """The least of the values from `start` up to, not including, `end`."""
        least: float = self.reduce(start, end)
        return least
