"""Networks of the off-policy algorithms for continuous actions: a policy in (-1, 1)^A, and critics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl.errors import BadValue, ShapeError
from gridrl.nn.ensemble import EnsembleLinearLayer, ensemble_mlp
from gridrl.nn.initialization import initialize
from gridrl.nn.mlp import mlp
from gridrl.nn.squashed import SquashedGaussianHead

Array: TypeAlias = npt.NDArray[Any]


class SquashedGaussianActor(nn.Module):
    """A stochastic policy: a Gaussian that depends on the observation, squashed by tanh.

    Attributes:
        net: observations [B, obs_dim] -> means and logarithms of standard deviations [B, 2 act_dim].
        head: makes actions of them.
    """

    def __init__(
        self, obs_dim: int, act_dim: int, hidden_sizes: Sequence[int], activation: Callable[[], nn.Module]
    ) -> None:
        """Makes the network; its parameters are not drawn yet."""
        super().__init__()
        self.net = mlp([obs_dim, *hidden_sizes, 2 * act_dim], activation)
        self.head = SquashedGaussianHead(act_dim)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [B, act_dim] drawn by torch's global generator, and their log-probabilities [B], with gradients."""
        out = self.net(obs)
        noise = torch.randn(len(out), self.head.act_dim, device=out.device)
        return self.head.rsample(out, noise)

    def best(self, obs: Tensor) -> Tensor:
        """The actions [B, act_dim] without noise."""
        return self.head.best(self.net(obs))


