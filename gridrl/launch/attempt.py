"""One start of a run, as the scheduler keeps it in mind."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from gridrl.launch.backend import Ending, Resources


@dataclass
class Attempt:
    """A start of a run that has not ended yet.

    Attributes:
        thread: waits for it.
        resources: what it was given.
        deadline: when it has taken too long, by the monotonic clock; None: never, or it has been ended already.
    """

    thread: threading.Thread
    resources: Resources
    deadline: float | None = None
    _verdict: tuple[str, str] | None = None

    def start_clock(self, timeout_s: float | None) -> None:
        """Its process has been started, and may take so many seconds (None: any number)."""
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def condemn(self, state: str, error: str) -> bool:
        """Notes that the launcher ends it, and why; gives False where it has done so already."""
        self.deadline = None
        if self._verdict is not None:
            return False
        self._verdict = (state, error)
        return True

    def judge(self, ending: Ending) -> Ending:
        """How it has ended, with the launcher's reason where that ended it."""
        if self._verdict is None or ending.state == "done":
            return ending
        state, error = self._verdict
        return replace(ending, state=state, error=error, rank=None)
