"""The disk that a grid will need for replays, told before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from gridrl.launch.checks import CheckedRun
from gridrl.launch.result import count_of

_BYTES = 4
_UNITS = ("B", "kB", "MB", "GB", "TB")


def replay_note(runs: Sequence[CheckedRun], data_dir: Path) -> str | None:
    """What is told of the replays of these runs; None where no checkpoint will hold one.

    Args:
        runs: those that are to be done.
        data_dir: where they will write.
    """
    saving = [run for run in runs if run.saves_replay]
    if not saving:
        return None
    known = [_steps(run) * run.numbers_of_step * _BYTES for run in saving if run.numbers_of_step is not None]
    unknown = len(saving) - len(known)
    beside = f", and what {count_of(unknown, 'run')} in unknown environments will need" if known and unknown else ""
    size = f"up to about {told_size(sum(known))}{beside}" if known else "as much as only the environments will show"
    return (
        f"Replay of {count_of(len(saving), 'run')} in checkpoints: {size}, {told_size(_free(data_dir))} are free "
        "(--save_replay false keeps none)"
    )


def _steps(run: CheckedRun) -> int:
    """Steps of a run's replay that will lie on the disk at most.

    Files go when all that is in them has left the memory: beside what it holds, the rest of the oldest file stays, and
    while a checkpoint is written, what the one before needs. A file is of the steps between two checkpoints.
    """
    names = ("replay_size", "steps_per_epoch", "epochs", "save_freq")
    replay_size, steps_per_epoch, epochs, save_freq = (int(_value(run, name)) for name in names)
    file = min(replay_size, steps_per_epoch * save_freq)
    return min(replay_size + 2 * file, steps_per_epoch * epochs)


def _value(run: CheckedRun, name: str) -> float:
    parameter = run.thunk.signature.get(name) if run.thunk.signature else None
    value: float = run.rest.get(name, parameter.default if parameter else 0)
    return value


def _free(directory: Path) -> int:
    existing = next(place for place in (directory.absolute(), *directory.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def told_size(size: float) -> str:
    """A number of bytes in words.

    >>> told_size(1_234_567)
    '1.23 MB'
    """
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"
