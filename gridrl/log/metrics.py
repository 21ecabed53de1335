"""Numbers gathered over an epoch: means by key, and float64 statistics that merge over ranks.

`LoggingMixin`, which gives any object a log of its own, is here too.
"""

from __future__ import annotations

import math
import operator
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, ColumnError
from gridrl.log.floats import as_floats, is_tensor
from gridrl.log.recorder import LoggingMixin

__all__ = ["LoggingMixin", "Moments", "Samples", "ScalarMeanTracker", "as_floats", "is_tensor"]

# Numbers kept one by one before they are folded into moments: 512 kB of pointers per key at most.
_FOLD_AT = 65_536


@dataclass
class Moments:
    """Count, sum, squared deviations, least and largest of numbers: everything in float64, and mergeable.

    A NaN among the numbers makes every statistic NaN: it is shown, not hidden. An infinite number makes the
    deviation NaN.

    Attributes:
        count: how many numbers.
        total: their sum. Sums of whole numbers are exact, so that their mean does not depend on how they were split.
        squares: the sum of their squared deviations from their mean.
        minimum: the least; inf where there is none.
        maximum: the largest; -inf where there is none.

    >>> left, right = Moments.of([1.0, 2.0]), Moments.of([6.0])
    >>> left.merge(right)
    >>> left.mean, left.std, left.minimum, left.maximum
    (3.0, 2.160246899469287, 1.0, 6.0)
    """

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @classmethod
    def of(cls, numbers: Iterable[float] | npt.NDArray[np.float64]) -> Moments:
        """The moments of numbers [N]; N may be 0."""
        array = np.asarray(numbers, dtype=np.float64)
        if not array.size:
            return cls()
        with np.errstate(invalid="ignore", over="ignore"):
            moments = cls(array.size, float(array.sum()), 0.0, float(array.min()), float(array.max()))
            deviations = array - moments.mean
            # Two passes, corrected for the rounding of the mean: Chan, Golub and LeVeque (1983), equation 1.7.
            squares = np.square(deviations).sum() - deviations.sum() ** 2 / array.size
            moments.squares = max(float(squares), 0.0)  # max(nan, 0) is nan
        return moments

    @property
    def mean(self) -> float:
        """The mean, nan of no numbers; never beyond the least and the largest, where rounding would put it."""
        return min(max(self.total / self.count, self.minimum), self.maximum) if self.count else math.nan

    @property
    def std(self) -> float:
        """The population standard deviation (divided by the count); nan of no numbers."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan

    def merge(self, other: Moments) -> None:
        """Takes in the numbers of `other`, by the pairwise rule of Chan, Golub and LeVeque (1983), equation 2.1b:
        M2 = M2_a + M2_b + (mean_b - mean_a)^2 n_a n_b / (n_a + n_b).
        """
        if other.count and self.count:
            apart = other.mean - self.mean
            # (apart * n_a) before the second apart: apart^2 alone may overflow where the mean does not
            self.squares += other.squares + apart * (apart * (self.count * other.count / (self.count + other.count)))
        elif other.count:
            self.squares = other.squares
        self.count += other.count
        self.total += other.total
        self.minimum = _extreme(min, self.minimum, other.minimum)
        self.maximum = _extreme(max, self.maximum, other.maximum)


def _extreme(choose: Any, one: float, other: float) -> float:
    """The builtin min and max pass a NaN over or not, by the order of their arguments."""
    return math.nan if math.isnan(one) or math.isnan(other) else float(choose(one, other))


class Samples:
    """The numbers stored under one key during an epoch.

    Single numbers are kept as they come and folded together when they are asked for; arrays are folded at once, so
    that their owner may reuse them.
    """

    __slots__ = ("_folded", "_numbers")

    def __init__(self) -> None:
        self._numbers: list[float] = []
        self._folded = Moments()

    def add(self, value: Any) -> None:
        """Takes a number or numbers, see `as_floats`; arrays without an element add nothing."""
        kind = type(value)
        if kind is float or kind is int or (isinstance(value, np.number) and not isinstance(value, np.complexfloating)):
            self._numbers.append(float(value))
            if len(self._numbers) >= _FOLD_AT:
                self._folded, self._numbers = self.moments(), []
            return
        numbers = as_floats(value)
        if numbers.size == 1:
            self._numbers.append(float(numbers[0]))
        else:
            self._folded.merge(Moments.of(numbers))

    def moments(self) -> Moments:
        """The statistics of everything that was added."""
        moments = Moments(**vars(self._folded))
        moments.merge(Moments.of(self._numbers))
        return moments

    def state_dict(self) -> dict[str, Any]:
        """Everything added so far, in plain numbers: statistics taken after a load have the same bytes."""
        return {"numbers": list(self._numbers), "folded": list(vars(self._folded).values())}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Samples:
        """What `state_dict` gave, alive again."""
        samples = cls()
        samples._numbers = [float(number) for number in state["numbers"]]
        samples._folded = Moments(*state["folded"])
        return samples


class ScalarMeanTracker:
    """Means of scalars by key, over any number of calls.

    A key counts where it is given: keys may have different counts.

    >>> tracker = ScalarMeanTracker()
    >>> tracker.add_scalars({"loss": 4.0, "reward": 1.0})
    >>> tracker.add_scalars({"loss": 1.0}, n=2)
    >>> dict(tracker.pop_and_reset())
    {'loss': 2.0, 'reward': 1.0}
    """

    def __init__(self) -> None:
        self._sums: OrderedDict[str, float] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()

    def add_scalars(self, scalars: Mapping[str, Any], n: int | Mapping[str, int] = 1) -> None:
        """Adds one mean per key, weighted by how many numbers it is the mean of.

        Args:
            scalars: key -> number (tensors with one element too; only the number is kept).
            n: how many numbers each of them stands for; or key -> that. 0 leaves the key out.

        Raises:
            KeyError: `n` is a mapping that lacks a key. Nothing is added then, nor after any other error.
            BadValue: a negative count.
        """
        added = [
            (key, _one_number(key, value), operator.index(n[key] if isinstance(n, Mapping) else n))
            for key, value in scalars.items()
        ]
        for key, _, count in added:
            if count < 0:
                raise BadValue(f"n={count} for {key!r}: a count is 0 or more.")
        for key, value, count in added:
            if count:
                self._sums[key] = self._sums.get(key, 0.0) + count * value
                self._counts[key] = self._counts.get(key, 0) + count

    def merge(self, other: ScalarMeanTracker) -> None:
        """Takes in what another tracker (another worker's, another rank's) has seen."""
        for key, value in other._sums.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
            self._counts[key] = self._counts.get(key, 0) + other._counts[key]

    def means(self) -> OrderedDict[str, float]:
        """key -> mean, in the order in which the keys were first seen."""
        return OrderedDict((key, total / self._counts[key]) for key, total in self._sums.items())

    def sums(self) -> OrderedDict[str, float]:
        """key -> weighted sum."""
        return self._sums.copy()

    def counts(self) -> OrderedDict[str, int]:
        """key -> how many numbers."""
        return self._counts.copy()

    def pop_and_reset(self) -> OrderedDict[str, float]:
        """The means; every key is forgotten."""
        means = self.means()
        self.reset()
        return means

    def reset(self) -> None:
        """Forgets every key."""
        self._sums.clear()
        self._counts.clear()

    @property
    def empty(self) -> bool:
        """Whether no key has been seen."""
        return not self._sums


def _one_number(key: str, value: Any) -> float:
    numbers: Sequence[float] | npt.NDArray[np.float64] = as_floats(value)
    if len(numbers) != 1:
        raise ColumnError(f"{key!r}: one number is wanted, {len(numbers)} were given.")
    return float(numbers[0])
