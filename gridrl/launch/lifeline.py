"""The connection between a launcher and the process of a run.

A pair of sockets, one end each. The launcher's death closes its end: the kernel then sends the run's process a SIGTERM,
so that no run outlives its launcher. The run sends how it ended, so that this is known even where the disk is full.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

VARIABLE = "GRIDRL_LIFELINE"
"""The environment variable with the number of the run's end; only the run's own process heeds it."""

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
        os.set_inheritable(descriptor, False)

    @classmethod
    def from_environment(cls) -> RunEnd | None:
        """The end that the launcher gave this process; None where it was started by hand.

        The variable is taken out: children of the run have no such end.
        """
        number = os.environ.pop(VARIABLE, "")
        return cls(int(number)) if number.isdecimal() else None

    def follow(self) -> None:
        """From here on this process gets a SIGTERM when its launcher dies (on Linux; elsewhere nothing happens)."""
        if sys.platform != "linux":
            return
        import fcntl

        fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(self._descriptor, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
        if select.select([self._descriptor], [], [], 0)[0]:  # the launcher never writes: it is gone already
            os.kill(os.getpid(), signal.SIGTERM)

    def send(self, message: Mapping[str, Any]) -> None:
        """Tells the launcher something, if it still lives."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, json.dumps(message).encode()[:_MOST_BYTES])
