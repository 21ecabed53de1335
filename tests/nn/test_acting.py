"""Acting and evaluating: the fast ways give the numbers of the plain one, which serves every network."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from gridrl.errors import BadValue
from gridrl.nn.acting import CopiedActor, NumpyActor, TorchActor, make_actor, plain_parts
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.evaluation import ModuleEvaluation, PlainEvaluation, make_evaluation
from gridrl.nn.flat import FlatParameters
from gridrl.nn.mlp import mlp

BOX = spaces.Box(-1.0, 1.0, (3,))
ACTIONS: list[gym.Space[Any]] = [spaces.Discrete(4), spaces.Box(-1.0, 1.0, (2,))]
KINDS = pytest.mark.parametrize("action_space", ACTIONS, ids=["discrete", "box"])


def made(action_space: gym.Space[Any], **kwargs: Any) -> tuple[MLPActorCritic, FlatParameters]:
    net = MLPActorCritic(BOX, action_space, **kwargs)
    return net, FlatParameters([net.pi, net.v])


def some(rows: int, action_space: gym.Space[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    obs = rng.standard_normal((rows, 3), np.float32)
    discrete = isinstance(action_space, spaces.Discrete)
    return obs, rng.integers(4, size=rows) if discrete else rng.standard_normal((rows, 2), np.float32)


@KINDS
def test_all_actors_see_the_same_log_probabilities_values_and_best_actions(action_space: gym.Space[Any]) -> None:
    net, flat = made(action_space)
    obs, action = some(9, action_space)
    fast, copied, slow = make_actor(net, flat), CopiedActor(net, flat), TorchActor(net, None, torch.device("cpu"))
    assert type(fast) is NumpyActor
    for actor in (copied, slow):
        assert fast.value(obs) == pytest.approx(actor.value(obs), abs=1e-6)
        assert fast.look(obs, action)[0] == pytest.approx(actor.look(obs, action)[0], abs=1e-5)
        assert fast.look(obs, action)[1] == pytest.approx(actor.look(obs, action)[1], abs=1e-5)
        assert fast.best(obs) == pytest.approx(actor.best(obs), abs=1e-6)


@KINDS
def test_one_observation_is_acted_upon_like_a_row_of_many(action_space: gym.Space[Any]) -> None:
    net, flat = made(action_space)
    obs, _ = some(6, action_space)
    actor = make_actor(net, flat)
    noise = actor.draw(np.random.default_rng(1), 6)
    assert noise is not None
    rows = actor.batch(obs, noise)
    one_by_one = np.array([actor.one(obs[i], noise[i]) for i in range(6)])
    assert one_by_one == pytest.approx(rows, abs=1e-6)


def test_a_copy_acts_with_the_weights_of_its_last_refresh() -> None:
    net, flat = made(ACTIONS[0])
    obs, _ = some(4, ACTIONS[0])
    copied = CopiedActor(net, flat)
    before = copied.value(obs)
    flat.param.mul_(2.0)
    assert copied.value(obs) == pytest.approx(before)
    copied.refresh()
    assert copied.value(obs) == pytest.approx(net.v(torch.from_numpy(obs)).detach().numpy(), abs=1e-5)


def test_values_of_one_call_outlive_the_next() -> None:
    net, flat = made(ACTIONS[0])
    actor = make_actor(net, flat)
    first = actor.value(np.zeros((4, 3), np.float32))
    kept = first.copy()
    actor.value(np.ones((4, 3), np.float32))
    assert np.array_equal(first, kept)


class Own(nn.Module):
    """Networks of a user's: torch distributions, a policy that looks at pictures."""

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        super().__init__()
        size = int(np.prod(observation_space.shape or ()))
        self.pi = OwnPolicy(size, action_space)
        self.v = nn.Sequential(nn.Flatten(), nn.Linear(size, 1), nn.Flatten(0))

    def act(self, obs: torch.Tensor) -> Any:
        return self.pi(obs if obs.ndim > 2 else obs.unsqueeze(0))[0].sample().squeeze().numpy()


class OwnPolicy(nn.Module):
    def __init__(self, size: int, action_space: gym.Space[Any]) -> None:
        super().__init__()
        self.discrete = isinstance(action_space, spaces.Discrete)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(size, 4 if self.discrete else 2))

    def forward(self, obs: torch.Tensor, act: torch.Tensor | None = None) -> tuple[Any, torch.Tensor | None]:
        out = self.net(obs)
        if self.discrete:
            distribution: Any = torch.distributions.Categorical(logits=out)
        else:
            distribution = torch.distributions.Independent(torch.distributions.Normal(out, 0.5), 1)
        return distribution, None if act is None else distribution.log_prob(act)


