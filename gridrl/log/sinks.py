"""Where rows go: the progress file, the terminal, and others chosen by name (`--log tensorboard`)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from gridrl.build import NamedTable
from gridrl.errors import BadValue, Problems
from gridrl.log.cells import Cell
from gridrl.log.progress import ProgressFile
from gridrl.utils.files import RunPaths, read_json
from gridrl.utils.names import cut_name, short_hash
from gridrl.utils.optional import import_optional, is_installed

SINKS = NamedTable(
    "sink",
    {
        "progress": "gridrl.log.sinks:ProgressSink",
        "terminal": "gridrl.log.sinks:TerminalSink",
        "tensorboard": "gridrl.log.sinks:TensorBoardSink",
        "wandb": "gridrl.log.sinks:WandbSink",
    },
    group="gridrl.sinks",
)
"""The sinks that can be asked for by name: callables that take a `Destination` and give a `Sink`."""

# sink -> the package that it needs, which the extra of the same name installs
_NEEDED_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}

_KEY_WIDTH = 15
_VALUE_WIDTH = 15
_WIDEST_VALUE = 60


@dataclass(frozen=True)
class Destination:
    """What a sink may know of the run when it is made.

    Attributes:
        output_dir: the run directory.
        output_fname: the name of the progress file in it.
        exp_name: the experiment's name; None where it has none.
    """

    output_dir: Path
    output_fname: str = "progress.txt"
    exp_name: str | None = None


@runtime_checkable
class Sink(Protocol):
    """Takes rows. Only rank 0 has sinks.

    >>> class Longest:
    ...     '''Remembers the longest episode.'''
    ...     best = 0.0
    ...     def write(self, row, step):
    ...         self.best = max(self.best, row.get("MaxEpLen") or 0.0)
    ...     def close(self):
    ...         print("longest:", self.best)
    >>> isinstance(Longest(), Sink)
    True
    """

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        """Takes one row.

        Args:
            row: column -> number, text, or None where there is no value.
            step: env steps so far (the column `TotalEnvInteracts`), where the row has them; else the rows before it.
        """

    def close(self) -> None:
        """Finishes; nothing is written afterwards. A second call does nothing."""


def check_sinks(log: str | Iterable[object]) -> None:
    """Tells everything that is wrong with these sinks, before anything starts; imports none of them.

    Args:
        log: names of sinks, and objects that are sinks; or one name.

    Raises:
        BadValue: a name that is no sink, one whose package is not installed, an object without `write` and `close`.
    """
    problems = Problems()
    for entry in [log] if isinstance(log, str) else log:
        if not isinstance(entry, str):
            if not isinstance(entry, Sink):
                problems.add(f"log: {entry!r} is neither the name of a sink nor an object with write and close.")
            continue
        try:
            SINKS[entry]
        except BadValue as error:
            problems.add(f"--log: {error}")
        package = _NEEDED_PACKAGES.get(entry)
        if package and not is_installed(package):
            problems.add(f"the sink {entry!r} needs {package}, which is not installed: pip install 'gridrl[{entry}]'.")
    problems.raise_if_any(BadValue)


def open_sinks(log: Iterable[str | Sink], destination: Destination) -> list[Sink]:
    """Makes the sinks that `log` names, each once; objects that are sinks already are taken as they are.

    Raises:
        BadValue: see `check_sinks`.
    """
    asked = list(log)
    check_sinks(asked)
    opened: list[Sink] = []
    try:
        for place, entry in enumerate(asked):
            if entry not in asked[:place]:
                opened.append(SINKS.load(entry)(destination) if isinstance(entry, str) else entry)
    except BaseException:
        for sink in opened:
            with contextlib.suppress(Exception):
                sink.close()
        raise
    return opened


class ProgressSink:
    """Rows into the run's `progress.txt`, see `gridrl.log.progress.ProgressFile`."""

    def __init__(self, destination: Destination) -> None:
        self.file = ProgressFile(destination.output_dir / destination.output_fname)

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        """Appends a row."""
        self.file.append(row)

    def close(self) -> None:
        """Closes the file."""
        self.file.close()


class TerminalSink:
    """Rows as the documented table on standard output: `| key | value |`, numbers with three digits."""

    def __init__(self, destination: Destination | None = None) -> None:
        """Takes a `Destination` like every sink, and needs nothing of it."""

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        """Prints a table."""
        table = format_table(row)
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(table.encode(encoding, "replace").decode(encoding), flush=True)

    def close(self) -> None:
        """Does nothing."""


