"""Claims: which launcher a run belongs to, so that no two write to it.

A claim is a directory `claim.<n>` in the run directory; the highest owns the run, and taking a run over is making the
next one. It is made aside, with the file that names its owner in it, and renamed: that succeeds for one of several who
try, and nobody ever sees a claim without an owner. No locks, so that a shared file system serves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.errors import RunDirectoryInUse
from gridrl.utils.files import RunPaths, read_json, write_json
from gridrl.utils.processes import ProcessIdentity, boot_id, process_identity

CLAIM_NAME = re.compile(r"claim\.(\d+)")

_OWNER, _RELEASED = "owner.json", "released"


@dataclass(frozen=True)
class Owner:
    """A launcher that has claimed runs.

    Attributes:
        host, boot_id, pid, pid_start: its process, see `gridrl.utils.processes`.
        since: when it claimed them, seconds since the epoch.
        beat: the file in which it counts while it lives; empty where it does not.
    """

    host: str
    boot_id: str
    pid: int
    pid_start: float
    since: float
    beat: str = ""

    @classmethod
    def this_process(cls, beat: Path | None = None) -> Owner:
        """This process, as of now."""
        identity = process_identity()
        started = 0.0 if identity is None else identity.started
        return cls(socket.gethostname(), boot_id(), os.getpid(), started, time.time(), str(beat or ""))

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
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.host} (since {since})"


@dataclass(frozen=True)
class Claim:
    """A claim of a run.

    Attributes:
        run_dir: the run's directory.
        number: the highest number owns the run.
        owner: who made it; None where its file cannot be read.
    """

    run_dir: Path
    number: int
    owner: Owner | None

    @property
    def path(self) -> Path:
        """Its directory."""
        return RunPaths(self.run_dir).claim(self.number)

    @property
    def is_released(self) -> bool:
        """Whether its owner needs it no more."""
        return (self.path / _RELEASED).exists()

    def holds(self) -> bool:
        """Whether the run still is its owner's."""
        return self.path.exists() and not RunPaths(self.run_dir).claim(self.number + 1).exists()

    def release(self) -> None:
        """Lets go of the run; nothing happens where it has been taken over, or the disk is gone."""
        with contextlib.suppress(OSError):
            (self.path / _RELEASED).touch()


def latest_claim(run_dir: Path) -> Claim | None:
    """The claim that owns a run, released or not; None where there never was one."""
    numbers = _numbers(run_dir)
    if not numbers:
        return None
    path = RunPaths(run_dir).claim(numbers[-1])
    return Claim(run_dir, numbers[-1], _read_owner(path))


def take_claim(run_dir: Path, owner: Owner, before: Claim | None) -> Claim | None:
    """Claims a run; None where somebody else was faster.

    Args:
        run_dir: the run's directory, made if it is missing.
        owner: who claims it.
        before: the claim that the caller has found to be free; None: it has found none. If the run has had another
            one since, it is not taken.

    Raises:
        OSError: the run directory cannot be written.
    """
    number = 1 if before is None else before.number + 1
    claim = Claim(run_dir, number, owner)
    aside = run_dir / f".claim.{secrets.token_hex(4)}.tmp"
    aside.mkdir(parents=True)
    try:
        (aside / _OWNER).write_text(_as_json(owner), encoding="utf-8")
        os.rename(aside, claim.path)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        if claim.path.exists():
            return None
        raise
    if (
        max(_numbers(run_dir), default=0) != number
    ):  # it had been taken and left before, and the next claim has replaced that one
        shutil.rmtree(claim.path, ignore_errors=True)
        return None
    for lower in _numbers(run_dir)[:-1]:
        shutil.rmtree(RunPaths(run_dir).claim(lower), ignore_errors=True)
    return claim


def _as_json(owner: Owner) -> str:
    return json.dumps(dataclasses.asdict(owner), indent=4)


def _numbers(run_dir: Path) -> list[int]:
    try:
        names = os.listdir(run_dir)
    except OSError:
        return []
    return sorted(int(match[1]) for name in names if (match := CLAIM_NAME.fullmatch(name)))


def _read_owner(path: Path) -> Owner | None:
    found: Any = read_json(path / _OWNER)
    try:
        return Owner(**{field.name: found[field.name] for field in dataclasses.fields(Owner)})
    except (KeyError, TypeError):
        return None


_held: dict[Path, Claim] = {}


def follow_claim(run_dir: Path) -> None:
    """From here on this process writes to a run by the claim that owns it now, see `check_claim`."""
    claim = latest_claim(run_dir)
    if claim is not None:
        _held[run_dir] = claim


def forget_claim(run_dir: Path) -> None:
    """Ends what `follow_claim` began."""
    _held.pop(run_dir, None)


def may_write(path: Path) -> bool:
    """Whether a run directory, or a file in it, is still this process's to write to.

    Costs two looks at the file system for a run whose claim this process follows; nothing is known of other files.
    """
    if not _held:
        return True
    claim = next((_held[place] for place in (path, *path.parents) if place in _held), None)
    return claim is None or claim.holds()


def check_claim(path: Path) -> None:
    """Makes sure of `may_write`.

    Raises:
        RunDirectoryInUse: another launcher has taken the run over.
    """
    if not may_write(path):
        now = latest_claim(next(place for place in (path, *path.parents) if place in _held))
        who = f" by {now.owner}" if now is not None and now.owner is not None else ""
        raise RunDirectoryInUse(f"{path}: this run has been taken over{who}. Nothing more is written here.")


class StillStanding:
    """Remembers counters, and tells for how long each has stood still by this machine's clock.

    Args:
        notes: the file in which it remembers from one process to the next.
    """

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        found = read_json(notes)
        self._seen: dict[str, Any] = found if isinstance(found, dict) else {}

    def stood_s(self, name: str, counter: int | None) -> float:
        """Seconds since the counter was first seen as it is now; 0 at the first look and after each change."""
        now = time.time()
        seen = self._seen.get(name)
        if isinstance(seen, list) and len(seen) == 2 and seen[0] == counter and isinstance(seen[1], int | float):
            return max(0.0, now - seen[1])
        self._seen[name] = [counter, now]
        with contextlib.suppress(OSError):
            write_json(self._notes, self._seen)
        return 0.0
