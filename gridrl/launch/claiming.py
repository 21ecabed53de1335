"""A launcher takes the runs that it is about to start: those that no other launcher has, or whose launcher has gone."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gridrl.errors import BackendError, DiskFull, RunDirectoryInUse
from gridrl.launch.door import Door
from gridrl.log.claims import (
    Claim,
    follow_claim,
    forget_claim,
    latest_claim,
    launchers_of,
    take_claim,
)
from gridrl.log.disk import told_when_full
from gridrl.log.heartbeat import LOST_AFTER_S, StillStanding, file_beating, read_beat
from gridrl.log.launchers import Launcher
from gridrl.log.record import read_status
from gridrl.utils.files import GridPaths, RunPaths
from gridrl.utils.processes import ProcessIdentity, end_tree
from gridrl.utils.ranks import rank_processes

END_S = 5.0
"""Seconds between SIGTERM and SIGKILL for a run whose launcher has gone."""

_RANKS_END_S = 15.0
_TRIES = 5
_MOST_TOLD = 3


class Claims:
    """The claims of one launcher.

    Args:
        paths: the files of the grid that it launches.
        owner: the launcher.
        lost_after_s: for so many seconds the counter of a launcher on another host must stand still before its runs
            are taken over.
        door: where it can be asked to stop.

    Attributes:
        door: the same.
    """

    def __init__(
        self, paths: GridPaths, owner: Launcher, lost_after_s: float = LOST_AFTER_S, door: Door | None = None
    ) -> None:
        self.door = door or Door()
        self._owner = owner
        self._lost_after_s = lost_after_s
        self._standing = StillStanding(paths.seen(socket.gethostname()))
        self._held: dict[Path, Claim] = {}

    def take(self, run_dirs: Iterable[Path], num_started: int | None = None) -> None:
        """Claims runs: all of them, or none.

        What a launcher that has gone has left running is ended first.

        Args:
            run_dirs: their directories.
            num_started: how many runs the launcher is to start, told in the claims; None: as many as before.

        Raises:
            RunDirectoryInUse: another launcher has some of them; it is named.
            DiskFull: no room.
            BackendError: a run directory cannot be made.
        """
        if num_started is not None:
            self._owner = replace(self._owner, runs=num_started)
        wanted = sorted(set(run_dirs) - self._held.keys())
        self._refuse_if_held({run_dir: latest_claim(run_dir) for run_dir in wanted})
        before = set(self._held)
        try:
            for run_dir in wanted:
                self._take_one(run_dir)
        except BaseException:
            self.release(self._held.keys() - before)
            raise

    def _take_one(self, run_dir: Path) -> None:
        for _ in range(_TRIES):
            before = latest_claim(run_dir)
            self._refuse_if_held({run_dir: before})
            if before is not None and _is_left_behind(before):
                _end_remains(run_dir)
            with _told(run_dir):
                claim = take_claim(run_dir, self._owner, before)
            if claim is not None:
                self._held[run_dir] = claim
                follow_claim(run_dir)
                return
        raise RunDirectoryInUse(f"{run_dir}: other launchers take this run again and again.")

    def _refuse_if_held(self, found: Mapping[Path, Claim | None]) -> None:
        holders: dict[Launcher, list[Path]] = {}
        for run_dir, claim in found.items():
            if claim is not None and claim.owner is not None and not self._is_free(claim, claim.owner):
                holders.setdefault(claim.owner, []).append(run_dir)
        if holders:
            raise RunDirectoryInUse("\n".join(self._told(owner, dirs) for owner, dirs in holders.items()))

    def _is_free(self, claim: Claim, owner: Launcher) -> bool:
        if claim.is_released or owner.is_gone:
            return True
        return not owner.is_here and self._stood_s(owner) >= self._lost_after_s

    def _stood_s(self, owner: Launcher) -> float:
        """For how long a launcher of another host has shown no sign of life, as far as this host has seen."""
        counter = read_beat(Path(owner.beat)) if owner.beat else None
        stood_s = self._standing.stood_s(f"{owner.host} {owner.pid} {owner.since}", counter)
        self._standing.keep()
        return stood_s

    def _told(self, owner: Launcher, run_dirs: list[Path]) -> str:
        shown = ", ".join(map(str, run_dirs[:_MOST_TOLD])) + (", ..." if len(run_dirs) > _MOST_TOLD else "")
        told = f"Another launcher has {len(run_dirs)} of these runs: {owner}. It has {shown}. "
        if owner.is_here:
            return f"{told}Wait for it, or end it first."
        left_s = max(1.0, self._lost_after_s - self._stood_s(owner))
        return f"{told}Wait for it; if it has gone, give the same command again in {left_s:.0f} s."

    def renew(self, run_dirs: Iterable[Path]) -> None:
        """Claims runs anew whose directories have been moved away, claims and all."""
        gone = [run_dir for run_dir in run_dirs if run_dir in self._held and not self._held[run_dir].path.exists()]
        for run_dir in gone:
            del self._held[run_dir]
            forget_claim(run_dir)
        self.take(gone)

    def release(self, run_dirs: Iterable[Path] | None = None) -> None:
        """Lets go of runs; None: of all."""
        for run_dir in list(self._held if run_dirs is None else run_dirs):
            self._held.pop(run_dir).release()
            forget_claim(run_dir)


@contextlib.contextmanager
def claiming(data_dir: Path, grid: str, lost_after_s: float = LOST_AFTER_S) -> Iterator[Claims]:
    """The claims of this process as the launcher of a grid; it shows life while the block runs, then lets go of all.

    Raises:
        DiskFull: no room.
        BackendError: the data directory cannot be written.
    """
    paths = GridPaths.of_grid(data_dir, grid)
    beat = paths.beat(socket.gethostname(), os.getpid())
    with contextlib.ExitStack() as stack:
        with _told(paths.root):
            stack.enter_context(file_beating(beat))
        door = stack.enter_context(Door())
        claims = Claims(paths, Launcher.this_process(beat, door.path), lost_after_s, door)
        stack.callback(claims.release)
        yield claims


@contextlib.contextmanager
def _told(directory: Path) -> Iterator[None]:
    try:
        with told_when_full(directory, "the directory was not made"):
            yield
    except DiskFull:
        raise
    except OSError as error:
        raise BackendError(f"{directory}: the directory cannot be made: {error.strerror or error}.") from error


def is_claimed(run_dir: Path) -> bool:
    """Whether a launcher has a run, living or not: `Claims.take` finds out, and names it or takes its place."""
    return bool(launchers_of([run_dir]))


def _is_left_behind(claim: Claim) -> bool:
    """Whether its owner has gone without letting go of it."""
    return claim.owner is not None and claim.owner.is_gone and not claim.is_released


def _end_remains(run_dir: Path) -> None:
    """Ends what still runs here of an earlier start of a run, and waits for its end.

    Raises:
        RunDirectoryInUse: it does not end.
    """
    status = read_status(run_dir)
    if status is None or status.state != "running" or not status.is_here or status.pid is None:
        return
    process = ProcessIdentity(status.pid, status.pid_start or 0.0, status.boot_id or "")
    if process.is_alive() and status.pid in _own_family():
        raise RunDirectoryInUse(f"{run_dir}: its status names process {status.pid}, which this program is part of.")
    if process.is_alive() and not end_tree(status.pid, END_S):
        raise RunDirectoryInUse(f"{run_dir}: process {status.pid} of an earlier start does not end.")
    deadline = time.monotonic() + _RANKS_END_S
    while ranks := _ranks_left(RunPaths(run_dir)):  # their keepers end them: the launcher has gone
        if time.monotonic() > deadline:
            raise RunDirectoryInUse(f"{run_dir}: processes {ranks} of an earlier start do not end.")
        time.sleep(0.05)


def _own_family() -> set[int]:
    """This process and those that it descends from: a status that names one of them is no run's to end."""
    import psutil

    return {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}


def _ranks_left(paths: RunPaths) -> list[int]:
    """The ranks of a run that still live, and their keepers; a pid that is somebody else's by now is not among them."""
    import psutil

    names = {str(paths.ranks), str(paths.payload)}  # one of them stands in the command line of each
    found = []
    for pid in rank_processes(paths) if paths.ranks.is_dir() else ():
        with contextlib.suppress(psutil.Error):
            if names.intersection(psutil.Process(pid).cmdline()):
                found.append(pid)
    return found
