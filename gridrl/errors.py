"""Every error that gridrl raises on purpose, and the near-match hints that their messages carry.

```
GridRLError
├─ UsageError: UnknownCommand, UnknownFlag, BadValue       typed wrong: message on stderr, exit status 2
├─ GridError(ValueError): EmptyGrid, DuplicateKey, ClashingKeys
├─ PayloadError(ValueError): NotPicklable, PayloadVersion
├─ ExperimentFailed(RuntimeError)
├─ MPIError, BackendError, RunDirectoryInUse
├─ BuildError(TypeError), BindingError(TypeError)
├─ ColumnError(ValueError), NotEnoughData(RuntimeError), ShapeError(ValueError)
├─ NotFinite(ArithmeticError)
├─ CheckpointError: InvalidCheckpointLocation(ValueError), VersionMismatch
└─ DiskFull(OSError)
```
A message says what was asked, what was found, what is allowed or nearest, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class GridRLError(Exception):
    """Base of every error that gridrl raises on purpose."""


class GridRLWarning(UserWarning):
    """Something that the user can change and probably wants to."""


class UsageError(GridRLError):
    """What was typed is wrong; the command line prints it without a traceback and exits with status 2."""


class UnknownCommand(UsageError):
    """The first word of the command line names no command and no algorithm."""


class UnknownFlag(UsageError):
    """An option that the command or the algorithm does not have."""


class BadValue(UsageError):
    """A value of the wrong type, or outside what is allowed."""


class GridError(GridRLError, ValueError):
    """The keys and values of a grid make no sense together."""


class EmptyGrid(GridError):
    """A grid without a key, or a key without a value: there is nothing to run."""


class DuplicateKey(GridError):
    """A key that was added twice, or a value that stands twice in one key."""


class ClashingKeys(GridError):
    """A key that is a value in one place and a dict in another (`a` and `a:b`)."""


class PayloadError(GridRLError, ValueError):
    """The pickled form of a run cannot be written or read."""


class NotPicklable(PayloadError):
    """A value of a variant, or something that its thunk refers to, cannot be pickled."""


class PayloadVersion(PayloadError):
    """The payload was written by another format, gridrl or Python than the one that reads it."""


class ExperimentFailed(GridRLError, RuntimeError):
    """A run ended without success.

    Attributes:
        name: the run's name.
        run_dir: its directory, where `stdout.log` and `error.txt` stand.
        exit_code: the exit status of its process (negative: the signal that ended it), None if it never started.
        rank: the MPI rank that failed first, None where the run has one rank.
        log_tail: the last lines of its log.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        run_dir: Path | None = None,
        exit_code: int | None = None,
        rank: int | None = None,
        log_tail: str = "",
    ) -> None:
        super().__init__(message)
        self.name = name
        self.run_dir = run_dir
        self.exit_code = exit_code
        self.rank = rank
        self.log_tail = log_tail


class MPIError(GridRLError):
    """MPI is missing, mixed up, or one of its ranks ended badly."""


class BackendError(GridRLError):
    """The place where runs start refused or lost one."""


class RunDirectoryInUse(GridRLError):
    """A run directory holds files that are not ours, or belongs to a run that is still alive."""


class BuildError(GridRLError, TypeError):
    """A deferred object cannot be made from the arguments at hand."""


class BindingError(GridRLError, TypeError):
    """A callback asks for a tensor that no batch and no earlier callback provides."""


class ColumnError(GridRLError, ValueError):
    """A column is missing, doubled or of another kind than asked for."""


class NotEnoughData(GridRLError, RuntimeError):
    """A memory holds fewer rows than were asked for."""


class ShapeError(GridRLError, ValueError):
    """Arrays whose shapes do not fit; both are in the message."""


class NotFinite(GridRLError, ArithmeticError):
    """A loss or its gradient became NaN or infinite: nothing can be learned any more.

    Attributes:
        name: of the loss.
        update: which of its updates it was, the first is 1.
    """

    def __init__(self, message: str, *, name: str = "", update: int = 0) -> None:
        super().__init__(message)
        self.name = name
        self.update = update


class CheckpointError(GridRLError):
    """A checkpoint cannot be written, found or read."""


class InvalidCheckpointLocation(CheckpointError, ValueError):
    """The directory of the checkpoints does not exist."""


class VersionMismatch(CheckpointError):
    """A checkpoint was written by code whose state has another form."""


class DiskFull(GridRLError, OSError):
    """No room is left for a file of a run; what was written before stands."""


class TrainingShutdownException(GridRLError):
    """Raised inside a training loop to end it in order: every `end_training` hook runs, nothing is re-raised."""


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that looks most like `word`, or None where nothing is close."""
    by_folded = {option.casefold(): option for option in options}
    found = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Gives " Did you mean 'x'?" for the nearest option, an empty string where nothing is close."""
    near = nearest(word, options)
    return f" Did you mean {near!r}?" if near else ""


class Problems:
    """Collects the faults of one call, so that all of them are told at once.

    >>> problems = Problems()
    >>> problems.add("--hidd: ppo has no such option.")
    >>> problems.raise_if_any(UnknownFlag)
    Traceback (most recent call last):
    gridrl.errors.UnknownFlag: --hidd: ppo has no such option.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Notes one fault; the same words twice count once."""
        if message not in self.messages:
            self.messages.append(message)

    def raise_if_any(self, kind: type[GridRLError]) -> None:
        """Raises `kind` with every message on a line of its own, if there is any."""
        if self.messages:
            raise kind("\n".join(self.messages))
