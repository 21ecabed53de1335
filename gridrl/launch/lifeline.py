"""The connection between a launcher and the process of a run.

A pair of sockets, one end each. The launcher's death closes its end: a run that hears of it ends itself, whatever its
thunk makes of a SIGTERM, so that none outlives its launcher. The run sends how it ended, so that this is known even
where the disk is full.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

VARIABLE = "GRIDRL_LIFELINE"
"""The environment variable with the number of the run's end; only the run's own process heeds it."""

GRACE_S = 4.0
"""Seconds from the SIGTERM to the SIGKILL for a run whose launcher has died."""

_MOST_BYTES = 65536


class Lifeline:
    """The launcher's end, and until the run's process has started also the other one."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)

    @property
    def inherited(self) -> tuple[int, ...]:
        """The file descriptors that the run's process gets; none where processes inherit none."""
        return (self._theirs.fileno(),) if os.name == "posix" else ()

    @property
    def variables(self) -> dict[str, str]:
        """The variables that tell the run's process about its end."""
        return {VARIABLE: str(self._theirs.fileno())} if self.inherited else {}

    def started(self) -> None:
        """The run's process has its end; here it is closed."""
        self._theirs.close()

    def go(self) -> None:
        """Lets a run begin that waits for the launcher's word."""
        with contextlib.suppress(OSError):  # it has been killed already
            self._ours.send(b"g")

    def message(self) -> Mapping[str, Any]:
        """What the run has sent, once it has ended; empty where it could not."""
        try:
            found = json.loads(self._ours.recv(_MOST_BYTES))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """Lets go of both ends; a run that still lives is told to end by that."""
        self._ours.close()
        self._theirs.close()


class RunEnd:
    """The run's end, in the run's process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_cut = False
        os.set_inheritable(descriptor, False)

    @classmethod
    def from_environment(cls) -> RunEnd | None:
        """The end that the launcher gave this process; None where it was started by hand.

        The variable is taken out: children of the run have no such end.
        """
        number = os.environ.pop(VARIABLE, "")
        return cls(int(number)) if number.isdecimal() else None

    def follow(self) -> None:
        """From here on this process ends with its launcher.

        It gets a SIGTERM; if it still lives `GRACE_S` later, it and all of its process group are killed.
        """
        threading.Thread(target=self._end_with_launcher, name="gridrl-lifeline", daemon=True).start()

    def _end_with_launcher(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(self._descriptor, _MOST_BYTES):  # the launcher writes no more: this waits for its death
                continue
        self.is_cut = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # which waits for it nowhere else
        time.sleep(GRACE_S)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def send(self, message: Mapping[str, Any]) -> None:
        """Tells the launcher something, if it still lives."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, json.dumps(message).encode()[:_MOST_BYTES])
