"""Checks that refuse arrays whose shapes do not fit, before broadcasting turns the mistake into a number.

`value [B] - ret [B, 1]` is `[B, B]` in numpy and torch alike: a loss over it trains, badly, and nothing complains.
"""

from __future__ import annotations

from typing import Protocol

from gridrl.errors import ShapeError


class HasShape(Protocol):
    """A numpy array or a torch tensor."""

    @property
    def shape(self) -> tuple[int, ...]: ...


def same_shape(names: str, first: HasShape, *others: HasShape) -> None:
    """Raises unless all arrays have one and the same shape.

    Args:
        names: the arrays' names in order, separated by a comma and a space; they stand in the message.
        first: the array that the others are held against.
        others: the rest.

    Raises:
        ShapeError: with the shape of every array.

    >>> import numpy as np
    >>> same_shape("value, ret", np.zeros(3), np.zeros((3, 1)))
    Traceback (most recent call last):
    gridrl.errors.ShapeError: value [3], ret [3, 1]: these must have one shape.
    """
    shape = first.shape
    for other in others:
        if other.shape != shape:
            raise ShapeError(f"{_described(names, first, *others)}: these must have one shape.")


def has_rank(names: str, rank: int, *arrays: HasShape) -> None:
    """Raises unless every array has `rank` dimensions.

    Raises:
        ShapeError: with the shape of every array.

    >>> import numpy as np
    >>> has_rank("logits", 2, np.zeros(3))
    Traceback (most recent call last):
    gridrl.errors.ShapeError: logits [3]: 2 dimensions are needed.
    """
    for array in arrays:
        if len(array.shape) != rank:
            raise ShapeError(f"{_described(names, *arrays)}: {rank} dimension{'s' * (rank != 1)} are needed.")


def _described(names: str, *arrays: HasShape) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in zip(names.split(", "), arrays, strict=True))
