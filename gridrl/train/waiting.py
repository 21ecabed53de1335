"""Waits until a memory holds what a batch takes, unless nobody is there who could fill it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from gridrl.errors import NotEnoughData, TrainingShutdownException

log = logging.getLogger(__name__)

# How long nothing may come before the wait is given up, and how often it is told that somebody waits.
PATIENCE_S = 300.0
_TOLD_EVERY_S = 30.0
_LOOKS_EVERY_S = 0.05

# threads of gridrl's own that collect nothing
_SERVANTS = ("gridrl-heartbeat", "gridrl-lifeline", "gridrl-door", "gridrl-live", "gridrl-copy")
# packages whose threads write logs and bars
_WRITERS = ("tensorboard", "tqdm", "wandb")


def wait_until_ready(
    loader: Any,
    shutdown_signal: Callable[[], bool] | None = None,
    meanwhile: Callable[[], Any] | None = None,
    patience_s: float = PATIENCE_S,
    collect: Callable[[], Any] | None = None,
) -> None:
    """Returns as soon as a source of batches is ready; at once where it knows no `is_ready`.

    Args:
        loader: with `is_ready()`, and maybe `shortage()`, which says what is missing.
        shutdown_signal: asked while waiting; True ends the wait.
        meanwhile: called again and again while waiting.
        patience_s: seconds without anything new after which the wait is given up.
        collect: a collector's `while_waiting`, called instead of sleeping: it collects some, or waits a moment for
            the thread that does, and raises what went wrong there.

    Raises:
        NotEnoughData: nobody is there who could add what is missing, or nothing has come for `patience_s`.
        TrainingShutdownException: the signal was given.
    """
    is_ready = getattr(loader, "is_ready", None)
    if not callable(is_ready):
        return
    newest, came_at = "", time.monotonic()
    told_at = came_at
    while not is_ready():
        if shutdown_signal is not None and shutdown_signal():
            raise TrainingShutdownException("the shutdown signal was given while waiting for data")
        if meanwhile is not None:
            meanwhile()
        shortage, now = _shortage(loader), time.monotonic()
        if shortage != newest:
            newest, came_at = shortage, now
        if collect is None and not _others_run():
            raise NotEnoughData(
                f"{shortage}. Training would wait for ever: no other thread runs that could add any. Collect enough "
                "before train() is called (or in a callback's begin_training), or collect in a thread beside it."
            )
        if now - came_at > patience_s:
            raise NotEnoughData(f"{shortage}. Nothing has come for {patience_s:.0f} s: is the collector still at work?")
        if now - told_at > _TOLD_EVERY_S:
            told_at = now
            log.info("Waiting for data: %s", shortage)
        if collect is None:
            time.sleep(_LOOKS_EVERY_S)
        else:
            collect()


def _shortage(loader: Any) -> str:
    ask = getattr(loader, "shortage", None)
    return str(ask()) if callable(ask) else f"{type(loader).__name__} is not ready"


def _others_run() -> bool:
    """Whether a thread is alive, beside this one, that may be collecting."""
    others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    return any(thread.name not in _SERVANTS and not _is_writer(thread) for thread in others)


def _is_writer(thread: threading.Thread) -> bool:
    runs = getattr(thread, "_target", None)  # of a plain Thread; what it says of itself is its name
    packages = {str(getattr(what, "__module__", "")).partition(".")[0] for what in (type(thread), runs)}
    return not packages.isdisjoint(_WRITERS)
