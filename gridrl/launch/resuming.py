"""Coming back to a grid: which of its runs are wanted this time, and where old directories go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gridrl.errors import BackendError, BadValue, Problems, did_you_mean

TRASH = ".trash"
"""The directory for what has made room; nothing in it is taken for a run, and nothing is ever deleted."""

STALE = "stale"
"""What a run is called that is done, but was made by other code than it would call now."""

_NOT_STARTED = ("new", "queued")


@dataclass(frozen=True)
class Resume:
    """What is wanted of runs that are known already; by default what is not done.

    Attributes:
        only_failed: only what was started and did not get to its end (failed, killed, timed out, lost).
        force: runs that are done are run again from nothing; `STALE`: only those that were done under other code.
        fresh: everything starts from nothing; what the grid has made so far moves away.
        accept_code: runs that were done under other code count as made by the present one, from now on.
    """

    only_failed: bool = False
    force: bool | str = False
    fresh: bool = False
    accept_code: bool = False

    def check(self) -> None:
        """Makes sure that this makes sense.

        Raises:
            BadValue: it does not; all faults are told.
        """
        problems = Problems()
        for name in ("only_failed", "fresh", "accept_code"):
            if not isinstance(getattr(self, name), bool):
                problems.add(f"{name}={getattr(self, name)!r}: True or False is wanted.")
        if not isinstance(self.force, bool) and self.force != STALE:
            near = did_you_mean(str(self.force), [STALE])
            problems.add(f"force={self.force!r}: True, False or {STALE!r} is wanted.{near}")
        given = [name for name in ("only_failed", "force", "fresh", "accept_code") if getattr(self, name)]
        if len(given) > 1 and given != ["only_failed", "accept_code"]:
            problems.add(f"{' and '.join(given)} do not go together: choose one of them.")
        problems.raise_if_any(BadValue)

    def repeats(self, is_stale: bool) -> bool:
        """Whether a run that is done runs again from nothing.

        Args:
            is_stale: whether it was done under other code.
        """
        return is_stale if self.force == STALE else bool(self.force)

    def leaves_out(self, state: str) -> bool:
        """Whether a run that is not done is not wanted this time."""
        return self.only_failed and state in _NOT_STARTED


USUAL = Resume()
"""What is not done, and nothing else."""


def trash_for(data_dir: Path) -> Path:
    """A directory for what makes room now; it is not made."""
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    names = (stamp if count == 1 else f"{stamp}-{count}" for count in range(1, 10_000))
    return next(path for name in names if not (path := data_dir / TRASH / name).exists())


def move_away(run_dirs: Iterable[Path], data_dir: Path) -> list[Path]:
    """Moves run directories to `<data_dir>/.trash/<date and time>/`; one from elsewhere to such a place beside it.

    Args:
        run_dirs: what is to make room; what is not there any more is passed over.
        data_dir: where the grid's directories are.

    Returns:
        The directories that have taken something in, none where there was nothing to move.

    Raises:
        BackendError: one cannot be moved; those before it have been.
    """
    taken: dict[Path, Path] = {}
    for run_dir in run_dirs:
        if not run_dir.exists():
            continue
        home = data_dir if run_dir.is_relative_to(data_dir) else run_dir.parent
        trash = taken.setdefault(home, trash_for(home))
        target = trash / run_dir.relative_to(home)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(run_dir, target)
        except OSError as error:
            raise BackendError(f"{run_dir} cannot be moved to {target}: {error.strerror or error}.") from error
    return list(taken.values())