def format_table(row: Mapping[str, Cell]) -> str:
    """A row as a table for people; keys and values are aligned right, long text is cut.

    >>> print(format_table({"Epoch": 3, "AverageEpRet": 123.456, "Note": None}))
    -------------------------------------
    |           Epoch |               3 |
    |    AverageEpRet |             123 |
    |            Note |                 |
    -------------------------------------
    """
    shown = {_one_line(key): _shown(value) for key, value in row.items()}
    key_width = max(_KEY_WIDTH, *map(len, shown)) if shown else _KEY_WIDTH
    value_width = max(_VALUE_WIDTH, *map(len, shown.values())) if shown else _VALUE_WIDTH
    rule = "-" * (key_width + value_width + 7)
    return "\n".join(
        [rule, *(f"| {key:>{key_width}} | {value:>{value_width}} |" for key, value in shown.items()), rule]
    )


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if not isinstance(cell, str):
        return f"{float(cell):8.3g}" if abs(cell) < 1e300 or isinstance(cell, float) else "inf"
    text = _one_line(cell)
    return text if len(text) <= _WIDEST_VALUE else text[: _WIDEST_VALUE - 3] + "..."


def _one_line(text: str) -> str:
    return " ".join(text.split()) if not text.isprintable() else text


def _finite_numbers(row: Mapping[str, Cell]) -> dict[str, float]:
    return {key: float(value) for key, value in row.items() if isinstance(value, int | float) and abs(value) < 1e308}


class TensorBoardSink:
    """Numbers as TensorBoard scalars in `tensorboard/` of the run directory; text and NaN stay in the progress file.

    It writes the event files itself, with the tensorboard package alone: a thunk without torch stays without it. A run
    that goes on from a checkpoint tells TensorBoard to forget what its earlier attempt wrote from that step on.
    """

    def __init__(self, destination: Destination) -> None:
        """Opens an event file.

        Raises:
            BadValue: tensorboard is not installed.
        """
        how = {"extra": "tensorboard", "purpose": "--log tensorboard"}
        writer = import_optional("tensorboard.summary.writer.event_file_writer", **how)
        self._event = import_optional("tensorboard.compat.proto.event_pb2", **how)
        self._summary = import_optional("tensorboard.compat.proto.summary_pb2", **how)
        self._writer = writer.EventFileWriter(str(RunPaths(destination.output_dir).tensorboard))
        self._is_fresh = True
        self._is_closed = False

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        """Adds a scalar for each number and flushes."""
        if self._is_fresh:
            self._is_fresh = False
            start = self._event.SessionLog(status=self._event.SessionLog.START)
            self._add(step, session_log=start)  # events of earlier files from this step on are void
        values = [self._summary.Summary.Value(tag=key, simple_value=x) for key, x in _finite_numbers(row).items()]
        self._add(step, summary=self._summary.Summary(value=values))
        self._writer.flush()

    def _add(self, step: int, **what: Any) -> None:
        import time

        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, **what))

    def close(self) -> None:
        """Ends the writer's thread."""
        if not self._is_closed:
            self._is_closed = True
            self._writer.close()


class WandbSink:
    """Rows to Weights & Biases: one W&B run per run directory, which later attempts go on with.

    The project is `$WANDB_PROJECT`, else "gridrl"; the group is the experiment's name; its files are in the run
    directory. `WANDB_MODE=offline` keeps them there until `wandb sync`.
    """

    def __init__(self, destination: Destination) -> None:
        """Starts (or goes on with) the W&B run.

        Raises:
            BadValue: wandb is not installed.
        """
        wandb = import_optional("wandb", extra="wandb", purpose="--log wandb")
        directory = destination.output_dir.resolve()
        config = read_json(RunPaths(directory).config)
        name = destination.exp_name or directory.name
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "gridrl"),
            dir=str(directory),
            id=_wandb_id(directory, config),
            resume="allow",
            name=cut_name(directory.name, 120),
            group=cut_name(name, 120),
            config=config if isinstance(config, dict) else None,
            settings=wandb.Settings(silent=True),
        )

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        """Logs the row; W&B leaves out steps that an earlier attempt has logged already."""
        self._run.log({key: value for key, value in row.items() if value is not None}, step=step)

    def close(self) -> None:
        """Waits until everything is sent, or written where W&B is offline."""
        self._run.finish()


def _wandb_id(directory: Path, config: Any) -> str:
    """The same for every attempt of a run, another for every other."""
    known = config.get("run_id") if isinstance(config, dict) else None
    return short_hash(f"{known}\n{directory}", 16)
