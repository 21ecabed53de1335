"""Claims: which launcher a run belongs to, so that no two write to it.

A claim is a directory `claim.<n>` in the run directory; the highest owns the run, and taking a run over is making the
next one. It is made aside, with the file that names its owner in it, and renamed: that succeeds for one of several who
try, and nobody ever sees a claim without an owner. No locks, so that a shared file system serves.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gridrl.errors import RunDirectoryInUse
from gridrl.log.launchers import Launcher, read_launcher, write_launcher
from gridrl.utils.files import RunPaths

CLAIM_NAME = re.compile(r"claim\.(\d+)")

_OWNER, _RELEASED = "launcher.json", "released"


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
    owner: Launcher | None

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
    return Claim(run_dir, numbers[-1], read_launcher(path / _OWNER))


def launchers_of(run_dirs: Iterable[Path]) -> dict[Launcher, list[Path]]:
    """Who has some runs, each with those of them that it has; what its launcher has let go of is nobody's."""
    found: dict[Launcher, list[Path]] = {}
    for run_dir in run_dirs:
        claim = latest_claim(run_dir)
        if claim is not None and claim.owner is not None and not claim.is_released:
            found.setdefault(claim.owner, []).append(run_dir)
    return found


def take_claim(run_dir: Path, owner: Launcher, before: Claim | None) -> Claim | None:
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
        # Nothing is forced to the disk: a claim speaks of a living process, and none outlives its machine. What a power
        # cut takes of it, or leaves empty, was the claim of a launcher that has gone.
        write_launcher(aside / _OWNER, owner)
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


def _numbers(run_dir: Path) -> list[int]:
    try:
        names = os.listdir(run_dir)
    except OSError:
        return []
    return sorted(int(match[1]) for name in names if (match := CLAIM_NAME.fullmatch(name)))


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
