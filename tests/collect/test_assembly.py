"""Soft actor-critic put together from callbacks, a memory and a collector, as Emote's documents do it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from torch import Tensor
from torch.optim import Adam

from gridrl.agents import FeatureAgentProxy
from gridrl.algos.sac import AlphaLoss, PolicyLoss, QLoss, QTarget
from gridrl.collect.actors import MLPAgentProxy, RandomAgentProxy
from gridrl.collect.callbacks import GymCollector, SimpleGymCollector
from gridrl.collect.gym_wrapper import DictGymWrapper
from gridrl.collect.threaded import ThreadedGymCollector
from gridrl.collect.vector import VectorCollector
from gridrl.envs.toy import HitTheMiddle
from gridrl.memory.builders import DictObsMemoryTable, DictObsNStepMemoryTable
from gridrl.memory.loader import MemoryLoader
from gridrl.memory.proxy import LoggingProxyWrapper, MemoryTableProxy
from gridrl.nn.gaussian_policy import GaussianMlpPolicy
from gridrl.nn.values import ActionValueMlp
from gridrl.train.control import BackPropStepsTerminator
from gridrl.train.trainer import Trainer


def trained(kind: type[GymCollector], length: int = 1, *, by_numpy: bool = False, **options: Any) -> list[Tensor]:
    """The policy's parameters and the temperature after 40 updates on rollouts of `length` steps."""
    torch.manual_seed(0)
    env = DictGymWrapper(SyncVectorEnv(3 * [HitTheMiddle]))
    table_of = DictObsMemoryTable if length == 1 else DictObsNStepMemoryTable
    table = table_of(spaces=env.dict_space, use_terminal_column=True, maxlen=5000)
    q1, q2 = (ActionValueMlp(2, 1, [8]) for _ in range(2))
    policy, ln_alpha = GaussianMlpPolicy(2, 1, [8]), torch.tensor(0.0, requires_grad=True)
    agent = MLPAgentProxy(policy, seed=0) if by_numpy else FeatureAgentProxy(policy, "cpu")
    losses = [
        QLoss(name="q1", q=q1, opt=Adam(q1.parameters(), 8e-3)),
        QLoss(name="q2", q=q2, opt=Adam(q2.parameters(), 8e-3)),
        PolicyLoss(pi=policy, ln_alpha=ln_alpha, q=q1, q2=q2, opt=Adam(policy.parameters(), 1e-3)),
        AlphaLoss(pi=policy, ln_alpha=ln_alpha, opt=Adam([ln_alpha], 1e-3), n_actions=1),
    ]
    collector = kind(env, agent, MemoryTableProxy(table, use_terminal=True), warmup_steps=70, seed=0, **options)
    target = QTarget(pi=policy, ln_alpha=ln_alpha, q1=q1, q2=q2, roll_length=length)
    loader = MemoryLoader(table, 16, length, "batch_size")
    Trainer([collector, *losses, target, BackPropStepsTerminator(40)], loader).train()
    logs: dict[str, float] = {}
    for source in (collector, target, *losses):
        logs |= source.scalar_logs
    assert logs["episode/length"] == 30.0
    assert {"loss/q1_loss", "loss/policy_loss", "loss/alpha_loss", "training/scaled_reward"} <= logs.keys()
    assert all(map(math.isfinite, logs.values()))
    return [*(parameter.detach() for parameter in policy.parameters()), ln_alpha.detach()]


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("by_numpy", [False, True])
def test_the_same_seed_gives_the_same_policy(length: int, by_numpy: bool) -> None:
    first, again = (trained(SimpleGymCollector, length, by_numpy=by_numpy, bp_steps_per_inf=4) for _ in range(2))
    assert all(torch.equal(mine, other) for mine, other in zip(first, again, strict=True))


def test_a_collector_in_a_thread_serves_the_same_parts() -> None:
    trained(ThreadedGymCollector, steps_per_update=2.0)


class Notes:
    """A writer that keeps what it is given."""

    def __init__(self) -> None:
        self.scalars: dict[str, list[tuple[float, int]]] = {}

    def add_scalar(self, key: str, value: float, step: int) -> None:
        self.scalars.setdefault(key, []).append((value, step))

    def add_histogram(self, key: str, values: Any, step: int) -> None:
        pass

    def flush(self) -> None:
        pass


def test_a_logging_memory_tells_returns_of_episodes_as_the_collector_does() -> None:
    env = DictGymWrapper(SyncVectorEnv(2 * [HitTheMiddle]))
    table = DictObsMemoryTable(spaces=env.dict_space, use_terminal_column=True, maxlen=1000)
    notes = Notes()
    proxy = LoggingProxyWrapper(MemoryTableProxy(table, 0, True), notes, 100)
    collector = VectorCollector(env, RandomAgentProxy(env.single_action_space), proxy, seed=0)
    episodes = collector.collect(100)
    report, lists = proxy.get_report(["inf_step", "episode/reward", "episode/length"])
    assert lists["episode/reward"] == pytest.approx([episode.ret for episode in episodes])
    assert report["episode/length"] == 30.0
    assert report["inf_step"] == collector.env_steps + len(episodes)  # an end is observed too
    assert notes.scalars["episode/completed"][-1][0] <= len(episodes)
    assert notes.scalars["episode/length"][-1][0] == 30.0
