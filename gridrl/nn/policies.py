"""Policies for discrete and continuous actions: a network, and a head that makes a distribution of its output.

The mathematics is the one of `gridrl.ops.losses`, without distribution objects where it runs thousands of times a
second. A head has two faces: torch, to learn from a batch, and numpy, to act and to look at a rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gridrl.nn.gaussian_policy import BasePolicy as BasePolicy
from gridrl.nn.gaussian_policy import GaussianMlpPolicy as GaussianMlpPolicy
from gridrl.nn.gaussian_policy import GaussianPolicyHead as GaussianPolicyHead
from gridrl.nn.mlp import mlp
from gridrl.ops.losses import LOG_2PI, categorical_entropy, categorical_logp, gaussian_entropy, gaussian_logp

Array: TypeAlias = npt.NDArray[Any]


class Head(Protocol):
    """Turns a network's output `out` into actions and their probabilities."""

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Noise for `count` actions of the policy as it is now, float32 [count, A]."""
        ...

    def sample(self, out: Array, noise: Array) -> Array:
        """The actions that the noise picks, for outputs [A] or [B, A]."""
        ...

    def mode(self, out: Array) -> Array:
        """The likeliest actions, for outputs [A] or [B, A]."""
        ...

    def logp(self, out: Tensor, action: Tensor) -> Tensor:
        """Log-probabilities [B] of actions, for outputs [B, A]."""
        ...

    def entropy(self, out: Tensor) -> Tensor:
        """Entropy in nats, its mean over outputs [B, A]: a scalar."""
        ...

    def look(self, out: Array, action: Array) -> tuple[Array, float]:
        """Log-probabilities [B] and mean entropy by numpy, for outputs [B, A]."""
        ...


class CategoricalHead:
    """Discrete actions 0 to `choices` - 1: the output is the logits of a softmax."""

    def __init__(self, choices: int) -> None:
        self.choices = choices

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Gumbel noise: the largest of logits plus noise is a sample of the softmax."""
        exponential = rng.standard_exponential((count, self.choices), np.float32)
        np.maximum(exponential, np.float32(1e-30), out=exponential)
        return -np.log(exponential, out=exponential)

    def sample(self, out: Array, noise: Array) -> Array:
        """int64 [B], or one number for one output."""
        action: Array = (out + noise).argmax(-1)
        return action

    def mode(self, out: Array) -> Array:
        """int64 [B], or one number for one output."""
        action: Array = out.argmax(-1)
        return action

    def logp(self, out: Tensor, action: Tensor) -> Tensor:
        """See `Head`."""
        return categorical_logp(out, action)

    def entropy(self, out: Tensor) -> Tensor:
        """See `Head`."""
        return categorical_entropy(out)

    def look(self, out: Array, action: Array) -> tuple[Array, float]:
        """See `Head`."""
        logp = out - out.max(1, keepdims=True)
        probability = np.exp(logp)
        total = probability.sum(1, keepdims=True)
        logp -= np.log(total)
        probability /= total
        entropy = -float(np.einsum("ba,ba->", probability, logp, dtype=np.float64)) / len(out)
        return np.take_along_axis(logp, action[:, None], 1)[:, 0], entropy


class GaussianHead:
    """Continuous actions: the output is the mean of a Gaussian whose deviation is the same everywhere."""

    def __init__(self, log_std: Tensor) -> None:
        """Takes the logarithm of the standard deviation, float32 [A], a parameter that is learned."""
        self.log_std = log_std

    @property
    def _numpy_log_std(self) -> Array:
        array: Array = self.log_std.detach().numpy()
        return array

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Normal noise of the policy's deviation."""
        noise = rng.standard_normal((count, self.log_std.shape[0]), np.float32)
        noise *= np.exp(self._numpy_log_std)
        return noise

    def sample(self, out: Array, noise: Array) -> Array:
        """float32, of the shape of `out`."""
        return out + noise

    def mode(self, out: Array) -> Array:
        """float32, of the shape of `out`."""
        return out.copy()

    def logp(self, out: Tensor, action: Tensor) -> Tensor:
        """See `Head`."""
        return gaussian_logp(out, self.log_std, action)

    def entropy(self, out: Tensor) -> Tensor:
        """See `Head`; it does not depend on the output."""
        return gaussian_entropy(self.log_std)

    def look(self, out: Array, action: Array) -> tuple[Array, float]:
        """See `Head`."""
        log_std = self._numpy_log_std
        standard = (action - out) * np.exp(-log_std)
        spread = float(log_std.sum(dtype=np.float64))
        logp = -0.5 * np.einsum("ba,ba->b", standard, standard) - np.float32(spread + 0.5 * LOG_2PI * len(log_std))
        return logp, spread + 0.5 * (1.0 + LOG_2PI) * len(log_std)


