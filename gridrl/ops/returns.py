"""Discounted returns and advantages of stored trajectories, in numpy, without gradients.

A trajectory block is `[T]` (one environment) or `[T, N]` (N environments side by side), time first. The recurrences
run backwards in float64: with plain Python floats for one environment (60 times faster than numpy scalars), with one
vector operation per step for several. Both do the same operations in the same order, so that a column of a `[T, N]`
block gives the very numbers of the `[T]` block.

Rollouts of equal length that were drawn from a memory are discounted by one matrix product, in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from gridrl.errors import ShapeError
from gridrl.ops.shapes import same_shape

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]
Rows = TypeVar("Rows", "torch.Tensor", Array)


def discount_cumsum(x: npt.ArrayLike, discount: float) -> Array:
    """Discounted sums to the end of the block: `y[t] = x[t] + discount * y[t + 1]`.

    Args:
        x: [T] or [T, N], time first.
        discount: the weight of one step's delay, in [0, 1].

    Returns:
        The sums, of the shape and floating type of `x` (float64 for integers).

    >>> discount_cumsum([1.0, 2.0, 4.0], 0.5).tolist()
    [3.0, 4.0, 4.0]
    """
    steps = np.asarray(x)
    summed = _backward_scan(steps.astype(np.float64), np.full(steps.shape, float(discount)))
    return summed.astype(steps.dtype if steps.dtype.kind == "f" else np.float64, copy=False)


def gae(
    reward: Array, value: Array, next_value: Array, terminated: Array, done: Array, *, gamma: float, lam: float
) -> Array:
    """Generalised advantage estimates (Schulman et al. 2016, equation 16, https://arxiv.org/abs/1506.02438).

    `delta[t] = reward[t] + gamma (1 - terminated[t]) next_value[t] - value[t]` and
    `adv[t] = delta[t] + gamma lam (1 - done[t]) adv[t + 1]`. A termination ends the world: nothing comes after it. A
    time limit does not: its `next_value` is the value of the episode's last observation, and only the trace is cut.
    The last row is bootstrapped by its `next_value` too; the returns to regress on are `adv + value`.

    Args:
        reward: [T] or [T, N].
        value: value of the observation acted upon, same shape.
        next_value: value of the observation that followed, before any reset, same shape. Ignored where terminated.
        terminated: whether the world ended, same shape, bool or 0/1.
        done: whether the episode ended for whatever reason (terminated or truncated), same shape, bool or 0/1.
        gamma: discount per step.
        lam: 0 gives one-step advantages, 1 gives discounted returns less the value.

    Returns:
        The advantages, same shape, in the floating type of `value`; computed in float64.

    Raises:
        ShapeError: if the shapes differ.

    >>> one, zero = np.ones(2), np.zeros(2)
    >>> gae(one, zero, np.array([0.0, 8.0]), zero, np.array([0, 1]), gamma=0.5, lam=1.0).tolist()
    [3.5, 5.0]
    """
    same_shape("reward, value, next_value, terminated, done", reward, value, next_value, terminated, done)
    follows = np.asarray(next_value, np.float64) * (1.0 - np.asarray(terminated, np.float64))
    delta = np.asarray(reward, np.float64) + gamma * follows - value
    keep = (gamma * lam) * (1.0 - np.asarray(done, np.float64))
    return _backward_scan(delta, keep).astype(value.dtype if value.dtype.kind == "f" else np.float64, copy=False)


def explained_variance(value: Array, ret: Array) -> float:
    """How much of the returns' variance the values account for: `1 - Var(ret - value) / Var(ret)`.

    1 is perfect, 0 is no better than a constant, NaN where the returns do not vary.

    Args:
        value: predictions, any shape.
        ret: what they should have been, same shape.
    """
    same_shape("value, ret", value, ret)
    spread = float(np.var(ret, dtype=np.float64))
    if spread == 0.0:
        return float("nan")
    return 1.0 - float(np.var(np.subtract(ret, value, dtype=np.float64))) / spread


def make_gamma_matrix(gamma: float, roll_length: int) -> torch.Tensor:
    """What `discount` multiplies by: `G[i, j] = gamma^(i - j)` where `i >= j`, else 0.

    Args:
        gamma: discount per step.
        roll_length: n, steps of a rollout, 1 or more.

    Returns:
        float32 [n + 1, n]; the last row discounts the value that follows the rollout.

    Raises:
        ShapeError: for a rollout without steps.

    >>> make_gamma_matrix(0.5, 2).tolist()
    [[1.0, 0.0], [0.5, 1.0], [0.25, 0.5]]
    """
    import torch

    if roll_length < 1:
        raise ShapeError(f"a rollout has 1 step or more, not {roll_length}.")
    delay = np.arange(roll_length + 1.0)[:, None] - np.arange(roll_length)
    weights = np.where(delay >= 0, np.power(float(gamma), np.maximum(delay, 0.0)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))


def discount(rewards: torch.Tensor, values: torch.Tensor, gamma_matrix: torch.Tensor) -> torch.Tensor:
    """The return of every step of rollouts, from there to the rollout's end and the value that follows it.

    `sum_{i >= j} gamma^(i - j) r_i + gamma^(n - j) V`: the first step of a rollout looks n steps ahead, the last one
    step. No rollout may run past the end of an episode.

    Args:
        rewards: [B, n].
        values: of the observation that follows a rollout's last step, 0 where the world ended, [B, 1].
        gamma_matrix: from `make_gamma_matrix`, [n + 1, n], on the same device.

    Returns:
        [B * n, 1], rollout after rollout.

    Raises:
        ShapeError: if the shapes do not fit.

    >>> import torch
    >>> discount(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0]]), make_gamma_matrix(0.5, 2)).tolist()
    [[3.0], [4.0]]
    """
    steps = gamma_matrix.shape[1]
    if rewards.ndim != 2 or rewards.shape[1] != steps or values.shape != (len(rewards), 1):
        raise ShapeError(
            f"rewards {list(rewards.shape)}, values {list(values.shape)}: for this gamma matrix they are "
            f"[B, {steps}] and [B, 1]."
        )
    return (rewards @ gamma_matrix[:-1] + values * gamma_matrix[-1]).reshape(-1, 1)


def split_rollouts(data: Rows, rollout_len: int) -> Rows:
    """Rows [B * n, ...] that hold rollout after rollout as [B, n, ...], n being `rollout_len`; a view.

    Raises:
        ShapeError: if the rows are no whole number of rollouts.
    """
    if rollout_len < 1 or len(data) % rollout_len:
        raise ShapeError(f"{len(data)} rows are no whole number of rollouts of {rollout_len} steps.")
    return data.reshape(len(data) // rollout_len, rollout_len, *data.shape[1:])


def _backward_scan(step: Array, keep: Array) -> Array:
    """`y[t] = step[t] + keep[t] * y[t + 1]`, over time, which is the first axis of both float64 arrays."""
    if step.ndim == 1:
        return _backward_scan_floats(step, keep)
    if step.ndim != 2:
        raise ShapeError(f"A trajectory block is [T] or [T, N], not {list(step.shape)}.")
    if step.shape[1] == 1:
        return _backward_scan_floats(step[:, 0], keep[:, 0])[:, None]
    out = np.empty_like(step)
    following = np.zeros(step.shape[1])
    for t in range(step.shape[0] - 1, -1, -1):
        following = np.multiply(keep[t], following, out=out[t])
        following += step[t]
    return out


def _backward_scan_floats(step: Array, keep: Array) -> Array:
    out = []
    following = 0.0
    for s, k in zip(step[::-1].tolist(), keep[::-1].tolist(), strict=True):
        following = s + k * following
        out.append(following)
    return np.array(out[::-1], dtype=np.float64)
