"""Q-networks give the values that their layers make, in torch and in numpy alike, and are acted by as epsilon says."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl.errors import BadValue
from gridrl.nn.flat import FlatParameters
from gridrl.nn.q_networks import (
    Asked,
    CopiedActionValues,
    EpsilonGreedy,
    InShape,
    MLPQNetwork,
    NumpyActionValues,
    TorchActionValues,
    action_values,
)
from gridrl.schedules import ConstantSchedule, LinearSchedule

BOX = spaces.Box(-1.0, 1.0, (4,))


def made(**kwargs: Any) -> tuple[MLPQNetwork, FlatParameters]:
    net = MLPQNetwork(BOX, spaces.Discrete(3), **kwargs)
    return net, FlatParameters([net])


def test_a_network_without_hidden_layers_is_a_matrix() -> None:
    net, flat = made(hidden_sizes=())
    weight, bias = torch.arange(12.0).reshape(3, 4), torch.tensor([1.0, 2.0, 3.0])
    flat.segments[0].param.copy_(torch.cat([weight.reshape(-1), bias]))
    obs = torch.tensor([[1.0, 0.0, 2.0, 0.0]])
    assert net(obs).tolist() == [[0 + 2 * 2 + 1, 4 + 2 * 6 + 2, 8 + 2 * 10 + 3]]


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_dueling_values_are_the_state_value_on_average(hidden: tuple[int, ...]) -> None:
    net, _ = made(hidden_sizes=hidden, dueling=True)
    obs = torch.randn(5, 4)
    assert net.state_value is not None
    state_value = net.state_value(net.trunk(obs))[:, 0]
    assert torch.allclose(net(obs).mean(1), state_value, atol=1e-6)
    advantage = net.values(net.trunk(obs))
    assert torch.allclose(net(obs) - net(obs)[:, :1], advantage - advantage[:, :1], atol=1e-6)


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("hidden", [(), (8,), (8, 6)])
def test_numpy_gives_what_torch_gives_with_the_newest_weights(hidden: tuple[int, ...], dueling: bool) -> None:
    net, flat = made(hidden_sizes=hidden, dueling=dueling)
    values = action_values(net, flat)
    assert type(values) is NumpyActionValues
    obs = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    for _ in range(2):
        expected = net(torch.from_numpy(obs)).detach().numpy()
        assert np.allclose(values.batch(obs), expected, atol=1e-6)
        assert np.allclose(values.one(obs[1]), expected[1], atol=1e-6)
        flat.param += 0.1


def test_what_hooks_a_layer_is_called_and_copies_are_of_their_own_weights() -> None:
    net, _ = made(hidden_sizes=(8,))
    seen: list[Any] = []
    obs = torch.randn(2, 4)
    before = net(obs)
    net.trunk[1].register_forward_hook(lambda *given: seen.append(given))
    assert torch.equal(net(obs), before)
    assert len(seen) == 1
    twin = copy.deepcopy(net)
    FlatParameters([twin]).param.zero_()
    assert twin(obs).abs().sum() == 0
    assert torch.equal(net(obs), before)


def test_the_same_seed_draws_the_same_network_and_another_one_another() -> None:
    first, second, other = (made(rng=seed, dueling=True)[1].param for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


class Squared(nn.Module):
    """A network of one's own, for observations [B, 2, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([1.0, -1.0]))

    def forward(self, obs: Tensor) -> Tensor:
        assert obs.shape[1:] == (2, 2)
        return obs.flatten(1).square().sum(1, keepdim=True) * self.scale


def test_who_asks_without_gradients_follows_the_parameters_wherever_they_are_moved() -> None:
    net = MLPQNetwork(BOX, spaces.Discrete(3), hidden_sizes=(8,), dueling=True)
    asked, obs = Asked(net), torch.randn(5, 4)
    assert torch.allclose(asked(obs), net(obs), atol=1e-6)
    flat = FlatParameters([net])  # other memory
    flat.param += 0.5
    assert torch.allclose(asked(obs), net(obs), atol=1e-6)
    assert not asked(obs).requires_grad
    net.double()
    assert torch.allclose(asked(obs.double()), net(obs.double()), atol=1e-6)


