"""Finds run directories and reads what stands in them; a directory that cannot be read stops nothing."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridrl.errors import BadValue, did_you_mean
from gridrl.log.record import derived_state
from gridrl.utils.files import RunPaths, read_json

if TYPE_CHECKING:
    from gridrl.log.progress import Column

PROGRESS_NAMES = ("progress.txt", "progress.csv")
"""Files of rows, the first one wins: ours and Spinning Up's, stable-learning-control's."""

_MAX_PLACES = 2000  # directories that are looked at for a hint
_INSIDE_RUNS = frozenset({"checkpoints", "model", "ranks", "tensorboard", "wandb", "pyt_save", "torch_save"})


@dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        dir: the directory, by the path that it was found through.
        logdir: what was asked for: the directory that the run was found in.
        progress: its file of rows.
        name: the experiment's name, without the seed.
        seed: its seed, None where none is recorded.
        config: `config.json`, empty where there is none.
    """

    dir: Path
    logdir: Path
    progress: Path
    name: str
    seed: int | None
    config: Mapping[str, Any] = field(repr=False)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The rows by column, see `gridrl.log.progress.read_progress`; read when first asked for.

        Raises:
            OSError, ValueError: the file cannot be read.
        """
        from gridrl.log.progress import read_progress

        return read_progress(self.progress)

    @property
    def num_rows(self) -> int:
        """How many rows stand in the file."""
        return max((len(column) for column in self.columns.values()), default=0)

    @property
    def state(self) -> str:
        """How the run is doing (`gridrl.log.record.derived_state`); empty where gridrl did not launch it."""
        return derived_state(self.dir) if RunPaths(self.dir).status.exists() else ""


@dataclass(frozen=True)
class Skipped:
    """Something that was found and could not be used.

    Attributes:
        path: where.
        reason: why, in words.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass
class FoundRuns:
    """What `find_runs` found.

    Attributes:
        logdirs: the directories that were searched, in order.
        runs: the runs in them, each once.
        skipped: what was left out, with reasons.
        notes: what else is worth a word.
    """

    logdirs: list[Path]
    runs: list[Run] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def with_rows(self) -> list[Run]:
        """Reads the runs; those without a row, or that cannot be read, move to `skipped`."""
        runs = []
        for run in self.runs:
            reason = _why_unreadable(run)
            if reason:
                self.skipped.append(Skipped(run.progress, reason))
            else:
                runs.append(run)
        self.runs = runs
        return runs


def _why_unreadable(run: Run) -> str:
    try:
        if run.progress.stat().st_size == 0:
            return "is empty"
        return "" if run.num_rows else "holds a header and no row"
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"


def find_runs(dirs: Iterable[str | Path]) -> FoundRuns:
    """Finds the runs in directories.

    Args:
        dirs: run directories, directories that hold runs at any depth, or the beginning of the names of such:
            `data/ppo` means `data/ppo` if there is one, else everything whose name starts with it.

    Returns:
        The runs in the order of `dirs`, then of their names, `s2` before `s10`. Links are followed, in circles once.

    Raises:
        BadValue: there is no such directory; a near match is told. All of them are told at once.
    """
    faults, logdirs = [], []
    for directory in dirs:
        try:
            logdirs += [path for path in matching_dirs(directory) if path not in logdirs]
        except BadValue as error:
            faults.append(str(error))
    if faults:
        raise BadValue("\n".join(faults))
    found, visited = FoundRuns(logdirs), set[tuple[int, int]]()
    for logdir in logdirs:
        for path in _walk(logdir, visited, found.skipped):
            _add_run(path, logdir, found)
    return found


def find_run_dirs(dirs: Iterable[str | Path]) -> list[Path]:
    """The directories of all runs that were launched or have rows, those that have not begun too.

    Args:
        dirs: as `find_runs` takes them.

    Raises:
        BadValue: there is no such directory, or no run below it; a near match is told.
    """
    found = find_runs(dirs)
    waiting = [skipped.path for skipped in found.skipped if RunPaths(skipped.path).status.exists()]
    run_dirs = [*(run.dir for run in found.runs), *waiting]
    if not run_dirs:
        where = ", ".join(map(str, found.logdirs))
        near = [str(run_dir) for logdir in found.logdirs for run_dir in runs_near(logdir.absolute().parent)][:8]
        told = "".join([" Runs near it:", *(f"\n  {run_dir}" for run_dir in near)]) if near else ""
        raise BadValue(f"{where}: there is no run.{told}")
    return sorted(run_dirs, key=lambda run_dir: natural(str(run_dir)))


