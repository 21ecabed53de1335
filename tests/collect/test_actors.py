"""Agents without torch: numpy does what the policy does, and draws are those of a seed."""

from __future__ import annotations

import copy
import doctest
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

from gridrl.collect import actors
from gridrl.collect.actors import FunctionAgentProxy, MLPAgentProxy, RandomAgentProxy
from gridrl.errors import BadValue
from gridrl.nn.continuous import SquashedGaussianActor
from gridrl.nn.gaussian_policy import GaussianMlpPolicy, GaussianPolicyHead
from gridrl.nn.policies import MLPCategoricalActor, MLPGaussianActor
from gridrl.typing import DictObservation, EpisodeState

OBS = np.random.default_rng(0).normal(size=(6, 3))


@pytest.mark.parametrize("kind", [MLPGaussianActor, MLPCategoricalActor])
def test_numpy_acts_with_the_newest_parameters(kind: type[MLPGaussianActor | MLPCategoricalActor]) -> None:
    policy = kind(3, 2, (5,), nn.Tanh)
    agent = MLPAgentProxy(policy, deterministic=True)
    for _ in range(2):
        with torch.no_grad():
            wanted = policy(torch.as_tensor(OBS, dtype=torch.float32))[0].mode.numpy()
        assert agent.act({"obs": OBS})["actions"] == pytest.approx(wanted, abs=1e-6)
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter.mul_(-1.5)
    assert agent.policy is policy


def test_emotes_policy_acts_by_numpy_as_by_torch() -> None:
    policy = GaussianMlpPolicy(3, 2, [8, 8], rng=0)
    policy.policy.mean.bias.data += 4.0  # some means lie beyond their bound
    policy.policy.log_std.bias.data[1] = 3.0
    obs = torch.as_tensor(OBS, dtype=torch.float32)
    noise = np.random.default_rng(4).standard_normal((6, 2), np.float32)
    wanted = policy(obs, torch.as_tensor(noise))[0].detach()
    assert MLPAgentProxy(policy, seed=4).act({"obs": OBS})["actions"] == pytest.approx(wanted.numpy(), abs=1e-6)
    best = MLPAgentProxy(policy, deterministic=True).act({"obs": OBS})["actions"]
    assert best == pytest.approx(policy.eval()(obs).detach().numpy(), abs=1e-6)


