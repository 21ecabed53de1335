"""Which of the user's source files runs may import: those that a snapshot copies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gridrl.utils.user_modules import is_users

MOST_BYTES = 20 * 2**20
"""What a snapshot holds at most."""

_MOST_FILES = 10_000
_GIT_S = 30.0
_OF_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class Source:
    """A source file as it is now.

    Attributes:
        path: without symbolic links in its directory.
        size: bytes.
        mtime_ns: when it was changed last.
    """

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Sources:
    """The files that a snapshot copies.

    Attributes:
        files: each of them.
        bases: the directories that hold them: working trees of git, or entries of Python's path.
        work_trees: those of them that are working trees of git.
        left_out: files that were too much, the largest first.
    """

    files: tuple[Source, ...] = ()
    bases: tuple[Path, ...] = ()
    work_trees: tuple[Path, ...] = ()
    left_out: tuple[Source, ...] = field(default=())


def find_sources(referred: Collection[Path]) -> Sources:
    """The tracked .py files of the working trees that hold the working directory or what the runs refer to; what they
    refer to itself; the packages around that; and every .py file beside one of these.

    Args:
        referred: the user's files that the runs are known to need.

    Raises:
        OSError: a directory cannot be read.
    """
    needed = sorted({_real(path) for path in referred if is_users(path)})
    trees = {tree for place in (Path.cwd(), *needed) if (tree := work_tree(place)) is not None}
    tracked = {tree: _tracked(tree) for tree in sorted(trees)}
    trees = {tree for tree in trees if tracked[tree] is not None}
    entries = [Path(os.path.realpath(entry)) for entry in sys.path]
    bases = _outermost([*trees, *(_import_root(path, entries) for path in needed if not _is_below(path, trees))])
    known = dict.fromkeys(map(str, needed))
    known |= dict.fromkeys(path for found in tracked.values() for path in found or ())
    for path in needed:
        known |= dict.fromkeys(_around(path, entries))
    known = dict.fromkeys(filter(os.path.isfile, known))  # what is tracked may be deleted
    for folder in sorted({os.path.dirname(path) for path in known}):
        known |= dict.fromkeys(_python_files(folder))
    return _within_bounds(known, set(map(str, needed)), bases, tuple(sorted(trees)))


def _real(path: Path) -> Path:
    """The path with its directory resolved: a link to a file keeps the name under which it is imported."""
    return Path(os.path.realpath(path.absolute().parent)) / path.name


def work_tree(place: Path) -> Path | None:
    """The git working tree that a file or directory is in; None where it is in none."""
    real = Path(os.path.realpath(place))
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), None)


def _tracked(tree: Path) -> list[str] | None:
    """The .py files that git knows in a working tree; None where git does not tell."""
    command = ["git", "-C", str(tree), "ls-files", "-z", "--", "*.py"]
    try:
        told = subprocess.run(command, capture_output=True, timeout=_GIT_S, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    paths = [os.path.join(tree, os.fsdecode(name)) for name in told.stdout.split(b"\0") if name]
    theirs = {folder: is_users(Path(folder, "a.py")) for folder in {os.path.dirname(path) for path in paths}}
    return [path for path in paths if theirs[os.path.dirname(path)]]


def _is_below(path: Path, places: Collection[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _import_root(path: Path, entries: Collection[Path]) -> Path:
    """The project that a file belongs to, told by its `pyproject.toml` or the like; else the entry of Python's path
    that it is imported from, or its own directory."""
    above = [entry for entry in entries if path.is_relative_to(entry)]
    entry = max(above, key=lambda entry: len(entry.parts), default=path.parent)
    marked = (place for place in (entry, *entry.parents) if any((place / name).is_file() for name in _OF_PROJECTS))
    return next(marked, entry)


def _outermost(places: Collection[Path]) -> tuple[Path, ...]:
    return tuple(sorted(place for place in set(places) if not _is_below(place, set(places) - {place})))


def _around(path: Path, entries: Collection[Path]) -> Iterator[str]:
    """The package that a file is in; of a file that is in none, the packages beside it."""
    package = path.parent
    if (package / "__init__.py").is_file():
        while (package.parent / "__init__.py").is_file():
            package = package.parent
        yield from _package(str(package))
    elif package in entries:
        for folder in _folders(str(package)):
            yield from _package(folder)


def _package(folder: str) -> Iterator[str]:
    if os.path.isfile(os.path.join(folder, "__init__.py")) and is_users(Path(folder, "__init__.py")):
        yield from _python_files(folder)
        for inner in _folders(folder):
            yield from _package(inner)


def _folders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.path for entry in entries if entry.name.isidentifier() and entry.is_dir(follow_symlinks=False)
        )


def _python_files(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if entry.name.endswith(".py") and entry.is_file())


def _within_bounds(
    paths: Collection[str], needed: Collection[str], bases: tuple[Path, ...], trees: tuple[Path, ...]
) -> Sources:
    """Leaves out what is too much: the largest first, and of what the runs are known to need the largest last."""
    below = tuple(os.path.join(base, "") for base in bases)
    found = []
    for path in paths:
        if path.startswith(below):
            state = os.stat(path)
            found.append(Source(path, state.st_size, state.st_mtime_ns))
    found.sort(key=lambda source: (source.path not in needed, source.size, source.path))
    total, kept = 0, 0
    for source in found[:_MOST_FILES]:
        total += source.size
        if total > MOST_BYTES:
            break
        kept += 1
    left_out = sorted(found[kept:], key=lambda source: -source.size)
    return Sources(tuple(sorted(found[:kept], key=lambda source: source.path)), bases, trees, tuple(left_out))
