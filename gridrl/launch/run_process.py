"""A run in one process of this machine: waiting for its end, and what that end means."""

from __future__ import annotations

import abc
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gridrl.launch.backend import Ending
from gridrl.launch.leftovers import end_left_behind, marked, told_by_run
from gridrl.launch.lifeline import Lifeline
from gridrl.log.record import read_status
from gridrl.utils.files import RunPaths, log_tail
from gridrl.utils.processes import end_stragglers, end_tree
from gridrl.utils.subreaper import reap_group

STRAGGLERS_S = 1.0
"""Seconds that the processes which a run leaves behind get to end after a SIGTERM."""


@dataclass(frozen=True)
class Reaped:
    """What the system keeps of a process that has ended.

    Attributes:
        code: its exit status, negative: the signal that ended it; None if somebody else has collected it.
        cpu_s: CPU seconds of it and the children that it waited for, None where unknown.
        peak_memory_mb: the most that it had resident, in MiB, None where unknown.
    """

    code: int | None
    cpu_s: float | None = None
    peak_memory_mb: float | None = None

    @classmethod
    def of(cls, pid: int) -> Reaped:
        """Collects a child of this process that has ended.

        Raises:
            ChildProcessError: it is none, or somebody else has collected it.
        """
        _, status, usage = os.wait4(pid, 0)
        peak_mb = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        return cls(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, peak_mb)


class RunProcess(abc.ABC):
    """A run in one process, in a session of its own: a Ctrl-C at the terminal does not reach it."""

    def __init__(self, paths: RunPaths, pid: int, lifeline: Lifeline) -> None:
        self._paths = paths
        self.pid = pid
        self._lifeline = lifeline
        self._has_ended = False
        self._lock = threading.Lock()

    def wait(self) -> Ending:
        """See `Running.wait`."""
        self._await_end()
        with self._lock:  # from here on the pid may be somebody else's
            self._has_ended = True
        end_stragglers(self.pid, STRAGGLERS_S)
        reaped = self._reap()
        reap_group(self.pid)  # where this process is the heir of what the run has left
        self._finish()
        said = self._lifeline.message()
        self._lifeline.close()
        ending = _judged(reaped.code, said, self._paths, self.pid)
        left = told_by_run(said["family"]) if "family" in said else marked(self._paths.root)
        cpu_s = None if reaped.cpu_s is None else round(reaped.cpu_s, 3)
        peak_mb = None if reaped.peak_memory_mb is None else round(reaped.peak_memory_mb, 1)
        left_behind = end_left_behind(left, STRAGGLERS_S)
        return replace(ending, cpu_s=cpu_s, peak_memory_mb=peak_mb, left_behind=left_behind)

    @abc.abstractmethod
    def _await_end(self) -> None:
        """Waits until the process has ended; it stays a zombie: its group cannot be mistaken for another one."""

    @abc.abstractmethod
    def _reap(self) -> Reaped:
        """Collects the process that has ended."""

    def _finish(self) -> None:  # noqa: B027 (most have nothing to end)
        """Ends what belongs to the run in this process."""

    def end(self, grace_s: float) -> None:
        """See `Running.end`."""
        with self._lock:
            if self._has_ended:
                return
        end_tree(self.pid, grace_s)


def _judged(code: int | None, said: Mapping[str, Any], paths: RunPaths, pid: int) -> Ending:
    """What an exit code means, with what the process has told of itself."""
    status = read_status(paths.root)
    own = status if status is not None and status.pid == pid else None
    state = said.get("state") or (own.state if own else None)
    error = said.get("error") or (own.error if own else None)
    if state == "done":  # what goes wrong while an interpreter shuts down takes nothing away
        return Ending("done", code)
    if state == "preempted":
        return Ending("preempted", code)
    if code is None:
        return Ending("killed", None, error or "nobody knows how its process ended")
    if code < 0:
        return Ending("killed", code, f"killed by {signal_name(-code)}{_suspicion(-code)}")
    if code == 0:
        return Ending("failed", code, "the process left with exit status 0 before its thunk returned (os._exit(0)?)")
    return Ending("failed", code, error or _last_line(paths.stdout) or f"exit status {code}")


def signal_name(number: int) -> str:
    """A signal's name, `SIGKILL`; its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _suspicion(number: int) -> str:
    return " (the system does this when memory runs out)" if number == signal.SIGKILL else ""


def _last_line(log: Path) -> str:
    lines = log_tail(log, 1)
    return lines[0][:300] if lines else ""
