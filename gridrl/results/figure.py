"""Draws learning curves: the mean over seeds with its spread, one curve for each variant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridrl.errors import BadValue, did_you_mean
from gridrl.log.standing import PERFORMANCE
from gridrl.results.curves import Curve, check_columns, group
from gridrl.results.drawing import STYLE, Drawing
from gridrl.results.reader import RunSet, find_runs
from gridrl.results.stats import ESTIMATES
from gridrl.utils.console import warn_line
from gridrl.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Paths = str | Path | Iterable[str | Path]
Words = str | Sequence[str] | None


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
    est: str = "mean",
    ax: Axes | None = None,
    save: Paths | None = None,
) -> Figure:
    """Draws learning curves and gives the figure; what cannot be read is left out, and said.

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
        ax: where to draw; None: a new figure.
        save: files to write; the ending is the format (png, svg, pdf). Needs no display.

    Returns:
        The figure. Without `ax` and `save` it belongs to pyplot, so that `pyplot.show()` shows it.

    Raises:
        BadValue: no such directory, no run, no such column, an unknown ending; what there is instead is told.
    """
    import matplotlib

    files = _files(save)
    values = list(dict.fromkeys(_words(value)))
    _check(est, smooth, values, ax)
    found = _chosen(logdirs, _words(select), _words(exclude))
    _read(found, [xaxis, *values])
    check_columns(found.runs, xaxis, values)
    drawing = Drawing(found, group(found, _words(legend), by_run=count), xaxis, smooth, est)
    with matplotlib.rc_context(STYLE):
        if ax is None:
            figure = _new_figure(is_shown=not files)
            drawing.draw(figure, values)
        else:
            figure = drawing.draw_into(ax, values[0])
        if drawing.is_empty:
            raise BadValue(_nothing("There is nothing to draw in", found))
        _write(figure, files)
    _tell(found, drawing.curves)
    return figure


def _words(given: Words) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _check(est: str, smooth: int, values: Sequence[str], ax: Axes | None) -> None:
    if est not in ESTIMATES:
        raise BadValue(
            f"`--est`: there is no {est!r}.{did_you_mean(est, ESTIMATES)} There are: {', '.join(ESTIMATES)}."
        )
    if smooth < 1:
        raise BadValue(f"`--smooth`: wants at least 1 row, got {smooth}.")
    if not values:
        raise BadValue("`--value`: wants at least one column.")
    if ax is not None and len(values) > 1:
        raise BadValue(f"ax: takes one value, not {len(values)}: {', '.join(values)}.")


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


def _files(save: Paths | None) -> list[Path]:
    """The files to write, their endings checked before anything is read."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    files = [Path(file).expanduser() for file in ([save] if isinstance(save, (str, Path)) else save or ())]
    faults = [
        f"`--save`: {file}: the ending is the format, .png, .svg or .pdf.{did_you_mean(file.suffix[1:], kinds)}"
        for file in files
        if file.suffix[1:].lower() not in kinds
    ]
    if faults:
        raise BadValue("\n".join(faults))
    return files


def _write(figure: Figure, files: Sequence[Path]) -> None:
    """Writes a figure, each file wholly or not at all."""
    for file in files:
        try:
            with atomic_path(file) as aside:
                figure.savefig(aside, format=file.suffix[1:].lower())
        except OSError as error:
            raise BadValue(f"`--save`: {file} cannot be written: {error.strerror}.") from error


def _tell(found: RunSet, curves: Sequence[Curve]) -> None:
    for line in found.told():
        warn_line(line)
    mixed = [curve.label for curve in curves if curve.mixes_code]
    if mixed:
        warn_line(f"mixes code (its seeds were made by different code): {', '.join(mixed)}")