class Distribution:
    """What a policy gives for a batch of observations: `sample`, `mode`, `log_prob` and `entropy`."""

    def __init__(self, head: Head, out: Tensor) -> None:
        self.head = head
        self.out = out

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """One action per observation, without gradient; drawn from torch's global generator if none is given."""
        with torch.no_grad():
            if isinstance(self.head, GaussianHead):
                noise = torch.empty_like(self.out).normal_(generator=generator)
                return self.out + self.head.log_std.exp() * noise
            probability = torch.softmax(self.out, -1)
            flat = torch.multinomial(probability.reshape(-1, probability.shape[-1]), 1, generator=generator)
            return flat.reshape(probability.shape[:-1])

    @property
    def mode(self) -> Tensor:
        """The likeliest actions."""
        return self.out.detach() if isinstance(self.head, GaussianHead) else self.out.detach().argmax(-1)

    def log_prob(self, action: Tensor) -> Tensor:
        """Log-probabilities of actions, [B] for observations [B, D], a scalar for one [D]."""
        if self.out.ndim == 2:
            return self.head.logp(self.out, action)
        return self.head.logp(self.out.unsqueeze(0), action.unsqueeze(0)).squeeze(0)

    def entropy(self) -> Tensor:
        """Mean entropy in nats, a scalar."""
        return self.head.entropy(self.out if self.out.ndim == 2 else self.out.unsqueeze(0))


class MLPActor(nn.Module):
    """A plain MLP with a head: what the policies for both kinds of actions have in common.

    Attributes:
        head: makes a distribution of what `net` gives.
    """

    head: Head

    @property
    def net(self) -> nn.Sequential:
        """The network whose output the head reads."""
        raise NotImplementedError

    def forward(self, obs: Tensor, act: Tensor | None = None) -> tuple[Distribution, Tensor | None]:
        """The distribution for observations [B, D] or [D], and the log-probability of `act` if it is given."""
        distribution = Distribution(self.head, self.net(obs))
        return distribution, None if act is None else distribution.log_prob(act)


class MLPCategoricalActor(MLPActor):
    """A policy over `act_dim` choices.

    Attributes:
        logits_net: observations [B, obs_dim] -> logits [B, act_dim].
    """

    def __init__(
        self, obs_dim: int, act_dim: int, hidden_sizes: Sequence[int], activation: Callable[[], nn.Module]
    ) -> None:
        """Makes the network; its parameters are not drawn yet."""
        super().__init__()
        self.logits_net = mlp([obs_dim, *hidden_sizes, act_dim], activation)
        self.head = CategoricalHead(act_dim)

    @property
    def net(self) -> nn.Sequential:
        """The network of the logits."""
        return self.logits_net


class MLPGaussianActor(MLPActor):
    """A policy over actions in R^act_dim, whose standard deviation does not depend on the observation.

    Attributes:
        log_std: natural logarithm of the standard deviation, float32 [act_dim], learned.
        mu_net: observations [B, obs_dim] -> means [B, act_dim].
    """

    def __init__(
        self,
        obs_dim: int,
        act_dim: int,
        hidden_sizes: Sequence[int],
        activation: Callable[[], nn.Module],
        log_std: float = -0.5,
    ) -> None:
        """Makes the network; its parameters are not drawn yet."""
        super().__init__()
        self.log_std = nn.Parameter(torch.full((act_dim,), float(log_std)))
        self.mu_net = mlp([obs_dim, *hidden_sizes, act_dim], activation)
        self.head = GaussianHead(self.log_std)

    @property
    def net(self) -> nn.Sequential:
        """The network of the means."""
        return self.mu_net
