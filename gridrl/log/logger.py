"""The logger: what an epoch was like, gathered over all ranks, as one row for every sink."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gridrl.errors import GridRLError, GridRLWarning
from gridrl.log.cells import Cell, to_cell
from gridrl.log.claims import check_claim
from gridrl.log.disk import told_when_full
from gridrl.log.metrics import Moments, Samples
from gridrl.log.places import fresh_directory, setup_logger_kwargs
from gridrl.log.rows import RowRecorder, Statistics
from gridrl.log.saving import check_savable, write_config, write_state
from gridrl.log.sinks import Destination, ProgressSink, Sink, TerminalSink, check_sinks, open_sinks
from gridrl.utils.console import colorize, say
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi import gather_objects, proc_id

__all__ = ["EpochLogger", "Logger", "colorize", "setup_logger_kwargs"]

_STEP_COLUMN = "TotalEnvInteracts"


class Logger:
    """Writes rows, the configuration and the networks of one run.

    Every rank makes one and calls the same methods; only rank 0 touches files. A row is in `progress.txt` when
    `dump_tabular` returns: nothing is lost with the process.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, Logger(directory, quiet=True) as logger:
    ...     for epoch in range(2):
    ...         logger.log_tabular("Epoch", epoch)
    ...         _ = logger.dump_tabular()
    ...     print(Path(directory, "progress.txt").read_text().split())
    ['Epoch', '0', '1']

    Attributes:
        output_dir: the run directory, absolute; None on ranks behind the first where none was given.
        exp_name: the experiment's name.
        rows: how many rows have been written, by earlier attempts too where `resume` kept theirs.
    """

    def __init__(
        self,
        output_dir: str | Path | None = None,
        output_fname: str = "progress.txt",
        exp_name: str | None = None,
        *,
        log: str | Iterable[str | Sink] = (),
        quiet: bool = False,
    ) -> None:
        """Makes the run directory and opens the sinks.

        Args:
            output_dir: the run directory. None: rank 0 makes a new one, `experiments/<time>` in the data directory.
            output_fname: the name of the progress file; a `*.csv` gets commas.
            exp_name: noted in `config.json`.
            log: sinks beside the progress file and the terminal: names out of `gridrl.log.sinks.SINKS`, or objects.
            quiet: prints neither tables nor messages.

        Raises:
            BadValue: a sink that does not exist, or whose package is not installed.
        """
        self.exp_name = exp_name
        self.rows = 0
        self.quiet = quiet
        self.output_dir = None if output_dir is None else Path(output_dir).absolute()
        self._is_first = proc_id() == 0
        self._recorder = RowRecorder()
        self._model: Any = None
        self._is_closed = False
        self._progress: ProgressSink | None = None
        self._sinks: list[Sink] = []
        if self._is_first:
            self._open(log, output_fname)

    def _open(self, log: str | Iterable[str | Sink], output_fname: str) -> None:
        asked = [entry for entry in ([log] if isinstance(log, str) else log) if entry not in ("progress", "terminal")]
        check_sinks(asked)
        if self.output_dir is None:
            self.output_dir = fresh_directory()
        with told_when_full(self.output_dir, "the run directory was not made"):
            self.output_dir.mkdir(parents=True, exist_ok=True)
        destination = Destination(self.output_dir, output_fname, self.exp_name)
        others = open_sinks(asked, destination)
        self._progress = ProgressSink(destination)
        self._sinks = [self._progress, *([] if self.quiet else [TerminalSink(destination)]), *others]
        self.log(f"Logging data to {self._progress.file.path}")

    def log(self, msg: str, color: str = "green") -> None:
        """Prints a message in colour; rank 0 does, unless the logger is quiet."""
        if self._is_first and not self.quiet:
            say(msg, color, bold=True)

    def log_tabular(self, key: str, val: Any = None) -> None:
        """Puts a value into this epoch's row.

        Args:
            key: the column. It may come late, and be missing in some epochs.
            val: a number of any kind (a numpy scalar, a tensor with one element), text, or None: an empty cell.

        Raises:
            ColumnError: the column was set already since the last `dump_tabular`, or `val` is an array.
        """
        self._recorder.put(key, to_cell(key, val))

    def dump_tabular(self) -> dict[str, Cell]:
        """Ends the epoch: gathers what the ranks have logged, once, and hands the row to every sink.

        A column that ranks have set by value gets that of the lowest rank that has one. Every rank has to call it.

        Returns:
            The row, the same on every rank: column -> number, text, or None where there was nothing to report.

        Raises:
            ColumnError: no rank has logged anything since the last row.
            DiskFull: no room for the row; those before it stand.
            RunDirectoryInUse: another launcher has taken this run over.
        """
        if self._is_closed:
            raise GridRLError("dump_tabular(): this logger is closed.")
        row = self._recorder.gather()
        at = row.get(_STEP_COLUMN)
        if self._is_first and self.output_dir is not None:
            check_claim(self.output_dir)
        step = int(at) if isinstance(at, int | float) and abs(at) < 2**63 else self.rows
        for sink in list(self._sinks):
            self._write(sink, row, step)
        self.rows += 1
        return row

    def _write(self, sink: Sink, row: dict[str, Cell], step: int) -> None:
        """Hands a row to a sink. One that fails is closed and left out, but for the progress file: hours of training
        are not given up for a sink on the side. Errors of gridrl's own are meant, and pass."""
        try:
            sink.write(row, step)
        except Exception as error:
            if sink is self._progress or isinstance(error, GridRLError):
                raise
            self._sinks.remove(sink)
            with contextlib.suppress(Exception):
                sink.close()
            fault = (
                f"{type(sink).__name__} failed and gets no more rows; the others do. {type(error).__name__}: {error}"
            )
            warnings.warn(fault, GridRLWarning, stacklevel=3)  # told at the caller of dump_tabular

    def resume(self, rows: int) -> None:
        """Goes on after an earlier attempt's first `rows` rows; its rows behind them move to `progress.cut.txt`.

        Without this call all of an earlier attempt's rows move there, before the first new row is written.

        Raises:
            CheckpointError: fewer rows are there.
        """
        if self._progress is not None:
            self._progress.file.keep_rows(rows)
        self.rows = rows

    def state_dict(self) -> dict[str, Any]:
        """Where the logger stands, for a checkpoint; the rows up to here are safely on the disk."""
        if self._progress is not None:
            self._progress.file.sync()
        return {"rows": self.rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was taken, see `resume`."""
        self.resume(int(state["rows"]))

    def save_config(self, config: Mapping[str, Any]) -> None:
        """Puts an algorithm's arguments under "algorithm" in the run's `config.json`; the rest of it stays.

        Args:
            config: usually `locals()` at the top of the algorithm. Any value is taken: what JSON cannot say is told by
                its name. Loggers are left out, environments give their id.
        """
        if self._is_first and self.output_dir is not None:
            arguments = {key: value for key, value in config.items() if not isinstance(value, Logger)}
            write_config(RunPaths(self.output_dir).config, arguments, self.exp_name)

    def setup_pytorch_saver(self, what: Any) -> None:
        """Names what `save_state` saves.

        Args:
            what: an nn.Module (or anything with a state_dict), or a dict from names to such.

        Raises:
            CheckpointError: something in it has no state_dict.
        """
        check_savable(what)
        self._model = what

    def save_state(self, state_dict: Mapping[str, Any], itr: int | None = None) -> None:
        """Saves the networks' weights as `model/model[<itr>].pt`, and `state_dict` beside them as `vars[<itr>].pt`.

        Both are written at once and load with `torch.load(..., weights_only=True)`: no code is in them. A module's
        file is its state_dict; that of a dict of modules maps their names to theirs.

        Args:
            state_dict: extras: tensors, numpy arrays (saved as tensors), numbers, text, lists and dicts of these.
            itr: the epoch, to keep every one; None: the file is replaced each time.

        Raises:
            CheckpointError: an extra that would need pickled code to load, named by its key path. Nothing is written.
            DiskFull: no room; what was saved before stands.
        """
        if self._is_first and self.output_dir is not None:
            write_state(RunPaths(self.output_dir), self._model, state_dict, itr)

    def close(self) -> None:
        """Closes every sink; one that cannot be closed is warned about and does not keep the others open."""
        self._is_closed = True
        sinks, self._sinks = self._sinks, []
        faults = []
        for sink in sinks:
            try:
                sink.close()
            except Exception as error:
                faults.append(f"{type(sink).__name__} could not be closed. {type(error).__name__}: {error}")
        for fault in faults:
            warnings.warn(fault, GridRLWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.output_dir)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EpochLogger(Logger):
    """A logger that gathers numbers during an epoch and logs their statistics over all ranks.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, EpochLogger(directory, quiet=True) as logger:
    ...     for episode_return in (1.0, 2.0, 6.0):
    ...         logger.store(EpRet=episode_return)
    ...     logger.log_tabular("EpRet", with_min_and_max=True)
    ...     logger.dump_tabular()
    {'AverageEpRet': 3.0, 'StdEpRet': 2.160246899469287, 'MaxEpRet': 6.0, 'MinEpRet': 1.0}
    """

    @functools.cached_property
    def _samples(self) -> dict[str, Samples]:
        return {}

    def store(self, /, **values: Any) -> None:
        """Remembers numbers for this epoch's statistics.

        Args:
            values: key -> a number, a numpy array or torch tensor of any shape (each element counts), or a list of
                these. Their kinds may be mixed under one key. Nothing of them is kept but the numbers.

        Raises:
            ColumnError: something that is no number.
        """
        for key, value in values.items():
            samples = self._samples.get(key)
            if samples is None:
                samples = self._samples[key] = Samples()
            samples.add(value)

    def log_tabular(
        self, key: str, val: Any = None, with_min_and_max: bool = False, average_only: bool = False
    ) -> None:
        """Puts a value, or the statistics of what was stored, into this epoch's row; the ranks meet in `dump_tabular`.

        Args:
            key: the column, or the key of `store`.
            val: the value; None: the columns `Average<key>` and `Std<key>` of the stored numbers of all ranks. They
                are empty where no rank has any. The stored numbers are forgotten.
            with_min_and_max: the columns `Max<key>` and `Min<key>` too.
            average_only: only the average, in a column `<key>`.

        Raises:
            ColumnError: a column was set already since the last `dump_tabular`.
        """
        if val is not None:
            super().log_tabular(key, val)
            return
        samples = self._samples.get(key)
        moments = Moments() if samples is None else samples.moments()
        self._recorder.put(key, Statistics(moments, with_min_and_max, average_only))
        self._samples.pop(key, None)

    def get_stats(self, key: str, with_min_and_max: bool = False) -> tuple[float, ...]:
        """The statistics of the numbers stored under a key since it was last logged. Every rank has to call it.

        Returns:
            (mean, std), with `with_min_and_max` (mean, std, min, max), over all ranks; nan where no rank has any.
        """
        samples = self._samples.get(key)
        merged = Moments()
        for moments in gather_objects(Moments() if samples is None else samples.moments()) or ():
            merged.merge(moments)
        found = (merged.mean, merged.std, merged.minimum, merged.maximum)
        if not merged.count:
            found = (float("nan"),) * 4
        return found if with_min_and_max else found[:2]

    def state_dict(self) -> dict[str, Any]:
        """Where the logger stands, and what is stored but not yet logged."""
        stored = {key: samples.state_dict() for key, samples in self._samples.items()}
        return {**super().state_dict(), "stored": stored}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state_dict` was taken, see `resume`."""
        super().load_state_dict(state)
        self._samples = {key: Samples.from_state_dict(stored) for key, stored in state.get("stored", {}).items()}
