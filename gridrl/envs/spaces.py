"""Turns the observations of any flattenable space into float32 vectors, one at a time or a batch at once.

`MDPSpace` says how the numbers of a world look, for tables that hold them by part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from gridrl.errors import BadValue

if TYPE_CHECKING:
    import torch

Floats: TypeAlias = npt.NDArray[np.float32]
Observation: TypeAlias = Any
Writer: TypeAlias = Callable[[Observation, Floats], None]


@dataclass(frozen=True, init=False)
class BoxSpace:
    """Arrays of one shape.

    Attributes:
        dtype: of their numbers.
        shape: of one of them.

    >>> BoxSpace(dtype=np.float32, shape=(3,))
    BoxSpace(dtype=dtype('float32'), shape=(3,))
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __init__(self, dtype: npt.DTypeLike | torch.dtype, shape: Sequence[int]) -> None:
        """Takes what numpy takes for a dtype, and a torch dtype, which becomes numpy's.

        Raises:
            BadValue: numpy has no such type.
        """
        try:
            known = np.dtype(str(dtype).removeprefix("torch.") if str(dtype).startswith("torch.") else cast(Any, dtype))
        except TypeError as error:
            raise BadValue(f"dtype {dtype!r} of a space is no type of numpy arrays.") from error
        object.__setattr__(self, "dtype", known)
        object.__setattr__(self, "shape", tuple(shape))


@dataclass(frozen=True)
class DictSpace:
    """Arrays by name: the parts of an observation."""

    spaces: dict[str, BoxSpace]


@dataclass(frozen=True)
class MDPSpace:
    """What a world gives and takes.

    Attributes:
        rewards: None for one float32 a step.
        actions: of one agent.
        state: the parts of its observation.
    """

    rewards: BoxSpace | None
    actions: BoxSpace
    state: DictSpace


