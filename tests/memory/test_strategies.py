from __future__ import annotations

from collections import Counter
from typing import TypeVar

import numpy as np
import pytest

from gridrl.errors import NotEnoughData
from gridrl.memory.strategies import (
    CoverageBasedEjectionStrategy,
    CoverageBasedSampleStrategy,
    FifoEjectionStrategy,
    FifoSampleStrategy,
    UniformEjectionStrategy,
    UniformSampleStrategy,
)
from gridrl.memory.strategy import EjectionStrategy, SampleStrategy
from tests.memory.tables import check_sample, episode, make_table

SAMPLERS = [UniformSampleStrategy, FifoSampleStrategy, CoverageBasedSampleStrategy]
EJECTORS = [UniformEjectionStrategy, FifoEjectionStrategy, CoverageBasedEjectionStrategy]
Kind = TypeVar("Kind", SampleStrategy, EjectionStrategy)


def told_of(strategy: Kind, lengths: dict[int, int]) -> Kind:
    for identity, steps in lengths.items():
        strategy.track(identity, steps)
    return strategy


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_sampler_draws_sequences_that_are_there(kind: type[SampleStrategy]) -> None:
    lengths = {4: 3, 7: 10, 2: 5}
    strategy = told_of(kind(), lengths)
    strategy.forget(7)
    for length in (1, 3, 5):
        points = strategy.sample(100, length)
        assert len(points) == 100
        assert all(identity != 7 and 0 <= step <= lengths[identity] - length for identity, step in points)
    with pytest.raises(NotEnoughData):
        strategy.sample(1, 6)
    strategy.clear()
    with pytest.raises(NotEnoughData):
        strategy.sample(1, 1)


@pytest.mark.parametrize("kind", EJECTORS)
def test_an_ejector_chooses_episodes_with_enough_steps_each_once(kind: type[EjectionStrategy]) -> None:
    lengths = {identity: 1 + identity % 7 for identity in range(40)}
    strategy = told_of(kind(), lengths)
    for count in (1, 10, 60, sum(lengths.values()), 10_000):
        chosen = list(strategy.sample(count))
        assert len(set(chosen)) == len(chosen)
        freed = [lengths[identity] for identity in chosen]
        assert sum(freed) >= min(count, sum(lengths.values()))
        assert count > sum(lengths.values()) or sum(freed[:-1]) < count, "none leaves without need"


@pytest.mark.parametrize("count", [2, 12])  # few of all, and most of all
def test_uniform_ejection_is_by_steps(count: int) -> None:
    strategy = told_of(UniformEjectionStrategy(seed=1), {0: 4, 1: 8, 2: 2})
    first = Counter(strategy.sample(count)[0] for _ in range(7000))
    expected = {0: 2000, 1: 4000, 2: 1000}
    assert sum((first[i] - n) ** 2 / n for i, n in expected.items()) < 13.8  # 2 degrees of freedom, p = 0.001


def test_fifo_draws_go_through_the_episodes_and_begin_again() -> None:
    strategy = told_of(FifoSampleStrategy(), {5: 3, 1: 1, 9: 4, 2: 3})
    assert [identity for identity, _ in strategy.sample(7, 2)] == [5, 9, 2, 5, 9, 2, 5]
    assert [identity for identity, _ in strategy.sample(1, 2)] == [9]
    strategy.track(3, 2)
    strategy.forget(2)
    assert [identity for identity, _ in strategy.sample(2, 2)] == [3, 5]


def test_fifo_draws_can_lie_side_by_side() -> None:
    strategy = told_of(FifoSampleStrategy(per_episode=False, random_offset=False), {5: 5, 1: 1, 9: 4})
    assert strategy.sample(3, 2) == [(5, 0), (5, 2), (9, 0)]
    assert strategy.sample(3, 2) == [(9, 2), (5, 0), (5, 2)]
    assert strategy.sample(4, 1) == [(1, 0), (9, 0), (9, 1), (9, 2)]
    shifted = told_of(FifoSampleStrategy(per_episode=False), {5: 5})
    assert {tuple(shifted.sample(2, 2)) for _ in range(50)} >= {((5, 0), (5, 2)), ((5, 1), (5, 3))}


