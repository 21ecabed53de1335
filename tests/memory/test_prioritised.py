from __future__ import annotations

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, ColumnError, NotEnoughData
from gridrl.memory.columns import Column
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.strategies import UniformEjectionStrategy
from tests.memory.tables import COLUMNS, check_sample, episode, make_table


def shares(strategy: PrioritisedSampleStrategy) -> dict[tuple[int, int], float]:
    """The probability of each step, read from the leaves one by one."""
    leaves = {
        (identity, step): strategy._tree[place.start + step]
        for identity, place in strategy.episodes.places.items()
        for step in range(place.steps)
    }
    whole = sum(leaves.values())
    assert whole == pytest.approx(strategy._tree.total), "nothing else is in the tree"
    return {point: leaf / whole for point, leaf in leaves.items()}


def test_steps_are_drawn_by_their_priorities() -> None:
    sampler = PrioritisedSampleStrategy(alpha=1.0, epsilon=1e-9, seed=3)
    table = make_table(sampler=sampler)
    table.add_sequence(0, episode(0, 3))
    table.add_sequence(1, episode(1, 2))
    sampler.on_sample([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (8, 0)], 1, np.array([1.0, -2.0, 3.0, 4.0, 0.0, 7.0]))
    assert shares(sampler) == pytest.approx({(0, 0): 0.1, (0, 1): 0.2, (0, 2): 0.3, (1, 0): 0.4, (1, 1): 0.0}, abs=1e-6)
    found, count = np.unique(table.sample(10_000, 1)["obs"].numpy(), axis=0, return_counts=True)
    assert found.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0]]
    assert np.abs(count - [1000, 2000, 3000, 4000]).max() <= 2, "stratified: nearly exact"


def test_weights_make_up_for_unequal_draws() -> None:
    sampler = PrioritisedSampleStrategy(alpha=0.5, beta=1.0, epsilon=1e-9)
    table = make_table(sampler=sampler)
    table.add_sequence(0, episode(0, 2))
    sampler.on_sample([(0, 0), (0, 1)], 1, [4.0, 1.0])  # probabilities 2/3 and 1/3
    sample = table.sample(90, 1)
    step = sample["obs"][:, 1]
    assert sample["weight"].dtype == torch.float32
    assert step.sum() == pytest.approx(30, abs=1)
    assert sample["weight"].numpy() == pytest.approx(np.where(step == 0, 0.5, 1.0))
    sampler.beta = 0.0
    assert table.sample(9, 1)["weight"].tolist() == [1.0] * 9


def test_new_steps_have_the_largest_priority_so_far() -> None:
    sampler = PrioritisedSampleStrategy(alpha=1.0, epsilon=1e-9)
    table = make_table(sampler=sampler)
    table.add_sequence(0, episode(0, 2))
    table.update_priorities(table.sample(20, 1)["index"], torch.full((20,), 5.0))
    table.add_sequence(1, episode(1, 1))
    assert shares(sampler) == pytest.approx(dict.fromkeys([(0, 0), (0, 1), (1, 0)], 1 / 3))


def test_priorities_follow_their_steps_wherever_they_move() -> None:
    """Random adds, ejections and updates against a dict; some updates come when the step has left."""
    rng = np.random.default_rng(0)
    sampler = PrioritisedSampleStrategy(alpha=1.0, epsilon=1e-3)
    table = make_table(400, sampler=sampler, ejector=UniformEjectionStrategy())
    wanted: dict[tuple[int, int], float] = {}
    late = None
    for identity in range(200):
        steps = int(rng.integers(1, 60))
        capacity = table.episodes.capacity
        table.add_sequence(identity, episode(identity, steps))
        wanted.update({(identity, step): sampler._largest for step in range(steps)})
        wanted = {point: value for point, value in wanted.items() if point[0] in table.episodes}
        if late is not None and table.episodes.capacity == capacity and identity % 2:
            table.update_priorities(late, torch.zeros(len(late)))  # of steps, some of which have gone
            kept = sampler._still_there(late.numpy(), np.zeros(len(late)))[0][:, 0]
            wanted.update(dict.fromkeys(sampler.episodes.points(kept), 1e-3))
        sample = table.sample(30, 1)
        priority = torch.from_numpy(rng.random(30))
        late = sample["index"]
        table.update_priorities(late, priority)
        for (i, t), value in zip(sample["obs"].tolist(), priority.tolist(), strict=True):
            wanted[int(i), int(t)] = value + 1e-3
        whole = sum(wanted.values())
        assert shares(sampler) == pytest.approx({point: value / whole for point, value in wanted.items()})