class FlatObservation:
    """Flattens observations of one space to float32 vectors of length `dim`.

    A Box of any shape is reshaped, Discrete and MultiDiscrete become one-hot, MultiBinary zeros and ones; Dict and
    Tuple are the concatenation of their parts, nested as they like, in the order of `gymnasium.spaces.flatten`.
    A one-dimensional float32 Box costs nothing: its observations are returned as they are, not copied.

    Attributes:
        space: the space of one observation.
        dim: the length of the vector.

    >>> flat = FlatObservation(spaces.Dict(goal=spaces.Discrete(3), pos=spaces.Box(-1, 1, (2,))))
    >>> flat({"goal": 1, "pos": np.array([0.5, -0.5], np.float32)})
    array([ 0. ,  1. ,  0. ,  0.5, -0.5], dtype=float32)
    >>> flat.batch({"goal": np.array([0, 2]), "pos": np.zeros((2, 2), np.float32)})[:, :3]
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        """Reads the space once, so that flattening an observation decides nothing any more.

        Raises:
            BadValue: for a space that has no fixed-length vector form, such as Text or Graph, or an empty one.
        """
        self.space = space
        self.dim = flat_dim(space)
        if self.dim == 0:
            raise BadValue(f"Observations of {space} are empty: there is nothing to learn from.")
        self._one = _reader(space, self.dim, lead=0)
        self._many = _reader(space, self.dim, lead=1)

    def __call__(self, obs: Observation) -> Floats:
        """The observation as float32 [dim]; a one-dimensional float32 array is returned itself."""
        return self._one(obs)

    def batch(self, obs: Observation) -> Floats:
        """The observations of a vector environment as float32 [N, dim].

        Args:
            obs: arrays with a leading axis N, in dicts and tuples as the space has them.
        """
        return self._many(obs)

    def __repr__(self) -> str:
        return f"FlatObservation({self.space}, dim={self.dim})"


def flat_observation(space: gym.Space[Any]) -> FlatObservation:
    """The flattener for a space of observations; see `FlatObservation`."""
    return FlatObservation(space)


def flat_dim(space: gym.Space[Any]) -> int:
    """The length of an observation's flat vector.

    Raises:
        BadValue: for a space that has no fixed-length vector form.
    """
    match space:
        case spaces.Box() | spaces.MultiBinary():
            return int(np.prod(space.shape))
        case spaces.Discrete():
            return int(space.n)
        case spaces.MultiDiscrete():
            return int(space.nvec.sum())
        case spaces.Dict() | spaces.Tuple():
            return sum(flat_dim(part) for _, part in _parts(space))
    raise BadValue(
        f"Observations of {space} cannot be made into a vector. Box, Discrete, MultiDiscrete, MultiBinary, Dict and "
        "Tuple can; wrap the environment in an observation wrapper that gives one of these."
    )


def action_dim(space: gym.Space[Any]) -> int:
    """How many numbers a policy puts out for one action: the choices of a Discrete, the dimensions of a Box.

    Raises:
        BadValue: for any other space.
    """
    match space:
        case spaces.Discrete():
            return int(space.n)
        case spaces.Box() if space.dtype is not None and np.issubdtype(space.dtype, np.floating):
            return int(np.prod(space.shape))
    raise BadValue(
        f"Actions of {space} are not supported: a Discrete or a Box of floats is needed. "
        "Wrap the environment in an action wrapper that has one of these."
    )


def _parts(space: spaces.Dict | spaces.Tuple[Any]) -> list[tuple[Any, gym.Space[Any]]]:
    return list(space.spaces.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))


def _reader(space: gym.Space[Any], dim: int, lead: int) -> Callable[[Observation], Floats]:
    """The function from an observation (lead 0) or a batch of them (lead 1) to the flat vector or vectors."""
    if isinstance(space, spaces.Box):
        if space.dtype == np.float32 and len(space.shape) == 1:
            return _as_float32
        return _reshaped if lead == 0 else partial(_rows_reshaped, dim)
    write = _writer(space, lead)
    return partial(_filled, write, dim) if lead == 0 else partial(_rows_filled, write, dim, _first_leaf(space))


def _as_float32(obs: Observation) -> Floats:
    return np.asarray(obs, np.float32)


def _reshaped(obs: Observation) -> Floats:
    return np.asarray(obs, np.float32).reshape(-1)


def _rows_reshaped(dim: int, obs: Observation) -> Floats:
    return np.asarray(obs, np.float32).reshape(-1, dim)


def _filled(write: Writer, dim: int, obs: Observation) -> Floats:
    out = np.zeros(dim, np.float32)
    write(obs, out)
    return out


def _rows_filled(write: Writer, dim: int, first_leaf: list[Any], obs: Observation) -> Floats:
    leaf = obs
    for key in first_leaf:
        leaf = leaf[key]
    out = np.zeros((len(leaf), dim), np.float32)
    write(obs, out)
    return out


def _first_leaf(space: gym.Space[Any]) -> list[Any]:
    """The keys that lead to the first array of an observation, whose length is the number of environments."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return []
    key, part = next((key, part) for key, part in _parts(space) if flat_dim(part))
    return [key, *_first_leaf(part)]


def _writer(space: gym.Space[Any], lead: int) -> Writer:
    """The function that writes an observation into a zeroed vector (lead 0), a batch into zeroed rows (lead 1)."""
    match space:
        case spaces.Discrete():
            return partial(_write_one_hot, np.array([-space.start]), lead)
        case spaces.MultiDiscrete():
            offsets = np.cumsum(space.nvec.reshape(-1), dtype=np.int64) - space.nvec.reshape(-1)
            return partial(_write_one_hot, offsets - space.start.reshape(-1), lead)
        case spaces.Dict() | spaces.Tuple():
            return partial(_write_parts, _slices(space, lead))
    return _write_array


def _slices(space: spaces.Dict | spaces.Tuple[Any], lead: int) -> list[tuple[Any, slice, Writer]]:
    slices, begin = [], 0
    for key, part in _parts(space):
        end = begin + flat_dim(part)
        slices.append((key, slice(begin, end), _writer(part, lead)))
        begin = end
    return slices


def _write_parts(slices: list[tuple[Any, slice, Writer]], obs: Observation, out: Floats) -> None:
    for key, part, write in slices:
        write(obs[key], out[..., part])


def _write_array(obs: Observation, out: Floats) -> None:
    out[...] = np.asarray(obs).reshape(out.shape)


def _write_one_hot(shift: npt.NDArray[Any], lead: int, obs: Observation, out: Floats) -> None:
    columns = np.asarray(obs).reshape((*out.shape[:lead], -1)) + shift
    if lead == 0:
        out[columns] = 1.0
    else:
        out[np.arange(len(out))[:, None], columns] = 1.0
