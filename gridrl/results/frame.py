"""All rows of all runs in one pandas frame, for a notebook of one's own."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from gridrl.utils.optional import import_optional

if TYPE_CHECKING:
    import pandas

    from gridrl.results.reader import RunSet
    from gridrl.results.run import Run

WHO = ("run", "name", "condition", "env", "seed", "state")
"""The columns that say whose a row is; the hyperparameters in which the runs differ stand behind them."""


def to_frame(found: RunSet, names: Sequence[str] | None = None) -> pandas.DataFrame:
    """One row for each row of each run; runs that cannot be read are left out, and told by `found.told()`.

    Args:
        found: the runs.
        names: the columns of their rows that are wanted, also by names that mean the same (`TotalEnvInteracts`,
            `Performance`): the frame has the names that were asked for. None: all, by their own names, text too.

    Returns:
        The columns `WHO`, one for each hyperparameter in which the runs differ (its keys joined by colons), and those
        of the rows. These keep their names: a hyperparameter that is named like another column has `config:` before
        it, a column of `WHO` has `run:`.

    Raises:
        BadValue: pandas is not installed.
    """
    pandas = import_optional("pandas", extra="frames", purpose="A data frame")
    found.with_rows(names or ())
    differing = differing_settings(found.runs)
    tables = [_rows(run, names) for run in found.runs]
    everywhere = {name for rows, _ in tables for name in rows}
    parts = []
    for run, (rows, count) in zip(found.runs, tables, strict=True):
        parts.append(pandas.DataFrame({**labels_of(run, differing, everywhere), **rows}, index=range(count)))
    if not parts:
        return pandas.DataFrame(columns=[*WHO, *(names or ())])
    return pandas.concat(parts, ignore_index=True)


def _rows(run: Run, names: Sequence[str] | None) -> tuple[dict[str, Any], int]:
    """The wanted columns of a run, and how many rows they have."""
    assert run.source is not None  # it has rows
    if names is None:
        table = run.source.cells()
        return dict(table.columns), table.rows
    columns = {name: column for name in names if (column := run.find(name)) is not None}
    read = run.columns(columns.values())
    return {name: read[column] for name, column in columns.items()}, run.num_rows


def who(names: Container[str]) -> list[str]:
    """The titles of the columns `WHO` beside columns of these names."""
    return [f"run:{name}" if name in names else name for name in WHO]


def title_of(key: str, names: Container[str]) -> str:
    """The title of a hyperparameter's column beside columns of these names."""
    return f"config:{key}" if key in names or key in WHO else key


def labels_of(run: Run, differing: Sequence[str], names: Container[str]) -> dict[str, Any]:
    """What stands in every row of a run in front of its own columns.

    Args:
        run: the run.
        differing: the hyperparameters that are shown.
        names: its own columns.
    """
    known = (str(run.dir), run.name, run.condition, run.env, run.seed, run.state)
    labels: dict[str, Any] = dict(zip(who(names), known, strict=True))
    for key in differing:
        if key in run.settings:
            value = run.settings[key]
            is_plain = value is None or isinstance(value, (bool, int, float, str))
            labels[title_of(key, names)] = value if is_plain else json.dumps(value)
    return labels


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """The hyperparameters in which runs differ, in the order in which they stand in their configurations."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    return [key for key in keys if len({repr(run.settings.get(key, "")) for run in runs}) > 1]
