"""What the columns of a memory are called, how a row of them looks, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from gridrl.errors import ColumnError, Problems, did_you_mean
from gridrl.memory.episodes import Episodes
from gridrl.memory.rows import Array, BaseStorage, TagStorage
from gridrl.memory.storage import VirtualStorage


@dataclass
class Column:
    """A typed column for data storage: one row a step.

    Attributes:
        name: the key of its rows in sequences and samples.
        shape: of one row; () for a plain number.
        dtype: of its numbers.

    >>> Column("obs", (17,), np.float32).state()
    {'shape': [17], 'dtype': 'float32'}
    """

    name: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    def state(self) -> dict[str, Any]:
        """Shape and dtype as JSON can hold them."""
        return {"shape": list(self.shape), "dtype": np.dtype(self.dtype).name}

    def load_state(self, config: Mapping[str, Any]) -> None:
        """Takes up what `state` gave."""
        self.shape = tuple(config["shape"])
        self.dtype = np.dtype(config["dtype"])


@dataclass
class TagColumn(Column):
    """A typed column for tag storage: one value an episode, and one row a sequence in a sample."""


@dataclass
class VirtualColumn(Column):
    """A column that stores nothing and makes its rows from another one.

    Attributes:
        target_name: the column that it is made from.
        mapper: makes them: `NextElementMapper`, `NextElementMapper.with_only_last`, `NextNElementWrapper.with_n(n)`,
            `SyntheticDones`, `SyntheticDones.as_mask`, or a `VirtualStorage` of your own. Called with the target's
            storage, `shape` and `dtype`.
    """

    target_name: str
    mapper: Callable[[Any, tuple[int, ...], npt.DTypeLike], VirtualStorage]

    def state(self) -> dict[str, Any]:
        """Shape, dtype and target; which mapper it is, is not kept."""
        return {**super().state(), "target_name": self.target_name}

    def load_state(self, config: Mapping[str, Any]) -> None:
        """Takes up what `state` gave."""
        super().load_state(config)
        self.target_name = config["target_name"]


def by_name(columns: Sequence[Column], length_key: str, taken: Sequence[str] = ()) -> dict[str, Column]:
    """The columns of a table by their names.

    Args:
        columns: of the table.
        length_key: the column that says how many steps an episode has.
        taken: what samples carry beside the columns.

    Raises:
        ColumnError: a name stands twice or is taken, a virtual column has no target, `length_key` is not stored by
            step.
    """
    problems = Problems()
    found: dict[str, Column] = {}
    for column in columns:
        if column.name in found:
            problems.add(f"Column {column.name!r} stands twice.")
        if column.name in taken:
            problems.add(f"Column {column.name!r}: what the sampler adds to a sample has this name. Choose another.")
        found[column.name] = column
    stored = [name for name, column in found.items() if not isinstance(column, VirtualColumn)]
    for name, column in found.items():
        if isinstance(column, VirtualColumn) and column.target_name not in stored:
            near = did_you_mean(column.target_name, stored)
            problems.add(f"Column {name!r} is made from {column.target_name!r}, which is not stored.{near}")
    if length_key not in stored or isinstance(found[length_key], TagColumn):
        problems.add(f"length_key: no column {length_key!r} is stored by step.{did_you_mean(length_key, stored)}")
    problems.raise_if_any(ColumnError)
    return found


def make_storages(
    columns: Mapping[str, Column], episodes: Episodes, directory: Path | None
) -> dict[str, BaseStorage | VirtualStorage]:
    """What holds or makes the rows of each column.

    Args:
        columns: by name, see `by_name`.
        episodes: where the episodes lie.
        directory: for files that hold the rows; None: they are in memory.

    Raises:
        ColumnError: a virtual column has rows of another size than its target.
    """
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
    stored: dict[str, BaseStorage] = {}
    for name, column in columns.items():
        if not isinstance(column, VirtualColumn):
            kind = TagStorage if isinstance(column, TagColumn) else BaseStorage
            file = None if directory is None else directory / f"{quote(name, safe='')}.rows"
            stored[name] = kind(column.shape, column.dtype, episodes=episodes, file=file)
    return {
        name: _made_from(stored[column.target_name], column) if isinstance(column, VirtualColumn) else stored[name]
        for name, column in columns.items()
    }


def _made_from(target: BaseStorage, column: VirtualColumn) -> VirtualStorage:
    try:
        return column.mapper(target, tuple(column.shape), column.dtype)
    except ColumnError as error:
        raise ColumnError(f"Column {column.name!r} {error}") from None


def checked_rows(
    stored: Mapping[str, BaseStorage], sequence: Mapping[str, Any], length_key: str, extra: Mapping[str, int | None]
) -> dict[str, Array]:
    """The columns of an episode as arrays, all of its faults told at once.

    Args:
        stored: the columns that have rows of their own.
        sequence: by column.
        length_key: the column that says how many steps it has.
        extra: rows that a column has to have beyond the steps; nothing, or None: 0 or 1.

    Raises:
        ColumnError: columns are missing, unknown, or of another shape, length or dtype.
    """
    problems = Problems()
    if sequence.keys() != stored.keys():
        for name in sequence.keys() - stored.keys():
            problems.add(f"There is no column {name!r} to fill.{did_you_mean(name, stored)}")
        missing = [name for name in stored if name not in sequence]
        if missing:
            problems.add(f"Columns are missing: {', '.join(map(repr, missing))}.")
        problems.raise_if_any(ColumnError)
    steps = _length(sequence[length_key])
    rows: dict[str, Array] = {}
    for name, storage in stored.items():
        try:
            rows[name] = storage.check(name, sequence[name], steps, extra.get(name))
        except ColumnError as error:
            problems.add(str(error))
    problems.raise_if_any(ColumnError)
    return rows


def _length(value: Any) -> int:
    try:
        return len(value)
    except TypeError:  # one number, which is no row
        return 0
