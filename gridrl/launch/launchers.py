"""Who launches a run: noted in each run directory, so that `status` can tell and `stop` can reach the launcher."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gridrl.launch.door import is_open
from gridrl.utils.files import RunPaths, read_json, write_json
from gridrl.utils.processes import ProcessIdentity, boot_id, process_identity


@dataclass(frozen=True)
class Launcher:
    """The process that works on a grid.

    Attributes:
        host: its machine.
        boot_id, pid, pid_start: the process, beyond a reused pid; see `gridrl.utils.processes`.
        runs: how many runs it was to start.
        door: where it can be asked to stop, see `gridrl.launch.door`; "" where signals have to do.
        log: where it writes what it says, where nobody looks at that; "" where somebody does.
    """

    host: str
    boot_id: str
    pid: int
    pid_start: float
    runs: int = 1
    door: str = ""
    log: str = ""

    @classmethod
    def this_process(cls, runs: int, door: str = "") -> Launcher:
        """This process as a launcher of so many runs."""
        identity = process_identity()
        started = identity.started if identity is not None else 0.0
        return cls(socket.gethostname(), boot_id(), os.getpid(), started, runs, door, os.environ.get(LOG_VARIABLE, ""))

    @property
    def is_here(self) -> bool:
        """Whether its pid means something to this process."""
        return self.boot_id == boot_id()

    @property
    def is_alive(self) -> bool:
        """Whether it surely lives and is still at it: only of this machine can that be told."""
        lives = ProcessIdentity(self.pid, self.pid_start, self.boot_id).is_alive()
        return lives and (not self.door or is_open(self.door))

    @property
    def may_live(self) -> bool:
        """Whether it lives, or nobody can tell from here."""
        if self.is_here:
            return self.is_alive
        rebooted = self.boot_id.partition("/")[0] != boot_id().partition("/")[0]
        return not (rebooted and self.host == socket.gethostname())

    def __str__(self) -> str:
        if self.is_here:
            lives = "alive" if self.is_alive else "gone"
        else:
            lives = "cannot be seen from here" if self.may_live else "gone"
        return f"process {self.pid} on {self.host} ({lives}){f', log {self.log}' if self.log else ''}"


LOG_VARIABLE = "GRIDRL_LAUNCHER_LOG"
"""The environment variable with the log of a launcher that has no terminal."""


def note_launcher(paths: RunPaths, launcher: Launcher) -> None:
    """Notes in a run directory who launches it; a disk that is full or gone keeps no run from starting."""
    with contextlib.suppress(OSError):
        write_json(paths.launcher, dataclasses.asdict(launcher))


def read_launcher(run_dir: Path) -> Launcher | None:
    """Who launched a run last; None where that is not noted."""
    found = read_json(RunPaths(run_dir).launcher)
    if not isinstance(found, dict):
        return None
    try:
        launcher = Launcher(**{field.name: found[field.name] for field in dataclasses.fields(Launcher)})
    except (KeyError, TypeError):
        return None
    numbers = (launcher.pid, launcher.runs)
    is_ours = all(isinstance(value, int) for value in numbers) and isinstance(launcher.boot_id, str)
    return launcher if is_ours and launcher.pid > 1 else None


def launchers_of(run_dirs: Iterable[Path]) -> dict[Launcher, list[Path]]:
    """The launchers of some runs, each with those of them that are its own."""
    found: dict[Launcher, list[Path]] = {}
    for run_dir in run_dirs:
        launcher = read_launcher(run_dir)
        if launcher is not None:
            found.setdefault(launcher, []).append(run_dir)
    return found
