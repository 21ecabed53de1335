"""Signs of life: counters that go up while a process lives, for readers that cannot see the process itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from gridrl.errors import GridRLError
from gridrl.log.record import derived_state, read_status, write_status
from gridrl.utils.files import read_json

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


class Observer:
    """Looks at runs again and again, and sees what one look cannot: that a run of another host shows no life.

    Args:
        lost_after_s: seconds, by this machine's clock, for which a run's counter may stand still.
    """

    def __init__(self, lost_after_s: float = LOST_AFTER_S) -> None:
        self._lost_after_s = lost_after_s
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}

    def state(self, run_dir: Path) -> str:
        """The run's state as of now, see `derived_state`; "lost" also where it has shown no life for too long."""
        state = derived_state(run_dir)
        status = read_status(run_dir)
        if state != "running" or status is None:
            self._seen.pop(run_dir, None)
            return state
        now, life = time.monotonic(), (status.attempt, status.heartbeat)
        seen, since = self._seen.setdefault(run_dir, (life, now))
        if seen != life:
            self._seen[run_dir] = (life, now)
            return state
        return "lost" if not status.is_here and now - since >= self._lost_after_s else state
