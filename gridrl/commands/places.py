"""From what was typed to one run."""

from __future__ import annotations

from pathlib import Path

from gridrl.errors import BadValue
from gridrl.log.record import derived_state
from gridrl.results.reader import find_run_dirs
from gridrl.utils.texts import one_line

_MOST_LISTED = 40


def one_run(directory: str) -> Path:
    """The run directory that is meant: the directory itself, or the only run below it.

    Args:
        directory: a path, or the beginning of one.

    Raises:
        BadValue: there is no such directory, no run below it, or several: these are listed with their states.
    """
    found = find_run_dirs([directory])
    itself = Path(directory).expanduser()
    if itself in found:
        return itself
    if len(found) == 1:
        return found[0]
    width = max(len(one_line(run_dir)) for run_dir in found[:_MOST_LISTED])
    lines = [f"  {one_line(run_dir).ljust(width)}  {derived_state(run_dir)}" for run_dir in found[:_MOST_LISTED]]
    if len(found) > _MOST_LISTED:
        lines.append(f"  ... and {len(found) - _MOST_LISTED} more")
    raise BadValue("\n".join([f"{directory}: holds {len(found)} runs; one is wanted. They are:", *lines]))
