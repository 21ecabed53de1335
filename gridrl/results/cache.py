"""Columns that have been read once, kept for the next time: by file, its size and the time of its last change.

The cache is a directory that may be deleted at any moment: `$GRIDRL_CACHE`, else `gridrl/columns` in the user's cache
directory (`$XDG_CACHE_HOME`, else `~/.cache`); `GRIDRL_CACHE=off` turns it off. What cannot be written or read there is
read from the runs' own files again, without a word.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import secrets
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gridrl.log.tables import Table

VARIABLE = "GRIDRL_CACHE"
MOST_BYTES = 1 << 30
"""The cache is cut down to half of that when it has grown beyond it; the oldest entries go first."""

_MAGIC = b"gridrl columns 1\n"
_SETTLED_NS = 2 * 10**9  # a file that has just been changed may change again without a later time


def directory() -> Path | None:
    """Where columns are kept; None where they are not."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    with contextlib.suppress(RuntimeError):  # nobody's home is known
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridrl" / "columns"
    return None


def marks_of(files: Sequence[Path]) -> list[list[int]]:
    """What changes when a file does: size, time, inode.

    Raises:
        OSError: one of them is not there.
    """
    found = [os.stat(file) for file in files]
    return [[one.st_size, one.st_mtime_ns, one.st_ino] for one in found]


def load(kind: str, files: Sequence[Path], marks: list[list[int]]) -> Table | None:
    """What is kept of some files, None where nothing is or where they have changed."""
    entry = _entry(kind, files)
    try:
        content = entry.read_bytes() if entry else b""
        magic, header, data = content.split(b"\n", 2)
        known = json.loads(header)
        if magic + b"\n" != _MAGIC or known["marks"] != marks or known["check"] != zlib.crc32(data):
            return None
        numbers = np.frombuffer(data, "<f8").reshape(len(known["columns"]), known["rows"]).astype(np.float64)
        columns = dict(zip(known["columns"], numbers, strict=True))
        return Table(tuple(known["names"]), columns, known["rows"], tuple(known["notes"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # missing, of another version, or damaged
        return None


def store(kind: str, files: Sequence[Path], marks: list[list[int]], table: Table) -> None:
    """Keeps columns of numbers; does nothing where that is not possible, or where the files may still change.

    Args:
        kind: how they were read.
        files: what they were read from.
        marks: `marks_of` the files from before they were read.
        table: what was read.
    """
    entry = _entry(kind, files)
    with contextlib.suppress(OSError):
        newest = max(mark[1] for mark in marks)
        if entry is None or time.time_ns() - newest < _SETTLED_NS or marks != marks_of(files):
            return
        numbers = [np.asarray(column, "<f8").tobytes() for column in table.columns.values()]
        data = b"".join(numbers)
        header = {
            "marks": marks,
            "names": table.names,
            "columns": list(table.columns),
            "rows": table.rows,
            "notes": table.notes,
            "check": zlib.crc32(data),
        }
        _write(entry, _MAGIC + json.dumps(header).encode() + b"\n" + data)


def _entry(kind: str, files: Sequence[Path]) -> Path | None:
    where = directory()
    if where is None:
        return None
    key = "\n".join([kind, *(os.path.abspath(file) for file in files)])
    return where / hashlib.sha1(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _write(entry: Path, content: bytes) -> None:
    """Writes aside and renames: of several writers one wins, and no reader sees half an entry."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    aside = entry.with_name(f".{entry.name}.{secrets.token_hex(4)}.tmp")
    try:
        aside.write_bytes(content)
        os.replace(aside, entry)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    _cut_once(entry.parent)


@functools.cache
def _cut_once(where: Path) -> None:
    """Looks once in a process whether the cache has grown too big."""
    entries = []
    with contextlib.suppress(OSError), os.scandir(where) as found:
        entries = [(entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in found]
    cut(entries)


def cut(entries: Sequence[tuple[int, int, str]]) -> None:
    """Deletes the oldest entries where all of them together hold more than `MOST_BYTES`.

    Args:
        entries: time of the last change, size and path of each.
    """
    left = sum(size for _, size, _ in entries)
    if left <= MOST_BYTES:
        return
    for _, size, path in sorted(entries):
        if left <= MOST_BYTES // 2:
            return
        with contextlib.suppress(OSError):
            os.unlink(path)
        left -= size
