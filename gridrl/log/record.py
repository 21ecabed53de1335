"""`status.json`: how a run is doing, written by one owner, read by everybody."""

from __future__ import annotations

import dataclasses
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from gridrl.errors import BadValue, did_you_mean
from gridrl.log.claims import check_claim
from gridrl.log.disk import told_when_full
from gridrl.utils.files import RunPaths, read_json, write_json
from gridrl.utils.processes import ProcessIdentity, boot_id, process_identity

STATES = ("queued", "running", "done", "failed", "killed", "timeout", "preempted")
"""What a status file can say; a preempted run was asked to make room, and has stopped in order. Readers derive two
more: "lost" (it says running, its process is gone) and "unknown" (there is no file, or none of ours)."""


@dataclass(frozen=True)
class Status:
    """How a run is doing.

    Attributes:
        state: one of `STATES`.
        attempt: 1 for the first start of the run, 2 for the next.
        host, boot_id, pid, pid_start: its process, beyond a reused pid; see `gridrl.utils.processes`.
        started, ended: seconds since the epoch.
        exit_code: what the process gave back.
        signal: the number of the signal that ended it.
        cpu_s: CPU seconds of the process and its children.
        peak_memory_mb: the most that it had resident, in MiB, as the system tells it: pages that it shares with others,
            such as a forked run with its siblings, count in full.
        error: the last line of what went wrong.
        rank: the MPI rank that failed.
        resume: "inexact" where going on from a checkpoint gives other numbers than never having stopped.
        heartbeat: goes up while the run is running, for readers of other hosts; see `gridrl.log.heartbeat`.
    """

    state: str
    attempt: int = 1
    host: str | None = None
    boot_id: str | None = None
    pid: int | None = None
    pid_start: float | None = None
    started: float | None = None
    ended: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float | None = None
    peak_memory_mb: float | None = None
    error: str | None = None
    rank: int | None = None
    resume: str | None = None
    heartbeat: int = 0

    def __post_init__(self) -> None:
        if self.state not in STATES:
            near = did_you_mean(self.state, STATES)
            raise BadValue(f"{self.state!r} is no state of a run.{near} There are: {', '.join(STATES)}.")

    @property
    def is_here(self) -> bool:
        """Whether this machine can tell whether its process lives."""
        return self.boot_id == boot_id()

    def with_process(self, pid: int | None = None) -> Status:
        """This status, owned by a living process (None: this one)."""
        identity = process_identity(pid)
        if identity is None:
            raise BadValue(f"there is no process {pid} to own a run.")
        return dataclasses.replace(
            self, host=socket.gethostname(), boot_id=identity.boot, pid=identity.pid, pid_start=identity.started
        )


_KINDS: dict[str, Any] = {name: hint for name, hint in get_type_hints(Status).items() if name != "state"}


def write_status(run_dir: Path | str, status: Status) -> None:
    """Replaces the run's status at once: a reader sees the old one or this one.

    Raises:
        DiskFull: no room; the old one stands.
        RunDirectoryInUse: the run was this process's, and another launcher has taken it over.
    """
    path = RunPaths(Path(run_dir)).status
    check_claim(path)
    with told_when_full(path, f"the state {status.state!r} was not noted"):
        write_json(path, dataclasses.asdict(status))


def read_status(run_dir: Path | str) -> Status | None:
    """The run's status; None where there is no file or it is not one of ours.

    Fields that this version does not know, and values of a wrong type, are left out.
    """
    found = read_json(RunPaths(Path(run_dir)).status)
    if not isinstance(found, dict) or found.get("state") not in STATES:
        return None
    fitting = {name: found[name] for name, kind in _KINDS.items() if name in found and _fits(found[name], kind)}
    return Status(state=found["state"], **fitting)


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(0.0, kind):
        return True
    return isinstance(value, kind) and not isinstance(value, bool)


def derived_state(run_dir: Path | str) -> str:
    """The run's state as of now: one of `STATES`, "lost" or "unknown".

    A run is lost when its status says running and this machine can tell that its process is gone: the same boot has no
    process with that pid and start time, or the same host has been booted since. Of another host one look tells
    nothing: `gridrl.log.heartbeat.Observer` looks again.
    """
    return state_by_now(read_status(run_dir))


def state_by_now(status: Status | None) -> str:
    """The state of a run with this status, see `derived_state`."""
    if status is None:
        return "unknown"
    return "lost" if status.state == "running" and _is_gone(status) else status.state


def _is_gone(status: Status) -> bool:
    if status.pid is None or status.pid_start is None or status.boot_id is None:
        return False
    here = boot_id()
    if status.boot_id == here:
        return not ProcessIdentity(status.pid, status.pid_start, here).is_alive()
    # Behind the slash is the pid namespace: another one of the same boot may hold the process.
    rebooted = status.boot_id.partition("/")[0] != here.partition("/")[0]
    return rebooted and status.host == socket.gethostname()
