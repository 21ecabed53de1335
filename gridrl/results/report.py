"""A report on runs: one HTML file to send to somebody, with a table, curves, maps, failures and how to do it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gridrl.errors import BadValue
from gridrl.log.standing import PERFORMANCE
from gridrl.results.curves import check_columns
from gridrl.results.page import MARK, PageRequest, page, plotly_source
from gridrl.results.reader import RunSet, find_runs
from gridrl.results.table import table
from gridrl.utils.files import write_atomic

_HEAD_BYTES = 2000  # the mark stands within them


def report(
    runs: RunSet | str | Path | Iterable[str | Path],
    out: str | Path = "report.html",
    *,
    title: str | None = None,
    value: str = PERFORMANCE,
    curves: Sequence[str] = (),
    last: int = 10,
    metric: str = "mean",
    smooth: int = 1,
    smaller_is_better: bool = False,
) -> Path:
    """Writes one HTML file that shows runs, works from the disk and fetches nothing.

    It holds what the runs have recorded: commands, paths and names of hosts too. Needs the extra `report`.

    Args:
        runs: what `gridrl.results.reader.find_runs` gives, or directories.
        out: the file; a report that stands there is replaced, anything else is not.
        title: the headline; None: the directories.
        value: the column of the score.
        curves: columns that have curves besides the score; none given: the first eight that are worth it.
        last: a run's final score is the mean of its last so many rows.
        metric: over the seeds: "mean", "iqm" or "median".
        smooth: rows that go into the moving mean of a curve.
        smaller_is_better: of losses and costs.

    Returns:
        The file.

    Raises:
        BadValue: no such directory, column or metric; the file is none of ours or cannot be written; plotly is not
            installed.
    """
    out = Path(out).expanduser()
    check_target(out)
    if smooth < 1:
        raise BadValue(f"`--smooth`: wants at least 1 row, got {smooth}.")
    plotly_source()
    found = runs if isinstance(runs, RunSet) else find_runs(runs)
    made = table(found, value=value, last=last, metric=metric, smaller_is_better=smaller_is_better)
    if curves:
        check_columns(found.runs, made.asked.xaxis, curves)
    request = PageRequest(
        table=made,
        title=title or " ".join(map(str, found.logdirs)),
        left_out=found.told(),
        columns=[value, *(name for name in curves if name != value)] if curves else (),
        smooth=smooth,
    )
    write_report(out, page(request))
    return out


def write_report(path: Path, text: str) -> None:
    """Writes a report, wholly or not at all.

    Raises:
        BadValue: the path is a directory, or a file that is no report of ours; it cannot be written.
    """
    check_target(path)
    try:
        write_atomic(path, text)
    except OSError as error:
        raise BadValue(f"`--out`: {path} cannot be written: {error.strerror or error}.") from error


def check_target(path: Path) -> None:
    """Makes sure that a report may be written there.

    Raises:
        BadValue: a directory, or a file that is no report of ours, stands there.
    """
    if path.is_dir():
        raise BadValue(f"`--out`: {path} is a directory. Give a file: `--out {path / 'report.html'}`.")
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadValue(f"`--out`: {path} cannot be looked at: {error.strerror}.") from error
    if MARK.encode() not in head:
        raise BadValue(f"`--out`: {path} is there already and no report of gridrl's; it stands. Choose another name.")