@KINDS
def test_networks_of_ones_own_act_in_the_shape_of_their_observations(action_space: gym.Space[Any]) -> None:
    pictures = spaces.Box(0.0, 1.0, (2, 3))
    net = Own(pictures, action_space)
    flat = FlatParameters([net.pi, net.v])
    actor = make_actor(net, flat, (2, 3))
    assert actor.draw(np.random.default_rng(0), 3) is None
    obs = np.random.default_rng(0).random((5, 6), np.float32)
    action = actor.batch(obs, None)
    assert action.shape == ((5,) if isinstance(action_space, spaces.Discrete) else (5, 2))
    logp, entropy = actor.look(obs, action)
    assert (logp.shape, actor.value(obs).shape) == ((5,), (5,))
    assert entropy > 0
    assert np.isscalar(actor.one(obs[0], None)) == isinstance(action_space, spaces.Discrete)
    best = actor.best(obs)
    expected = net.pi.net(torch.from_numpy(obs.reshape(5, 2, 3))).detach().numpy()
    assert np.allclose(best, expected.argmax(-1) if isinstance(action_space, spaces.Discrete) else expected)


@KINDS
@pytest.mark.parametrize("hidden", [(8, 8), ()], ids=["twins", "apart"])
def test_all_evaluations_give_the_same_numbers_and_gradients(
    action_space: gym.Space[Any], hidden: tuple[int, ...]
) -> None:
    net, flat = made(action_space, hidden_sizes=hidden)
    obs, action = (torch.from_numpy(array) for array in some(9, action_space))
    fast, plain = make_evaluation(net, flat), ModuleEvaluation(net, None)
    assert type(fast) is PlainEvaluation
    found = []
    for evaluation in (fast, plain):
        logp, entropy, value = evaluation.both(obs, action, with_entropy=True)
        assert entropy is not None
        flat.grad.zero_()
        (logp.sum() + 3 * entropy + (value * value).sum()).backward()
        found.append((logp, entropy, value, flat.grad.clone()))
        apart, _ = evaluation.policy(obs, action, with_entropy=False)
        assert torch.allclose(apart, logp, atol=1e-6)
        assert torch.allclose(evaluation.value(obs), value, atol=1e-6)
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_subclass_or_a_changed_part_goes_through_torch() -> None:
    class Louder(MLPActorCritic):
        """Its parts are ours."""

    net, _ = made(ACTIONS[0])
    assert plain_parts(net) is not None
    assert plain_parts(Louder(BOX, ACTIONS[0])) is not None
    net.pi.logits_net = nn.Sequential(nn.Linear(3, 4), nn.Dropout())  # type: ignore[assignment]
    assert plain_parts(net) is None
    net.pi = OwnPolicy(3, ACTIONS[0])  # type: ignore[assignment]
    assert plain_parts(net) is None


@KINDS
def test_step_and_act_are_as_spinning_ups_users_know_them(action_space: gym.Space[Any]) -> None:
    torch.manual_seed(0)
    net, _ = made(action_space)
    action, value, logp = net.step(torch.zeros(3))
    assert (value.shape, logp.shape, net.act(torch.zeros(3)).shape) == ((), (), action.shape)
    distribution, again = net.pi(torch.zeros(1, 3), torch.as_tensor(action).unsqueeze(0))
    assert again is not None
    assert again.item() == pytest.approx(float(logp), abs=1e-6)
    assert distribution.entropy().item() > 0
    assert net.pi(torch.zeros(1, 3))[1] is None


def test_the_gaussian_policy_begins_with_the_documented_deviation() -> None:
    net, _ = made(ACTIONS[1])
    assert net.pi.log_std.tolist() == [-0.5, -0.5]
    assert made(ACTIONS[1], log_std=0.0)[0].pi.log_std.tolist() == [0.0, 0.0]


def test_a_seed_makes_the_weights() -> None:
    one, other, same = (MLPActorCritic(BOX, ACTIONS[0], rng=seed) for seed in (0, 1, 0))
    assert torch.equal(one.pi.logits_net[0].weight, same.pi.logits_net[0].weight)
    assert not torch.equal(one.pi.logits_net[0].weight, other.pi.logits_net[0].weight)


def test_dict_observations_are_flattened_and_other_actions_refused() -> None:
    space = spaces.Dict(goal=spaces.Discrete(3), position=spaces.Box(-1.0, 1.0, (2,)))
    assert MLPActorCritic(space, ACTIONS[0]).v.v_net[0].in_features == 5
    with pytest.raises(BadValue, match=r"actions of MultiDiscrete\(\[2 2\]\) are not supported"):
        MLPActorCritic(BOX, spaces.MultiDiscrete([2, 2]))


def test_mlp_sizes_may_be_one_number() -> None:
    assert [
        layer.out_features for layer in made(ACTIONS[0], hidden_sizes=8)[0].v.v_net if isinstance(layer, nn.Linear)
    ] == [8, 1]
    assert len(mlp([3, 2])) == 1
