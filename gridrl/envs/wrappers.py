"""Running normalisers of observations and rewards: objects that an algorithm applies to what its worlds give.

They are no environment wrappers, because one set of statistics serves all environments and all ranks: each rank takes
the `Moments` of what it saw, and all ranks merge all of them in rank order, which leaves every rank with the same
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gridrl.errors import VersionMismatch

Array = npt.NDArray[Any]


class Moments(NamedTuple):
    """How many samples were seen, their mean, and the sum of their squared distances from it; float64.

    Attributes:
        num_samples: how many.
        mean: [...], the shape of one sample.
        m2: [...], the same.
    """

    num_samples: float
    mean: Array
    m2: Array

    @classmethod
    def of(cls, samples: Array) -> Moments:
        """The moments of samples [B, ...]; of no sample, B = 0, too."""
        if len(samples) == 0:
            return cls.none(samples.shape[1:])
        mean = samples.mean(axis=0, dtype=np.float64)
        centred = samples - mean
        return cls(float(len(samples)), mean, np.square(centred, out=centred).sum(axis=0))

    @classmethod
    def none(cls, shape: Sequence[int]) -> Moments:
        """The moments of no sample of that shape."""
        return cls(0.0, np.zeros(shape), np.zeros(shape))

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets of samples together (Chan, Golub and LeVeque 1979, equation 2.1)."""
        total = self.num_samples + other.num_samples
        if total == 0.0:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.num_samples / total)
        m2 = self.m2 + other.m2 + delta * delta * (self.num_samples * other.num_samples / total)
        return Moments(total, mean, m2)

    def std(self, eps: float) -> Array:
        """The square root of the population variance plus `eps`; 1 before the first sample."""
        return np.sqrt(self.m2 / self.num_samples + eps) if self.num_samples else np.ones_like(self.m2)


