"""The parts of DQN by numbers worked by hand: targets, losses, priorities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gridrl.algos.discrete import Priorities
from gridrl.algos.dqn import QLoss, QTarget
from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.errors import BindingError
from gridrl.memory.builders import DictObsMemoryTable, DictObsNStepMemoryTable
from gridrl.memory.columns import Column
from gridrl.memory.loader import MemoryLoader
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.strategies import FifoEjectionStrategy
from gridrl.memory.table import ArrayMemoryTable
from gridrl.schedules import LinearSchedule
from gridrl.train.callback import Callback
from gridrl.train.trainer import Trainer


class Table(nn.Module):
    """Values from a table: the observation [B, 1] is the state's number."""

    def __init__(self, rows: list[list[float]]) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows))

    def forward(self, obs: Tensor) -> Tensor:
        return self.rows[obs[:, 0].long()]


def floats(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)


def states(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32)[:, None]


LEARNS, TARGET = [[9.0, 8.0], [1.0, 3.0]], [[1.0, 5.0], [2.0, 7.0]]


@pytest.mark.parametrize(
    ("double", "expected"), [(False, [1 + 0.5 * 5, 7.0, 1 + 0.5 * 7]), (True, [1 + 0.5, 7.0, 4.5])]
)
def test_plain_and_double_targets_by_hand(double: bool, expected: list[float]) -> None:
    target = QTarget(q_net=Table(LEARNS), target_q_net=Table(TARGET), gamma=0.5, double=double)
    given = target.begin_batch(states(0, 0, 1), floats(1.0, 7.0, 1.0), masks=floats(1.0, 0.0, 1.0))["q_target"]
    assert given.tolist() == expected  # the second one died
    assert not given.requires_grad


def test_rewards_are_scaled_and_the_shape_of_the_rewards_is_kept() -> None:
    target = QTarget(q_net=Table(LEARNS), target_q_net=Table(TARGET), gamma=0.5, reward_scale=0.1)
    given = target.begin_batch(states(0, 1), floats(10.0, 20.0)[:, None], masks=torch.ones(2, 1))["q_target"]
    assert given.tolist() == [[1 + 2.5], [2 + 3.5]]


@pytest.mark.parametrize("next_states", [(1.0, 0.0), (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)], ids=["by rollout", "by step"])
def test_every_step_of_a_rollout_looks_to_its_end(next_states: tuple[float, ...]) -> None:
    target = QTarget(q_net=Table(LEARNS), target_q_net=Table(TARGET), gamma=0.5, roll_length=3)
    rewards, masks = floats(1, 2, 4, 1, 2, 4)[:, None], floats(1, 1, 1, 1, 1, 0)[:, None]
    given = target.begin_batch(states(*next_states), rewards, masks)["q_target"]
    # the first rollout goes on in state 1, whose value is 7; the second one died with its last step
    assert given[:, 0].tolist() == [1 + 1 + 1 + 7 / 8, 2 + 2 + 7 / 4, 4 + 7 / 2, 3.0, 4.0, 4.0]


def test_rewards_of_several_steps_come_with_their_own_discount() -> None:
    target = QTarget(q_net=Table(LEARNS), target_q_net=Table(TARGET), gamma=0.5)
    given = target.begin_batch(states(1, 0), floats(2.0, 1.0), floats(1, 1), bootstrap_discount=floats(0.125, 0.5))
    assert given["q_target"].tolist() == [2 + 7 / 8, 1 + 5 / 2]


def test_the_target_network_follows_softly_or_by_copies_and_learns_nothing() -> None:
    q = Table([[0.0, 0.0]])
    soft = QTarget(q_net=q, target_q_tau=0.25)
    hard = QTarget(q_net=q, target_q_tau=1.0, target_update_every=3)
    with torch.no_grad():
        q.rows += 1.0
    for number in range(1, 4):
        soft.end_batch()
        hard.end_batch()
        assert soft.target_q_net.rows[0, 0].item() == pytest.approx(1 - 0.75**number)
        assert hard.target_q_net.rows[0, 0].item() == (1.0 if number == 3 else 0.0)
    assert all(not parameter.requires_grad for parameter in hard.target_q_net.parameters())


def test_the_target_network_and_the_count_of_updates_survive_a_checkpoint() -> None:
    q = Table([[0.0, 0.0]])
    first, second = (QTarget(q_net=q, target_q_tau=1.0, target_update_every=2) for _ in range(2))
    first.end_batch()
    with torch.no_grad():
        first.target_q_net.rows += 3.0
    second.load_state_dict(first.state_dict())
    assert second.target_q_net.rows.tolist() == [[3.0, 3.0]]
    second.end_batch()  # the second update
    assert second.target_q_net.rows.tolist() == [[0.0, 0.0]]


def loss_of(q: nn.Module, lr: float = 0.0, **kwargs: Any) -> QLoss:
    return QLoss(name="q", q=q, opt=torch.optim.SGD(q.parameters(), lr), **kwargs)


def test_the_loss_is_of_the_actions_that_were_taken_whatever_their_shape_and_kind() -> None:
    loss = loss_of(Table([[1.0, 2.0], [3.0, 4.0]]))
    for actions in (torch.tensor([1, 0]), torch.tensor([[1.0], [0.0]])):
        value = loss.loss(states(0, 1), floats(4.0, 3.0)[:, None], actions)
        assert value.item() == ((2 - 4) ** 2 + 0) / 2
        assert loss.prediction.tolist() == [2.0, 3.0]
        assert loss.td_error.tolist() == [-2.0, 0.0]


