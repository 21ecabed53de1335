"""A process that takes in the orphans among its descendants, which would otherwise be handed to init (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator

_SET, _GET = 36, 37  # PR_SET_CHILD_SUBREAPER and PR_GET_CHILD_SUBREAPER of prctl(2)

_lock = threading.Lock()
_held: list[bool] = []  # what this process was before each of the blocks that are open


@contextlib.contextmanager
def subreaper() -> Iterator[bool]:
    """While the block runs, the children of a descendant that dies become children of this process.

    It can wait for them then. Blocks may overlap, in several threads too; the last one to end puts back what was.

    Returns:
        Whether that is so; False where the system cannot do it.
    """
    with _lock:
        before = _held[0] if _held else _is_one()
        able = _become(True)
        _held.append(before)
    try:
        yield able
    finally:
        with _lock:
            _held.pop()
            if not _held:
                _become(before)


def become_subreaper() -> bool:
    """The same for the rest of this process's life; its children do not inherit it."""
    return _become(True)


def _become(wanted: bool) -> bool:
    return sys.platform == "linux" and bool(ctypes.CDLL(None).prctl(_SET, int(wanted), 0, 0, 0) == 0)


def _is_one() -> bool:
    if sys.platform != "linux":
        return False
    found = ctypes.c_int(0)
    return bool(ctypes.CDLL(None).prctl(_GET, ctypes.byref(found), 0, 0, 0) == 0 and found.value)


def reap_group(group: int) -> None:
    """Collects the ended children of this process that are members of a process group; no other child is touched."""
    if hasattr(os, "WNOHANG"):  # not on Windows
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
