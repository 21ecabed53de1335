from __future__ import annotations

from itertools import islice

import pytest

from gridrl.errors import ColumnError, NotEnoughData
from gridrl.memory.loader import JointMemoryLoader, JointMemoryLoaderWithDataGroup, MemoryLoader
from gridrl.memory.table import ArrayMemoryTable
from gridrl.train.callback import Callback
from gridrl.train.trainer import Trainer
from tests.memory.tables import check_sample, episode, make_table


def filled(steps: int = 20) -> ArrayMemoryTable:
    table = make_table()
    table.add_sequence(0, episode(0, steps))
    return table


def test_batches_come_for_ever_as_a_data_group() -> None:
    loader = MemoryLoader(filled(), 4, 3, "batch_size")
    for batch in islice(loader, 5):
        assert set(batch) == {"default", "batch_size"}
        assert batch["batch_size"] == batch["default"]["batch_size"] == 12
        check_sample(batch["default"], {0: 20}, 4, 3)


def test_a_loader_waits_for_enough_steps() -> None:
    table = filled(11)
    loader = MemoryLoader(table, 4, 3, "batch_size")
    assert not loader.is_ready()
    with pytest.raises(NotEnoughData, match="The table holds 11 steps, a batch takes 12: collect more"):
        next(iter(loader))
    table.add_sequence(1, episode(1, 1))
    assert loader.is_ready()
    assert not JointMemoryLoader([loader, MemoryLoader(filled(), 30, 1, "n", "other")]).is_ready()


def test_joint_loaders_give_a_group_of_each() -> None:
    loaders = [MemoryLoader(filled(), 2, 2, "n", "real"), MemoryLoader(filled(), 3, 1, "m", "model")]
    for batch in islice(JointMemoryLoader(loaders), 3):
        assert {key: value if key == "batch_size" else set(value) >= {"obs"} for key, value in batch.items()} == {
            "real": True,
            "model": True,
            "batch_size": 7,
        }
    nested = list(islice(JointMemoryLoaderWithDataGroup(loaders, "both", "size"), 3))
    assert [set(batch) for batch in nested] == [{"both", "size"}] * 3
    assert set(nested[2]["both"]) == {"real", "model", "size"}
    assert nested[2]["size"] == 7
    with pytest.raises(ColumnError, match="a data group of its own; shared: 'real'"):
        JointMemoryLoader([loaders[0], loaders[0]])


def test_a_trainer_learns_from_a_loader() -> None:
    class Watch(Callback):
        data_group = "default"

        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[int, int]] = []

        def end_batch(self, actions: object, bp_samples: int) -> None:
            self.seen.append((len(actions), bp_samples))  # type: ignore[arg-type]

    watch = Watch()
    loader = MemoryLoader(filled(), 4, 3, "batch_size")
    Trainer([watch], islice(loader, 3)).train()
    assert watch.seen == [(12, 12), (12, 24), (12, 36)]