def test_noise_comes_from_the_seed() -> None:
    policy = MLPGaussianActor(3, 2, (5,), nn.Tanh)
    first, again, other = (MLPAgentProxy(policy, seed=seed).act({"obs": OBS})["actions"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_copy_has_parameters_and_noise_of_its_own() -> None:
    agent = MLPAgentProxy(MLPGaussianActor(3, 2, (5,), nn.Tanh), seed=3)
    twin = copy.deepcopy(agent)
    wanted = agent.act({"obs": OBS})["actions"]
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.zero_()
    assert np.array_equal(twin.act({"obs": OBS})["actions"], wanted)
    twin.policy.load_state_dict(agent.policy.state_dict())
    assert twin.act({"obs": OBS})["actions"] == pytest.approx(agent.act({"obs": OBS})["actions"])


def test_a_policy_that_numpy_cannot_evaluate_is_refused() -> None:
    policy = MLPGaussianActor(3, 2, (5,), nn.Softplus)
    with pytest.raises(
        BadValue, match=r"MLPGaussianActor is no plain MLP .* GenericAgentProxy acts by any torch policy"
    ):
        MLPAgentProxy(policy)
    with pytest.raises(BadValue, match="Linear is no plain MLP"):
        MLPAgentProxy(nn.Linear(3, 2))


class Halved(GaussianMlpPolicy):
    def forward(self, obs: torch.Tensor, epsilon: torch.Tensor | None = None) -> Any:
        return super().forward(0.5 * obs, epsilon)


class Scaled(MLPGaussianActor):
    def forward(self, obs: torch.Tensor, act: torch.Tensor | None = None) -> Any:
        return super().forward(0.5 * obs, act)


class Bounded(SquashedGaussianActor):
    def forward(self, obs: torch.Tensor) -> Any:
        return super().forward(obs.clamp(-1.0, 1.0))


class Named(GaussianMlpPolicy):
    name = "acts as it always did"


def test_a_subclass_that_does_something_else_is_refused() -> None:
    for policy in (Halved(3, 2, [4]), Scaled(3, 2, (4,), nn.Tanh), Bounded(3, 2, (4,), nn.Tanh)):
        with pytest.raises(BadValue, match=f"{type(policy).__name__} is no plain MLP"):
            MLPAgentProxy(policy)
    policy = GaussianMlpPolicy(3, 2, [4])
    policy.policy.__class__ = type("Other", (GaussianPolicyHead,), {"forward": lambda self, x, epsilon=None: x})
    with pytest.raises(BadValue, match="GaussianMlpPolicy is no plain MLP"):
        MLPAgentProxy(policy)
    assert MLPAgentProxy(Named(3, 2, [4])).act({"obs": OBS})["actions"].shape == (6, 2)


def test_the_policy_of_soft_actor_critic_acts_by_numpy_as_by_torch() -> None:
    policy = SquashedGaussianActor(3, 2, (8,), nn.ReLU)
    obs = torch.as_tensor(OBS, dtype=torch.float32)
    best = MLPAgentProxy(policy, deterministic=True).act({"obs": OBS})["actions"]
    assert best == pytest.approx(policy.best(obs).detach().numpy(), abs=1e-6)
    noise = np.random.default_rng(4).standard_normal((6, 2), np.float32)
    wanted, _ = policy.head.rsample(policy.net(obs), torch.as_tensor(noise))
    assert MLPAgentProxy(policy, seed=4).act({"obs": OBS})["actions"] == pytest.approx(
        wanted.detach().numpy(), abs=1e-6
    )


def test_actions_of_one_call_outlive_the_next() -> None:
    for policy in (MLPGaussianActor(3, 2, (5,), nn.Tanh), GaussianMlpPolicy(3, 2, [4])):
        for deterministic in (False, True):
            agent = MLPAgentProxy(policy, deterministic=deterministic)
            seen = DictObservation({}, EpisodeState.RUNNING, {"obs": OBS[0]})
            first = agent({0: seen})[0].list_data["actions"]
            kept = np.array(first)
            agent({0: DictObservation({}, EpisodeState.RUNNING, {"obs": OBS[1]})})
            assert np.array_equal(first, kept)


def test_a_function_acts_by_parts() -> None:
    agent = FunctionAgentProxy(lambda a, b: (a + b, a), ("a", "b"), ("actions", "copy"))
    seen = DictObservation({}, EpisodeState.INITIAL, {"a": [1.0], "b": [2.0]})
    response = agent({0: seen, 1: seen})[1]
    assert {key: list(row) for key, row in response.list_data.items()} == {"actions": [3.0], "copy": [1.0]}
    agent = FunctionAgentProxy(lambda obs: (obs, obs))
    with pytest.raises(BadValue, match="the function gave 2 arrays; output_keys names 1: actions"):
        agent.act({"obs": np.zeros((1, 1))})


def test_chance_reaches_all_of_the_space_alike() -> None:
    inputs = {"obs": np.zeros((4000, 1))}
    chosen = RandomAgentProxy(gym.spaces.Discrete(4, start=5), seed=0).act(inputs)["actions"]
    assert np.bincount(chosen).tolist() == pytest.approx([1000] * 4, abs=120)
    low, high = np.array([-2.0, 3.0, -np.inf, -np.inf]), np.array([1.0, np.inf, 5.0, np.inf])
    space = gym.spaces.Box(low.astype(np.float32), high.astype(np.float32))
    drawn = RandomAgentProxy(space, seed=0).act(inputs)["actions"]
    assert drawn.dtype == np.float32
    assert drawn.min(0) == pytest.approx([-2, 3, 4, -1], abs=0.01)
    assert drawn.max(0) == pytest.approx([1, 4, 5, 1], abs=0.01)
    with pytest.raises(BadValue, match="not supported"):
        RandomAgentProxy(gym.spaces.MultiBinary(3))


def test_examples_run() -> None:
    assert doctest.testmod(actors).failed == 0
