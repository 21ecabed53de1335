"""The rows of a memory's columns: stored (`BaseStorage`, `TagStorage`), or made from stored ones when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import ColumnError, ShapeError
from gridrl.memory.rows import Array, BaseStorage, Draw, TagStorage

__all__ = [
    "BaseStorage",
    "LastWrapper",
    "MaskWrapper",
    "NextElementMapper",
    "NextNElementWrapper",
    "SyntheticDones",
    "TagProxy",
    "TagStorage",
    "VirtualStorage",
    "Wrapper",
]


class VirtualStorage:
    """Makes rows from those of another storage.

    Override `gather` for whole batches of rows, or `__getitem__`, which gives what a sequence is cut out of, episode
    by episode: slower.

    Attributes:
        storage: where the rows come from.
        shape: of one row.
        dtype: of its numbers.
    """

    def __init__(self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.storage, self.shape, self.dtype = storage, tuple(shape), np.dtype(dtype)

    @property
    def reach(self) -> int:
        """Steps that have to follow a sequence in its episode, so that all its rows can be made."""
        return 0

    def __getitem__(self, identity: int) -> Any:
        """What the rows of an episode are cut out of: `storage[identity][begin:end]`."""
        return self.storage[identity]

    def __setitem__(self, identity: int, value: Array) -> None:
        """Stores nothing."""

    def __delitem__(self, identity: int) -> None:
        """Deletes nothing."""

    def gather(self, draw: Draw) -> Array:
        """Makes the rows of sequences: [B * L, *shape], or [B, *shape]."""
        starts, length = draw.starts, draw.length
        wanted = self.sequence_length_transform(length)
        out = self.get_empty_storage(len(starts), length).reshape(len(starts), wanted, *self.shape)
        for sequence, (identity, step) in zip(out, self.storage.episodes.points(starts), strict=True):
            sequence[:] = np.reshape(self[identity][step : step + length], sequence.shape)
        return out.reshape(-1, *self.shape)

    def get_empty_storage(self, count: int, length: int) -> Array:
        """An array for `count` sequences of `length` steps: a new one at each call."""
        return np.empty((count * self.sequence_length_transform(length), *self.shape), self.dtype)

    def sequence_length_transform(self, length: int) -> int:
        """How many rows a sample has for a sequence of `length` steps."""
        return length

    def post_import(self) -> None:
        """Called when an archive has been read; nothing has to be done."""

    def _check_size(self, of: tuple[int, ...] = ()) -> None:
        """Raises a ColumnError where a row has not as many numbers as one of the shape `of`."""
        if int(np.prod(self.shape)) != int(np.prod(of)):
            raise ColumnError(f"has rows of shape {list(self.shape)}: as many numbers as in {list(of)} are needed.")

    def _made(self, value: Array) -> Array:
        return value.reshape(-1, *self.shape).astype(self.dtype, copy=False)


class NextElementMapper(VirtualStorage):
    """What follows each step: row t + 1 of the target for row t."""

    def __init__(
        self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, only_last: bool = False
    ) -> None:
        """Maps `storage`.

        Args:
            storage: with T + 1 rows an episode, or sequences end one step before the episode does.
            shape: of one row.
            dtype: of its numbers.
            only_last: makes one row a sequence: what follows its last step.
        """
        super().__init__(storage, shape, dtype)
        self._check_size(storage.shape)
        self.only_last = only_last

    @staticmethod
    def with_only_last(storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike) -> NextElementMapper:
        """Makes one row a sequence: what follows its last step, to bootstrap from."""
        return NextElementMapper(storage, shape, dtype, only_last=True)

    @property
    def reach(self) -> int:
        """Nothing where the target has a row after the last step, else one step."""
        return 1 - (self.storage.extra or 0)

    def sequence_length_transform(self, length: int) -> int:
        """One row a step, or one a sequence."""
        return 1 if self.only_last else length

    def __getitem__(self, identity: int) -> Array:
        return self.storage[identity][1:]

    def gather(self, draw: Draw) -> Array:
        """What follows the steps of the sequences."""
        following = draw.starts + draw.length if self.only_last else draw.rows + 1
        return self._made(self.storage.at(following))


class NextNElementWrapper(VirtualStorage):
    """What follows n steps later: row t + n of the target for row t.

    Only sequences whose n-th next row is in the same episode are drawn.
    """

    def __init__(self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, n: int = 1) -> None:
        super().__init__(storage, shape, dtype)
        self._check_size(storage.shape)
        if n < 0:
            raise ShapeError(f"n steps later: a number from 0 on is needed, not {n}.")
        self.n = n

    @staticmethod
    def with_n(n: int) -> Callable[[BaseStorage, tuple[int, ...], npt.DTypeLike], NextNElementWrapper]:
        """The mapper for n steps later."""

        def mapper(storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike) -> NextNElementWrapper:
            return NextNElementWrapper(storage, shape, dtype, n)

        return mapper

    @property
    def reach(self) -> int:
        """n steps, one fewer where the target has a row after the last step."""
        return max(0, self.n - (self.storage.extra or 0))

    def __getitem__(self, identity: int) -> Array:
        return self.storage[identity][self.n :]

    def gather(self, draw: Draw) -> Array:
        """What follows n steps after those of the sequences."""
        return self._made(self.storage.at(draw.rows + self.n))


class SyntheticDones(VirtualStorage):
    """1 where a step is the last of its episode, by the length of the target; as a mask 0 there and 1 elsewhere.

    The end of an episode is meant, whatever ended it: see `TerminalAdaptor` for time limits.
    """

    def __init__(self, storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike, mask: bool = False) -> None:
        super().__init__(storage, shape, dtype)
        self._check_size()
        self.mask = mask

    @staticmethod
    def as_mask(storage: BaseStorage, shape: tuple[int, ...], dtype: npt.DTypeLike) -> SyntheticDones:
        """0 at the last step of an episode, 1 before: what a bootstrap is multiplied by."""
        return SyntheticDones(storage, shape, dtype, mask=True)

    def __getitem__(self, identity: int) -> Array:
        rows = len(self.storage[identity])
        return self._made((np.arange(rows) == rows - 1) != self.mask)

    def gather(self, draw: Draw) -> Array:
        """The marks of the sequences' steps."""
        end = self.storage.episodes.left[draw.rows] == 1 - (self.storage.extra or 0)
        return self._made(end != self.mask)


# The names under which the reference documents the parts of these classes.
LastWrapper = NextElementMapper
Wrapper = NextNElementWrapper
MaskWrapper = SyntheticDones
TagProxy = TagStorage
