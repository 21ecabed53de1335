"""A table as a checkpoint keeps it: rows, where they lie, and generators, so that the same draws follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    order = table.episodes.order()
    return {**outline(table), "columns": {n: torch.from_numpy(s.at(order)) for n, s in stored(table).items()}}


def outline(table: ArrayMemoryTable) -> dict[str, Any]:
    """All that `take` gives but for the rows themselves."""
    episodes = table.episodes.state()
    return {
        "kinds": {name: [list(s.shape), s.dtype.str] for name, s in stored(table).items()},
        "strategies": _strategies(table),
        "episodes": {
            **episodes,
            "places": torch.from_numpy(episodes["places"]),
            "starts": {length: torch.from_numpy(rows) for length, rows in episodes["starts"].items()},
        },
        "extra": {name: storage.extra for name, storage in stored(table).items()},
        "sampler": table.sampler.snapshot(),
        "ejector": table.ejector.snapshot(),
        "full": table.full(),
    }


def check(table: ArrayMemoryTable, state: Mapping[str, Any]) -> None:
    """Says whether a table can take up a state, or the outline of one.

    Raises:
        CheckpointError: the columns or the strategies are others, or the table is too small.
    """
    ours = {name: [list(storage.shape), storage.dtype.str] for name, storage in stored(table).items()}
    if ours != state["kinds"]:
        raise CheckpointError(f"The checkpoint is of a table with the columns {state['kinds']}, this one has {ours}.")
    if list(state["strategies"]) != _strategies(table):
        theirs = " and a ".join(state["strategies"])
        raise CheckpointError(f"The checkpoint is of a table with a {theirs}, this one has {_strategies(table)}.")
    steps = int(state["episodes"]["places"][:, 2].sum())
    if steps > table.maxlen:
        raise CheckpointError(f"The checkpoint holds {steps} steps, the table at most {table.maxlen}: make it larger.")


def put_back(table: ArrayMemoryTable, state: Mapping[str, Any], fill: Callable[[], None] | None = None) -> None:
    """Gives a cleared table the state that `take` gave.

    Args:
        table: has passed `check`.
        state: what `take` gave; or what `outline` gave, with `fill`.
        fill: called when every episode has its place, to load the rows; None: `state` holds them.
    """
    saved = state["episodes"]
    starts = {length: rows.numpy() for length, rows in saved["starts"].items()}
    table.episodes.load_state({**saved, "places": saved["places"].numpy(), "starts": starts})
    if fill is not None:
        fill()
    order = table.episodes.order()
    for name, storage in stored(table).items():
        if fill is None:
            storage.load(order, state["columns"][name].numpy())
        storage.extra = state["extra"][name]
    for strategy, key in ((table.sampler, "sampler"), (table.ejector, "ejector")):
        for identity, place in table.episodes.places.items():
            strategy.track(identity, place.steps)
        strategy.resume(state[key])


def stored(table: ArrayMemoryTable) -> dict[str, BaseStorage]:
    """The storages of the columns that are not virtual."""
    return {name: storage for name, storage in table.storages.items() if isinstance(storage, BaseStorage)}


def _strategies(table: ArrayMemoryTable) -> list[str]:
    return [type(table.sampler).__name__, type(table.ejector).__name__]
