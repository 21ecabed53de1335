"""How far two policies are apart, and the metric that this distance induces, for the distributions that policies have.

The metric `M` is the Fisher information of the distribution in the numbers that describe it: the Hessian of
`KL(old || new)` where both are equal. Each function gives a mean over the rows of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gridrl.ops.shapes import has_rank, same_shape


def categorical_kl(logits_old: Tensor, logits: Tensor) -> Tensor:
    """`KL(old || new) = sum_a p_old(a) (log p_old(a) - log p(a))` in nats, its mean over the rows, a scalar.

    Args:
        logits_old: unnormalised, [B, A].
        logits: the same of the other distribution, [B, A].
    """
    has_rank("logits_old, logits", 2, logits_old, logits)
    same_shape("logits_old, logits", logits_old, logits)
    logp_old, logp = torch.log_softmax(logits_old, 1), torch.log_softmax(logits, 1)
    return (logp_old.exp() * (logp_old - logp)).sum(1).mean()


def categorical_metric(logits: Tensor, direction: Tensor) -> Tensor:
    """`M u` with `M = diag(p) - p p^T` for each row, divided by the number of rows.

    Args:
        logits: where the metric is taken, [B, A].
        direction: u, [B, A].

    Returns:
        [B, A].
    """
    same_shape("logits, direction", logits, direction)
    p = torch.softmax(logits, 1)
    weighted = p * direction
    return (weighted - p * weighted.sum(1, keepdim=True)) / len(logits)


def gaussian_kl(mean_old: Tensor, log_std_old: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(old || new) of Gaussians with independent dimensions in nats, its mean over the rows, a scalar.

    `sum_i log(s_i / s_old_i) + (s_old_i^2 + (m_old_i - m_i)^2) / (2 s_i^2) - 1/2`.

    Args:
        mean_old: [B, A].
        log_std_old: natural logarithm of the standard deviation, [A] (the same everywhere) or [B, A].
        mean: the same of the other distribution, [B, A].
        log_std: [A] or [B, A].
    """
    has_rank("mean_old, mean", 2, mean_old, mean)
    same_shape("mean_old, mean", mean_old, mean)
    spread = log_std - log_std_old
    moved = (mean_old - mean) * torch.exp(-log_std)
    each = spread + 0.5 * (torch.exp(-2.0 * spread) + moved * moved - 1.0)
    return each.sum(1).mean()


def gaussian_metric(
    mean: Tensor, log_std: Tensor, mean_direction: Tensor, log_std_direction: Tensor
) -> tuple[Tensor, Tensor]:
    """`M u` with `M = diag(1 / s^2)` for means and `diag(2)` for logarithms of deviations, as a mean over the rows.

    Args:
        mean: where the metric is taken, [B, A].
        log_std: [A], one for all rows, or [B, A].
        mean_direction: u's part in the means, [B, A].
        log_std_direction: u's part in the logarithms, of the shape of `log_std`.

    Returns:
        Both parts of `M u`, of their shapes.
    """
    same_shape("mean, mean_direction", mean, mean_direction)
    same_shape("log_std, log_std_direction", log_std, log_std_direction)
    rows = len(mean)
    # one deviation for all rows is in every row's divergence: its mean is the number itself
    share = 2.0 if log_std.ndim == 1 else 2.0 / rows
    return mean_direction * (torch.exp(-2.0 * log_std) / rows), share * log_std_direction
