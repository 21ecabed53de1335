"""From runs to the plots of a figure: one for each value of a hyperparameter, a variant called the same in all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from gridrl.errors import BadValue, did_you_mean
from gridrl.results.curves import Curve, group, one_by_one, settings_of, text_of
from gridrl.results.panels import Panel
from gridrl.results.places import Skipped, natural
from gridrl.results.reader import RunSet
from gridrl.results.run import Run

ENVIRONMENT = ("env", "env_name")
"""Keys that stand for the environment's id, of runs whose configs name it elsewhere too."""

_ABSENT = object()


def make_panels(
    found: RunSet, legend: Sequence[str], by: str | None, *, by_run: bool, over_envs: bool = False
) -> list[Panel]:
    """Puts runs into plots, and in each into curves.

    Args:
        found: the runs; takes those without the key.
        legend: see `gridrl.results.curves.group`.
        by: a key of the runs' configs, in full or its last part: a plot for each of its values. None: one plot.
        by_run: a curve for each run.
        over_envs: whether a variant's runs on all environments are one curve.

    Raises:
        BadValue: no run has that key; near matches are told.
    """
    joined = ENVIRONMENT if over_envs else ()
    if by is None:
        places = {run.dir: run.env for run in found.runs}
        names = _names_without(joined, found.runs, places) if over_envs else {}
        curves = group(found, legend, by_run=by_run, apart=joined, names=names)
        return [Panel("", tuple(curves), _env_of([run for curve in curves for run in curve.runs]))]
    key = resolve_key(found.runs, by, "--by")
    values = {run.dir: value_of(run, key) for run in found.runs}
    found.skipped += [Skipped(run.path, f"its config has no `{key}`") for run in found.runs if values[run.dir] is None]
    found.runs = [run for run in found.runs if values[run.dir] is not None]
    apart = (*(ENVIRONMENT if key in ENVIRONMENT else (key,)), *joined)
    places = {run.dir: f"{values[run.dir]} {run.env if over_envs else ''}" for run in found.runs}
    curves = group(found, legend, apart=apart, names=_names_without(apart, found.runs, places))
    panels = []
    for value in sorted({value for value in values.values() if value is not None}, key=in_order):
        members = [
            Curve(curve.label, runs)
            for curve in curves
            if (runs := tuple(run for run in curve.runs if values[run.dir] == value))
        ]
        members = one_by_one(members) if by_run else members
        panels.append(Panel(_title(key, value), tuple(members), _env_of([run for one in members for run in one.runs])))
    return panels


def _title(key: str, value: str) -> str:
    return value if key in ENVIRONMENT else f"{key.rpartition(':')[2]} = {value}"


def resolve_key(runs: Sequence[Run], name: str, flag: str) -> str:
    """The key of the runs' configs that is meant: in full, or by its last part where that is clear.

    Raises:
        BadValue: there is none such, or several.
    """
    keys = list(dict.fromkeys(key for run in runs for key in settings_of(run)))
    if any(value_of(run, name) is not None for run in runs):
        return name
    ends = [key for key in keys if key.rpartition(":")[2] == name]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise BadValue(f"`{flag}`: {name!r} may be {' or '.join(ends)}. Give one of them in full.")
    near = did_you_mean(name, [*keys, *(key.rpartition(":")[2] for key in keys)])
    there = f" There are: {', '.join(keys)}." if keys else " The runs have no configs with hyperparameters."
    raise BadValue(f"`{flag}`: no run's config has a key {name!r}.{near}{there}")


def value_of(run: Run, key: str) -> str | None:
    """A key's value as text; None where the run has none."""
    value = run.setting(key, _ABSENT)
    return None if value is _ABSENT else text_of(value)


def _env_of(runs: Sequence[Run]) -> str:
    envs = {run.env for run in runs}
    return envs.pop() if len(envs) == 1 else ""


def _names_without(apart: Collection[str], runs: Sequence[Run], places: Mapping[Path, str]) -> dict[str, str]:
    """Names without the part that says a key's value, by name, so that a variant has one name in all plots.

    Two names that stand for the same settings, the key apart, in different plots differ in that part alone.
    """
    names: dict[tuple[tuple[str, str], ...], dict[str, set[str]]] = {}
    for run in runs:
        others = tuple(sorted((name, value) for name, value in settings_of(run).items() if name not in apart))
        names.setdefault(others, {}).setdefault(run.condition, set()).add(places[run.dir])
    alike = [found for found in names.values() if _never_meet(found)]
    dropped = {part for found in alike for name in found for part in _differing(name, list(found))}
    return {
        run.condition: "_".join(part for part in run.condition.split("_") if part not in dropped) or run.condition
        for run in runs
    }


def _never_meet(found: Mapping[str, set[str]]) -> bool:
    """Whether no two of the names stand in one plot."""
    return sum(map(len, found.values())) == len(set().union(*found.values()))


def _differing(name: str, names: Sequence[str]) -> list[str]:
    shared = set.intersection(*(set(other.split("_")) for other in names))
    return [part for part in name.split("_") if part not in shared]


def in_order(text: str) -> tuple[int, float, list[tuple[int, str]]]:
    """A sorting key for values: numbers by size, then everything else as people count."""
    try:
        return (0, float(text), [])
    except ValueError:
        return (1, 0.0, natural(text.rstrip("]})")))  # [16] before [16, 16]


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last parts of keys, as many as tell them apart.

    >>> short_keys(["ac_kwargs:hidden_sizes", "opt:pi:lr", "opt:vf:lr"])
    ['hidden_sizes', 'pi:lr', 'vf:lr']
    """
    return [_short(key, keys) for key in keys]


def _short(key: str, keys: Sequence[str]) -> str:
    parts = key.split(":")
    for count in range(1, len(parts)):
        end = ":".join(parts[-count:])
        if sum(other == end or other.endswith(f":{end}") for other in keys) == 1:
            return end
    return key
