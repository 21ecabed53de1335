"""Signs of life: counters that go up while a process lives, for readers that cannot see the process itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridrl.errors import GridRLError
from gridrl.log.record import Status, read_status, state_by_now, write_status
from gridrl.utils.files import GridPaths, RunPaths, read_json, write_json

BEAT_S = 10.0
"""Seconds between two beats."""

LOST_AFTER_S = 600.0
"""A process of another host counts as lost when its counter has stood still for so many seconds."""


@contextlib.contextmanager
def _regularly(beat: Callable[[], None]) -> Iterator[None]:
    """Calls `beat` every `BEAT_S` seconds while the block runs, in a thread that signals pass by."""
    over = threading.Event()

    def live() -> None:
        if hasattr(signal, "pthread_sigmask"):  # the main thread is to hear them, also while it sleeps
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not over.wait(BEAT_S):
            with contextlib.suppress(OSError, GridRLError):  # a full disk stops the counter, not the run
                beat()

    thread = threading.Thread(target=live, name="gridrl-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def run_beating(run_dir: Path) -> Iterator[None]:
    """Counts the heartbeat of this process's run in its `status.json` while the block runs.

    Whoever writes the status does so before or behind the block.
    """

    def beat() -> None:
        status = read_status(run_dir)
        if status is not None and status.pid == os.getpid():
            write_status(run_dir, replace(status, heartbeat=status.heartbeat + 1))

    with _regularly(beat):
        yield


@contextlib.contextmanager
def file_beating(path: Path) -> Iterator[None]:
    """Counts in a file of its own while the block runs; the file is there from its beginning to its end."""
    counter = 0

    def beat() -> None:
        nonlocal counter
        counter += 1
        aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
        aside.write_text(f"{counter}\n", encoding="ascii")
        os.replace(aside, path)

    path.parent.mkdir(parents=True, exist_ok=True)
    beat()
    try:
        with _regularly(beat):
            yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def read_beat(path: Path) -> int | None:
    """The count in a file of `file_beating`; None where there is none."""
    found = read_json(path)
    return found if isinstance(found, int) else None


class StillStanding:
    """Remembers counters, and tells for how long each has stood still by this machine's clock.

    A counter that is found as it was has stood since, as it only goes up: what one process notes, another one may use,
    in whatever order they write.

    Args:
        notes: the file in which it remembers from one process to the next; None: it does not.
        clock: gives seconds; None: this machine's clock, of the day where there are notes, else one that nobody sets.
    """

    def __init__(self, notes: Path | None = None, clock: Callable[[], float] | None = None) -> None:
        self._notes = notes
        self._clock = clock or (time.monotonic if notes is None else time.time)
        self._seen = self._noted()
        self._changed: dict[str, Any] = {}

    def _noted(self) -> dict[str, Any]:
        found = None if self._notes is None else read_json(self._notes)
        return found if isinstance(found, dict) else {}

    def stood_s(self, name: str, counter: int | str | None) -> float:
        """Seconds since the counter was first seen as it is now; 0 at the first look and after each change."""
        now = self._clock()
        seen = self._seen.get(name)
        if isinstance(seen, list) and len(seen) == 2 and seen[0] == counter and isinstance(seen[1], int | float):
            return max(0.0, now - seen[1])
        self._seen[name] = self._changed[name] = [counter, now]
        return 0.0

    def forget(self, name: str) -> None:
        """The counter is of no interest any more."""
        if self._seen.pop(name, None) is not None:
            self._changed[name] = None

    def keep(self) -> None:
        """Notes what has changed; where that cannot be written, this process alone knows."""
        if self._changed and self._notes is not None:
            noted = {name: seen for name, seen in (self._noted() | self._changed).items() if seen is not None}
            with contextlib.suppress(OSError):
                write_json(self._notes, noted)
        self._changed = {}


class Observer:
    """Looks at runs again and again, and sees what one look cannot: that a run of another host shows no life.

    Args:
        lost_after_s: seconds, by this machine's clock, for which a run's counter may stand still.
        keeps: whether looks of other processes on this machine count too: what is seen is noted beside the grid, see
            `GridPaths.seen`, whenever `keep` is called.
        clock: see `StillStanding`.
    """

    def __init__(
        self,
        lost_after_s: float = LOST_AFTER_S,
        *,
        keeps: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._lost_after_s = lost_after_s
        self._keeps = keeps
        self._clock = clock
        self._standing: dict[Path | None, StillStanding] = {}
        self._places: dict[Path, StillStanding] = {}

    def state(self, run_dir: Path, status: Status | None) -> str:
        """The run's state as of now, see `derived_state`; "lost" also where it has shown no life for too long.

        Args:
            run_dir: its directory.
            status: what its `status.json` says now.
        """
        state = state_by_now(status)
        if status is None or state != "running" or status.is_here:
            if run_dir in self._places:
                self._places.pop(run_dir).forget(str(run_dir))
            return state
        if run_dir not in self._places:
            self._places[run_dir] = self._standing_for(run_dir)
        stood_s = self._places[run_dir].stood_s(str(run_dir), f"{status.attempt}:{status.heartbeat}")
        return "lost" if stood_s >= self._lost_after_s else state

    def _standing_for(self, run_dir: Path) -> StillStanding:
        notes = _notes_of(run_dir) if self._keeps else None
        if notes not in self._standing:
            self._standing[notes] = StillStanding(notes, self._clock)
        return self._standing[notes]

    def keep(self) -> None:
        """Notes what has been seen, for other processes."""
        for standing in self._standing.values():
            standing.keep()


def _notes_of(run_dir: Path) -> Path | None:
    """Where this host notes the counters of a run's grid; None where the run belongs to no grid that has files."""
    config = read_json(RunPaths(run_dir).config)
    grid = config.get("grid") if isinstance(config, dict) else None
    paths = GridPaths.of_run(run_dir, grid) if isinstance(grid, str) else None
    return None if paths is None else paths.seen(socket.gethostname())
