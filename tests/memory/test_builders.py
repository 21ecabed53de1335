from __future__ import annotations

import numpy as np
import pytest
import torch

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.errors import ColumnError
from gridrl.memory.adaptors import DictObsAdaptor, KeyCastAdaptor, KeyScaleAdaptor, TerminalAdaptor
from gridrl.memory.builders import DictObsMemoryTable, DictObsNStepMemoryTable
from gridrl.memory.strategies import FifoSampleStrategy

SPACES = MDPSpace(
    rewards=None,
    actions=BoxSpace(dtype=np.float32, shape=(2,)),
    state=DictSpace(
        spaces={"image": BoxSpace(dtype=np.uint8, shape=(3, 3)), "features": BoxSpace(dtype=np.float32, shape=(4,))}
    ),
)


def sequence(steps: int) -> dict[str, object]:
    step = np.arange(steps + 1)
    return {
        "image": np.broadcast_to(step[:, None, None], (steps + 1, 3, 3)),
        "features": np.broadcast_to(step[:, None], (steps + 1, 4)).astype(float),
        "actions": np.zeros((steps, 2)),
        "rewards": step[:-1].astype(float),
    }


def test_one_step_tables_know_what_follows_each_step() -> None:
    table = DictObsMemoryTable(spaces=SPACES, maxlen=100)
    table.add_sequence(0, sequence(9))
    sample = table.sample(6, 2)
    assert {name: tuple(tensor.shape) for name, tensor in sample.items() if isinstance(tensor, torch.Tensor)} == {
        "actions": (12, 2),
        "dones": (12, 1),
        "masks": (12, 1),
        "rewards": (12, 1),
    }
    assert sample["dones"].dtype == torch.bool
    assert {name: tuple(part.shape) for name, part in sample["observation"].items()} == {
        "image": (12, 3, 3),
        "features": (12, 4),
    }
    assert sample["next_observation"]["image"].dtype == torch.uint8
    assert sample["next_observation"]["features"].equal(sample["observation"]["features"] + 1)


def test_n_step_tables_know_what_follows_a_sequence() -> None:
    table = DictObsNStepMemoryTable(spaces=SPACES, use_terminal_column=True, maxlen=100)
    table.add_sequence(0, sequence(9) | {"terminal": 0.0})
    sample = table.sample(6, 2)
    assert sample["next_observation"]["features"].shape == (6, 4)
    assert sample["next_observation"]["features"].equal(sample["observation"]["features"][1::2] + 1)
    assert sample["terminal"].shape == (6,)


@pytest.mark.parametrize("length", [1, 2])
def test_a_time_limit_is_no_death(length: int) -> None:
    """Of two episodes of two steps, one was cut off: its last step may be bootstrapped, that of the other may not."""
    sampler = FifoSampleStrategy(per_episode=False, random_offset=False)
    table = DictObsMemoryTable(spaces=SPACES, use_terminal_column=True, maxlen=100, sampler=sampler)
    table.add_sequence(0, sequence(2) | {"terminal": 1.0})
    table.add_sequence(1, sequence(2) | {"terminal": 0.0})
    sample = table.sample(4 // length, length)
    assert sample["masks"].ravel().tolist() == [1.0, 1.0, 1.0, 0.0]
    assert sample["dones"].ravel().tolist() == [False, True, False, True], "the episode ended all the same"
    assert sample["terminal"].tolist() == [1.0, 1.0, 1.0, 0.0][length - 1 :: length]


def test_dtypes_rewards_and_devices_can_be_chosen() -> None:
    spaces = MDPSpace(BoxSpace(np.float64, (3,)), SPACES.actions, SPACES.state)
    table = DictObsMemoryTable(
        spaces=spaces, maxlen=10, dones_dtype=np.float32, masks_dtype=np.bool_, device=torch.device("cpu")
    )
    table.add_sequence(0, sequence(2) | {"rewards": np.ones((2, 3))})
    sample = table.sample(1, 2)
    assert (sample["rewards"].dtype, sample["rewards"].shape) == (torch.float64, (2, 3))
    assert (sample["dones"].tolist(), sample["masks"].tolist()) == ([[0.0], [1.0]], [[True], [False]])


def test_adaptors_change_the_sample_and_tell_what_is_missing() -> None:
    sample = {"reward": torch.tensor([2.0]), "obs": torch.zeros(1), "next_obs": torch.ones(1)}
    sample = KeyScaleAdaptor(0.5, "reward")(sample, 1, 1)
    sample = KeyCastAdaptor(torch.int64, "reward")(sample, 1, 1)
    sample = DictObsAdaptor(["obs"], output_keys=["features"])(sample, 1, 1)
    assert (sample["reward"].tolist(), sample["reward"].dtype) == ([1], torch.int64)
    assert set(sample) == {"reward", "observation", "next_observation"}
    assert sample["next_observation"]["features"].tolist() == [1.0]
    with pytest.raises(ColumnError, match=r"no column 'rewards', only .*Did you mean 'reward'"):
        KeyScaleAdaptor(0.5, "rewards")(sample, 1, 1)
    with pytest.raises(ColumnError, match="no column 'terminal'"):
        TerminalAdaptor("terminal", "masks")(sample, 1, 1)
    with pytest.raises(ColumnError, match="output_keys: one for each"):
        DictObsAdaptor(["obs"], output_keys=[])
