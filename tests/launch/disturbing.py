"""Signals that hit the process of a run once it has come far enough."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from gridrl.launch.result import RunResult
from tests.launch.helpers import run


def row_count(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n") - 1
    except OSError:
        return -1


def signal_after(rows: int, signum: signal.Signals, run_dir: Path) -> threading.Thread:
    """Sends a signal to the process of a run once it has written so many rows."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while row_count(run_dir / "progress.txt") < rows:
            assert time.monotonic() < deadline, "the run has written no rows"
            time.sleep(0.001)
        os.kill(json.loads((run_dir / "status.json").read_text())["pid"], signum)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def disturbed(thunk: Any, run_dir: Path, keys: dict[str, Any], rows: int, signum: signal.Signals) -> RunResult:
    """Runs it in `run_dir`'s data directory, where a signal hits it after so many rows."""
    watching = signal_after(rows, signum, run_dir)
    result = run(thunk, run_dir.parents[1], keys=keys)[0]
    watching.join(timeout=60)
    return result
