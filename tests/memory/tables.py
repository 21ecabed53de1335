"""Tables whose every row says where it comes from, and a slow, obvious one beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.storage import NextElementMapper, NextNElementWrapper, SyntheticDones
from gridrl.memory.strategies import FifoEjectionStrategy, UniformSampleStrategy
from gridrl.memory.strategy import EjectionStrategy, SampleStrategy
from gridrl.memory.table import ArrayMemoryTable

COLUMNS = (
    Column("obs", (2,), np.float64),
    Column("actions", (), np.int64),
    Column("rewards", (1,), np.float32),
    TagColumn("tag", (), np.float32),
    VirtualColumn("next_obs", (2,), np.float64, "obs", NextElementMapper),
    VirtualColumn("last_obs", (2,), np.float64, "obs", NextElementMapper.with_only_last),
    VirtualColumn("dones", (1,), np.bool_, "actions", SyntheticDones),
    VirtualColumn("masks", (1,), np.float32, "actions", SyntheticDones.as_mask),
)


def later(n: int) -> VirtualColumn:
    return VirtualColumn("later", (2,), np.float64, "obs", NextNElementWrapper.with_n(n))


def make_table(
    maxlen: int = 1000,
    *,
    columns: tuple[Column, ...] = COLUMNS,
    sampler: SampleStrategy | None = None,
    ejector: EjectionStrategy | None = None,
    directory: Path | None = None,
) -> ArrayMemoryTable:
    return ArrayMemoryTable(
        columns=columns,
        maxlen=maxlen,
        sampler=sampler or UniformSampleStrategy(seed=5),
        ejector=ejector or FifoEjectionStrategy(),
        directory=directory,
    )


def episode(identity: int, steps: int) -> dict[str, Any]:
    """Observations (identity, step), actions 1000 identity + step, rewards minus that, the tag is the identity."""
    step = np.arange(steps + 1)
    number = 1000 * identity + step[:-1]
    return {
        "obs": np.stack([np.full(steps + 1, float(identity)), step.astype(float)], axis=1),
        "actions": number.tolist(),
        "rewards": -number.astype(np.float32),
        "tag": float(identity),
    }


def check_sample(sample: dict[str, Any], lengths: dict[int, int], count: int, length: int, n: int = 0) -> None:
    """Every row of a sample, worked out one by one from where its sequence starts."""
    for number in range(count):
        begin = number * length
        identity, first = (int(value) for value in sample["obs"][begin])
        assert identity in lengths
        assert first + length + max(0, n - 1) <= lengths[identity]
        assert sample["tag"][number] == identity
        assert sample["last_obs"][number].tolist() == [identity, first + length]
        for k in range(length):
            row, step = begin + k, first + k
            done = step == lengths[identity] - 1
            assert sample["obs"][row].tolist() == [identity, step]
            assert sample["actions"][row] == 1000 * identity + step
            assert sample["rewards"][row].tolist() == [-(1000 * identity + step)]
            assert sample["next_obs"][row].tolist() == [identity, step + 1]
            assert sample["dones"][row].tolist() == [done]
            assert sample["masks"][row].tolist() == [float(not done)]
            if n:
                assert sample["later"][row].tolist() == [identity, step + n]
