"""How far a run has come, told from its files alone: rows against planned epochs, time left, last score, memory."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.log.heartbeat import Observer
from gridrl.log.record import Status, read_status
from gridrl.log.scanning import Quoted, row_ends, scan_rows
from gridrl.utils.files import RunPaths, read_json
from gridrl.utils.processes import ProcessIdentity, boot_id
from gridrl.utils.ranks import rank_processes

PERFORMANCE = "Performance"
"""Stands for the return of an episode: the test episodes' where there are any, else the training episodes'."""

RETURNS = ("AverageTestEpRet", "AverageEpRet")

OVER = ("done", "failed", "killed", "timeout", "lost", "preempted")
"""The states of a run whose process has ended."""

_TIME = "Time"
_SCORES = (PERFORMANCE, *RETURNS)
MOST_TIME_S = 1e8
"""A column `Time` above that is a date, not a duration."""


@dataclass(frozen=True)
class Standing:
    """How a run stands at one moment.

    Attributes:
        run_dir: its directory.
        name: its name, without the seed.
        seed: its seed, None where none is recorded.
        state: see `gridrl.log.heartbeat.Observer.state`.
        rows: rows of its `progress.txt`, one per epoch.
        epochs: the rows that are planned, None where that is not known.
        elapsed_s: seconds since this attempt was started, to its end if it is over; None if it was never started.
        left_s: seconds to its end if it goes on like this; None where that cannot be told.
        score: the newest return of an episode (`PERFORMANCE`, else the first of `RETURNS` that it logs).
        memory_mb: MiB: resident now while it runs on this machine, else the most that it had.
        error: the last line of what went wrong.
        host: where it runs or ran.
        config: its `config.json`, empty where there is none.
    """

    run_dir: Path
    name: str
    seed: int | None
    state: str
    rows: int = 0
    epochs: int | None = None
    elapsed_s: float | None = None
    left_s: float | None = None
    score: float | None = None
    memory_mb: float | None = None
    error: str | None = None
    host: str | None = None
    config: Mapping[str, Any] | None = None

    @property
    def label(self) -> str:
        """Its name with its seed."""
        return self.name if self.seed is None else f"{self.name} s{self.seed}"


class RowsSeen:
    """What a file of rows says at its end; each look reads only what has been added since the last one.

    Args:
        path: a `progress.txt`; it may be missing, written to, rewritten or cut between two looks.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._mark: tuple[int, int, int] | None = None
        self._end = 0
        self._last = b""  # the last row, to see whether it still stands where it stood
        self._header: list[str] | None = None
        self._numbers: dict[str, float] = {}
        self.rows = 0
        self.written: float | None = None

    @property
    def score(self) -> float | None:
        """The newest return of an episode, None where no row has one."""
        column = next((name for name in _SCORES if name in (self._header or ())), "")
        return self._numbers.get(column)

    @property
    def time_s(self) -> float | None:
        """The newest number of the column `Time`, None where it is no duration."""
        seconds = self._numbers.get(_TIME)
        return seconds if seconds is not None and 0 < seconds < MOST_TIME_S else None

    def look(self) -> None:
        """Reads what is new; a file that cannot be read counts as empty."""
        try:
            found = os.stat(self._path)
            if (found.st_ino, found.st_size, found.st_mtime_ns) != self._mark:
                self._read()
        except OSError:
            self._forget()

    def _read(self) -> None:
        with open(self._path, "rb") as file:
            found = os.fstat(file.fileno())
            file.seek(self._end - len(self._last))
            content = file.read()
            if not content.startswith(self._last) or (self._mark and self._mark[0] != found.st_ino):
                self._forget()
                file.seek(0)
                content = file.read()
        self._take(content[len(self._last) :])
        self._mark = (found.st_ino, found.st_size, found.st_mtime_ns)
        self.written = found.st_mtime

    def _take(self, content: bytes) -> None:
        """Counts the complete rows of a piece, and notes the newest numbers in them."""
        # Latin-1 maps bytes to letters one to one: the places found in the text are places in the file.
        ends = row_ends(content.decode("latin-1"), "\t")
        if not ends:
            return
        rows = [content[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        self._end += ends[-1]
        self._last = rows[-1]
        if self._header is None:
            self._header = _cells(rows.pop(0))
        self.rows += len(rows)
        self._note(rows)

    def _note(self, rows: Sequence[bytes]) -> None:
        wanted = {name: place for place, name in enumerate(self._header or ()) if name in (*_SCORES, _TIME)}
        for row in reversed(rows):
            if not wanted:
                return
            cells = _cells(row)
            for name, place in list(wanted.items()):
                number = _number(cells[place]) if place < len(cells) else None
                if number is not None:
                    self._numbers[name] = number
                    del wanted[name]


def _cells(row: bytes) -> list[str]:
    return scan_rows(row.decode("utf-8", "replace"), "\t")[0][0]


def _number(cell: str) -> float | None:
    if isinstance(cell, Quoted):
        return None
    with contextlib.suppress(ValueError):
        number = float(cell)
        return number if math.isfinite(number) else None
    return None


class RunSeen:
    """One run, looked at now and then; a look costs little where nothing has changed.

    Args:
        run_dir: its directory.
        observer: tells whether it shows life; None: one of its own.
    """

    def __init__(self, run_dir: Path, observer: Observer | None = None) -> None:
        self._observer = observer or Observer()
        self.paths = RunPaths(run_dir)
        self._rows = RowsSeen(self.paths.progress)
        self._config: Mapping[str, Any] = {}
        self._config_mark: tuple[int, int] | None = None

    def look(self) -> Standing:
        """How the run stands now."""
        self._rows.look()
        self._read_config()
        status = read_status(self.paths.root)
        state = self._observer.state(self.paths.root, status)
        epochs = planned_epochs(self._config)
        return Standing(
            run_dir=self.paths.root,
            name=_name(self._config, self.paths.root),
            seed=_whole(self._config.get("seed")),
            state=state,
            rows=self._rows.rows,
            epochs=epochs,
            elapsed_s=self._elapsed(status, state),
            left_s=self._left(status, epochs) if state == "running" else None,
            score=self._rows.score,
            memory_mb=_memory(status, state, self.paths),
            error=status.error if status else None,
            host=status.host if status else None,
            config=self._config,
        )

    def _read_config(self) -> None:
        try:
            found = os.stat(self.paths.config)
        except OSError:
            self._config, self._config_mark = {}, None
            return
        if self._config_mark != (found.st_ino, found.st_mtime_ns):
            config = read_json(self.paths.config)
            self._config = config if isinstance(config, dict) else {}
            self._config_mark = (found.st_ino, found.st_mtime_ns)

    def _elapsed(self, status: Status | None, state: str) -> float | None:
        if status is None or status.started is None:
            return None
        ended = time.time() if state == "running" else status.ended
        if ended is None:  # nobody was there to note it: the last sign of life
            ended = self._rows.written if self._rows.written is not None else status.started
        return max(0.0, ended - status.started)

    def _left(self, status: Status | None, epochs: int | None) -> float | None:
        """Seconds to the end at the pace of the rows so far; None before the first one."""
        rows, written = self._rows.rows, self._rows.written
        if status is None or status.started is None or epochs is None or not rows or written is None:
            return None
        # What an earlier attempt took stands in the column `Time` alone.
        took = written - status.started if status.attempt == 1 else self._rows.time_s
        if took is None:
            return None
        pace_s = max(0.0, took) / rows
        return max(0.0, pace_s * (epochs - rows) - (time.time() - written))


def planned_epochs(config: Mapping[str, Any]) -> int | None:
    """The rows that a run is to write, as its launcher knew, else as its algorithm has noted; None: nobody knows."""
    for values in (config, config.get("variant"), config.get("algorithm")):
        epochs = _whole(values.get("epochs")) if isinstance(values, Mapping) else None
        if epochs is not None and epochs > 0:
            return epochs
    return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _name(config: Mapping[str, Any], run_dir: Path) -> str:
    name = config.get("exp_name")
    return name if isinstance(name, str) and name else run_dir.absolute().name


def _memory(status: Status | None, state: str, paths: RunPaths) -> float | None:
    if status is None:
        return None
    if state != "running" or status.boot_id != boot_id() or status.pid is None or status.pid_start is None:
        return status.peak_memory_mb
    if not ProcessIdentity(status.pid, status.pid_start, status.boot_id).is_alive():
        return None
    return resident_mb({status.pid, *(rank_processes(paths) if paths.ranks.is_dir() else ())})


def resident_mb(pids: Iterable[int]) -> float | None:
    """MiB of memory that processes of this machine have resident now, added up; None where none of them lives."""
    import psutil

    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid).memory_info().rss / 2**20)
    return round(sum(found), 1) if found else None
