"""Where one thread waits for what others do, and for signals."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_USUAL = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}


class Mailbox(Generic[T]):
    """A queue whose reader also hears Ctrl-C, SIGTERM and SIGHUP, at once and in order with everything else.

    A reader that waits at a lock can miss a signal: one that arrives just before it falls asleep, or that the kernel
    hands to another thread. So it waits at a pipe, to which the signal itself writes (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[T | signal.Signals] = queue.SimpleQueue()
        self._bell, self._button = os.pipe()
        os.set_blocking(self._button, False)
        self._lock = threading.RLock()  # a signal's handler may come between a put and its end
        self._is_closed = False

    def put(self, item: T | signal.Signals) -> None:
        """Adds an item; any thread may. Once the mailbox is closed, nothing happens."""
        with self._lock:
            if self._is_closed:
                return
            self._items.put(item)
            with contextlib.suppress(BlockingIOError):  # full of calls that were not answered yet
                os.write(self._button, b"\0")

    def get(self) -> T | signal.Signals:
        """The next item; waits for it."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._items.get_nowait()
            os.read(self._bell, 4096)

    def get_within(self, timeout_s: float) -> T | signal.Signals | None:
        """The next item; waits for it, `timeout_s` seconds at most, and gives None where none comes."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(queue.Empty):
                return self._items.get_nowait()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            self._listen(left_s)

    def _listen(self, timeout_s: float) -> None:
        """Waits for the bell, and silences it."""
        if not hasattr(select, "poll"):  # Windows, where no signal can be missed
            time.sleep(min(timeout_s, 0.1))
            return
        bell = select.poll()
        bell.register(self._bell, select.POLLIN)
        if bell.poll(math.ceil(timeout_s * 1000)):
            os.read(self._bell, 4096)

    def close(self) -> None:
        """Lets go of the pipe; what is put from now on is lost."""
        with self._lock:
            self._is_closed = True
            os.close(self._bell)
            os.close(self._button)

    @contextlib.contextmanager
    def hearing_signals(self) -> Iterator[None]:
        """While the block runs, signals become items instead of breaking it off anywhere.

        Only the main thread can ask for that, and only where nobody else has decided what these signals do.
        """
        ours: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            known = {getattr(signal, name): handler for name, handler in _USUAL.items() if hasattr(signal, name)}
            ours = {signum: handler for signum, handler in known.items() if signal.getsignal(signum) is handler}
        before = signal.set_wakeup_fd(self._button, warn_on_full_buffer=False) if ours else -1
        try:
            for signum in ours:
                signal.signal(signum, self._hear)
            yield
        finally:
            for signum, handler in ours.items():
                signal.signal(signum, handler)
            if ours:
                signal.set_wakeup_fd(before)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self.put(signal.Signals(signum))
