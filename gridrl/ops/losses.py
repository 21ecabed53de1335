"""Losses of policy-gradient methods, and what is watched beside them, in torch.

They run thousands of times per epoch on minibatches of 64, where every torch call costs a microsecond: hence plain
arithmetic, no distribution objects, no copies. Every function takes samples along all axes of `[B]` (or `[T, N]`)
tensors; where a `weight` is taken, means are weighted means, `sum(weight x) / sum(weight)`, so that a row of weight
0 counts for nothing.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from gridrl.ops.shapes import has_rank, same_shape

LOG_2PI = math.log(2.0 * math.pi)

Numbers = TypeVar("Numbers", Tensor, npt.NDArray[Any])


def weighted_mean(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean of all elements, scalar; with `weight` (same shape, not all zero) the weighted one."""
    if weight is None:
        return x.mean()
    same_shape("x, weight", x, weight)
    return (x * weight).sum() / weight.sum()


def clipped_surrogate(
    logp: Tensor, logp_old: Tensor, adv: Tensor, clip_ratio: float, weight: Tensor | None = None
) -> Tensor:
    """PPO's loss (Schulman et al. 2017, equation 7, https://arxiv.org/abs/1707.06347), to be minimised.

    `-mean(min(r A, clip(r, 1 - clip_ratio, 1 + clip_ratio) A))` with `r = exp(logp - logp_old)`. Where moving further
    would leave the clip range in the direction that the advantage asks for, the gradient is zero.

    Args:
        logp: log-probability of the taken action under the policy that learns, [B].
        logp_old: the same under the policy that acted, [B], without gradient.
        adv: advantage, [B].
        clip_ratio: half the width of the range in which the ratio is left alone.
        weight: [B], or None for equal weights.

    Returns:
        A scalar.

    Raises:
        ShapeError: if the shapes differ.
    """
    same_shape("logp, logp_old, adv", logp, logp_old, adv)
    # min(r A, clip(r) A) = min(r A, A + clip_ratio |A|), in half the operations
    gained = torch.exp(logp - logp_old) * adv
    return -weighted_mean(torch.clamp(gained, max=adv + clip_ratio * adv.abs()), weight)


def surrogate(logp: Tensor, logp_old: Tensor, adv: Tensor, weight: Tensor | None = None) -> Tensor:
    """The loss `-mean(r A)` with `r = exp(logp - logp_old)` that a trust region is for, to be minimised.

    Schulman et al. 2015, equation 14, https://arxiv.org/abs/1502.05477. At the old policy its gradient is that of
    `policy_gradient`.

    Args:
        logp: log-probability of the taken action under the policy that learns, [B].
        logp_old: the same under the policy that acted, [B], without gradient.
        adv: advantage, [B].
        weight: [B], or None for equal weights.

    Raises:
        ShapeError: if the shapes differ.
    """
    same_shape("logp, logp_old, adv", logp, logp_old, adv)
    return -weighted_mean(torch.exp(logp - logp_old) * adv, weight)


def policy_gradient(logp: Tensor, adv: Tensor, weight: Tensor | None = None) -> Tensor:
    """The loss `-mean(logp A)` whose gradient is the policy gradient (Sutton et al. 2000, theorem 1).

    Args:
        logp: log-probability of the taken action, [B].
        adv: advantage, [B], without gradient.
        weight: [B], or None for equal weights.

    Raises:
        ShapeError: if the shapes differ.
    """
    same_shape("logp, adv", logp, adv)
    return -weighted_mean(logp * adv, weight)


