"""When off-policy runs act at random and update: counted over the environments of all ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridrl.algos.counting import OffPolicySettings, StepPlan
from gridrl.algos.replay import Replay
from gridrl.errors import NotEnoughData


def plan(ranks: int = 1, **given: Any) -> StepPlan:
    """A plan of small numbers."""
    names = dict.fromkeys(OffPolicySettings.__dataclass_fields__)
    small = {"steps_per_epoch": 100, "start_steps": 10, "update_after": 20, "update_every": 8, "num_envs": 1}
    return StepPlan.of(OffPolicySettings(**{**names, **small, **given}), ranks)


def updates_at(plan: StepPlan, end: int, lost: int = 0) -> list[int]:
    """The steps after which updates follow, as a run would find them."""
    steps, found = 0, []
    while steps < end:
        steps += plan.until_next(steps, end)
        found += [steps] * plan.is_due(steps, lost)
    return found


def test_updates_come_around_once_more_than_update_after_were_collected() -> None:
    assert updates_at(plan(), 50) == [24, 32, 40, 48]
    assert updates_at(plan(update_after=24), 50) == [32, 40, 48]
    assert updates_at(plan(update_every=1), 23) == [21, 22, 23]
    assert updates_at(plan(), 50, lost=10) == [32, 40, 48]


def test_no_stretch_of_steps_crosses_the_end_of_random_actions() -> None:
    assert [plan().until_next(steps, 100) for steps in (0, 8, 9, 10, 16)] == [8, 2, 1, 6, 8]
    assert plan().until_next(96, 100) == 4


@pytest.mark.parametrize(
    ("ranks", "num_envs", "cycle", "updates", "epoch"),
    [(1, 1, 8, 8, 100), (2, 2, 2, 8, 25), (1, 3, 2, 6, 33), (4, 4, 1, 16, 6)],
)
def test_several_environments_share_the_steps(ranks: int, num_envs: int, cycle: int, updates: int, epoch: int) -> None:
    found = plan(ranks, num_envs=num_envs)
    assert (found.cycle, found.updates, found.epoch, found.width) == (cycle, updates, epoch, ranks * num_envs)
    assert plan(ranks, num_envs=num_envs, updates_per_cycle=3).updates == 3


def filled(replay: Replay, steps: int, num_envs: int = 1) -> None:
    """Puts steps of one endless episode into a replay."""
    for _ in range(steps):
        number = np.full((num_envs, 1), len(replay) // num_envs, np.float32)
        rows = {"obs": number, "action": number.astype(int), "reward": number[:, 0], "terminated": np.zeros(num_envs)}
        nobody = np.zeros(num_envs, bool)
        replay.staging.put(rows, nobody, nobody, {"obs": number + 1})


def test_few_of_the_newest_steps_wait_and_never_many() -> None:
    replay, rng = Replay(10_000, 1, 1, action_shape=(1,), action_dtype=np.int64), np.random.default_rng(0)
    with pytest.raises(NotEnoughData):
        replay.sample(1, rng)
    waiting = []
    for _ in range(8000):
        filled(replay, 1)
        batch = replay.sample(4, rng)
        waiting.append(replay.staging.staged)
        assert (batch["next_obs"] == batch["obs"] + 1).all()
    assert waiting[:100] == [0] * 100
    assert max(waiting[:1000]) <= 10
    assert max(waiting) == 63
    assert len(replay) == 8000


def test_transitions_of_several_steps_find_pieces_long_enough() -> None:
    replay = Replay(1000, 2, 1, action_shape=(1,), action_dtype=np.int64, n_step=3, gamma=0.5)
    filled(replay, 20, num_envs=2)
    rng = np.random.default_rng(0)
    spans = []
    for _ in range(300):
        filled(replay, 1, num_envs=2)
        batch = replay.sample(2, rng)
        assert batch["obs"].shape == batch["next_obs"].shape == (2, 1)
        span = (batch["next_obs"] - batch["obs"])[:, 0]
        assert (batch["bootstrap_discount"] == 0.5**span).all()
        spans += span.tolist()
    assert set(spans) == {1.0, 2.0, 3.0}
    assert spans.count(3.0) > 0.8 * len(spans)  # two of a piece's steps have fewer before them
    lengths = {place.steps for place in list(replay.table.episodes.places.values())[2:]}
    assert min(lengths) >= 48


def told(ranks: int, **given: Any) -> list[str]:
    """What a run over so many ranks says of its numbers."""
    names = dict.fromkeys(OffPolicySettings.__dataclass_fields__)
    whole = {"steps_per_epoch": 120, "update_every": 12, "num_envs": 1, "batch_size": 12, "start_steps": 0}
    settings = OffPolicySettings(**{**names, **whole, "update_after": 0, **given})
    return list(StepPlan.of(settings, ranks).differences(settings, ranks))


def test_numbers_that_ranks_and_environments_cannot_share_are_told_with_what_is_done() -> None:
    assert told(2, num_envs=3, updates_per_cycle=1) == []
    assert told(1, num_envs=7) == [
        "steps_per_epoch=120 is no multiple of 1 rank(s) x 7 environment(s): an epoch has 119 steps."
    ]
    # an update for each step, however many steps come between two cycles, is what was asked for
    assert told(1, num_envs=8) == []
    assert told(1, num_envs=8, updates_per_cycle=1) == [
        "update_every=12 is no multiple of 1 rank(s) x 8 environment(s): 1 update(s) follow every 8 steps."
    ]
    assert told(1, num_envs=24, updates_per_cycle=2) == [
        "update_every=12 is no multiple of 1 rank(s) x 24 environment(s): 2 update(s) follow every 24 steps."
    ]
    assert told(5, batch_size=12) == ["batch_size=12 is no multiple of 5 rank(s): an update has 10 transitions."]