def test_fifo_ejection_takes_the_oldest() -> None:
    strategy = told_of(FifoEjectionStrategy(), {5: 3, 1: 1, 9: 4})
    strategy.forget(1)
    assert strategy.sample(4) == [5, 9]
    again = FifoEjectionStrategy()
    again.load_state(strategy.state())
    assert (again.state(), again.sample(1)) == (strategy.state(), [5])


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_coverage_favours_what_has_been_drawn_less(alpha: float) -> None:
    """Two episodes of one length, the older one drawn 100 times: how many of 100 more draws go to the other one."""
    strategy = told_of(CoverageBasedSampleStrategy(alpha, seed=2), {0: 10})
    for _ in range(10):
        strategy.sample(10, 1)
    strategy.track(1, 10)
    drawn = Counter(identity for _ in range(100) for identity, _ in strategy.sample(1, 1))
    expected = [100.0, 0.0]
    for _ in range(100):
        weight = [(times + 1) ** -alpha for times in expected]
        expected = [times + w / sum(weight) for times, w in zip(expected, weight, strict=True)]
    assert abs(drawn[1] - expected[1]) < 15  # three standard deviations of a hundred fair draws
    assert strategy.state() == {"drawn": [[0, 100 + drawn[0]], [1, drawn[1]]]}


def test_coverage_draws_starts_evenly_as_long_as_nothing_has_been_drawn_more() -> None:
    points: Counter[tuple[int, int]] = Counter()
    for seed in range(1500):
        strategy = told_of(CoverageBasedSampleStrategy(seed=seed), {0: 2, 1: 4, 2: 6})
        points.update(strategy.sample(1, 3))
    assert sorted(points) == [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]
    assert sum((n - 250) ** 2 / 250 for n in points.values()) < 20.5  # 5 degrees of freedom, p = 0.001


def test_coverage_ejection_takes_up_the_counts_of_a_sampler() -> None:
    sampler = told_of(CoverageBasedSampleStrategy(), {0: 10})
    sampler.sample(10_000, 1)
    sampler.track(1, 10)
    ejector = told_of(CoverageBasedEjectionStrategy(1.0), {0: 10, 1: 10})
    ejector.load_state(sampler.state())
    assert Counter(ejector.sample(1)[0] for _ in range(50)) == {1: 50}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_every_sampler_serves_a_table(kind: type[SampleStrategy]) -> None:
    table = make_table(60, sampler=kind())
    for identity in range(30):
        table.add_sequence(identity, episode(identity, 2 + identity % 9))
        lengths = {identity: place.steps for identity, place in table.episodes.places.items()}
        check_sample(table.sample(12, 2), lengths, 12, 2)


def test_a_strategy_of_ones_own_needs_only_what_is_documented() -> None:
    class Newest(SampleStrategy):
        def __init__(self) -> None:
            super().__init__()
            self.identities: list[int] = []

        def track(self, identity: int, sequence_length: int) -> None:
            self.identities.append(identity)

        def forget(self, identity: int) -> None:
            self.identities.remove(identity)

        def sample(self, count: int, transition_count: int) -> list[tuple[int, int]]:
            return [(self.identities[-1], 0)] * count

    table = make_table(20, sampler=Newest())
    for identity in range(6):
        table.add_sequence(identity, episode(identity, 6))
        assert table.sample(2, 3)["tag"].tolist() == [identity, identity]


def test_the_same_seed_draws_the_same() -> None:
    for kind in SAMPLERS:
        one, other = (told_of(kind(seed=np.random.default_rng(4)), {0: 50, 1: 70}) for _ in range(2))
        assert one.sample(20, 5) == other.sample(20, 5)
