"""A full disk, told so that its owner knows which file, how much is free and what to do."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from gridrl.errors import DiskFull

_FULL = {errno.ENOSPC: "no space is left on its file system"}
if hasattr(errno, "EDQUOT"):
    _FULL[errno.EDQUOT] = "the disk quota is used up"


@contextlib.contextmanager
def told_when_full(path: Path, what: str) -> Iterator[None]:
    """Turns the system's error of a full disk into a `DiskFull` that can be acted upon; other errors pass.

    Args:
        path: the file that is written in the block.
        what: what it was to take and what stands, as a part of a sentence: "row 12 was not written; the 11 before it
            stand".
    """
    try:
        yield
    except DiskFull:
        raise
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(
            f"{path}: {what}: {_FULL[error.errno]} ({_free(path.parent)} free). "
            "Make room there, or choose another data_dir; the same command then goes on from the last checkpoint."
        ) from error


def _free(directory: Path) -> str:
    existing = next((place for place in (directory, *directory.parents) if place.exists()), directory)
    try:
        return f"{shutil.disk_usage(existing).free / 1024:.0f} KiB"
    except OSError:
        return "an unknown amount"
