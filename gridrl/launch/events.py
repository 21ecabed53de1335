"""What launchers did, one line each: `events-<host>-<pid>.jsonl` beside a grid's `grid.json`.

A record for people and programs. No run depends on it, and deleting it loses no result.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridrl.launch.backend import Ending
from gridrl.launch.order import PlannedRun
from gridrl.launch.watcher import Watcher
from gridrl.utils.console import warn_line


class EventLog:
    """Appends events to a file; a disk that is full or gone is told once, and keeps nothing from going on.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_broken = False

    def write(self, *events: Mapping[str, Any]) -> None:
        """Appends events, with the time as of now, in one piece."""
        if self._is_broken or not events:
            return
        now = round(time.time(), 3)
        content = "".join(json.dumps({"time": now, **event}) + "\n" for event in events).encode()
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                os.write(descriptor, _behind(descriptor) + content)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._is_broken = True
            warn_line(f"{self._path}: not written any more ({error.strerror or error}). Nothing depends on it.")


def _behind(descriptor: int) -> bytes:
    """The end of a line that was cut off: an earlier process of this number may have met its end there."""
    if not os.fstat(descriptor).st_size:
        return b""
    os.lseek(descriptor, -1, os.SEEK_END)
    return b"" if os.read(descriptor, 1) == b"\n" else b"\n"


class Recorded:
    """Notes what a watcher is told, and passes it on.

    Args:
        log: where it is noted.
        runs: what is run.
        data_dir: directories below it are noted from there.
        watcher: who else is told.
    """

    def __init__(self, log: EventLog, runs: Sequence[PlannedRun], data_dir: Path, watcher: Watcher) -> None:
        self._log = log
        self._runs = runs
        self._data_dir = data_dir
        self._watcher = watcher

    def started(self, index: int) -> None:
        """See `Watcher.started`."""
        self._log.write({"event": "started", **self._run(index)})
        self._watcher.started(index)

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """See `Watcher.ended`."""
        self._log.write({"event": "ended", **self._run(index), **_described(ending), "seconds": round(elapsed_s, 3)})
        self._watcher.ended(index, ending, elapsed_s)

    def retried(self, index: int, ending: Ending, message: str) -> None:
        """See `Watcher.retried`."""
        self._log.write({"event": "retried", **self._run(index), **_described(ending)})
        self._watcher.retried(index, ending, message)

    def told(self, message: str) -> None:
        """See `Watcher.told`."""
        self._log.write({"event": "told", "message": message})
        self._watcher.told(message)

    def _run(self, index: int) -> dict[str, str]:
        return named(self._runs[index], self._data_dir)


def named(run: PlannedRun, data_dir: Path) -> dict[str, str]:
    """What an event calls a run."""
    run_dir = run.place.run_dir
    shown = run_dir.relative_to(data_dir) if run_dir.is_relative_to(data_dir) else run_dir
    return {"run": str(shown), "run_id": run.spec.run_id}


def _described(ending: Ending) -> dict[str, Any]:
    told = {
        "state": ending.state,
        "exit_code": ending.exit_code,
        "error": ending.error,
        "rank": ending.rank,
        "cpu_s": ending.cpu_s,
        "peak_memory_mb": ending.peak_memory_mb,
    }
    return {name: value for name, value in told.items() if value is not None}


def read_events(grid_dir: Path) -> list[dict[str, Any]]:
    """The events of all launchers of a grid in the order of their times; lines that are cut or broken are left out.

    Args:
        grid_dir: the grid's own directory, see `gridrl.utils.files.GridPaths`.
    """
    found = [event for path in sorted(grid_dir.glob("events-*.jsonl")) for event in _read(path)]
    return sorted(found, key=lambda event: float(event["time"]))


def _read(path: Path) -> Iterable[dict[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError:
        return []
    return filter(_is_event, map(_parsed, content.splitlines()))


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _is_event(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("event"), str):
        return False
    return isinstance(found.get("time"), (int, float)) and not isinstance(found["time"], bool)
