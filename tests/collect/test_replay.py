"""What an explorer does in its worlds, step by step into a memory."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from gridrl.collect.replay import ReplayCollector
from gridrl.envs.stepping import make_worlds
from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.staging import Staging
from gridrl.memory.storage import NextElementMapper
from gridrl.memory.strategies import FifoEjectionStrategy, UniformSampleStrategy
from gridrl.memory.table import ArrayMemoryTable
from tests.collect import worlds
from tests.collect.worlds import TERMINATED, TRUNCATED, Plan, Scripted, Transition

PLANS: list[Plan] = [[(7, TRUNCATED), (5, TERMINATED)], [(3, TERMINATED), (11, TRUNCATED)]]


class Reusing(Scripted):
    """Writes every observation into the same array."""

    def _look(self) -> Any:
        self._shown = getattr(self, "_shown", np.zeros(1, np.float32))
        self._shown[:] = super()._look()
        return self._shown


class Follower:
    """Acts as everybody does, without chance."""

    def prepare(self, interactions: int) -> None: ...

    def draw(self, rng: np.random.Generator, count: int) -> None:
        return None

    def random(self, rng: np.random.Generator, count: int) -> Any:
        raise AssertionError("nobody acts at random here")

    def one(self, obs: Any, noise: Any) -> Any:
        return worlds.act(obs)

    batch = one

    def best(self, obs: Any) -> Any:
        return worlds.act(obs)


@pytest.mark.parametrize("kind", [Scripted, Reusing])
@pytest.mark.parametrize("num_envs", [1, 2])
def test_what_is_stored_is_what_plain_loops_see(kind: type[Scripted], num_envs: int) -> None:
    places = itertools.count()
    worlds_ = make_worlds(lambda: kind(place := next(places), PLANS[place]), num_envs)
    worlds_.reset(seed=None)
    columns = [
        *(Column(name, shape, np.float32) for name, shape in (("obs", (1,)), ("action", (1,)), ("reward", ()))),
        Column("terminated", (), np.float32),
        TagColumn("cut", (), np.float32),
        VirtualColumn("next_obs", (1,), np.float32, "obs", NextElementMapper),
    ]
    table = ArrayMemoryTable(
        columns=columns,
        maxlen=1000,
        sampler=UniformSampleStrategy(),
        ejector=FifoEjectionStrategy(),
        length_key="action",
        device="cpu",
    )
    staging = Staging(table, num_envs, steps=4, tag="cut")
    collector = ReplayCollector(worlds_, Follower(), staging, np.random.default_rng(0))
    for done in range(0, 60, 3):  # blocks end within a call and between two
        collector.collect(3, done)
    staging.flush()
    found = drawn(table)
    wanted: dict[float, Transition] = {}
    for place in range(num_envs):
        seen = sum(obs // 10_000 == place for obs in found)
        assert seen > 45
        wanted |= worlds.seen_by_a_plain_loop(PLANS[place], place, seen)
    assert found == {obs: masked(row) for obs, row in wanted.items()}


def drawn(table: ArrayMemoryTable) -> dict[float, Transition]:
    """All steps of a table, by the observation."""
    batch = table.sample(1500, 1)
    columns = (batch[name].reshape(-1).tolist() for name in ("obs", "action", "reward", "next_obs", "terminated"))
    rows = zip(*columns, strict=True)
    return {
        obs: masked(Transition(action, reward, following, dead == 1.0)) for obs, action, reward, following, dead in rows
    }


def masked(row: Transition) -> Transition:
    """What follows a death is in no episode: whatever stands there counts for nothing."""
    return row._replace(following=0.0) if row.terminated else row