class DeterministicHead:
    """What acts with a deterministic policy: it adds noise to what the network gives, within [-1, 1].

    Attributes:
        act_noise: standard deviation of the noise; half the range of an action is 1.
    """

    def __init__(self, act_dim: int, act_noise: float = 0.0) -> None:
        self.act_dim, self.act_noise = act_dim, act_noise

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Noise for `count` actions, float32 [count, A]."""
        noise = rng.standard_normal((count, self.act_dim), np.float32)
        noise *= np.float32(self.act_noise)
        return noise

    def sample(self, out: Array, noise: Array) -> Array:
        """The actions [..., A] with their noise."""
        action: Array = out + noise
        np.minimum(np.maximum(action, -1.0, out=action), 1.0, out=action)
        return action

    def mode(self, out: Array) -> Array:
        """The actions [..., A] without noise."""
        action: Array = out.copy()
        return action


class DeterministicActor(nn.Module):
    """A deterministic policy.

    Attributes:
        net: observations [B, obs_dim] -> actions [B, act_dim], its last layer squashed by tanh.
    """

    def __init__(
        self, obs_dim: int, act_dim: int, hidden_sizes: Sequence[int], activation: Callable[[], nn.Module]
    ) -> None:
        """Makes the network; its parameters are not drawn yet."""
        super().__init__()
        self.net = mlp([obs_dim, *hidden_sizes, act_dim], activation).append(nn.Tanh())

    def forward(self, obs: Tensor) -> Tensor:
        """The actions [B, act_dim]."""
        action: Tensor = self.net(obs)
        return action

    def best(self, obs: Tensor) -> Tensor:
        """The actions [B, act_dim]."""
        action: Tensor = self.net(obs)
        return action


class Critics(nn.Module):
    """K action-value functions of one shape, in stacked layers.

    Attributes:
        num_critics: K.
        net: observations and actions side by side [B, obs_dim + act_dim] -> [K, B, 1].
    """

    def __init__(
        self,
        num_critics: int,
        obs_dim: int,
        act_dim: int,
        hidden_sizes: Sequence[int],
        activation: Callable[[], nn.Module],
    ) -> None:
        """Makes the networks; their parameters are not drawn yet."""
        super().__init__()
        self.num_critics = num_critics
        self.net = ensemble_mlp(num_critics, [obs_dim + act_dim, *hidden_sizes, 1], activation)

    def forward(self, action: Tensor, obs: Tensor) -> Tensor:
        """Values [K, B] of actions [B, act_dim] for observations [B, obs_dim]."""
        x = torch.cat([obs, action], 1)
        if x.device.type == "cpu":
            return torch.stack(self._apart(x))
        values: Tensor = self.net(x).squeeze(-1)
        return values

    def first(self, action: Tensor, obs: Tensor) -> Tensor:
        """Values [B] of the first critic alone."""
        return self._apart(torch.cat([obs, action], 1), only=1)[0]

    def _apart(self, x: Tensor, only: int | None = None) -> list[Tensor]:
        """Values [B] of each critic, or of the first few.

        On a CPU a product for each is faster than a batched one, which copies; parts of a weight are taken by
        `unbind`, whose gradient is one copy, and not one for each part.
        """
        outs = [x] * (self.num_critics if only is None else only)
        for layer in self.net:
            if isinstance(layer, EnsembleLinearLayer):
                assert layer.bias is not None
                parts = zip(layer.bias.unbind(0), outs, layer.weight.unbind(0), strict=False)
                outs = [torch.addmm(bias, out, weight) for bias, out, weight in parts]
            else:
                outs = [layer(out) for out in outs]
        return [out.squeeze(-1) for out in outs]


class ContinuousActorCritic(nn.Module):
    """A policy `pi` and critics `q`: what the networks of SAC, TD3 and DDPG have in common.

    A class of your own serves too: it is called with the two spaces and `ac_kwargs`, and has modules without shared
    parameters: `pi` (see the algorithm; its actions lie in [-1, 1], whatever the Box's bounds are, and `pi.best(obs)`
    gives those without chance) and `q` (`q(action, obs)` gives the values [K, B] of K critics, or [B] of one). Its
    observations are flat vectors, those of a Box too.

    Attributes:
        pi: the policy.
        q: the critics.
    """

    pi: nn.Module
    q: nn.Module
    _actor: ClassVar[type[SquashedGaussianActor] | type[DeterministicActor]]
    _num_critics: ClassVar[int]

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        hidden_sizes: Sequence[int] = (256, 256),
        activation: Callable[[], nn.Module] = torch.nn.ReLU,
        *,
        rng: np.random.Generator | int = 0,
    ) -> None:
        """Makes the networks and draws their parameters, uniform in +-1/sqrt(inputs).

        Args:
            observation_space: of one environment; any that flattens to a vector.
            action_space: a Box.
            hidden_sizes: units of each hidden layer, the same in all networks.
            activation: class of the hidden layers' activation, such as torch.nn.ReLU.
            rng: what the first weights are drawn from, or a seed for it.

        Raises:
            BadValue: for spaces or sizes that are not supported.
        """
        super().__init__()
        if not isinstance(action_space, spaces.Box):
            raise BadValue(f"actions of {action_space} are not supported: a Box is needed.")
        obs_dim, act_dim = spaces.flatdim(observation_space), int(np.prod(action_space.shape))
        sizes = [hidden_sizes] if isinstance(hidden_sizes, int) else list(hidden_sizes)
        pi = self._actor(obs_dim, act_dim, sizes, activation)
        q = Critics(self._num_critics, obs_dim, act_dim, sizes, activation)
        generator = np.random.default_rng(rng)
        initialize(pi.net, "uniform", generator, last_gain=1.0)
        initialize(q.net, "uniform", generator, last_gain=1.0)
        self.pi, self.q = pi, q


class SquashedActorCritic(ContinuousActorCritic):
    """The networks of SAC: a squashed Gaussian policy and two critics.

    >>> net = SquashedActorCritic(spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-2.0, 2.0, (1,)), hidden_sizes=(32,))
    >>> action, logp = net.pi(torch.zeros(5, 3))
    >>> action.shape, logp.shape, net.q(action, torch.zeros(5, 3)).shape
    (torch.Size([5, 1]), torch.Size([5]), torch.Size([2, 5]))
    """

    _actor = SquashedGaussianActor
    _num_critics = 2


class TwinActorCritic(ContinuousActorCritic):
    """The networks of TD3: a deterministic policy and two critics."""

    _actor = DeterministicActor
    _num_critics = 2


class DeterministicActorCritic(ContinuousActorCritic):
    """The networks of DDPG: a deterministic policy and one critic."""

    _actor = DeterministicActor
    _num_critics = 1


def evaluate(net: nn.Module, obs: Any, *inputs: Tensor) -> Any:
    """What a network gives for an observation: `net(*inputs, obs)`, of a dict of tensors `net(*inputs, **obs)`."""
    return net(*inputs, **obs) if isinstance(obs, dict) else net(*inputs, obs)


def critic_values(q: nn.Module, action: Tensor, obs: Any) -> Tensor:
    """Values [K, B] of what `q` gives for actions [B, A]: [K, B] already, or [B] or [B, 1] of one critic.

    Raises:
        ShapeError: it gives anything else.
    """
    values: Tensor = evaluate(q, obs, action)
    rows = len(action)
    if values.shape in ((rows,), (rows, 1)) or (values.ndim == 2 and values.shape[1] == rows):
        return values.reshape(-1, rows)
    raise ShapeError(
        f"a critic gave {list(values.shape)} for {rows} actions: [{rows}], [{rows}, 1] or [K, {rows}] fits."
    )


def first_value(q: nn.Module, action: Tensor, obs: Tensor) -> Tensor:
    """Values [B] of the first critic; where `q` has a method `first`, by that alone, which spares the others."""
    first: Any = getattr(q, "first", None)
    return critic_values(q, action, obs)[0] if first is None else first(action, obs)
