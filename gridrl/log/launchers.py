"""What is known of a process that launches runs: one description, in every claim, for whoever asks who has a run."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from gridrl.utils.files import read_json
from gridrl.utils.processes import ProcessIdentity, boot_id, process_identity

LOG_VARIABLE = "GRIDRL_LAUNCHER_LOG"
"""The environment variable with the log of a launcher that has no terminal."""


@dataclass(frozen=True)
class Launcher:
    """A process that launches runs.

    Attributes:
        host: its machine.
        boot_id, pid, pid_start: the process, beyond a reused pid; see `gridrl.utils.processes`.
        since: when it began, seconds since the epoch.
        runs: how many runs it was to start.
        beat: the file in which it counts while it lives; "" where it does not.
        door: where it can be asked to stop, see `gridrl.launch.door`; "" where signals have to do.
        log: where it writes what it says, where nobody looks at that; "" where somebody does.
    """

    host: str
    boot_id: str
    pid: int
    pid_start: float
    since: float = 0.0
    runs: int = 1
    beat: str = ""
    door: str = ""
    log: str = ""

    @classmethod
    def this_process(cls, beat: Path | None = None, door: str = "") -> Launcher:
        """This process, as of now."""
        identity = process_identity()
        return cls(
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=os.getpid(),
            pid_start=0.0 if identity is None else identity.started,
            since=time.time(),
            beat=str(beat or ""),
            door=door,
            log=os.environ.get(LOG_VARIABLE, ""),
        )

    @property
    def is_here(self) -> bool:
        """Whether this machine can tell whether it lives."""
        return self.boot_id == boot_id()

    @property
    def is_gone(self) -> bool:
        """Whether it is certainly gone: its process here, or the boot of this machine that it ran in."""
        if self.is_here:
            return not ProcessIdentity(self.pid, self.pid_start, self.boot_id).is_alive()
        # Behind the slash is the pid namespace: another one of the same boot may hold the process.
        rebooted = self.boot_id.partition("/")[0] != boot_id().partition("/")[0]
        return rebooted and self.host == socket.gethostname()

    def __str__(self) -> str:
        lives = "gone" if self.is_gone else "alive" if self.is_here else "cannot be seen from here"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} ({lives}, since {since}){f', log {self.log}' if self.log else ''}"


_KINDS: dict[str, Any] = get_type_hints(Launcher)
_NEEDED = ("host", "boot_id", "pid", "pid_start")


def write_launcher(path: Path, launcher: Launcher) -> None:
    """Writes a description where nobody looks yet: neither at once nor for good.

    Raises:
        OSError: it cannot be written.
    """
    path.write_text(json.dumps(dataclasses.asdict(launcher), indent=4) + "\n", encoding="utf-8")


def read_launcher(path: Path) -> Launcher | None:
    """The description in a file; None where there is none of ours."""
    found = read_json(path)
    if not isinstance(found, dict):
        return None
    fitting = {name: found[name] for name, kind in _KINDS.items() if name in found and _fits(found[name], kind)}
    if not all(name in fitting for name in _NEEDED) or fitting["pid"] <= 1:
        return None
    return Launcher(**fitting)


def _fits(value: Any, kind: Any) -> bool:
    kinds = (int, float) if kind is float else kind
    return isinstance(value, kinds) and not isinstance(value, bool)
