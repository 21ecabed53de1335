"""Draws results: learning curves, final scores side by side, performance profiles, heatmaps over hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridrl.errors import BadValue
from gridrl.log.standing import PERFORMANCE
from gridrl.results.asking import Asked, Words, read_options, words
from gridrl.results.columns import score_kind
from gridrl.results.comparison import ComparisonSheet
from gridrl.results.curves import check_columns
from gridrl.results.drawing import CurveSheet
from gridrl.results.facets import make_panels, resolve_key
from gridrl.results.heatmap import HeatmapSheet
from gridrl.results.looks import FILE_STYLE, Look, font_size, look, style
from gridrl.results.panels import Panel, Sheet
from gridrl.results.profile import ProfileSheet
from gridrl.results.reader import RunSet, find_runs
from gridrl.results.saving import Paths, files_to_write, write_figure
from gridrl.utils.console import warn_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot(
    logdirs: Paths | RunSet,
    *,
    legend: Words = None,
    xaxis: str = "TotalEnvInteracts",
    value: str | Sequence[str] = PERFORMANCE,
    count: bool = False,
    smooth: int = 1,
    select: Words = None,
    exclude: Words = None,
    est: str | None = None,
    metric: str | None = None,
    band: str | None = None,
    by: str | None = None,
    log: Words = None,
    compare: bool = False,
    profile: bool = False,
    heatmap: Sequence[str] | None = None,
    last: int = 10,
    ax: Axes | Sequence[Axes] | None = None,
    width: float | None = None,
    save: Paths | None = None,
    show: bool = False,
) -> Figure:
    """Draws results and gives the figure; what cannot be read is left out, and said.

    Without `compare`, `profile` and `heatmap` these are learning curves. From five seeds on a curve has a band, a
    95 % interval; fewer seeds are drawn one by one. matplotlib's settings are left as they are.

    Args:
        logdirs: run directories, directories that hold runs, or the beginning of their names; or the runs themselves,
            as `gridrl.results.reader.find_runs` finds them.
        legend: labels, one for each directory or one for each curve; the same label twice makes one curve of two.
        xaxis: the column along the bottom.
        value: the column that is drawn, or several: one plot for each. `"Performance"` is the return of test
            episodes where there are any, else that of training episodes.
        count: a curve for each run instead of each variant.
        smooth: rows that go into the moving mean.
        select: parts that a run's path must hold, all of them.
        exclude: parts that a run's path must not hold, any of them.
        est: over the seeds: `"mean"`, `"median"`, `"max"`, `"min"`, `"std"`, `"var"` or `"sum"`.
        metric: over the seeds: `"mean"`, `"median"` or `"iqm"`, the interquartile mean.
        band: `"ci"` (a 95 % interval), `"std"`, `"se"`, `"range"`, `"none"`, or the name of a method in
            `gridrl.results.stats.METHODS`. None: `"ci"` from five seeds on.
        by: a key of the configs: a plot for each of its values.
        log: logarithmic axes: `"x"`, `"y"` or both.
        compare: draws final scores with their intervals, best first.
        profile: draws which share of a variant's runs scores above each threshold, over all environments.
        heatmap: two keys of the configs: draws final scores over both.
        last: a run's final score is the mean of so many last rows.
        ax: where to draw: axes, or one for each plot. None: a new figure.
        width: of the figure, in inches: letters are as large as fits it, 8 points in a column of 3.3 inches. With
            `ax` the figure keeps its size.
        save: files to write; the ending is the format (png, svg, pdf). Needs no display.
        show: opens a window and waits until it is closed.

    Returns:
        The figure. Without `ax` and `save` it belongs to pyplot, so that `pyplot.show()` shows it.

    Raises:
        BadValue: no such directory, no run, no such column, an unknown ending; what there is instead is told.
    """
    files = files_to_write(save)
    asked = read_options(
        value=value, xaxis=xaxis, smooth=smooth, est=est, metric=metric, band=band, log=log, compare=compare,
        profile=profile, heatmap=heatmap, last=last,
    )  # fmt: skip
    _check_width(width)
    found = _chosen(logdirs, words(select), words(exclude))
    _read(found, asked.columns)
    check_columns(found.runs, asked.xaxis, asked.values)
    panels = make_panels(found, words(legend), by, by_run=count, over_envs=profile)
    if not profile:
        _tell_environments(found, panels, asked.values)
    _tell_code(found, panels)
    figure = _drawn(_sheet(asked, found, panels), _axes(ax), width, files, is_shown=show or not files)
    _tell(found)
    if show:
        from matplotlib import pyplot

        pyplot.show()
    return figure


def _sheet(asked: Asked, found: RunSet, panels: Sequence[Panel]) -> Sheet:
    common: dict[str, Any] = {"found": found, "panels": panels, "values": asked.values, "looks": _looks(panels)}
    if asked.kind == "heatmap":
        side, bottom = (resolve_key(found.runs, key, "--heatmap") for key in asked.keys)
        return HeatmapSheet(**common, keys=(side, bottom), last=asked.last, spread=asked.spread)
    if asked.kind == "compare":
        return ComparisonSheet(**common, last=asked.last, spread=asked.spread, log=asked.log)
    if asked.kind == "profile":
        return ProfileSheet(**common, last=asked.last, band=asked.spread.band, log=asked.log)
    xaxis = asked.xaxis or ""
    return CurveSheet(**common, xaxis=xaxis, smooth=asked.smooth, spread=asked.spread, log=asked.log)


def _check_width(width: float | None) -> None:
    if width is not None and not 1 <= width <= 100:
        raise BadValue(f"`--width`: is in inches, from 1 to 100, got {width:g}.")


def _axes(ax: Axes | Sequence[Axes] | None) -> list[Axes] | None:
    return None if ax is None else list(np.ravel(np.asarray(ax, dtype=object)))


def _looks(panels: Sequence[Panel]) -> dict[str, Look]:
    """A look for each variant, the same in all panels."""
    labels = dict.fromkeys(curve.label for panel in panels for curve in panel.curves)
    return {label: look(rank) for rank, label in enumerate(labels)}


def _tell_environments(found: RunSet, panels: Sequence[Panel], values: Sequence[str]) -> None:
    """Notes that returns of several environments share an axis."""
    columns = {run.find(value) for value in values for run in found.runs}
    if not any(column and score_kind(column) for column in columns):
        return
    for panel in panels:
        envs = dict.fromkeys(run.env for run in panel.runs if run.env)
        if len(envs) > 1:
            found.notes.append(
                f"returns of {len(envs)} environments share an axis: {', '.join(envs)}; "
                "`--by env_name` gives each a plot of its own"
            )


def _tell_code(found: RunSet, panels: Sequence[Panel]) -> None:
    """Notes which variants have seeds that were made by different code."""
    mixed = dict.fromkeys(curve.label for panel in panels for curve in panel.curves if curve.mixes_code)
    if mixed:
        found.notes.append(f"mixes code (its seeds were made by different code): {', '.join(mixed)}")


def _drawn(
    sheet: Sheet, axes: list[Axes] | None, width: float | None, files: Sequence[Path], *, is_shown: bool
) -> Figure:
    import matplotlib

    if axes is not None and len(axes) != len(sheet.plots):
        raise BadValue(f"ax: there are {len(sheet.plots)} plots and {len(axes)} axes; each plot wants its own.")
    if sheet.is_empty:
        raise BadValue(_nothing("There is nothing to draw in", sheet.found))
    size = font_size(sheet.default_width if width is None else width)
    settings: Any = FILE_STYLE if axes is not None and width is None else style(size)
    with matplotlib.rc_context(settings):
        if axes is None:
            figure = _new_figure(is_shown)
            sheet.draw_figure(figure, width)
        else:
            figure = sheet.draw_into(axes, width)
        write_figure(figure, files)
    return figure


def _chosen(logdirs: Paths | RunSet, select: Sequence[str], exclude: Sequence[str]) -> RunSet:
    """The runs that were asked for, all of them with rows."""
    found = logdirs if isinstance(logdirs, RunSet) else find_runs(_paths(logdirs))
    if not found.runs:
        wanted = f"None of the {found.not_chosen} runs that were found is wanted in"
        what = wanted if found.not_chosen else "There is no run in"
        raise BadValue(_nothing(what, found))
    runs = [run for run in found.runs if _is_chosen(str(run.dir), select, exclude)]
    if not runs:
        raise BadValue(_nothing("`--select` and `--exclude` leave no run of", found))
    # a copy: the caller's own set stays as it is
    return dataclasses.replace(found, runs=runs, skipped=[*found.skipped], notes=[*found.notes])


def _read(found: RunSet, names: Sequence[str]) -> None:
    if not found.with_rows(names):
        raise BadValue(_nothing("There is no row in", found))
    mixtures = [found.mixed_scores(name) for name in names]
    found.notes += [mixture for mixture in dict.fromkeys(mixtures) if mixture]


def _paths(logdirs: Paths) -> list[str | Path]:
    return [logdirs] if isinstance(logdirs, (str, Path)) else list(logdirs)


def _is_chosen(path: str, select: Sequence[str], exclude: Sequence[str]) -> bool:
    return all(part in path for part in select) and not any(part in path for part in exclude)


def _nothing(what: str, found: RunSet) -> str:
    where = f"{what} {', '.join(map(str, found.logdirs)) or 'no directory at all'}."
    return "\n".join([where, *map(str, found.skipped)])


def _new_figure(is_shown: bool) -> Figure:
    if is_shown:
        from matplotlib import pyplot

        return pyplot.figure(layout="constrained")
    from matplotlib.figure import Figure

    return Figure(layout="constrained")


def _tell(found: RunSet) -> None:
    for line in found.told():
        warn_line(line)
