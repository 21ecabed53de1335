"""From runs to curves: which runs belong together, what they are called, and the columns that are drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.errors import BadValue, did_you_mean
from gridrl.log.standing import PERFORMANCE, RETURNS
from gridrl.results.reader import FoundRuns, Run, Skipped
from gridrl.results.stats import Array, smooth

Series = tuple[Array, Array]


@dataclass(frozen=True)
class Curve:
    """The runs that are drawn as one curve, as `group` puts them together.

    Attributes:
        label: its name.
        runs: those that belong to it.
        is_one_run: whether the curve was asked for as that of one run, not of a variant.
    """

    label: str
    runs: tuple[Run, ...]
    is_one_run: bool = False


def group(found: FoundRuns, legend: Sequence[str] = (), *, by_run: bool = False) -> list[Curve]:
    """Puts the runs together that differ in their seed alone.

    Runs of one name whose hyperparameters differ are never mixed: each variant is a curve, and its label says in what
    they differ.

    Args:
        found: the runs.
        legend: labels, one for each directory that was asked for, or one for each curve; the same label twice makes
            one curve of two.
        by_run: a curve for each run.

    Raises:
        BadValue: as many labels as neither directories nor curves.
    """
    curves = [Curve(label, tuple(runs)) for label, runs in _by_variant(found.runs).items()]
    if legend:
        curves = _relabelled(curves, found, legend)
    if by_run:
        curves = [Curve(label, (run,), True) for curve in curves for label, run in _one_by_one(curve)]
    return curves


def _one_by_one(curve: Curve) -> list[tuple[str, Run]]:
    seeds = [run.seed for run in curve.runs]
    is_clear = None not in seeds and len(set(seeds)) == len(seeds)
    return [
        (f"{curve.label}, seed {run.seed}" if is_clear else f"{curve.label}, run {index}", run)
        for index, run in enumerate(curve.runs)
    ]


def _relabelled(curves: Sequence[Curve], found: FoundRuns, legend: Sequence[str]) -> list[Curve]:
    logdirs = list(dict.fromkeys(run.logdir for run in found.runs))
    labelled: dict[str, list[Run]] = {}
    if len(legend) == len(logdirs):
        for run in found.runs:
            labelled.setdefault(legend[logdirs.index(run.logdir)], []).append(run)
    elif len(legend) == len(curves):
        for label, curve in zip(legend, curves, strict=True):
            labelled.setdefault(label, []).extend(curve.runs)
    else:
        names = ", ".join(curve.label for curve in curves)
        raise BadValue(
            f"`--legend`: {len(legend)} given. Give one for each directory ({len(logdirs)}), "
            f"or one for each curve ({len(curves)}), in this order: {names}."
        )
    return [Curve(label, tuple(runs)) for label, runs in labelled.items()]


def _by_variant(runs: Iterable[Run]) -> dict[str, list[Run]]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    labelled: dict[str, list[Run]] = {}
    for name, namesakes in by_name.items():
        for label, same in _told_apart(name, namesakes).items():
            labelled.setdefault(label, []).extend(same)
    return labelled


def _told_apart(name: str, runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of one name by label: the name, and in what they differ where they do."""
    settings = [_settings(run) for run in runs]
    keys = dict.fromkeys(key for one in settings for key in one)
    differing = [key for key in keys if len({one.get(key, "-") for one in settings}) > 1]
    labelled: dict[str, list[Run]] = {}
    for run, one in zip(runs, settings, strict=True):
        parts = [f"{key}={one[key]}" for key in differing if key in one]
        labelled.setdefault(", ".join([name, *parts]), []).append(run)
    return labelled


def _settings(run: Run) -> dict[str, str]:
    """What makes a run another than its neighbour, as text by key: all but the seed and keys that only grow."""
    left_out = {"seed", *run.config.get("grows", ())}
    settings = {key: run.config[key] for key in ("thunk", "num_cpu") if key in run.config}
    variant = run.config.get("variant")
    settings.update(variant if isinstance(variant, dict) else {})
    return dict(_flat({key: value for key, value in settings.items() if key not in left_out}))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}:")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def column_of(run: Run, name: str) -> str | None:
    """The column that `name` means in a run, None where the run lacks it."""
    candidates = RETURNS if name == PERFORMANCE and name not in run.columns else (name,)
    return next((column for column in candidates if column in run.columns), None)


def series(curve: Curve, xaxis: str, value: str, window: int, skipped: list[Skipped]) -> list[Series]:
    """The places and smoothed values of each run of a curve.

    Args:
        curve: the runs.
        xaxis: the column of the places.
        value: the column of the values, or `Performance`.
        window: of the moving mean, in rows.
        skipped: takes the runs that lack a column, with the reason.
    """
    found = []
    for run in curve.runs:
        columns = [column_of(run, xaxis), column_of(run, value)]
        missing = [f"`{name}`" for name, column in zip((xaxis, value), columns, strict=True) if column is None]
        places, heights = (_numbers(run.columns.get(column or "")) for column in columns)
        if missing:
            skipped.append(Skipped(run.progress, f"no column {' and '.join(missing)}"))
        elif not np.any(np.isfinite(places) & ~np.isnan(heights)):
            skipped.append(Skipped(run.progress, f"no number in `{columns[0]}` and `{columns[1]}`"))
        else:
            found.append((places, smooth(heights, window)))
    return found


def _numbers(column: Any) -> Array:
    """A column as numbers, nan where something else stands."""
    if column is None:
        return np.empty(0)
    if column.dtype != object:
        return np.asarray(column, dtype=np.float64)
    return np.array([cell if isinstance(cell, float) else np.nan for cell in column], dtype=np.float64)


def check_columns(runs: Sequence[Run], xaxis: str, values: Sequence[str]) -> None:
    """Says which columns there are where no run has one that was asked for.

    Raises:
        BadValue: all that are missing, with near matches.
    """
    there = list(dict.fromkeys(column for run in runs for column in run.columns))
    faults = []
    for flag, name in (("--xaxis", xaxis), *(("--value", value) for value in values)):
        if any(column_of(run, name) for run in runs):
            continue
        what = "an episode's return" if name == PERFORMANCE else f"a column `{name}`"
        faults.append(f"`{flag}`: no run has {what}.{did_you_mean(name, there)}")
    if faults:
        raise BadValue("\n".join([*faults, f"The runs have: {', '.join(there)}."]))