def mean_squared(value: Tensor, ret: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean of `(value - ret)**2`, without a factor of one half.

    Args:
        value: predictions, [B].
        ret: what they should be, [B], without gradient.
        weight: [B], or None for equal weights.

    Raises:
        ShapeError: if the shapes differ; `[B]` against `[B, 1]` does.
    """
    same_shape("value, ret", value, ret)
    if weight is None:
        return functional.mse_loss(value, ret)
    error = value - ret
    return weighted_mean(error * error, weight)


def categorical_logp(logits: Tensor, action: Tensor) -> Tensor:
    """Log-probabilities of actions drawn from `softmax(logits)`.

    Args:
        logits: unnormalised, [B, A].
        action: int64 [B], each in [0, A).

    Returns:
        [B].
    """
    has_rank("logits", 2, logits)
    same_shape("logits of one action, action", logits[:, 0], action)
    return -functional.cross_entropy(logits, action, reduction="none")


def categorical_entropy(logits: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean entropy of `softmax(logits)` in nats: `-sum_a p_a log p_a`, scalar.

    Args:
        logits: unnormalised, [B, A].
        weight: [B], or None for equal weights.
    """
    has_rank("logits", 2, logits)
    logp = torch.log_softmax(logits, 1)
    return weighted_mean(-(logp.exp() * logp).sum(1), weight)


def gaussian_logp(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """Log-densities under a Gaussian with independent dimensions.

    `sum_i -((a_i - m_i) / s_i)**2 / 2 - log s_i - log(2 pi) / 2`.

    Args:
        mean: [B, A].
        log_std: natural logarithm of the standard deviation, [A] (the same everywhere) or [B, A].
        action: [B, A].

    Returns:
        [B].
    """
    has_rank("mean", 2, mean)
    same_shape("mean, action", mean, action)
    standard = (action - mean) * torch.exp(-log_std)
    return -0.5 * (standard * standard).sum(1) - (log_std.sum(-1) + 0.5 * LOG_2PI * mean.shape[1])


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Entropy of a Gaussian with independent dimensions in nats: `sum_i log s_i + (1 + log(2 pi)) / 2`.

    Args:
        log_std: [A], or [B, A], which is averaged over B.

    Returns:
        A scalar.
    """
    total = log_std.sum(-1) + 0.5 * (1.0 + LOG_2PI) * log_std.shape[-1]
    return total if total.ndim == 0 else total.mean()


def approx_kl(logp: Tensor, logp_old: Tensor, weight: Tensor | None = None) -> Tensor:
    """Estimates KL(old || new) as `mean(logp_old - logp)`, which the documented algorithms stop by; may be negative."""
    same_shape("logp, logp_old", logp, logp_old)
    return weighted_mean(logp_old - logp, weight)


def approx_kl_k3(logp: Tensor, logp_old: Tensor, weight: Tensor | None = None) -> Tensor:
    """Estimates KL(old || new) as `mean(r - 1 - log r)`, `r = exp(logp - logp_old)`: never negative, less variance.

    Estimator k3 of Schulman 2020, http://joschu.net/blog/kl-approx.html.
    """
    same_shape("logp, logp_old", logp, logp_old)
    log_ratio = logp - logp_old
    return weighted_mean(torch.expm1(log_ratio) - log_ratio, weight)


def clip_fraction(logp: Tensor, logp_old: Tensor, clip_ratio: float, weight: Tensor | None = None) -> Tensor:
    """The share of samples whose probability ratio lies outside `[1 - clip_ratio, 1 + clip_ratio]`."""
    same_shape("logp, logp_old", logp, logp_old)
    moved = (torch.expm1(logp - logp_old).abs() > clip_ratio).to(logp.dtype)
    return weighted_mean(moved, weight)


def normalize(x: Numbers, weight: Numbers | None = None, eps: float = 1e-8) -> Numbers:
    """Shifts and scales to mean 0 and standard deviation 1 over all elements: `(x - mean) / (std + eps)`.

    The standard deviation is the population's (divided by the count), so that a batch split over ranks gives the
    numbers of the whole. Statistics are float64 whatever the type of `x`.

    Args:
        x: any shape, numpy or torch; no gradient flows through.
        weight: same shape: only what has weight enters the statistics. None for equal weights.
        eps: keeps a constant batch finite (it becomes 0).

    Returns:
        A new array like `x`, same type.

    Raises:
        ShapeError: if the shapes differ.
    """
    if weight is not None:
        same_shape("x, weight", x, weight)
    if isinstance(x, Tensor):
        if x.device.type != "cpu":
            return _normalize_tensor(x, weight, eps)
        # numpy has half of torch's cost per call, and a minibatch is 64 numbers
        return torch.from_numpy(_normalize_array(x.detach().numpy(), _as_array(weight), eps))
    return _normalize_array(x, _as_array(weight), eps)


def _as_array(weight: Tensor | npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
    return weight.detach().numpy() if isinstance(weight, Tensor) else weight


def _normalize_array(x: npt.NDArray[Any], weight: npt.NDArray[Any] | None, eps: float) -> npt.NDArray[Any]:
    flat = x.astype(np.float64).reshape(-1)
    if weight is None:
        flat -= flat.sum() / flat.size
        variance = flat.dot(flat) / flat.size
    else:
        share = weight.astype(np.float64).reshape(-1)
        share /= share.sum()
        flat -= share.dot(flat)
        variance = share.dot(flat * flat)
    flat /= math.sqrt(variance) + eps
    return flat.astype(x.dtype).reshape(x.shape)


def _normalize_tensor(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    wide = x.detach().double()
    share = torch.full_like(wide, 1.0 / wide.numel()) if weight is None else weight.double() / weight.double().sum()
    centred = wide - (share * wide).sum()
    return (centred / ((share * centred * centred).sum().sqrt() + eps)).to(x.dtype)
