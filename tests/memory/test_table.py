from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, ColumnError, DiskFull, NotEnoughData, ShapeError
from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.storage import NextElementMapper, NextNElementWrapper, SyntheticDones, VirtualStorage
from gridrl.memory.strategies import (
    CoverageBasedEjectionStrategy,
    FifoEjectionStrategy,
    UniformEjectionStrategy,
    UniformSampleStrategy,
)
from gridrl.memory.table import ArrayMemoryTable
from tests.memory.tables import COLUMNS, check_sample, episode, later, make_table


@pytest.mark.parametrize("in_files", [False, True])
@pytest.mark.parametrize("ejector", [FifoEjectionStrategy, UniformEjectionStrategy, CoverageBasedEjectionStrategy])
def test_whatever_is_added_and_leaves_samples_are_rows_of_what_is_there(
    ejector: type, in_files: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    table = make_table(300, ejector=ejector(), directory=tmp_path / "columns" if in_files else None)
    for identity in range(120):
        steps = int(rng.integers(1, 60 if identity % 3 else 8))
        table.add_sequence(identity, episode(identity, steps))
        lengths = {identity: place.steps for identity, place in table.episodes.places.items()}
        assert identity in lengths
        assert table.size() == sum(lengths.values()) <= 300
        length = int(rng.integers(1, max(lengths.values()) + 1))
        check_sample(table.sample(6, length), lengths, 6, length)
    assert table.full()
    assert {name: len(table.storages[name][119]) for name in ("obs", "actions")} == {
        "obs": table.episodes.places[119].steps + 1,
        "actions": table.episodes.places[119].steps,
    }


@pytest.mark.parametrize("n", [1, 2, 5])
def test_rows_of_n_steps_later_are_only_drawn_where_there_are_any(n: int) -> None:
    table = make_table(columns=(*COLUMNS, later(n)))
    lengths = {0: 4, 1: 6, 2: 9}
    for identity, steps in lengths.items():
        table.add_sequence(identity, episode(identity, steps))
    for length in (1, 3):
        sample = table.sample(200, length)
        check_sample(sample, lengths, 200, length, n)
        starts = {(int(i), int(t)) for i, t in sample["obs"][::length].tolist()}
        assert starts == {(i, t) for i, steps in lengths.items() for t in range(steps - length - (n - 1) + 1)}


@pytest.mark.parametrize("length", [1, 3, 7])
def test_each_start_is_drawn_with_the_same_probability(length: int) -> None:
    table = make_table(sampler=UniformSampleStrategy(seed=11))
    lengths = {0: 3, 1: 9, 2: 7, 3: 1}
    for identity, steps in lengths.items():
        table.add_sequence(identity, episode(identity, steps))
    points = [(i, t) for i, steps in lengths.items() for t in range(steps - length + 1)]
    draws = 1000 * len(points)
    found, count = np.unique(table.sample(draws, length)["obs"][::length].numpy(), axis=0, return_counts=True)
    assert [tuple(row) for row in found.tolist()] == points
    # the distribution of chi-square is near normal with these degrees of freedom; 4 standard deviations beyond its mean
    free = len(points) - 1
    assert ((count - 1000) ** 2 / 1000).sum() < free + 4 * (2 * free) ** 0.5


def test_a_generator_draws_the_same_again() -> None:
    table = make_table()
    table.add_sequence(0, episode(0, 500))
    first, second = (table.sample(50, 2, np.random.default_rng(3))["actions"] for _ in range(2))
    assert first.equal(second)
    assert not first.equal(table.sample(50, 2)["actions"])


def test_samples_are_copies() -> None:
    table = make_table()
    table.add_sequence(0, episode(0, 3))
    table.sample(3, 1)["obs"].zero_()
    table.sample(1, 3)["actions"].zero_()
    check_sample(table.sample(1, 3), {0: 3}, 1, 3)


def test_columns_keep_their_dtypes_and_shapes() -> None:
    table = make_table()
    table.add_sequence(0, episode(0, 5))
    kinds = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in table.sample(4, 2).items()}
    assert kinds == {
        "obs": ((8, 2), torch.float64),
        "actions": ((8,), torch.int64),
        "rewards": ((8, 1), torch.float32),
        "tag": ((4,), torch.float32),
        "next_obs": ((8, 2), torch.float64),
        "last_obs": ((4, 2), torch.float64),
        "dones": ((8, 1), torch.bool),
        "masks": ((8, 1), torch.float32),
    }


def test_a_mapper_of_ones_own_is_asked_episode_by_episode() -> None:
    class Doubled(VirtualStorage):
        def __getitem__(self, identity: int) -> Any:
            return 2 * self.storage[identity]

    table = make_table(columns=(*COLUMNS, VirtualColumn("double", (1,), np.int64, "actions", Doubled)))
    table.add_sequence(3, episode(3, 6))
    sample = table.sample(20, 4)
    assert sample["double"][:, 0].equal(2 * sample["actions"])


