"""The Gaussian squashed by tanh, whose samples lie in (-1, 1): the policy of soft actor-critic, in torch.

An action is `a = tanh(u)` with `u` Gaussian, so `log p(a) = log N(u) - sum_i log(1 - tanh(u_i)^2)` (Haarnoja et al.
2018, appendix C, https://arxiv.org/abs/1801.01290). The last term is written `2 (log 2 - u - softplus(-2 u))`, which is
exact for every `u`: `1 - tanh(u)^2` is zero in float32 from |u| = 9 on, and recovering `u` from `a` fails there too.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from gridrl.ops.losses import LOG_2PI
from gridrl.ops.shapes import has_rank, same_shape

LOG_2 = math.log(2.0)


def log_tanh_slope(u: Tensor) -> Tensor:
    """`log(1 - tanh(u)^2)` of every element, the logarithm of the slope of tanh at `u`; any shape."""
    # logsigmoid(2u) = -softplus(-2u), without softplus' shortcut beyond 20
    return 2.0 * (LOG_2 - u + functional.logsigmoid(2.0 * u))


def squashed_gaussian_logp(mean: Tensor, log_std: Tensor, u: Tensor) -> Tensor:
    """Log-densities of the actions `tanh(u)`.

    Args:
        mean: of `u`, [B, A].
        log_std: natural logarithm of its standard deviation, [A] or [B, A].
        u: the value before tanh, [B, A].

    Returns:
        [B].

    Raises:
        ShapeError: if the shapes differ.
    """
    has_rank("mean", 2, mean)
    same_shape("mean, u", mean, u)
    return _logp(log_std, (u - mean) * (-log_std).exp(), u)


def squashed_gaussian_sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Actions by reparametrisation, `tanh(mean + exp(log_std) noise)`, and their log-densities.

    Gradients flow to `mean` and `log_std` through both.

    Args:
        mean: of the value before tanh, [B, A].
        log_std: natural logarithm of its standard deviation, [A] or [B, A].
        noise: standard normal, [B, A].

    Returns:
        Actions [B, A], each in [-1, 1], and log-densities [B].

    Raises:
        ShapeError: if the shapes differ.
    """
    has_rank("mean", 2, mean)
    same_shape("mean, noise", mean, noise)
    u = mean + log_std.exp() * noise
    # the noise itself is (u - mean) / std, and has lost no digits
    return u.tanh(), _logp(log_std, noise, u)


def _logp(log_std: Tensor, standard: Tensor, u: Tensor) -> Tensor:
    each = 0.5 * (standard * standard) + log_std + log_tanh_slope(u)
    return -(each.sum(1) + 0.5 * LOG_2PI * u.shape[1])
