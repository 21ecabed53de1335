"""Copies that stand in for the user's own source files, so that an edit changes nothing for what is queued."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StandIns:
    """A tree of copies, in which each has the place that its original has in the file system.

    Attributes:
        root: stands for `/`.
        bases: the directories whose files may have copies.
    """

    root: str
    bases: tuple[str, ...]

    def counterpart(self, real_path: str) -> str:
        """Where the copy of a file or directory is, if it has one."""
        return os.path.join(self.root, os.path.splitdrive(real_path)[1].lstrip(os.sep))

    def of(self, path: str | os.PathLike[str]) -> str:
        """The copy of a file, or the directory that holds copies; the path itself where there is none."""
        given = os.fspath(path)
        real = os.path.realpath(given)
        if not any(real == base or real.startswith(os.path.join(base, "")) for base in self.bases):
            return given
        found = self.counterpart(real)
        is_copy = os.path.exists(found) and os.path.realpath(found) == os.path.join(
            os.path.realpath(self.root), os.path.relpath(found, self.root)
        )
        return found if is_copy else given

    def as_json(self) -> dict[str, Any]:
        """The form in which it travels."""
        return {"root": self.root, "bases": list(self.bases)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> StandIns:
        """What `as_json` gave."""
        return cls(found["root"], tuple(found["bases"]))

    def module_path(self, entries: Iterable[str]) -> list[str]:
        """Python's path with copies in the place of originals, and behind it what the finders of packages under
        development (editable installs) would find elsewhere."""
        return list(_module_path(self, tuple(entries)))


@functools.lru_cache(maxsize=16)
def _module_path(stand_ins: StandIns, entries: tuple[str, ...]) -> list[str]:
    moved = [stand_ins.of(entry) for entry in entries]
    developed = [os.path.dirname(stand_ins.of(place)) for place in _developed() if stand_ins.of(place) != place]
    return list(dict.fromkeys([*moved, *developed]))


def _developed() -> list[str]:
    """The directories of packages that a finder of setuptools' leads to."""
    found: list[str] = []
    for finder in sys.meta_path:
        mapping = getattr(sys.modules.get(getattr(finder, "__module__", None) or ""), "MAPPING", None)
        for name, place in mapping.items() if isinstance(mapping, dict) else ():
            if isinstance(place, str) and os.path.basename(place) == name:
                found.append(place)
    return found


_in_use: list[StandIns] = []


def use_stand_ins(stand_ins: StandIns | None) -> None:
    """From here on `stand_in` gives copies out of this tree; None: originals."""
    _in_use[:] = [] if stand_ins is None else [stand_ins]


def stand_in(path: str) -> str:
    """The copy that this process is to use in the place of a file; the file itself where there is none."""
    return _in_use[0].of(path) if _in_use else path