def test_clearing_and_resizing() -> None:
    table = make_table(20)
    for identity in range(5):
        table.add_sequence(identity, episode(identity, 6))
    assert (table.size(), table.full(), list(table.episodes.places)) == (18, True, [2, 3, 4])
    table.resize(40)
    assert not table.full()
    table.add_sequence(5, episode(5, 20))
    assert (table.size(), table.full()) == (38, False)
    table.resize(30)
    assert (table.size(), table.full(), list(table.episodes.places)) == (26, True, [4, 5])
    table.clear()
    assert (table.size(), table.full()) == (0, False)
    with pytest.raises(NotEnoughData):
        table.sample(1, 1)
    table.add_sequence(5, episode(5, 3))
    check_sample(table.sample(9, 2), {5: 3}, 9, 2)
    with pytest.raises(BadValue, match="new_size: at least 1"):
        table.resize(0)


def wrong(**changes: Any) -> dict[str, Any]:
    sequence = episode(9, 4) | changes
    return {name: value for name, value in sequence.items() if value is not None}


@pytest.mark.parametrize(
    ("identity", "sequence", "error", "told"),
    [
        (9, wrong(obs=np.zeros((5, 3))), ColumnError, r"'obs' has rows of shape \[2\]: \[5, 3\] was given"),
        (9, wrong(obs=np.zeros((7, 2))), ColumnError, r"'obs' has 7 rows for 4 steps: 5 are needed, as in the"),
        (9, wrong(obs=np.zeros((4, 2))), ColumnError, r"'obs' has 4 rows for 4 steps: 5 are needed"),
        (9, wrong(actions=[0.5] * 4), ColumnError, "'actions' holds int64: float64 would lose what it says"),
        (9, wrong(actions=["left"] * 4), ColumnError, "'actions': rows of numbers are needed"),
        (9, wrong(actions=3), ColumnError, "'actions'"),
        (9, wrong(obs=[[0.0, 1.0], [2.0]]), ColumnError, "'obs': its rows differ in shape"),
        (9, wrong(actions=[[1], [2, 3]]), ColumnError, "'actions': its rows differ in shape"),
        (9, wrong(rewards=None), ColumnError, "Columns are missing: 'rewards'"),
        (9, wrong(action=[1] * 4), ColumnError, "There is no column 'action' to fill. Did you mean 'actions'"),
        (9, wrong(dones=[0] * 4), ColumnError, "There is no column 'dones' to fill"),
        (9, wrong(tag=[1.0, 2.0]), None, ""),
        (9, wrong(tag=[]), ColumnError, "'tag' holds one float32"),
        (0, wrong(), BadValue, "identity 0 is taken"),
        (-3, wrong(), BadValue, "identity -3: a whole number from 0"),
        (9, episode(9, 51), ShapeError, "Episode 9 has 51 steps, the table holds 50: cut it into pieces, or make"),
        (9, wrong(actions=[], rewards=[], obs=np.zeros((1, 2))), BadValue, "has at least one step"),
    ],
)
def test_what_cannot_be_added_is_told_and_changes_nothing(
    identity: int, sequence: dict[str, Any], error: type[Exception] | None, told: str
) -> None:
    table = make_table(50)
    for number in range(5):
        table.add_sequence(number, episode(number, 10))
    if error is None:
        table.add_sequence(identity, sequence)
        return
    with pytest.raises(error, match=told):
        table.add_sequence(identity, sequence)
    assert (table.size(), table.full(), list(table.episodes.places)) == (50, False, [0, 1, 2, 3, 4])
    check_sample(table.sample(50, 3), dict.fromkeys(range(5), 10), 50, 3)


def test_all_faults_of_a_sequence_are_told_at_once() -> None:
    table = make_table()
    with pytest.raises(ColumnError) as told:
        table.add_sequence(0, wrong(obs=np.zeros((5, 3)), actions=[0.5] * 4))
    assert len(str(told.value).splitlines()) == 2


def test_sampling_too_much_or_nothing_is_told() -> None:
    table = make_table()
    table.add_sequence(0, episode(0, 4))
    with pytest.raises(NotEnoughData, match=r"A sequence of 5 steps, .* was asked for; the memory holds 1 episodes"):
        table.sample(1, 5)
    with pytest.raises(BadValue, match="count and sequence_length: at least 1 is needed, not 0 and 1"):
        table.sample(0, 1)


