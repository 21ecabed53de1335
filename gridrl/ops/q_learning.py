"""The mathematics of Q-learning in torch: action values, what they should be, and how far off they are.

`[B]` are transitions, `[B, A]` the values of all actions at each. What a target is made of carries no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gridrl.ops.shapes import has_rank, same_shape


def taken(q: Tensor, action: Tensor) -> Tensor:
    """The values `Q(s, a)` of the actions that were taken.

    Args:
        q: values of all actions, [B, A].
        action: int64 [B], each in [0, A).

    Returns:
        [B].

    Raises:
        ShapeError: if the shapes do not fit.
    """
    has_rank("q", 2, q)
    same_shape("q of one action, action", q[:, 0], action)
    return q.gather(1, action.unsqueeze(1)).squeeze(1)


def greedy_value(q: Tensor) -> Tensor:
    """The value of the best action, `max_a Q(s, a)` (Watkins 1989; Mnih et al. 2015, algorithm 1).

    Args:
        q: values of all actions, [B, A].

    Returns:
        [B].
    """
    has_rank("q", 2, q)
    return q.amax(1)


def double_value(q_target: Tensor, q: Tensor) -> Tensor:
    """The value that one network gives the action that the other one likes best: `Q'(s, argmax_a Q(s, a))`.

    van Hasselt et al. 2016, equation 4, https://arxiv.org/abs/1509.06461: a maximum over noisy values is too high on
    average; another network's value of the same action is not.

    Args:
        q_target: values by the target network, [B, A].
        q: values by the network that learns, [B, A].

    Returns:
        [B].

    Raises:
        ShapeError: if the shapes differ.
    """
    has_rank("q_target, q", 2, q_target, q)
    same_shape("q_target, q", q_target, q)
    return q_target.gather(1, q.argmax(1, keepdim=True)).squeeze(1)


def td_target(reward: Tensor, next_value: Tensor, mask: Tensor, discount: Tensor | float) -> Tensor:
    """What a value should be: `y = r + discount mask V(s')` (Mnih et al. 2015, algorithm 1).

    Over n steps (Sutton 1988; Hessel et al. 2018, equation 2) `r` is the discounted sum of n rewards, `s'` what came
    n steps later, and `discount` is `gamma^n`.

    Args:
        reward: [B].
        next_value: value of what followed, [B]; it must be finite where `mask` is 0 too.
        mask: 0 where the world ended, else 1, [B]. A time limit does not end it.
        discount: of `next_value`, one for all or [B].

    Returns:
        [B].

    Raises:
        ShapeError: if the shapes differ.
    """
    same_shape("reward, next_value, mask", reward, next_value, mask)
    if isinstance(discount, Tensor):
        same_shape("reward, discount", reward, discount)
        return torch.addcmul(reward, mask, discount * next_value)
    return torch.addcmul(reward, mask, next_value, value=discount)


def td_loss(value: Tensor, target: Tensor, weight: Tensor | None = None, huber_delta: float | None = None) -> Tensor:
    """How far values are from what they should be, and each error by itself.

    The loss is the mean of `weight error^2`, or of `weight huber(error)` (Huber 1964) with `huber(e) = e^2 / 2` up to
    `huber_delta` and `huber_delta (|e| - huber_delta / 2)` beyond, whose gradient never exceeds `huber_delta` (the
    clipped error of Mnih et al. 2015). Importance weights of prioritised replay multiply each sample's update
    (Schaul et al. 2016, algorithm 1), so that the mean is over B, not over the sum of the weights.

    Args:
        value: predictions, [B].
        target: what they should be, [B], without gradient.
        weight: [B], or None for weights of 1.
        huber_delta: above 0, or None for the squared error.

    Returns:
        A scalar.

    Raises:
        ShapeError: if the shapes differ.
    """
    same_shape("value, target", value, target)
    if weight is None:
        if huber_delta is None:
            return functional.mse_loss(value, target)
        return functional.huber_loss(value, target, delta=huber_delta)
    same_shape("value, weight", value, weight)
    if huber_delta is None:
        each = functional.mse_loss(value, target, reduction="none")
    else:
        each = functional.huber_loss(value, target, reduction="none", delta=huber_delta)
    return (weight * each).mean()


def dueling(value: Tensor, advantage: Tensor) -> Tensor:
    """Action values from a state's value and its actions' advantages: `Q = V + A - mean_a A`.

    Wang et al. 2016, equation 9, https://arxiv.org/abs/1511.06581. The mean is taken off since V and A could otherwise
    be shifted against each other without any change of Q.

    Args:
        value: [B, 1].
        advantage: [B, A].

    Returns:
        [B, A].
    """
    has_rank("value, advantage", 2, value, advantage)
    return value + (advantage - advantage.mean(1, keepdim=True))
