"""Makes the tree of copies that runs import from: copies of source files, and links to everything that lies beside."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping

from gridrl.stand_ins import StandIns
from gridrl.utils.files import GRIDS

_MOST_RUNS = 500  # entries of a data directory that are linked; more are runs, which no module looks for
_COMPILED = "__pycache__"  # of the originals


def write_tree(stand_ins: StandIns, contents: Mapping[str, tuple[bytes, int]]) -> None:
    """Writes the copies.

    Args:
        stand_ins: the tree.
        contents: the content of each file and when it was changed last (ns), by its path.

    Raises:
        OSError: no room.
    """
    for folder in _folders(contents):
        os.makedirs(stand_ins.counterpart(folder), exist_ok=True)
    for path, (content, mtime_ns) in contents.items():
        copy = stand_ins.counterpart(path)
        mode = stat.S_IMODE(os.stat(path).st_mode)  # a file that its owner alone can read stays so
        with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode | stat.S_IWUSR), "wb") as file:
            file.write(content)
        os.utime(copy, ns=(mtime_ns, mtime_ns))


def link_the_rest(stand_ins: StandIns, paths: Collection[str], data_dir: str) -> None:
    """Links what lies beside the originals and has no copy: data files, compiled modules, directories without copies.

    Nothing hidden is linked and nothing outside the bases, and no link leads to where the tree itself is: whoever
    copies a data directory and follows links comes to an end, and takes no more than the project along. Links that
    lead nowhere any more are taken out.

    Args:
        stand_ins: the tree.
        paths: the files that have copies.
        data_dir: the real path of the data directory that the tree is in.

    Raises:
        OSError: no room, or no links on this file system.
    """
    in_bases = tuple(os.path.join(base, "") for base in stand_ins.bases)
    own = os.path.join(data_dir, "")
    folders = _folders([*paths, *([own] if own.startswith(in_bases) else [])])
    taken = {*folders, *paths}
    for folder in folders:
        if os.path.join(folder, "").startswith(in_bases):
            counterpart = stand_ins.counterpart(folder)
            os.makedirs(counterpart, exist_ok=True)
            _link_entries(folder, counterpart, taken, _MOST_RUNS if folder == data_dir else None)


def _link_entries(folder: str, counterpart: str, taken: Collection[str], most: int | None) -> None:
    there = _drop_dead_links(counterpart)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    if most is not None and len(names) > most:
        return
    for name in names:
        path = os.path.join(folder, name)
        if name == _COMPILED or name.startswith(".") or path in taken:
            continue
        if os.path.isdir(os.path.join(path, GRIDS)):  # another data directory, whose trees may link to this one
            os.makedirs(os.path.join(counterpart, name), exist_ok=True)
            _link_entries(path, os.path.join(counterpart, name), taken, _MOST_RUNS)
        elif name not in there:
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