def test_a_target_without_a_last_row_shortens_the_sequences() -> None:
    columns = (
        Column("actions", (), np.int64),
        VirtualColumn("next", (), np.int64, "actions", NextElementMapper),
    )
    table = make_table(columns=columns)
    table.add_sequence(0, {"actions": [5, 6, 7]})
    sample = table.sample(20, 2)
    assert set(zip(sample["actions"].tolist(), sample["next"].tolist(), strict=True)) == {(5, 6), (6, 7)}
    with pytest.raises(NotEnoughData):
        table.sample(1, 3)
    two_later = VirtualColumn("later", (), np.int64, "actions", NextNElementWrapper.with_n(2))
    table = make_table(columns=(columns[0], two_later))
    table.add_sequence(0, {"actions": [5, 6, 7, 8]})
    sample = table.sample(20, 2)
    assert set(zip(sample["actions"].tolist(), sample["later"].tolist(), strict=True)) == {(5, 7), (6, 8)}
    with pytest.raises(ShapeError, match="a number from 0 on is needed, not -1"):
        make_table(columns=(*COLUMNS, later(-1)))


def test_a_table_is_described_by_columns_that_fit_together() -> None:
    columns = (
        Column("obs", (2,), np.float32),
        Column("obs", (3,), np.float32),
        TagColumn("actions", (), np.int64),
        VirtualColumn("dones", (), np.bool_, "action", SyntheticDones),
    )
    with pytest.raises(ColumnError) as told:
        make_table(columns=columns)
    assert str(told.value).splitlines() == [
        "Column 'obs' stands twice.",
        "Column 'dones' is made from 'action', which is not stored. Did you mean 'actions'?",
        "length_key: no column 'actions' is stored by step. Did you mean 'actions'?",
    ]
    for mapper, target in (
        (NextElementMapper, "obs"),
        (NextNElementWrapper.with_n(2), "obs"),
        (SyntheticDones, "actions"),
    ):
        other = VirtualColumn("made", (4,), np.float64, target, mapper)
        with pytest.raises(
            ColumnError, match=r"^Column 'made' has rows of shape \[4\]: as many numbers as in \[2?\] are"
        ):
            make_table(columns=(*COLUMNS, other))
    with pytest.raises(BadValue, match="maxlen: at least 1 step is needed, not 0"):
        make_table(0)


def test_a_strategy_serves_one_table() -> None:
    sampler = UniformSampleStrategy()
    make_table(sampler=sampler)
    with pytest.raises(BadValue, match="This UniformSampleStrategy is in use already"):
        make_table(sampler=sampler)


def test_threads_add_and_sample_side_by_side() -> None:
    table = make_table(400)
    faults: list[BaseException] = []

    def add(first: int) -> None:
        try:
            for identity in range(first, first + 60):
                table.add_sequence(identity, episode(identity, 3 + identity % 20))
        except BaseException as error:
            faults.append(error)

    table.add_sequence(0, episode(0, 30))
    threads = [threading.Thread(target=add, args=(first,)) for first in (1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        sample = table.sample(16, 2)
        obs = sample["obs"].reshape(16, 2, 2)
        assert (obs[:, 1] - obs[:, 0]).tolist() == [[0.0, 1.0]] * 16
        assert sample["tag"].tolist() == obs[:, 0, 0].tolist()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_full_disk_under_mapped_columns_is_told_and_changes_nothing(tiny_disk: Path) -> None:
    table = make_table(5000, directory=tiny_disk / "rows")

    def fill() -> None:
        for identity in range(table.size() // 10, 400):
            table.add_sequence(identity, episode(identity, 10))

    for _ in range(2):
        with pytest.raises(DiskFull, match=r"rows: the table cannot grow; it stands as it was: no space is left"):
            fill()
        lengths = {identity: place.steps for identity, place in table.episodes.places.items()}
        assert len(lengths) > 40
        check_sample(table.sample(300, 4), lengths, 300, 4)
    assert not list(tiny_disk.rglob("*.new"))


def test_a_million_operations_leave_nothing_behind() -> None:
    """A million steps come and go, and as many are drawn: the size stays, and so do the arrays."""
    rng = np.random.default_rng(1)
    columns = (Column("actions", (), np.int64), VirtualColumn("dones", (), np.bool_, "actions", SyntheticDones))
    table = ArrayMemoryTable(
        columns=columns, maxlen=5000, sampler=UniformSampleStrategy(), ejector=UniformEjectionStrategy()
    )
    capacities, moved = set(), 0
    while moved < 1_000_000:
        steps = int(rng.integers(1, 600))
        table.add_sequence(moved, {"actions": np.full(steps, moved)})
        moved += steps
        owner = table.sample(steps, 1)["actions"].numpy()
        assert set(owner.tolist()) <= set(table.episodes.places)
        if moved > 100_000:
            capacities.add(table.episodes.capacity)
    assert len(capacities) <= 2
    assert table.size() == sum(place.steps for place in table.episodes.places.values()) <= 5000
    assert table.size() == np.count_nonzero(table.episodes.left) == table.episodes.starts(1).count
    assert table.size() + len(table.episodes) == np.count_nonzero(table.episodes.owner >= 0)
