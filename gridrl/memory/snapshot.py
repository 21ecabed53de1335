"""A table as a checkpoint keeps it: rows, where they lie, and generators, so that the same draws follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from gridrl.errors import CheckpointError
from gridrl.memory.rows import BaseStorage

if TYPE_CHECKING:
    from gridrl.memory.table import ArrayMemoryTable


def take(table: ArrayMemoryTable) -> dict[str, Any]:
    """Tensors and plain values, which `torch.load` reads with `weights_only`.

    Args:
        table: is not changed; nobody else may change it meanwhile.
    """
    episodes = table.episodes.state()
    order = table.episodes.order()
    return {
        "episodes": {
            **episodes,
            "starts": {length: torch.from_numpy(rows) for length, rows in episodes["starts"].items()},
        },
        "columns": {name: torch.from_numpy(storage.at(order)) for name, storage in stored(table).items()},
        "extra": {name: storage.extra for name, storage in stored(table).items()},
        "sampler": table.sampler.snapshot(),
        "ejector": table.ejector.snapshot(),
    }


def check(table: ArrayMemoryTable, state: Mapping[str, Any]) -> None:
    """Says whether a table can take up a state.

    Raises:
        CheckpointError: the columns are others, or the table is too small.
    """
    ours = {name: (storage.shape, storage.dtype) for name, storage in stored(table).items()}
    theirs = {name: (tuple(rows.shape[1:]), rows.numpy().dtype) for name, rows in state["columns"].items()}
    if ours != theirs:
        raise CheckpointError(f"The checkpoint is of a table with the columns {theirs}, this one has {ours}.")
    steps = sum(steps for _, _, steps in state["episodes"]["places"])
    if steps > table.maxlen:
        raise CheckpointError(f"The checkpoint holds {steps} steps, the table at most {table.maxlen}: make it larger.")


def put_back(table: ArrayMemoryTable, state: Mapping[str, Any]) -> None:
    """Gives a cleared table the state that `take` gave."""
    saved = state["episodes"]
    starts = {length: rows.numpy() for length, rows in saved["starts"].items()}
    table.episodes.load_state({**saved, "starts": starts})
    order = table.episodes.order()
    for name, storage in stored(table).items():
        storage.load(order, state["columns"][name].numpy(), state["extra"][name])
    for strategy, key in ((table.sampler, "sampler"), (table.ejector, "ejector")):
        for identity, place in table.episodes.places.items():
            strategy.track(identity, place.steps)
        strategy.resume(state[key])


def stored(table: ArrayMemoryTable) -> dict[str, BaseStorage]:
    """The storages of the columns that are not virtual."""
    return {name: storage for name, storage in table.storages.items() if isinstance(storage, BaseStorage)}