def test_weights_and_huber_reach_the_gradient() -> None:
    q = Table([[1.0, 2.0], [3.0, 4.0]])
    loss = loss_of(q, lr=1.0, huber_delta=1.0, max_grad_norm=None)
    loss.backward(states(0, 1), floats(5.0, 3.5), torch.tensor([1, 0]), floats(0.5, 1.0))
    # errors -3 (clipped to -1) and -0.5, weighted and averaged over two
    assert q.rows.tolist() == [[1.0, 2.0 + 0.5 * 1.0 / 2], [3.0 + 0.5 / 2, 4.0]]


def test_a_gradient_is_shortened() -> None:
    q = Table([[0.0, 0.0]])
    loss = loss_of(q, lr=1.0, max_grad_norm=0.5)
    loss.backward(states(0), floats(100.0), torch.tensor([0]))
    assert q.rows[0].tolist() == pytest.approx([0.5, 0.0], abs=1e-4)


class Features(nn.Module):
    """A network as Emote's users write them: observations come by name."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 2)

    def forward(self, features: Tensor) -> Tensor:
        values: Tensor = self.net(features)
        return values


class Seen(Callback):
    """Keeps what the other callbacks made."""

    data_group = "default"

    def end_batch(self, q_target: Tensor, rewards: Tensor) -> None:
        self.q_target, self.rewards = q_target, rewards


@pytest.mark.parametrize("roll_length", [1, 4])
@pytest.mark.parametrize("kind", [DictObsMemoryTable, DictObsNStepMemoryTable])
def test_the_documented_callbacks_learn_from_a_table_of_dict_observations(kind: Any, roll_length: int) -> None:
    spaces = MDPSpace(None, BoxSpace(np.int64, (1,)), DictSpace({"features": BoxSpace(np.float32, (3,))}))
    table = kind(spaces=spaces, maxlen=100, use_terminal_column=True)
    rng = np.random.default_rng(0)
    for number in range(8):
        table.add_sequence(
            number,
            {
                "features": rng.normal(size=(9, 3)),
                "actions": rng.integers(2, size=(8, 1)),
                "rewards": np.ones(8),
                "terminal": 0.0,
            },
        )
    q = Features()
    before = q.net.weight.detach().clone()
    optimizer = torch.optim.Adam(q.parameters(), 0.01)
    seen = Seen()
    loss = QLoss(name="q1", q=q, opt=optimizer, lr_schedule=None, max_grad_norm=10.0, data_group="default",
                 log_per_param_weights=True, log_per_param_grads=True)  # fmt: skip
    target = QTarget(q_net=q, target_q_net=None, gamma=0.9, reward_scale=1.0, target_q_tau=0.005,
                     data_group="default", roll_length=roll_length)  # fmt: skip
    loader = MemoryLoader(table, rollout_count=16, rollout_length=roll_length, size_key="batch_size")
    Trainer([loss, target, seen], (batch for batch, _ in zip(loader, range(5), strict=False))).train()
    assert seen.q_target.shape == seen.rewards.shape == (16 * roll_length, 1)
    assert not torch.equal(q.net.weight, before)
    assert {"loss/q1_loss", "loss/q1_lr", "loss/q1_gradient_norm", "training/q1_prediction"} <= loss.scalar_logs.keys()
    assert {"training/q_target", "training/scaled_reward"} == target.scalar_logs.keys()


def test_a_missing_provider_of_the_target_is_told_before_the_first_update() -> None:
    batch = {"default": {"obs": states(0), "action": torch.tensor([0])}, "batch_size": 1}
    with pytest.raises(BindingError, match="asks for 'q_target'"):
        Trainer([loss_of(Table(LEARNS))], [batch]).train()


def test_errors_become_priorities_and_the_weights_grow_stronger() -> None:
    sampler = PrioritisedSampleStrategy(alpha=1.0, beta=0.4)
    table = ArrayMemoryTable(
        columns=[Column("obs", (1,), np.float32), Column("action", (), np.int64)],
        maxlen=10,
        sampler=sampler,
        ejector=FifoEjectionStrategy(),
        length_key="action",
    )
    table.add_sequence(0, {"obs": np.arange(5.0)[:, None], "action": np.zeros(4, np.int64)})
    batch = table.sample(4, 1, np.random.default_rng(0))  # stratified: each step once, all alike
    assert sorted(batch["obs"][:, 0].tolist()) == [0.0, 1.0, 2.0, 3.0]
    assert batch["weight"].tolist() == [1.0] * 4
    done = iter([50, 200])
    priorities = Priorities(
        lambda: -batch["obs"][:, 0], table, sampler, LinearSchedule(0.4, 1.0, 100), lambda: next(done)
    )
    priorities.end_batch(batch["index"])
    assert sampler.beta == pytest.approx(0.7)
    counts = np.bincount(table.sample(6000, 1, np.random.default_rng(1))["obs"][:, 0].long().numpy(), minlength=4)
    assert counts.tolist() == [pytest.approx(6000 * share, abs=2) for share in (0, 1 / 6, 2 / 6, 3 / 6)]
    priorities.end_batch(batch["index"])
    assert sampler.beta == 1.0
