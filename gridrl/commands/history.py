"""What launchers did with some runs, and when: told by the event logs of their grids."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gridrl.launch.events import read_events
from gridrl.launch.result import told_counts
from gridrl.utils.files import GridPaths, RunPaths, read_json
from gridrl.utils.texts import one_line

_DETAILS = {
    "state": "{}",
    "seconds": "after {:.1f} s",
    "cpu_s": "{:.1f} s of CPU",
    "peak_memory_mb": "{:.0f} MiB",
    "exit_code": "exit status {}",
    "due": "{} to run",
    "error": "{}",
    "message": "{}",
    "command": "{}",
}


def history(run_dirs: Iterable[Path]) -> list[str]:
    """A line for each event that concerns these runs or their launchers, in the order of time.

    Args:
        run_dirs: run directories; those whose grid has no event log have no history.
    """
    wanted: dict[Path, set[Path]] = {}
    for run_dir in run_dirs:
        config = read_json(RunPaths(run_dir).config)
        grid = config.get("grid") if isinstance(config, dict) else None
        paths = GridPaths.of_run(run_dir, grid) if isinstance(grid, str) else None
        if paths is not None:
            wanted.setdefault(paths.root, set()).add(run_dir.absolute())
    events = [event for root, dirs in wanted.items() for event in _concerning(root, dirs)]
    return [_line(event) for event in sorted(events, key=lambda event: float(event["time"]))]


def _concerning(grid_dir: Path, run_dirs: set[Path]) -> Iterator[Mapping[str, Any]]:
    data_dir = grid_dir.parent.parent
    for event in read_events(grid_dir):
        run = event.get("run")
        if run is None or (isinstance(run, str) and data_dir / run in run_dirs):
            yield event


def _line(event: Mapping[str, Any]) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
    if isinstance(event.get("counts"), dict):
        event = {**event, "state": told_counts(event["counts"])}
    details = [event.get("run"), *(_detail(event.get(name), form) for name, form in _DETAILS.items())]
    return one_line(f"{when}  {event['event']:11}  {', '.join(str(detail) for detail in details if detail)}")


def _detail(value: Any, form: str) -> str | None:
    if value is None:
        return None
    try:
        return form.format(value)
    except (TypeError, ValueError):  # not as we write it
        return str(value)