def matching_dirs(directory: str | Path) -> list[Path]:
    """The directory itself, or those beside it whose names start with its last part.

    Raises:
        BadValue: there is neither; a near match is told.
    """
    path = Path(directory).expanduser()
    if path.is_dir():
        return [path]
    parent = path.parent
    names = _names_in(parent)
    matches = [parent / name for name in names if name.startswith(path.name) and (parent / name).is_dir()]
    if not matches:
        raise BadValue(_not_there(path))
    return matches


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted((entry.name for entry in os.scandir(directory) if not entry.name.startswith(".")), key=natural)
    except OSError:
        return []


def _not_there(path: Path) -> str:
    """Says how far the path goes, and what is near to the part that is not there."""
    known = path.parent
    missing = path.name
    while not known.is_dir() and known != known.parent:
        known, missing = known.parent, known.name
    there = [name for name in _names_in(known) if (known / name).is_dir()]
    if path.is_file():
        return f"{path}: is a file; its directory is wanted."
    near = did_you_mean(missing, there)
    listed = f" There are: {', '.join(there[:8])}{', ...' if len(there) > 8 else ''}." if there and not near else ""
    return f"{path}: {known} has no directory that starts with {missing!r}.{near}{listed}"


def natural(name: str) -> list[tuple[int, str]]:
    """A sorting key by which `s2` comes before `s10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _walk(directory: Path, visited: set[tuple[int, int]], skipped: list[Skipped]) -> Iterator[Path]:
    """`directory` and everything below it, each place once, whatever links lead there."""
    try:
        status = directory.stat()
        names = [entry.name for entry in os.scandir(directory) if entry.is_dir()]
    except OSError as error:
        skipped.append(Skipped(directory, f"cannot be read: {error.strerror}"))
        return
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    yield directory
    for name in sorted(names, key=natural):
        if name not in _INSIDE_RUNS and not name.startswith((".", "claim.")):
            yield from _walk(directory / name, visited, skipped)


def _progress_in(directory: Path) -> Path | None:
    return next((path for name in PROGRESS_NAMES if (path := directory / name).is_file()), None)


def _add_run(directory: Path, logdir: Path, found: FoundRuns) -> None:
    progress = _progress_in(directory)
    paths = RunPaths(directory)
    if progress is None:
        if paths.status.exists():
            found.skipped.append(Skipped(directory, f"no row yet ({derived_state(directory)})"))
        return
    config = read_json(paths.config) if paths.config.exists() else {}
    if not isinstance(config, dict):
        found.notes.append(f"{paths.config} cannot be read; the name of its directory is taken")
        config = {}
    found.runs.append(
        Run(directory, logdir, progress, _name_of(config, directory), _seed_of(config, directory), config)
    )


def _name_of(config: Mapping[str, Any], directory: Path) -> str:
    name = config.get("exp_name")
    return name if isinstance(name, str) and name else re.sub(r"_s\d+$", "", directory.absolute().name)


def _seed_of(config: Mapping[str, Any], directory: Path) -> int | None:
    seed = config.get("seed")
    if isinstance(seed, int):
        return seed
    match = re.search(r"_s(\d+)$", directory.absolute().name)
    return int(match[1]) if match else None


def runs_near(directory: Path, limit: int = 8) -> list[Path]:
    """Some run directories below `directory`, or else below the nearest directory above it that is there.

    Args:
        directory: where a run was looked for.
        limit: as many as that at most; a big tree is searched in part.
    """
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    places = itertools.islice(_walk(directory, set(), []), _MAX_PLACES)
    return list(itertools.islice((place for place in places if _progress_in(place)), limit))