def test_a_late_priority_never_goes_to_another_step() -> None:
    """Rows of an episode are moved, by fewer than it has, between a draw and what is learned from it."""
    sampler = PrioritisedSampleStrategy(alpha=1.0, epsilon=1e-9)
    table = make_table(2000, sampler=sampler)
    table.add_sequence(0, episode(0, 5))
    table.add_sequence(1, episode(1, 100))
    sample = table.sample(500, 1)
    table.resize(100)  # the first episode leaves
    table.resize(2000)
    start, identity = table.episodes.places[1].start, 2
    while table.episodes.places[1].start == start:
        table.add_sequence(identity, episode(identity, 100))
        identity += 1
    table.update_priorities(sample["index"], sample["obs"][:, 1] + 2)
    place = table.episodes.places[1]
    for step in range(100):
        assert sampler._tree[place.start + step] in (1.0, step + 2.0 + 1e-9)
    now = table.sample(500, 1)
    table.update_priorities(now["index"], now["obs"][:, 0] + 3)
    assert sampler._largest == pytest.approx(identity + 2)


def test_sequences_fit_into_their_episodes_even_where_the_priorities_are_elsewhere() -> None:
    sampler = PrioritisedSampleStrategy(alpha=1.0, epsilon=1e-9, seed=1)
    table = make_table(sampler=sampler)
    lengths = {0: 8, 1: 2, 2: 3}
    for identity, steps in lengths.items():
        table.add_sequence(identity, episode(identity, steps))
    sampler.on_sample([(0, t) for t in range(6)], 1, np.arange(6) / 1e6)  # the rest has a priority of 1
    sample = table.sample(3000, 3)
    check_sample(sample, lengths, 3000, 3)
    found = sample["obs"][::3].tolist()
    assert found.count([2, 0]) > 2900
    sampler.on_sample([(2, 0)], 1, [0.0])
    starts = [int(t) for _, t in table.sample(3000, 3)["obs"][::3].tolist()]
    share = np.bincount(starts, minlength=6) / 3000
    assert share == pytest.approx(np.arange(6) / 15, abs=0.04)


def test_clearing_forgets_priorities() -> None:
    sampler = PrioritisedSampleStrategy()
    table = make_table(sampler=sampler)
    table.add_sequence(0, episode(0, 5))
    old = table.sample(4, 1)["index"]
    table.clear()
    with pytest.raises(NotEnoughData):
        table.sample(1, 1)
    table.add_sequence(0, episode(0, 2))
    table.add_sequence(1, episode(1, 2))
    table.update_priorities(old, np.full(4, 9.0))
    sampler.on_sample([(0, 4)], 1, [9.0])  # a step of the longer episode that had this identity
    assert shares(sampler) == pytest.approx(dict.fromkeys([(0, 0), (0, 1), (1, 0), (1, 1)], 0.25))


def test_used_alone_it_keeps_its_own_account() -> None:
    strategy = PrioritisedSampleStrategy(alpha=1.0, epsilon=1e-9)
    for identity in range(100):
        strategy.track(identity, 10)
    strategy.forget(5)
    strategy.on_sample([(i, t) for i in range(100) for t in range(10) if i != 7], 1, np.zeros(990))
    assert {identity for identity, _ in strategy.sample(50, 1)} == {7}
    strategy.on_sample([(0, 0)], 1, None)


def test_a_column_with_the_name_of_what_the_sampler_adds_is_refused() -> None:
    columns = (*COLUMNS, Column("weight", (), np.float32))
    with pytest.raises(ColumnError, match=r"^Column 'weight': what the sampler adds .* has this name"):
        make_table(columns=columns, sampler=PrioritisedSampleStrategy())
    assert "weight" in make_table(columns=columns).columns


@pytest.mark.parametrize("priority", [[-1.0], [np.nan], [np.inf]])
def test_priorities_that_cannot_be_are_told(priority: list[float]) -> None:
    table = make_table(sampler=PrioritisedSampleStrategy())
    table.add_sequence(0, episode(0, 2))
    with pytest.raises(BadValue, match="priority: numbers from 0 on are needed"):
        table.update_priorities(table.sample(1, 1)["index"], priority)
    with pytest.raises(BadValue, match="one for each of 2 steps is needed, not 1"):
        table.update_priorities(table.sample(2, 1)["index"], [1.0])
    with pytest.raises(BadValue, match="alpha and beta are 0 or more"):
        PrioritisedSampleStrategy(alpha=-1.0)
    with pytest.raises(BadValue, match="A UniformSampleStrategy has no priorities"):
        make_table().update_priorities(np.zeros((1, 2)), [1.0])
