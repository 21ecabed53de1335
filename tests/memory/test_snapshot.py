from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import CheckpointError
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.strategies import (
    CoverageBasedEjectionStrategy,
    CoverageBasedSampleStrategy,
    FifoEjectionStrategy,
    FifoSampleStrategy,
    UniformEjectionStrategy,
    UniformSampleStrategy,
)
from gridrl.memory.table import ArrayMemoryTable
from tests.memory.tables import COLUMNS, episode, make_table


def go_on(table: ArrayMemoryTable, first: int, times: int) -> list[dict[str, Any]]:
    """Adds, draws, and sets priorities where there are any."""
    samples = []
    for identity in range(first, first + times):
        table.add_sequence(identity, episode(identity, 3 + identity * 7 % 30))
        samples += [table.sample(9, 1), table.sample(3, 3)]
        if "index" in samples[-2]:
            table.update_priorities(samples[-2]["index"], samples[-2]["actions"] % 11)
    return samples


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize(
    ("sampler", "ejector"),
    [
        (UniformSampleStrategy, UniformEjectionStrategy),
        (FifoSampleStrategy, FifoEjectionStrategy),
        (CoverageBasedSampleStrategy, CoverageBasedEjectionStrategy),
        (PrioritisedSampleStrategy, FifoEjectionStrategy),
    ],
)
def test_the_same_draws_follow(sampler: type, ejector: type, tmp_path: Path) -> None:
    table = make_table(200, sampler=sampler(seed=1), ejector=ejector())
    go_on(table, 0, 40)
    again = make_table(200, sampler=sampler(seed=2), ejector=ejector(), directory=tmp_path)
    go_on(again, 900, 3)
    again.load_state_dict(saved_and_loaded(table.state_dict()))
    assert (again.size(), again.full()) == (table.size(), True)
    for wanted, found in zip(go_on(table, 40, 40), go_on(again, 40, 40), strict=True):
        assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_checkpoint_of_another_table_is_told_and_changes_nothing() -> None:
    table = make_table(200)
    go_on(table, 0, 9)
    other = make_table(columns=COLUMNS[:3])
    go_on_without_tag = {name: value for name, value in episode(0, 4).items() if name != "tag"}
    other.add_sequence(0, go_on_without_tag)
    with pytest.raises(CheckpointError, match=r"of a table with the columns .*'tag'"):
        other.load_state_dict(table.state_dict())
    assert other.size() == 4
    small = make_table(20)
    with pytest.raises(CheckpointError, match=r"holds \d+ steps, the table at most 20"):
        small.load_state_dict(table.state_dict())
    small.load_state_dict(table.state_dict(), load_hparams=False)
    assert small.size() == 0


def test_a_state_is_a_copy() -> None:
    table = make_table()
    table.add_sequence(0, episode(0, 5))
    table.sample(2, 1)
    state = table.state_dict()
    table.clear()
    table.add_sequence(1, episode(1, 9))
    table.load_state_dict(state)
    assert np.array_equal(table.storages["obs"][0], episode(0, 5)["obs"])


def test_a_state_taken_before_any_episode_has_left_the_middle_draws_the_same() -> None:
    for more in range(8):
        table, again = (
            make_table(200, sampler=UniformSampleStrategy(seed=1), ejector=UniformEjectionStrategy(seed=2))
            for _ in range(2)
        )
        for identity in range(19):
            table.add_sequence(identity, episode(identity, 10))
        table.sample(4, 3)
        for identity in range(100, 100 + more):
            table.add_sequence(identity, episode(identity, 3))
        again.load_state_dict(saved_and_loaded(table.state_dict()))
        for one in (table, again):
            for identity in range(200, 203):
                one.add_sequence(identity, episode(identity, 12))
        assert table.sample(20, 3)["actions"].equal(again.sample(20, 3)["actions"])
