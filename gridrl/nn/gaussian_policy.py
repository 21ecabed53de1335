"""Emote's policies for continuous actions: a Gaussian squashed by tanh, on features or on observations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue
from gridrl.nn.initialization import as_generator, ortho_init_, xavier_uniform_init_
from gridrl.nn.mlp import mlp
from gridrl.ops.squashed import squashed_gaussian_sample

# tanh(5) = 0.9999: farther out the mean moves the action no more
MEAN_BOUND = 5.0
LOG_STD_BOUNDS = (-20.0, 2.0)


class BasePolicy(nn.Module):
    """A policy whose samples (pre-actions) may need something done to them before they are actions."""

    def post_process(self, actions: Tensor) -> Tensor:
        """The actions that pre-actions stand for; here the same."""
        return actions

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pre-actions for what the policy reads, and the actions that they stand for; without gradient."""
        with torch.no_grad():
            out = self(x)
            sample = out[0] if isinstance(out, tuple) else out
            return sample, self.post_process(sample)


class GaussianPolicyHead(BasePolicy):
    """The last layers of a policy: actions `tanh(mean + std * epsilon)`, mean and deviation read from features.

    In training mode it gives actions and their log-probabilities, in evaluation mode (`eval()`) actions only. The mean
    is kept within +-5, the logarithm of the deviation within -20 and 2. The log-probability is taken from the value
    before tanh, so that it is right however far out an action lies.

    Attributes:
        mean: features [B, hidden_dim] -> means [B, action_dim].
        log_std: features [B, hidden_dim] -> logarithms of the deviations [B, action_dim].

    >>> head = GaussianPolicyHead(8, 2)
    >>> action, logp = head(torch.zeros(5, 8))
    >>> action.shape, logp.shape
    (torch.Size([5, 2]), torch.Size([5, 1]))
    >>> head.eval()(torch.zeros(5, 8)).shape
    torch.Size([5, 2])
    """

    def __init__(self, hidden_dim: int, action_dim: int, *, rng: np.random.Generator | int | None = None) -> None:
        """Draws the weights small (Xavier, gain 0.01), so that actions start near the middle.

        Args:
            hidden_dim: numbers that it reads.
            action_dim: numbers of an action.
            rng: what the weights are drawn from, or a seed for it; None takes a seed from torch's generator.
        """
        super().__init__()
        self.hidden_dim, self.action_dim = hidden_dim, action_dim
        generator = as_generator(rng)
        (self.mean,), (self.log_std,) = (mlp([hidden_dim, action_dim]) for _ in range(2))
        for layer in (self.mean, self.log_std):
            xavier_uniform_init_(layer, gain=0.01, rng=generator)

    def forward(self, x: Tensor, epsilon: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Samples actions.

        Args:
            x: features, [B, hidden_dim].
            epsilon: standard normal noise, [B, action_dim]. None: in training mode it is drawn from torch's generator,
                in evaluation mode there is none, and the actions are `tanh(mean)`.

        Returns:
            Actions [B, action_dim]; in training mode their log-probabilities [B, 1] too.
        """
        mean = self.mean(x).clamp(-MEAN_BOUND, MEAN_BOUND)
        if epsilon is None and not self.training:
            return torch.tanh(mean)
        log_std = self.log_std(x).clamp(*LOG_STD_BOUNDS)
        action, logp = squashed_gaussian_sample(mean, log_std, torch.randn_like(mean) if epsilon is None else epsilon)
        return (action, logp.unsqueeze(1)) if self.training else action


class GaussianMlpPolicy(BasePolicy):
    """An MLP with ReLU and a `GaussianPolicyHead` on it.

    Attributes:
        encoder: observations [B, observation_dim] -> features.
        policy: the head.

    >>> policy = GaussianMlpPolicy(3, 2, [32, 32])
    >>> action, logp = policy(torch.zeros(5, 3))
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        *,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        """Draws the hidden weights orthogonal, times sqrt(2).

        Args:
            observation_dim: numbers of an observation.
            action_dim: numbers of an action.
            hidden_dims: units of each hidden layer, at least one.
            rng: what the weights are drawn from, or a seed for it; None takes a seed from torch's generator.

        Raises:
            BadValue: without a hidden layer.
        """
        super().__init__()
        if not hidden_dims:
            raise BadValue("hidden_dims are empty: the policy's head reads the last hidden layer.")
        generator = as_generator(rng)
        self.encoder = nn.Sequential(*mlp([observation_dim, *hidden_dims], nn.ReLU), nn.ReLU())
        for layer in self.encoder:
            ortho_init_(layer, rng=generator)
        self.policy = GaussianPolicyHead(hidden_dims[-1], action_dim, rng=generator)

    def forward(self, obs: Tensor, epsilon: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """What `GaussianPolicyHead` gives for the features of observations [B, observation_dim]."""
        out: Tensor | tuple[Tensor, Tensor] = self.policy(self.encoder(obs), epsilon)
        return out
