"""The default networks of the on-policy algorithms: an MLP policy and an MLP value function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl.errors import BadValue
from gridrl.nn.initialization import initialize
from gridrl.nn.mlp import mlp
from gridrl.nn.policies import MLPActor, MLPCategoricalActor, MLPGaussianActor


class MLPCritic(nn.Module):
    """A value function.

    Attributes:
        v_net: observations [B, obs_dim] -> [B, 1].
    """

    def __init__(self, obs_dim: int, hidden_sizes: Sequence[int], activation: Callable[[], nn.Module]) -> None:
        """Makes the network; its parameters are not drawn yet."""
        super().__init__()
        self.v_net = mlp([obs_dim, *hidden_sizes, 1], activation)

    def forward(self, obs: Tensor) -> Tensor:
        """Values [B] of observations [B, obs_dim]."""
        values: Tensor = self.v_net(obs).squeeze(-1)
        return values


class MLPActorCritic(nn.Module):
    """A policy `pi` and a value function `v` with networks of their own, as Spinning Up's users know them.

    Discrete actions get a softmax policy, Box actions a Gaussian one. A class of your own serves too: it is called with
    the two spaces and `ac_kwargs`, has modules `pi` (`pi(obs, act)` gives a distribution with `entropy()` and the
    log-probabilities [B]) and `v` (`v(obs)` gives [B]) without shared parameters, and a method `act(obs)` for one
    observation and for many. Its observations are flat vectors, but those of a Box keep their shape.

    Attributes:
        pi: the policy, `MLPCategoricalActor` or `MLPGaussianActor`.
        v: the value function, `MLPCritic`.

    >>> box = spaces.Box(-1.0, 1.0, (3,))
    >>> net = MLPActorCritic(box, spaces.Discrete(2), hidden_sizes=(32,))
    >>> value = net.v(torch.zeros(5, 3))
    >>> value.shape
    torch.Size([5])
    """

    pi: MLPActor

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        hidden_sizes: Sequence[int] = (64, 64),
        activation: Callable[[], nn.Module] = torch.nn.Tanh,
        *,
        init: str = "uniform",
        log_std: float = -0.5,
        rng: np.random.Generator | int = 0,
    ) -> None:
        """Makes both networks and draws their parameters.

        Args:
            observation_space: of one environment; any that flattens to a vector.
            action_space: Discrete or Box.
            hidden_sizes: units of each hidden layer, the same in both networks.
            activation: class of the hidden layers' activation, such as torch.nn.ReLU.
            init: how the first weights are drawn: uniform (torch's default) or orthogonal (gain sqrt(2), last layer
                of the policy 0.01).
            log_std: logarithm of the Gaussian policy's standard deviation at the start.
            rng: what the first weights are drawn from, or a seed for it.

        Raises:
            BadValue: for spaces, sizes or an initialisation that are not supported.
        """
        super().__init__()
        obs_dim = spaces.flatdim(observation_space)
        sizes = [hidden_sizes] if isinstance(hidden_sizes, int) else list(hidden_sizes)
        if isinstance(action_space, spaces.Discrete):
            self.pi = MLPCategoricalActor(obs_dim, int(action_space.n), sizes, activation)
        elif isinstance(action_space, spaces.Box):
            self.pi = MLPGaussianActor(obs_dim, int(np.prod(action_space.shape)), sizes, activation, log_std)
        else:
            raise BadValue(f"actions of {action_space} are not supported: a Discrete or a Box is needed.")
        self.v = MLPCritic(obs_dim, sizes, activation)
        generator = np.random.default_rng(rng)
        initialize(self.pi.net, init, generator, last_gain=0.01)
        initialize(self.v.v_net, init, generator, last_gain=1.0)

    def step(self, obs: Tensor) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """A sampled action, its value and its log-probability, for observations [D] or [B, D]; without gradient."""
        with torch.no_grad():
            distribution, _ = self.pi(obs)
            action = distribution.sample()
            return action.cpu().numpy(), self.v(obs).cpu().numpy(), distribution.log_prob(action).cpu().numpy()

    def act(self, obs: Tensor) -> npt.NDArray[Any]:
        """A sampled action for observations [D] or [B, D]."""
        return self.step(obs)[0]
