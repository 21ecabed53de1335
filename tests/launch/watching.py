"""Hears of what is written below a data directory in the moment in which it happens (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
from pathlib import Path
from typing import NamedTuple

_MODIFY, _MOVED_TO, _CREATE, _IS_DIRECTORY = 0x2, 0x80, 0x100, 0x40000000  # of inotify(7)
_HEAD = struct.Struct("iIII")
_MOST_BYTES = 1 << 16


class Write(NamedTuple):
    """A file that has just been made, moved to its name or written to."""

    directory: Path
    name: str


class Writes:
    """What is written in some directories, and in those that are made in them, from now on."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._queue >= 0, os.strerror(ctypes.get_errno())
        self._directories: dict[int, Path] = {}
        self._watched: set[Path] = set()

    def watch(self, directory: Path) -> None:
        """Adds a directory with all that are in it; one that is watched already is left as it is."""
        if directory in self._watched:
            return
        number = self._libc.inotify_add_watch(self._queue, os.fsencode(directory), _MODIFY | _MOVED_TO | _CREATE)
        if number < 0:  # it has gone again, as directories do that are made aside
            return
        self._watched.add(directory)
        self._directories[number] = directory
        with contextlib.suppress(FileNotFoundError):
            for inner in directory.iterdir():
                if inner.is_dir():
                    self.watch(inner)

    def next(self, timeout_s: float) -> list[Write]:
        """What has been written since the last call; waits for it `timeout_s` seconds at most."""
        if not select.select([self._queue], [], [], timeout_s)[0]:
            return []
        events, at, found = os.read(self._queue, _MOST_BYTES), 0, []
        while at < len(events):
            number, mask, _, length = _HEAD.unpack_from(events, at)
            at += _HEAD.size + length
            name = events[at - length : at].rstrip(b"\0").decode()
            directory = self._directories.get(number)
            if directory is not None and mask & _IS_DIRECTORY:
                self.watch(directory / name)
            elif directory is not None:
                found.append(Write(directory, name))
        return found

    def forget(self) -> None:
        """Takes no notice of what has been written up to now."""
        while self.next(0.0):
            continue

    def close(self) -> None:
        """Watches no more."""
        os.close(self._queue)
