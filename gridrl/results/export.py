"""Finished runs for other tools: one table of all rows, TensorBoard's event files, Weights & Biases."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.errors import BadValue, did_you_mean
from gridrl.log.tables import Column
from gridrl.results.frame import differing_settings, labels_of, title_of, who
from gridrl.results.places import Skipped
from gridrl.results.reader import RunSet
from gridrl.results.run import Run
from gridrl.utils.files import atomic_path
from gridrl.utils.names import cut_name, short_hash
from gridrl.utils.optional import import_optional

_RUNNING = ("queued", "running")


@dataclass(frozen=True)
class Exported:
    """What has been written.

    Attributes:
        out: where.
        runs: how many.
        rows: of all of them.
    """

    out: Path
    runs: int
    rows: int


def export(found: RunSet, to: str, out: str | Path | None = None, *, project: str = "gridrl") -> Exported:
    """Writes finished runs in the form of another tool; the runs themselves stay as they are.

    Args:
        found: the runs; takes what was left out, those that still run among it.
        to: "csv" (a file of all rows, each with its run, seed and the hyperparameters in which the runs differ),
            "parquet" (the same, needs the extra `frames`), "tensorboard" (a directory of event files for each run), or
            "wandb" (a W&B run for each run; `WANDB_MODE=offline` keeps them on the disk).
        out: the file or directory, which must not be there yet. W&B's own directory `wandb` is made in it; None: here.
        project: of W&B.

    Raises:
        BadValue: no such form; no run that could be written; a place that is taken, missing or cannot be written; a
            package that is not installed.
    """
    if to not in FORMS:
        raise BadValue(f"`--to`: there is no {to!r}.{did_you_mean(to, FORMS)} There are: {', '.join(FORMS)}.")
    if out is None and to != "wandb":
        raise BadValue(f"`--out` is missing: where should {to} be written? `--out runs{_ENDINGS[to]}`")
    where = Path(out or ".").expanduser()
    if to != "wandb":
        _check_free(where)
    _keep_finished(found)
    try:
        return Exported(where, len(found.runs), FORMS[to](found, where, project))
    except OSError as error:
        raise BadValue(f"`--out`: {error.filename or where} cannot be written: {error.strerror or error}.") from error


def _check_free(where: Path) -> None:
    if where.is_dir() and any(where.iterdir()):
        raise BadValue(f"`--out`: {where} is a directory with files in it. Nothing is overwritten: name another one.")
    if where.exists() and not where.is_dir():
        raise BadValue(f"`--out`: {where} is there already. Nothing is overwritten: name another one.")


def _keep_finished(found: RunSet) -> None:
    """Leaves out the runs that have no rows or are not over yet."""
    states = [run.state for run in found.runs]
    for run, state in zip(found.runs, states, strict=True):
        if state in _RUNNING:
            found.skipped.append(Skipped(run.dir, f"is not over yet ({state})"))
    found.runs = [run for run, state in zip(found.runs, states, strict=True) if state not in _RUNNING]
    if not found.with_rows():
        told = "\n".join(found.told())
        raise BadValue(f"There is no finished run with rows in {', '.join(map(str, found.logdirs))}.\n{told}".strip())


def _to_csv(found: RunSet, out: Path, _project: str) -> int:
    """Writes a table without pandas, a run at a time."""
    differing = differing_settings(found.runs)
    names = list(dict.fromkeys(name for run in found.runs for name in run.column_names))
    rows = 0
    with atomic_path(out) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        titles = [*who(names), *(title_of(key, names) for key in differing)]
        writer.writerow([*titles, *names])
        for run in found.runs:
            labels = labels_of(run, differing, names)
            head = [_cell(labels.get(title)) for title in titles]
            for row in _rows(run, names):
                writer.writerow([*head, *map(_cell, row)])
                rows += 1
    return rows


def _rows(run: Run, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The rows of a run with the text in them."""
    assert run.source is not None  # it has rows
    table = run.source.cells()
    nothing = [None] * table.rows
    return zip(*(table.columns[name].tolist() if name in table.columns else nothing for name in names), strict=True)


