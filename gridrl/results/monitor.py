"""Monitor files of stable-baselines3 and OpenAI Baselines: one episode a row, one file an environment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.log.tables import Column, Table, Unreadable, read_table

STEPS_NAME = "steps"
"""The column that is added: env steps of all environments up to the end of the episode."""

_LENGTH, _TIME = "l", "t"


def read_monitors(files: Sequence[Path], wanted: Sequence[str] | None = None) -> Table:
    """Reads the episodes of a run, in the order in which they ended.

    Args:
        files: one for each environment that the run has stepped side by side.
        wanted: columns (`r` the return, `l` the length, `t` seconds since the start, `steps`); None: all.

    Raises:
        OSError: one cannot be read.
        Unreadable: one has no header, or no lengths of episodes.
    """
    needed = None if wanted is None else list(dict.fromkeys([*wanted, _LENGTH, _TIME]))
    tables = [_read_one(file, needed) for file in files]
    names = list(dict.fromkeys(name for table in tables for name in table.names))
    if _LENGTH not in names:
        raise Unreadable(f"has no column `{_LENGTH}`, the lengths of the episodes")
    columns = {name: np.concatenate([_column(table, name) for table in tables]) for name in names if _any(tables, name)}
    order = np.arange(sum(table.rows for table in tables))
    if len(files) > 1 and _TIME in columns:
        ended = [
            _rising(_column(table, _TIME)) + _start(file, files) for file, table in zip(files, tables, strict=True)
        ]
        order = np.argsort(np.concatenate(ended), kind="stable")
        columns[_TIME] = np.concatenate(ended)
    columns = {name: column[order] for name, column in columns.items()}
    columns[STEPS_NAME] = np.nancumsum(_as_numbers(columns[_LENGTH]))
    names.append(STEPS_NAME)
    kept = {name: columns[name] for name in (names if wanted is None else wanted) if name in columns}
    return Table(tuple(names), kept, order.size, tuple(dict.fromkeys(note for table in tables for note in table.notes)))


def _any(tables: Sequence[Table], name: str) -> bool:
    return any(name in table.columns for table in tables)


def _read_one(file: Path, wanted: Sequence[str] | None) -> Table:
    return read_table(file, wanted, comment="#")


def _column(table: Table, name: str) -> Column:
    return table.columns.get(name, np.full(table.rows, np.nan))


def _as_numbers(column: Column) -> Column:
    if column.dtype != object:
        return column
    return np.array([cell if isinstance(cell, float) else np.nan for cell in column], np.float64)


def _rising(times: Column) -> Column:
    """Seconds since the start, going on where a program that was started again has begun from 0."""
    times = _as_numbers(times)
    drops = np.diff(times, prepend=0.0) < 0
    before = np.concatenate([[0.0], times[:-1]])
    rising: Column = times + np.cumsum(np.where(drops, before, 0.0))
    return rising


def _start(file: Path, files: Sequence[Path]) -> float:
    """Seconds between the start of the first environment and of this one."""
    return _began(file) - min(map(_began, files))


def _began(file: Path) -> float:
    with open(file, "rb") as opened:
        line = opened.readline(1 << 16)
    try:
        head: Any = json.loads(line.removeprefix(b"#"))
        return float(head["t_start"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0.0
