"""State taken up by several objects: by all of them, or by none."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from gridrl.errors import CheckpointError, NotFinite


class Restoree(Protocol):
    """What can stand in a checkpoint under a name of its own: losses, other callbacks, whatever has these.

    Attributes:
        name: differs between the restorees of a checkpoint.
    """

    name: str

    def state_dict(self) -> dict[str, Any]:
        """Tensors, arrays and plain values."""
        ...

    def load_state_dict(
        self,
        state_dict: dict[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        ...


class Journal(Protocol):
    """A memory that is kept beside its checkpoints, see `gridrl.memory.journal.ReplayJournal`."""

    def commit(self, kept: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Writes what has come, and gives the position for the checkpoint."""
        ...

    def restore(self, position: Mapping[str, Any]) -> None:
        """Brings the memory back to a position."""
        ...


class Table(Protocol):
    """A memory that stands in its checkpoints, such as `gridrl.memory.table.ArrayMemoryTable`."""

    def state_dict(self) -> dict[str, Any]:
        """All that the memory holds."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up what `state_dict` gave, in place of what is held."""
        ...


class DuplicateName(CheckpointError, ValueError):
    """Two restorees of a checkpoint have the same name: one would overwrite the other."""


def check_names(restorees: Iterable[Restoree]) -> None:
    """Raises where a name stands twice.

    Raises:
        DuplicateName: which ones.
    """
    names = [restoree.name for restoree in restorees]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DuplicateName(f"Restorees need names of their own; given twice: {', '.join(map(repr, doubled))}.")


def load_all(loads: Iterable[tuple[str, Any, Callable[[], Any]]], where: object) -> None:
    """Loads one after the other; where one fails, all are put back to what they were.

    Args:
        loads: the name of each object, the object (with `state_dict` and `load_state_dict`), and what loads it.
        where: the checkpoint, for the error.

    Raises:
        CheckpointError: one could not take up its state; nothing has changed.
    """
    before: list[tuple[Any, dict[str, Any]]] = []
    for name, target, load in loads:
        try:
            if hasattr(target, "state_dict"):
                with contextlib.suppress(NotFinite):  # nobody wants that back
                    before.append((target, copy.deepcopy(target.state_dict())))
            load()
        except Exception as error:
            for changed, state in reversed(before):
                with contextlib.suppress(Exception):  # it cannot take its own state up: nothing can be done
                    changed.load_state_dict(state)
            told = str(error) or type(error).__name__
            raise CheckpointError(f"{where} does not fit, nothing was changed. {name}: {told}") from error
