"""Columns for updates over n steps: the rewards of the next n steps as one, and what came after them.

Where an episode ends within the n steps, fewer are looked over: so the same step that is drawn for one-step updates is
drawn here, whatever n is, and none is left out.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue
from gridrl.memory.columns import VirtualColumn
from gridrl.memory.rows import Array, BaseStorage, Draw
from gridrl.memory.starts import IntArray
from gridrl.memory.storage import NextElementMapper, VirtualStorage
from gridrl.typing import SampleResult

_RETURN, _ENDED, DISCOUNT = "n_step_return", "n_step_terminated", "bootstrap_discount"


class NStepReturn(VirtualStorage):
    """The discounted sum of the next k rewards: `sum_{i < k} gamma^i r_{t + i}`, k being the steps left or n."""

    def __init__(
        self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, *, n: int, gamma: float
    ) -> None:
        """Makes returns of the rewards in `storage`, one number a step."""
        super().__init__(storage, shape, dtype)
        self._check_size(storage.shape)
        self._ahead = np.arange(n)
        self._weights = np.power(float(gamma), self._ahead)

    def gather(self, draw: Draw) -> Array:
        """The returns of the sequences' steps."""
        episodes = self.storage.episodes
        rows = np.minimum(draw.rows[:, None] + self._ahead, episodes.capacity - 1)
        there = self._ahead < episodes.left[draw.rows][:, None]
        rewards = self.storage.at(rows.ravel()).reshape(rows.shape).astype(np.float64)
        return self._made(np.where(there, rewards, 0.0) @ self._weights)  # what is not there may be NaN


class NStepNext(NextElementMapper):
    """What came after the k steps: row `t + k` of the target, k being the steps left or n."""

    def __init__(self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, *, n: int) -> None:
        """Maps `storage`, which has T + 1 rows an episode."""
        super().__init__(storage, shape, dtype)
        self._n = n

    def gather(self, draw: Draw) -> Array:
        """The rows for the sequences' steps."""
        return self._made(self.storage.at(draw.rows + _looked_over(self.storage, draw.rows, self._n)))


class NStepEnd(VirtualStorage):
    """The last of the k steps: row `t + k - 1` of the target, k being the steps left or n."""

    def __init__(self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, *, n: int) -> None:
        """Maps `storage`."""
        super().__init__(storage, shape, dtype)
        self._check_size(storage.shape)
        self._n = n

    def gather(self, draw: Draw) -> Array:
        """The rows for the sequences' steps."""
        return self._made(self.storage.at(draw.rows + _looked_over(self.storage, draw.rows, self._n) - 1))


class NStepDiscount(VirtualStorage):
    """What the value after the k steps counts: `gamma^k`, k being the steps left or n."""

    def __init__(
        self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, *, n: int, gamma: float
    ) -> None:
        """Counts the steps of the episodes that `storage` holds."""
        super().__init__(storage, shape, dtype)
        self._n, self._powers = n, np.power(float(gamma), np.arange(n + 1))

    def gather(self, draw: Draw) -> Array:
        """The discounts for the sequences' steps."""
        return self._made(self._powers[_looked_over(self.storage, draw.rows, self._n)])


def n_step_columns(obs_dim: int, n: int, gamma: float) -> list[VirtualColumn]:
    """Columns for a table that stores `obs` (with the last one), `reward` and `terminated` by step.

    A sample of it goes through `as_n_step`.

    Args:
        obs_dim: length of a flat observation.
        n: steps to look over.
        gamma: discount per step.

    Raises:
        BadValue: n is no whole number from 1 on.

    >>> [column.name for column in n_step_columns(4, 3, 0.99)]
    ['next_obs', 'n_step_return', 'n_step_terminated', 'bootstrap_discount']
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise BadValue(f"n_step={n!r}: a whole number from 1 on is needed.")
    return [
        VirtualColumn("next_obs", (obs_dim,), np.float32, "obs", partial(NStepNext, n=n)),
        VirtualColumn(_RETURN, (), np.float32, "reward", partial(NStepReturn, n=n, gamma=gamma)),
        VirtualColumn(_ENDED, (), np.float32, "terminated", partial(NStepEnd, n=n)),
        VirtualColumn(DISCOUNT, (), np.float32, "reward", partial(NStepDiscount, n=n, gamma=gamma)),
    ]


def as_n_step(result: SampleResult, count: int, sequence_length: int) -> SampleResult:
    """An adaptor: `reward` and `terminated` of a sample become those of n steps."""
    result["reward"], result["terminated"] = result.pop(_RETURN), result.pop(_ENDED)
    return result


def _looked_over(storage: BaseStorage, rows: IntArray, n: int) -> IntArray:
    """k of these rows [N]."""
    steps: IntArray = np.minimum(storage.episodes.left[rows], n)
    return steps
