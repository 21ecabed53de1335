"""The columns for n-step updates against sums worked by hand, and against a slow loop over whole episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridrl.errors import BadValue, ColumnError
from gridrl.memory.columns import Column, TagColumn
from gridrl.memory.n_step import DISCOUNT, as_n_step, n_step_columns
from gridrl.memory.staging import Staging
from gridrl.memory.strategies import FifoEjectionStrategy, UniformSampleStrategy
from gridrl.memory.table import ArrayMemoryTable


def table(n: int, gamma: float, maxlen: int = 1000) -> ArrayMemoryTable:
    return ArrayMemoryTable(
        columns=[
            Column("obs", (1,), np.float32),
            Column("action", (), np.int64),
            Column("reward", (), np.float32),
            Column("terminated", (), np.float32),
            TagColumn("cut", (), np.float32),
            *n_step_columns(1, n, gamma),
        ],
        maxlen=maxlen,
        sampler=UniformSampleStrategy(),
        ejector=FifoEjectionStrategy(),
        length_key="action",
        adaptors=[as_n_step],
    )


def episode(first: int, rewards: list[float], dies: bool) -> dict[str, Any]:
    """Observations count up from `first`; the action is the step."""
    steps = len(rewards)
    return {
        "obs": np.arange(first, first + steps + 1.0)[:, None],
        "action": np.arange(steps),
        "reward": np.array(rewards, np.float32),
        "terminated": np.arange(steps) == steps - 1 if dies else np.zeros(steps),
        "cut": float(not dies),
    }


def by_start(memory: ArrayMemoryTable, draws: int = 2000) -> dict[float, tuple[float, ...]]:
    """Observation -> action, return, what came then, whether the world had ended, the discount."""
    found = memory.sample(draws, 1, np.random.default_rng(0))
    names = ("action", "reward", "next_obs", "terminated", DISCOUNT)
    columns = [found[name].reshape(-1).tolist() for name in names]
    return dict(zip(found["obs"].reshape(-1).tolist(), zip(*columns, strict=True), strict=True))


def test_three_steps_are_looked_over_and_fewer_at_the_end_of_an_episode() -> None:
    memory = table(3, 0.5)
    memory.add_sequence(0, episode(0, [1.0, 2.0, 4.0, 8.0], dies=True))
    memory.add_sequence(1, episode(100, [1.0, 2.0], dies=False))
    rows = by_start(memory)
    assert rows[0.0] == (0, 1 + 0.5 * 2 + 0.25 * 4, 3.0, 0.0, 0.125)
    assert rows[1.0] == (1, 2 + 0.5 * 4 + 0.25 * 8, 4.0, 1.0, 0.125)  # the third step is the death
    assert rows[2.0] == (2, 4 + 0.5 * 8, 4.0, 1.0, 0.25)
    assert rows[3.0] == (3, 8.0, 4.0, 1.0, 0.5)
    # a time limit: bootstrapped from what came last
    assert rows[100.0] == (0, 1 + 0.5 * 2, 102.0, 0.0, 0.25)
    assert rows[101.0] == (1, 2.0, 102.0, 0.0, 0.5)
    assert len(rows) == 6


def test_one_step_is_the_step_itself() -> None:
    memory = table(1, 0.9)
    memory.add_sequence(0, episode(0, [1.0, 2.0], dies=True))
    rows = by_start(memory)
    assert rows[0.0] == (0, 1.0, 1.0, 0.0, pytest.approx(0.9))
    assert rows[1.0] == (1, 2.0, 2.0, 1.0, pytest.approx(0.9))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_every_row_of_a_ring_that_has_come_around_is_what_a_loop_over_its_episode_gives(n: int) -> None:
    rng, gamma, memory = np.random.default_rng(n), 0.9, table(n, 0.9, maxlen=60)
    expected: dict[float, tuple[float, ...]] = {}
    for number in range(60):
        given = episode(1000 * number, rng.normal(size=rng.integers(1, 12)).tolist(), dies=bool(rng.random() < 0.5))
        memory.add_sequence(number, given)
        expected |= slowly(given, n, gamma)
    rows = by_start(memory)
    assert 50 <= len(rows) <= 60
    for start, row in rows.items():
        assert row == pytest.approx(expected[start], abs=1e-5), start


def slowly(given: dict[str, Any], n: int, gamma: float) -> dict[float, tuple[float, ...]]:
    found = {}
    steps = len(given["action"])
    for t in range(steps):
        k = min(n, steps - t)
        ret = sum(gamma**i * float(given["reward"][t + i]) for i in range(k))
        later = (float(given["obs"][t + k, 0]), float(given["terminated"][t + k - 1]))
        found[float(given["obs"][t, 0])] = (t, ret, *later, gamma**k)
    return found


def test_a_piece_of_an_episode_is_bootstrapped_where_it_was_cut() -> None:
    memory = table(3, 0.5)
    staging = Staging(memory, num_envs=1, steps=2, tag="cut")
    nobody = np.zeros(1, bool)
    for t in range(4):
        rows = {
            name: np.array([value], dtype)
            for name, value, dtype in (
                ("action", t, np.int64),
                ("reward", 1.0, np.float32),
                ("terminated", 0.0, np.float32),
            )
        }
        staging.put(
            rows | {"obs": np.array([[t]], np.float32)}, nobody, nobody, {"obs": np.array([[t + 1]], np.float32)}
        )
    staging.flush()
    rows = by_start(memory)
    assert rows[0.0] == (0, 1.5, 2.0, 0.0, 0.25)  # two steps of three: a return all the same
    assert rows[1.0] == (1, 1.0, 2.0, 0.0, 0.5)
    assert rows[2.0] == (2, 1.5, 4.0, 0.0, 0.25)


def test_rewards_of_episodes_that_have_left_are_in_no_return() -> None:
    """Rows are used again: those between two episodes may still hold what is no number."""
    memory = table(5, 0.9, maxlen=40)
    memory.add_sequence(0, episode(0, [float("nan")] * 30, dies=True))
    capacity, last = memory.episodes.capacity, 0
    for number in range(1, 80):
        memory.add_sequence(number, episode(100 * number, [1.0] * 3, dies=True))
        came_around, last = memory.episodes.places[number].start < last, memory.episodes.places[number].start
        if came_around:
            assert memory.sample(500, 1)["reward"].unique().tolist() == pytest.approx([1.0, 1.9, 2.71])
            return
    raise AssertionError(f"the ring of {capacity} rows has not come around")


def test_rewards_of_more_than_one_number_are_refused() -> None:
    columns = [Column("obs", (1,), np.float32), Column("action", (), np.int64), Column("reward", (2,), np.float32)]
    with pytest.raises(ColumnError, match=r"'n_step_return' has rows of shape \[\]: as many numbers as in \[2\]"):
        ArrayMemoryTable(
            columns=[*columns, Column("terminated", (), np.float32), *n_step_columns(1, 2, 0.9)],
            maxlen=10,
            sampler=UniformSampleStrategy(),
            ejector=FifoEjectionStrategy(),
            length_key="action",
        )


@pytest.mark.parametrize("n", [0, -1, 1.5, True])
def test_other_numbers_of_steps_are_refused(n: Any) -> None:
    with pytest.raises(BadValue, match=f"n_step={n!r}: a whole number from 1 on is needed"):
        n_step_columns(1, n, 0.9)
