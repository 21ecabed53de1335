"""All rows of all runs in one pandas frame, for a notebook of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    parts = []
    for run in found.runs:
        rows = _rows(run, names)
        parts.append(pandas.DataFrame({**_labels(run, differing, rows), **rows}, index=range(run.num_rows)))
    if not parts:
        return pandas.DataFrame(columns=[*WHO, *(names or ())])
    return pandas.concat(parts, ignore_index=True)


def _rows(run: Run, names: Sequence[str] | None) -> dict[str, Any]:
    if names is None:
        return dict(run.source.cells().columns) if run.source else {}
    columns = {name: column for name in names if (column := run.find(name)) is not None}
    read = run.columns(columns.values())
    return {name: read[column] for name, column in columns.items()}


def _labels(run: Run, differing: Sequence[str], rows: Mapping[str, Any]) -> dict[str, Any]:
    labels = dict(zip(WHO, (str(run.dir), run.name, run.condition, run.env, run.seed, run.state), strict=True))
    labels = {f"run:{name}" if name in rows else name: value for name, value in labels.items()}
    for key in differing:
        if key not in run.settings:
            continue
        value = run.settings[key]
        is_plain = value is None or isinstance(value, (bool, int, float, str))
        labels[f"config:{key}" if key in rows or key in WHO else key] = value if is_plain else json.dumps(value)
    return labels


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """The hyperparameters in which runs differ, in the order in which they stand in their configurations."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    return [key for key in keys if len({repr(run.settings.get(key, "")) for run in runs}) > 1]