class RunningNormalizer:
    """Shifts and scales observations to mean 0 and variance 1 by the statistics of all that were seen so far.

    Attributes:
        moments: those statistics.
        frozen: while True nothing new enters them, as in the evaluation of a trained policy.

    >>> normalizer = RunningNormalizer((2,))
    >>> normalizer.update(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> normalizer(np.array([3.0, 1.0])).round(3)
    array([2., 0.], dtype=float32)
    """

    def __init__(self, shape: Sequence[int], *, clip: float = 10.0, eps: float = 1e-8) -> None:
        """Begins with no statistics, which leaves observations as they are, clipped.

        Args:
            shape: of one observation.
            clip: no number leaves [-clip, clip].
            eps: added to the variance, for a dimension that never changes.
        """
        self.shape, self.clip, self.eps = tuple(shape), clip, eps
        self.frozen = False
        self._take(Moments.none(self.shape))

    def __call__(self, obs: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The observation or observations, [...] or [B, ...], normalised: a new float32 array."""
        out = np.subtract(obs, self._mean, dtype=np.float32)
        np.multiply(out, self._scale, out=out)
        np.minimum(out, self.clip, out=out)
        return np.maximum(out, -self.clip, out=out)

    def update(self, obs: npt.ArrayLike) -> None:
        """Lets observations [B, ...], or a single one, enter the statistics; leave out rows that are not valid."""
        self.merge(self.moments_of(obs))

    def moments_of(self, obs: npt.ArrayLike) -> Moments:
        """The moments of observations [B, ...], or of a single one, for the ranks to exchange and `merge`."""
        return Moments.of(np.asarray(obs).reshape(-1, *self.shape))

    def merge(self, moments: Moments | Sequence[Any]) -> None:
        """Adds the statistics of samples that were not seen yet; while frozen, nothing."""
        if not self.frozen:
            self._take(self.moments.merged(Moments(*moments)))

    def state_dict(self) -> dict[str, Any]:
        """The statistics in a number and tensors."""
        return _state_of(self.moments)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with the statistics of `state_dict`.

        Raises:
            VersionMismatch: if they are of observations of another shape.
        """
        self._take(_moments_in(state, self.shape))

    def _take(self, moments: Moments) -> None:
        self.moments = moments
        self._mean = moments.mean.astype(np.float32)
        self._scale = (1.0 / moments.std(self.eps)).astype(np.float32)


class RewardNormalizer:
    """Divides rewards by the running standard deviation of the discounted return, never shifting them.

    For each environment the return so far is `R = gamma R + reward`, starting from 0 in every episode; the standard
    deviation of all R seen is the scale of the problem. This is the rule of stable-baselines3's `VecNormalize` (and of
    the code behind Engstrom et al. 2020, https://arxiv.org/abs/2005.12729); fed one step at a time it gives the same
    numbers. Fed a block of steps, the whole block enters the statistics before it is divided, all of it by one number.

    Attributes:
        moments: statistics of the returns so far.
        frozen: while True nothing new enters them.
    """

    def __init__(self, num_envs: int, gamma: float, *, clip: float = 10.0, eps: float = 1e-8) -> None:
        """Begins with no statistics, which leaves rewards as they are, clipped.

        Args:
            num_envs: N.
            gamma: discount per step of the returns.
            clip: no reward leaves [-clip, clip].
            eps: added to the variance.
        """
        self.num_envs, self.gamma, self.clip, self.eps = num_envs, gamma, clip, eps
        self.frozen = False
        self.moments = Moments.none(())
        self._returns = np.zeros(num_envs)

    def __call__(self, reward: Array, done: Array, valid: Array | None = None) -> npt.NDArray[np.float32]:
        """Lets a block of rewards enter the statistics and returns it scaled: `observe`, `merge` and `scale`."""
        self.merge(self.observe(reward, done, valid))
        return self.scale(reward)

    def observe(self, reward: Array, done: Array, valid: Array | None = None) -> Moments:
        """Follows the returns through the next steps.

        Args:
            reward: [T, N], or [N] for one step, or a number for one step of one environment.
            done: whether the episode ended with that step, terminated or truncated, same shape.
            valid: False for steps that only restarted an environment, same shape; they count for nothing.

        Returns:
            The moments of the returns after each step, for the ranks to exchange and `merge`.
        """
        block = np.asarray(reward, np.float64).reshape(-1, self.num_envs)
        alive = 1.0 - np.asarray(done, np.float64).reshape(block.shape)
        counted = np.ones(block.shape, np.bool_) if valid is None else np.reshape(valid, block.shape)
        returns, so_far = np.empty_like(block), self._returns
        for t in range(len(block)):
            np.add(self.gamma * so_far, block[t], out=returns[t])
            so_far = returns[t] * alive[t]
        self._returns = so_far
        return Moments.of(returns[counted])

    def merge(self, moments: Moments | Sequence[Any]) -> None:
        """Adds statistics of returns that were not seen yet; while frozen, nothing."""
        if not self.frozen:
            self.moments = self.moments.merged(Moments(*moments))

    def scale(self, reward: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Rewards of any shape divided by the standard deviation and clipped: a new float32 array."""
        scaled = np.asarray(reward, np.float64) / self.moments.std(self.eps)
        return np.clip(scaled, -self.clip, self.clip).astype(np.float32)

    def state_dict(self) -> dict[str, Any]:
        """The statistics, and the returns of the episodes that are under way, in a number and tensors."""
        import torch

        return {**_state_of(self.moments), "returns": torch.from_numpy(self._returns.copy())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with the statistics of `state_dict`.

        Raises:
            VersionMismatch: if they are of another number of environments.
        """
        returns = _doubles(state["returns"])
        if returns.shape != (self.num_envs,):
            raise VersionMismatch(f"The state is of {len(returns)} environments, {self.num_envs} are at hand.")
        self.moments, self._returns = _moments_in(state, ()), returns

    def forget_episodes(self) -> None:
        """Starts the returns from 0 again, where all environments are reset."""
        self._returns[:] = 0.0


def _state_of(moments: Moments) -> dict[str, Any]:
    import torch

    return {
        "count": moments.num_samples,
        "mean": torch.tensor(moments.mean, dtype=torch.float64),
        "m2": torch.tensor(moments.m2, dtype=torch.float64),
    }


def _moments_in(state: Mapping[str, Any], shape: tuple[int, ...]) -> Moments:
    mean, m2 = _doubles(state["mean"]), _doubles(state["m2"])
    if mean.shape != shape:
        raise VersionMismatch(f"The state is of samples of shape {list(mean.shape)}, {list(shape)} is needed.")
    return Moments(float(state["count"]), mean, m2)


def _doubles(numbers: Any) -> Array:
    """A float64 array of its own, from a tensor, an array or a list."""
    return np.array(numbers.tolist() if hasattr(numbers, "tolist") else numbers, np.float64)
