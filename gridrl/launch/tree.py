"""Makes the tree of copies that runs import from: copies of source files, and links to everything that lies beside."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping

from gridrl.stand_ins import StandIns

_LEVELS_ABOVE = 2  # above a base, for modules that look for their data beside the project
_MOST_ABOVE = 500  # entries of such a directory
_NOT_LINKED = ("__pycache__", ".git")  # compiled forms of the originals; git is to find the original tree or none


def write_tree(stand_ins: StandIns, contents: Mapping[str, tuple[bytes, int]]) -> None:
    """Writes the copies, and the links beside them.

    Args:
        stand_ins: the tree.
        contents: the content of each file and when it was changed last (ns), by its path.

    Raises:
        OSError: no room, or no links on this file system.
    """
    for folder in _folders(contents):
        os.makedirs(stand_ins.counterpart(folder), exist_ok=True)
    for path, (content, mtime_ns) in contents.items():
        copy = stand_ins.counterpart(path)
        mode = stat.S_IMODE(os.stat(path).st_mode)  # a file that its owner alone can read stays so
        with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode | stat.S_IWUSR), "wb") as file:
            file.write(content)
        os.utime(copy, ns=(mtime_ns, mtime_ns))
    link_the_rest(stand_ins, contents)


def link_the_rest(stand_ins: StandIns, paths: Collection[str]) -> None:
    """Links what lies beside the originals and has no copy: data files, compiled modules, directories without copies.

    Links that lead nowhere any more are taken out.

    Raises:
        OSError: no room, or no links on this file system.
    """
    folders = _folders(paths)
    taken = {*folders, *paths}
    for folder in folders:
        limit = _limit(folder, stand_ins.bases)
        if limit is not None:
            _link_entries(folder, stand_ins.counterpart(folder), taken, limit)


def _link_entries(folder: str, counterpart: str, taken: Collection[str], limit: float) -> None:
    there = _drop_dead_links(counterpart)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    if len(names) > limit:
        return
    for name in names:
        path = os.path.join(folder, name)
        if name not in there and name not in _NOT_LINKED and path not in taken:
            with contextlib.suppress(FileExistsError):  # another launcher links too
                os.symlink(path, os.path.join(counterpart, name))


def _drop_dead_links(folder: str) -> set[str]:
    with os.scandir(folder) as entries:
        found = list(entries)
    dead = {entry.name for entry in found if entry.is_symlink() and not os.path.exists(entry.path)}
    for name in dead:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
    return {entry.name for entry in found} - dead


def _folders(paths: Iterable[str]) -> list[str]:
    """The directories that hold files, and all above them."""
    found: set[str] = set()
    for folder in {os.path.dirname(path) for path in paths}:
        while folder not in found:
            found.add(folder)
            folder = os.path.dirname(folder)
    return sorted(found)


def _limit(folder: str, bases: Iterable[str]) -> float | None:
    """How many entries a directory may have for links to be made; None: none are made at all."""
    for base in bases:
        if folder == base or folder.startswith(os.path.join(base, "")):
            return float("inf")
        above = base
        for _ in range(_LEVELS_ABOVE):
            above = os.path.dirname(above)
            if folder == above:
                return _MOST_ABOVE
    return None
