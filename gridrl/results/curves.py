"""From runs to curves: which runs belong together, what they are called, and the columns that are drawn."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridrl.errors import BadValue, did_you_mean
from gridrl.log.code_record import mixes_code
from gridrl.log.standing import PERFORMANCE
from gridrl.results.identity import flat
from gridrl.results.places import Skipped
from gridrl.results.reader import RunSet
from gridrl.results.run import Run
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

    @property
    def mixes_code(self) -> bool:
        """Whether seeds of one variant in it were made by different code, see `gridrl.log.code_record`."""
        return mixes_code(run.config for run in self.runs)


def group(
    found: RunSet,
    legend: Sequence[str] = (),
    *,
    by_run: bool = False,
    apart: Collection[str] = (),
    names: Mapping[str, str] | None = None,
) -> list[Curve]:
    """Puts the runs together that differ in their seed alone.

    Runs of one name whose hyperparameters differ are never mixed: each variant is a curve, and its label says in what
    they differ.

    Args:
        found: the runs.
        legend: labels, one for each directory that was asked for, or one for each curve; the same label twice makes
            one curve of two.
        by_run: a curve for each run.
        apart: keys of the config that may differ within a curve, as the seed does.
        names: other names for the names of runs.

    Raises:
        BadValue: as many labels as neither directories nor curves.
    """
    curves = [Curve(label, tuple(runs)) for label, runs in _by_variant(found.runs, apart, names or {}).items()]
    if legend:
        curves = _relabelled(curves, found, legend)
    if by_run:
        curves = one_by_one(curves)
    return curves


def one_by_one(curves: Iterable[Curve]) -> list[Curve]:
    """A curve for each run."""
    return [Curve(label, (run,), True) for curve in curves for label, run in _one_by_one(curve)]


def _one_by_one(curve: Curve) -> list[tuple[str, Run]]:
    seeds = [run.seed for run in curve.runs]
    is_clear = None not in seeds and len(set(seeds)) == len(seeds)
    return [
        (f"{curve.label}, seed {run.seed}" if is_clear else f"{curve.label}, run {index}", run)
        for index, run in enumerate(curve.runs)
    ]


def _relabelled(curves: Sequence[Curve], found: RunSet, legend: Sequence[str]) -> list[Curve]:
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


def _by_variant(runs: Iterable[Run], apart: Collection[str], names: Mapping[str, str]) -> dict[str, list[Run]]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(names.get(run.condition, run.condition), []).append(run)
    labelled: dict[str, list[Run]] = {}
    for name, namesakes in by_name.items():
        is_asked_for = all(run.identity.is_grouped for run in namesakes)
        for label, same in ({name: namesakes} if is_asked_for else _told_apart(name, namesakes, apart)).items():
            labelled.setdefault(label, []).extend(same)
    return labelled


def _told_apart(name: str, runs: Sequence[Run], apart: Collection[str]) -> dict[str, list[Run]]:
    """The runs of one name by label: the name, and in what they differ where they do."""
    settings = [settings_of(run) for run in runs]
    keys = dict.fromkeys(key for one in settings for key in one if key not in apart)
    differing = [key for key in keys if len({one.get(key, "-") for one in settings}) > 1]
    labelled: dict[str, list[Run]] = {}
    for run, one in zip(runs, settings, strict=True):
        parts = [f"{key}={one[key]}" for key in differing if key in one]
        labelled.setdefault(", ".join([name, *parts]), []).append(run)
    return labelled


def settings_of(run: Run) -> dict[str, str]:
    """What makes a run another than its neighbour, as text by key: all but the seed and keys that only grow."""
    is_ours = isinstance(run.config.get("variant"), Mapping)
    settings: dict[str, Any] = {key: run.config[key] for key in ("thunk", "num_cpu") if is_ours and key in run.config}
    if run.env and not is_ours:
        settings["env"] = run.env
    settings.update(run.settings)
    grows = run.config.get("grows", ())
    return {key: text_of(value) for key, value in flat(settings) if key.partition(":")[0] not in grows}


def text_of(value: Any) -> str:
    """A value of a configuration as text: a string as it is, everything else as in the file."""
    return value if isinstance(value, str) else json.dumps(value)


def column_of(run: Run, name: str) -> str | None:
    """The column that `name` means in a run, None where the run lacks it."""
    return run.find(name)


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
        if missing:
            skipped.append(Skipped(run.path, f"no column {' and '.join(missing)}"))
            continue
        read = run.columns([column for column in columns if column])
        places, heights = (read[column or ""] for column in columns)
        if np.any(np.isfinite(places) & ~np.isnan(heights)):
            found.append((places, smooth(heights, window)))
        else:
            skipped.append(Skipped(run.path, f"no number in `{columns[0]}` and `{columns[1]}`"))
    return found


def check_columns(runs: Sequence[Run], xaxis: str | None, values: Sequence[str]) -> None:
    """Says which columns there are where no run has one that was asked for.

    Raises:
        BadValue: all that are missing, with near matches.
    """
    there = list(dict.fromkeys(column for run in runs for column in run.column_names))
    faults = []
    for flag, name in (("--xaxis", xaxis), *(("--value", value) for value in values)):
        if name is None or any(column_of(run, name) for run in runs):
            continue
        what = "an episode's return" if name == PERFORMANCE else f"a column `{name}`"
        faults.append(f"`{flag}`: no run has {what}.{did_you_mean(name, there)}")
    if faults:
        raise BadValue("\n".join([*faults, f"The runs have: {', '.join(there)}."]))