def _cell(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return ""
    return "" if value is None else repr(value) if isinstance(value, float) else value


def _to_parquet(found: RunSet, out: Path, _project: str) -> int:
    import_optional("pyarrow", extra="frames", purpose="`--to parquet`")
    frame = found.to_frame()
    for name in frame.columns:
        kinds = {type(cell) for cell in frame[name].dropna()} if frame[name].dtype == object else set()
        if len(kinds) > 1:  # a column of a file has one kind: numbers, else text
            is_number = kinds <= {int, float}
            frame[name] = [
                None if _cell(cell) == "" else float(cell) if is_number else str(cell) for cell in frame[name]
            ]
    with atomic_path(out) as aside:
        frame.to_parquet(aside, index=False)
    return len(frame)


def _to_tensorboard(found: RunSet, out: Path, _project: str) -> int:
    """Event files for each run, in the directories that the runs have below what was asked for."""
    places = _places(found)
    rows = 0
    for run, place in zip(found.runs, places, strict=True):
        columns, steps = run.columns(), _steps(run)
        _write_events(out / place, run, columns, steps)
        rows += steps.size
    return rows


def _places(found: RunSet) -> list[Path]:
    places: list[Path] = []
    for run in found.runs:
        inner = run.dir.relative_to(run.logdir)
        place = Path(run.logdir.absolute().name or "runs") / inner if len(found.logdirs) > 1 else inner
        place = Path(run.dir.absolute().name or "run") if place == Path() else place
        number = 2
        taken = place
        while place in places:
            place, number = taken.with_name(f"{taken.name}-{number}"), number + 1
        places.append(place)
    return places


def _write_events(directory: Path, run: Run, columns: Mapping[str, Column], steps: Sequence[int]) -> None:
    how = {"extra": "tensorboard", "purpose": "`--to tensorboard`"}
    writers = import_optional("tensorboard.summary.writer.event_file_writer", **how)
    events = import_optional("tensorboard.compat.proto.event_pb2", **how)
    summaries = import_optional("tensorboard.compat.proto.summary_pb2", **how)
    hparams = import_optional("tensorboard.plugins.hparams.summary_v2", **how)
    times = _times(run, len(steps))
    writer = writers.EventFileWriter(str(directory))
    try:
        if run.settings:
            plain = {key: value if _is_plain(value) else json.dumps(value) for key, value in run.settings.items()}
            writer.add_event(events.Event(wall_time=times[0], summary=hparams.hparams_pb(plain)))
        for row, (step, time) in enumerate(zip(steps, times, strict=True)):
            found = {name: float(column[row]) for name, column in columns.items()}
            values = [
                summaries.Summary.Value(tag=name, simple_value=number)
                for name, number in found.items()
                if abs(number) < 1e38  # no nan either
            ]
            event = events.Event(wall_time=time, step=int(step), summary=summaries.Summary(value=values))
            writer.add_event(event)
    finally:
        writer.close()


def _is_plain(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str))


def _steps(run: Run) -> Any:
    """The env steps of each row where they rise; else the rows are counted."""
    column = run.steps_column
    steps = run.columns([column])[column] if column else np.empty(0)
    if steps.size and np.all(np.isfinite(steps)) and np.all(np.diff(steps) > 0) and abs(steps[-1]) < 2**62:
        return steps.astype(np.int64)
    return np.arange(run.num_rows)


def _times(run: Run, rows: int) -> list[float]:
    """When each row was written, as far as that is known: seconds since the epoch."""
    column = run.time_column
    times = run.columns([column])[column] if column else np.zeros(rows)
    if not np.all(np.isfinite(times)):
        times = np.zeros(rows)
    written: list[float] = (run.path.stat().st_mtime + times - times[-1]).tolist()
    return written


def _to_wandb(found: RunSet, out: Path, project: str) -> int:
    wandb = import_optional("wandb", extra="wandb", purpose="`--to wandb`")
    out.mkdir(parents=True, exist_ok=True)
    rows = 0
    for run in found.runs:
        names, steps = run.column_names, _steps(run)
        with wandb.init(
            project=project,
            dir=str(out),
            id=short_hash(f"export\n{run.config.get('run_id')}\n{run.dir.resolve()}", 16),
            resume="allow",
            name=cut_name(run.dir.absolute().name, 120),
            group=cut_name(run.condition, 120),
            config={**run.settings, "seed": run.seed, "env": run.env},
            settings=wandb.Settings(silent=True),
        ) as logged:
            for step, row in zip(steps, _rows(run, names), strict=False):  # its file may have grown
                cells = {name: cell for name, cell in zip(names, row, strict=True) if _cell(cell) != ""}
                logged.log(cells, step=int(step))
        rows += steps.size
    return rows


FORMS: dict[str, Callable[[RunSet, Path, str], int]] = {
    "tensorboard": _to_tensorboard,
    "wandb": _to_wandb,
    "csv": _to_csv,
    "parquet": _to_parquet,
}
"""What runs can be written as; each function gives the number of rows."""

_ENDINGS = {"tensorboard": "", "csv": ".csv", "parquet": ".parquet"}