def test_who_asks_takes_dicts_of_observations_and_any_network() -> None:
    class ByName(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return 2.0 * features

    assert Asked(ByName())({"features": torch.ones(1, 2)}).tolist() == [[2.0, 2.0]]


def test_a_network_of_ones_own_is_asked_through_torch_in_the_shape_that_it_wants() -> None:
    net = Squared()
    values = action_values(InShape(net, (2, 2)), FlatParameters([net]))
    assert isinstance(values, TorchActionValues)
    assert values.batch(np.arange(4, dtype=np.float32)[None]).tolist() == [[14.0, -14.0]]
    assert values.one(np.ones(4, np.float32)).tolist() == [4.0, -4.0]


def test_a_copy_is_as_new_as_its_last_refresh() -> None:
    net, flat = made()
    values = CopiedActionValues(net, flat)
    obs = np.ones((1, 4), np.float32)
    before = values.batch(obs).copy()
    flat.param += 0.1
    assert np.array_equal(values.batch(obs), before)
    values.refresh()
    assert np.allclose(values.batch(obs), net(torch.ones(1, 4)).detach().numpy(), atol=1e-6)


def test_an_unknown_activation_and_a_subclass_go_through_torch() -> None:
    class Own(MLPQNetwork):
        pass

    for net in (MLPQNetwork(BOX, spaces.Discrete(3), activation=nn.Softplus), Own(BOX, spaces.Discrete(3))):
        assert isinstance(action_values(net, FlatParameters([net])), TorchActionValues)


def test_actions_that_are_not_discrete_are_refused_with_what_takes_them() -> None:
    with pytest.raises(BadValue, match=r"actions of Box.* are not supported: .* ddpg, td3 and sac take a Box\."):
        MLPQNetwork(BOX, BOX)


class Fixed:
    """Values that like the last action best."""

    asked = 0

    def refresh(self) -> None:
        pass

    def one(self, obs: Any) -> Any:
        self.asked += 1
        return np.array([0.0, 1.0, 2.0])

    def batch(self, obs: Any) -> Any:
        self.asked += 1
        return np.tile([0.0, 1.0, 2.0], (len(obs), 1))


def exploring(epsilon: Any, values: Any = None) -> EpsilonGreedy:
    schedule = epsilon if isinstance(epsilon, LinearSchedule) else ConstantSchedule(epsilon)
    explorer = EpsilonGreedy(values or Fixed(), 3, schedule)
    explorer.prepare(0)
    return explorer


def test_epsilon_is_the_share_of_random_actions_and_these_are_uniform() -> None:
    explorer, rng, n = exploring(0.3), np.random.default_rng(0), 30_000
    expected = np.array([0.1, 0.1, 0.8]) * n
    one_by_one = [explorer.one(BOX, chance) for chance in explorer.draw(rng, n)]
    for actions in (one_by_one, explorer.batch(np.zeros((n, 4)), explorer.draw(rng, n))):
        assert chi_square(actions, expected) < 13.8  # 2 degrees of freedom, p = 0.001
    assert chi_square(explorer.random(rng, n), np.full(3, n / 3)) < 13.8


def chi_square(actions: Any, expected: Any) -> float:
    return float(((np.bincount(actions, minlength=3) - expected) ** 2 / expected).sum())


def test_nothing_is_computed_for_random_actions_and_nothing_is_random_at_epsilon_0() -> None:
    values, rng = Fixed(), np.random.default_rng(0)
    explorer = exploring(1.0, values)
    assert {explorer.one(None, chance) for chance in explorer.draw(rng, 100)} == {0, 1, 2}
    assert set(explorer.batch(np.zeros((100, 4)), explorer.draw(rng, 100)).tolist()) == {0, 1, 2}
    assert values.asked == 0
    greedy = exploring(0.0)
    assert {greedy.one(None, chance) for chance in (0.0, 0.5)} == {2}
    assert greedy.batch(np.zeros((2, 4)), np.array([0.0, 0.5])).tolist() == [2, 2]


def test_the_largest_chance_below_epsilon_is_the_last_action() -> None:
    for epsilon in (0.05, 0.3, 1.0):
        explorer = exploring(epsilon)
        assert explorer.one(None, np.nextafter(epsilon, 0)) == 2
        assert explorer.batch(np.zeros((1, 4)), np.nextafter([epsilon], 0)).tolist() == [2]


def test_epsilon_follows_its_schedule_by_the_steps_that_were_done() -> None:
    explorer = exploring(LinearSchedule(1.0, 0.1, 100))
    for steps, expected in ((0, 1.0), (50, 0.55), (100, 0.1), (1000, 0.1)):
        explorer.prepare(steps)
        assert explorer.epsilon == pytest.approx(expected)
