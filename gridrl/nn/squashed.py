"""The head of a policy whose actions lie in (-1, 1): a Gaussian, squashed by tanh."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gridrl.errors import BadValue, ShapeError
from gridrl.ops.squashed import squashed_gaussian_logp, squashed_gaussian_sample

Array: TypeAlias = npt.NDArray[Any]


class SquashedGaussianHead:
    """Turns a network's output into actions in [-1, 1] and their log-probabilities.

    The output `out` holds A means and, behind them, A logarithms of standard deviations, which are kept within bounds;
    an action is `tanh(mean + std * noise)`. Actions are drawn by numpy to act and by torch to learn, from the same
    noise the same ones. A policy of this kind has no entropy in closed form: `-logp` of a sample estimates it.

    >>> head = SquashedGaussianHead(2)
    >>> action, logp = head.rsample(torch.zeros(5, 4), torch.zeros(5, 2))
    >>> action.shape, logp.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, act_dim: int, log_std_min: float = -20.0, log_std_max: float = 2.0) -> None:
        """Sets the sizes.

        Args:
            act_dim: A, numbers of an action.
            log_std_min: the least logarithm of the standard deviation.
            log_std_max: the greatest.

        Raises:
            BadValue: if the bounds are the wrong way round.
        """
        if log_std_min > log_std_max:
            raise BadValue(f"log_std_min {log_std_min} is greater than log_std_max {log_std_max}.")
        self.act_dim = act_dim
        self.log_std_min, self.log_std_max = log_std_min, log_std_max

    def parts(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """Means and bounded logarithms of the standard deviations, [..., A] each, of outputs [..., 2A].

        Raises:
            ShapeError: for outputs of another size.
        """
        if out.shape[-1] != 2 * self.act_dim:
            raise ShapeError(f"out {list(out.shape)}: {self.act_dim} means and as many deviations are needed.")
        mean, log_std = out[..., : self.act_dim], out[..., self.act_dim :]
        return mean, log_std.clamp(self.log_std_min, self.log_std_max)

    def rsample(self, out: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions [B, A] and their log-probabilities [B], with gradients, for outputs [B, 2A].

        Args:
            out: what the network gave, [B, 2A].
            noise: standard normal, [B, A].
        """
        return squashed_gaussian_sample(*self.parts(out), noise)

    def logp(self, out: Tensor, u: Tensor) -> Tensor:
        """Log-probabilities [B] of the actions `tanh(u)`, `u` being [B, A], for outputs [B, 2A]."""
        return squashed_gaussian_logp(*self.parts(out), u)

    def best(self, out: Tensor) -> Tensor:
        """The actions [..., A] of no noise, for outputs [..., 2A]."""
        return torch.tanh(out[..., : self.act_dim])

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Noise for `count` actions, float32 [count, A]."""
        return rng.standard_normal((count, self.act_dim), np.float32)

    def sample(self, out: Array, noise: Array) -> Array:
        """The actions [..., A] that the noise picks, for outputs [..., 2A], by numpy."""
        spread: Array = np.clip(out[..., self.act_dim :], self.log_std_min, self.log_std_max)
        np.exp(spread, out=spread)
        spread *= noise
        spread += out[..., : self.act_dim]
        np.tanh(spread, out=spread)
        return spread

    def mode(self, out: Array) -> Array:
        """The actions [..., A] of no noise, for outputs [..., 2A], by numpy."""
        action: Array = np.tanh(out[..., : self.act_dim])
        return action
