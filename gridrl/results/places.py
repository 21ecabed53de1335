"""Where runs may be: directories by their names' beginnings, and everything below them, each place once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gridrl.errors import BadValue, did_you_mean

_INSIDE_RUNS = frozenset({"checkpoints", "model", "ranks", "wandb", "pyt_save", "torch_save", "tf1_save"})


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


@dataclass(frozen=True)
class Place:
    """A directory.

    Attributes:
        path: the directory, by the path that it was found through.
        files: the names of what is in it and no directory, in natural order.
        above: the directories that lead to it, as far as they were searched.
    """

    path: Path
    files: tuple[str, ...]
    above: tuple[Path, ...]


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
    """A sorting key by which `s2` comes before `s10`, and `lr0-0001` (0.0001) before `lr0-001`."""
    parts = re.split(r"(\d+)", name)
    return [(_size(part), part if part.startswith("0") else "") if part.isdecimal() else (-1, part) for part in parts]


def _size(digits: str) -> int:
    """A number; digits behind a leading zero are a fraction, and come in the order of their letters."""
    return 0 if digits.startswith("0") else int(digits)


def walk(directory: Path, visited: set[tuple[int, int]], skipped: list[Skipped]) -> Iterator[Place]:
    """A directory and everything below it, in natural order, each place once, whatever links lead there.

    Args:
        directory: where to begin.
        visited: takes the places that were seen; those that are in it are left out.
        skipped: takes what cannot be read.
    """
    waiting: list[tuple[Path, tuple[Path, ...]]] = [(directory, ())]
    while waiting:
        path, above = waiting.pop()
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                kinds = {entry.name: entry.is_dir() for entry in entries}
        except OSError as error:
            skipped.append(Skipped(path, f"cannot be read: {error.strerror}"))
            continue
        names = sorted(kinds, key=natural)
        yield Place(path, tuple(name for name in names if not kinds[name]), above)
        inner = [path / name for name in names if kinds[name] and _is_searched(name)]
        waiting += [(one, (*above, path)) for one in reversed(inner)]


def _is_searched(name: str) -> bool:
    return name not in _INSIDE_RUNS and not name.startswith((".", "claim."))
