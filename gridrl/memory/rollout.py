"""The storage of on-policy algorithms: a block of T steps of N environments, filled, evaluated once, then shuffled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.envs.stepping import Outcome
from gridrl.errors import NotEnoughData, ShapeError
from gridrl.ops.returns import gae

Array = npt.NDArray[Any]

KEYS = ("obs", "action", "logp", "adv", "ret")


class RolloutStorage:
    """T steps of N environments in preallocated arrays, time first, and what is learned from them.

    The rows that a vector environment spends on restarting (`valid` False) stay inside the block, where they carry
    the last observation of an episode, and are left out of every batch: no loss ever meets one.

    Attributes:
        obs: float32 [T + 1, N, D]; row t is acted upon in step t, the last row is acted upon next.
        action: int64 [T, N] or float32 [T, N, A], as the policy gave it.
        reward, logp, value, adv, ret: float32 [T, N].
        terminated, truncated, valid: bool [T, N].
        length: steps stored so far.

    >>> storage = RolloutStorage(num_steps=2, num_envs=1, obs_dim=1)
    >>> storage.start(np.array([0.0]))
    >>> storage.put(0, Outcome(np.array([1.0]), 1.0, False, False, True, None))
    >>> storage.put(1, Outcome(np.array([0.0]), 1.0, True, False, True, None))
    >>> storage.finish(value=np.array([0.5, 0.5, 9.0]), gamma=1.0, lam=1.0)
    >>> storage.batch()["ret"].tolist()
    [2.0, 1.0]
    """

    def __init__(
        self,
        num_steps: int,
        num_envs: int,
        obs_dim: int,
        *,
        action_shape: Sequence[int] = (),
        action_dtype: npt.DTypeLike = np.int64,
    ) -> None:
        """Allocates everything at once.

        Args:
            num_steps: T, steps per environment.
            num_envs: N.
            obs_dim: D, the length of a flat observation.
            action_shape: () for the index of a discrete action, (A,) for a continuous one.
            action_dtype: int64 or float32.
        """
        block = (num_steps, num_envs)
        self.num_steps, self.num_envs, self.obs_dim = num_steps, num_envs, obs_dim
        self.obs = np.zeros((num_steps + 1, num_envs, obs_dim), np.float32)
        self.action = np.zeros((*block, *action_shape), action_dtype)
        self.reward, self.logp, self.value, self.adv, self.ret = (np.zeros(block, np.float32) for _ in range(5))
        self.terminated, self.truncated = np.zeros(block, np.bool_), np.zeros(block, np.bool_)
        self.valid = np.ones(block, np.bool_)
        self.length = 0
        self._cut: list[tuple[int, int]] = []  # (step, environment) of the episodes whose last observation is in _final
        self._final: list[Array] = []

    def start(self, obs: npt.ArrayLike | None = None) -> None:
        """Begins a new block, overwriting the last one.

        Args:
            obs: the observation to act on first, [N, D] or, with one environment, [D]. None goes on from the end of
                the last block.
        """
        self.obs[0] = self.obs[self.num_steps] if obs is None else obs
        self.valid[:] = True
        self.length = 0
        self._cut, self._final = [], []

    def put(self, action: Any, outcome: Outcome) -> None:
        """Stores one step of all environments.

        Args:
            action: what the policy chose in `obs[length]`.
            outcome: what `Worlds.step` gave for it; with one environment without the axis N.

        Raises:
            ShapeError: if the block is full.
        """
        t = self.length
        if t == self.num_steps:
            raise ShapeError(f"The block is full: it holds {t} steps. finish() and start() come next.")
        obs, reward, terminated, truncated, valid, final_obs = outcome
        self.action[t] = action
        self.obs[t + 1] = obs
        self.reward[t] = reward
        self.terminated[t] = terminated
        self.truncated[t] = truncated
        if valid is not True:
            self.valid[t] = valid
        if final_obs is not None:
            self._keep_final(t, final_obs)
        self.length = t + 1

    @property
    def is_full(self) -> bool:
        """Whether all T steps are stored."""
        return self.length == self.num_steps

    def observations(self) -> Array:
        """Every observation that needs a value: float32 [(T + 1) N + F, D].

        First the block, row by row, then the observations to act on next, then the F last observations of truncated
        episodes that stand in no row. The first T N of them are those that `action` answers.
        """
        block = self.obs.reshape(-1, self.obs_dim)
        return np.concatenate([block, *(final[None] for final in self._final)]) if self._final else block

    def finish(self, value: Array, gamma: float, lam: float, logp: Array | None = None) -> None:
        """Computes advantages and returns, `adv` and `ret = adv + value`.

        Args:
            value: values of `observations()`, [(T + 1) N + F].
            gamma: discount per step.
            lam: the lambda of generalised advantage estimation.
            logp: log-probabilities of the stored actions under the policy that acted, [T N].

        Raises:
            NotEnoughData: if the block is not full.
            ShapeError: if `value` is of another length, or a truncated episode has lost its last observation.
        """
        self._check(value)
        size = self.num_steps * self.num_envs
        shape = (self.num_steps, self.num_envs)
        value = np.asarray(value, np.float32)
        self.value[...] = value[:size].reshape(shape)
        next_value = value[self.num_envs : size + self.num_envs].reshape(shape).copy()
        for place, final_value in zip(self._cut, value[size + self.num_envs :], strict=True):
            next_value[place] = final_value
        done = self.terminated | self.truncated
        self.adv[...] = gae(self.reward, self.value, next_value, self.terminated, done, gamma=gamma, lam=lam)
        np.add(self.adv, self.value, out=self.ret)
        if logp is not None:
            self.logp[...] = np.reshape(logp, shape)

    @property
    def num_valid(self) -> int:
        """How many transitions the block holds, restarts not counted."""
        return int(np.count_nonzero(self.valid))

    def batch(self, keys: Sequence[str] = KEYS) -> dict[str, Array]:
        """The valid rows of the block in order, [B, ...] each; views of the block where all rows are valid."""
        columns = {key: self._flat(key) for key in keys}
        if self.valid.all():
            return columns
        rows = np.flatnonzero(self.valid)
        return {key: column[rows] for key, column in columns.items()}

    def minibatches(
        self, size: int, rng: np.random.Generator, keys: Sequence[str] = KEYS
    ) -> Iterator[dict[str, Array]]:
        """The valid rows in a new random order, each once, cut into minibatches of nearly equal size.

        Args:
            size: rows per minibatch, at most. `ceil(T N / size)` minibatches are cut, however many rows are valid, so
                that ranks with blocks of one shape make the same number of updates; none is ever a small remainder.
                Where fewer rows are valid than that, each is a minibatch and the first ones are taken again.
            rng: draws one permutation per call.
            keys: the columns wanted.

        Yields:
            Contiguous slices [b, ...] of columns that were gathered once for the whole pass.
        """
        order = rng.permutation(np.flatnonzero(self.valid))
        count = -(-self.num_steps * self.num_envs // size)
        if len(order) < count:
            order = np.resize(order, count)
        shuffled = {key: self._flat(key).take(order, axis=0) for key in keys}
        bounds = [i * len(order) // count for i in range(count + 1)]
        for begin, end in pairwise(bounds):
            yield {key: column[begin:end] for key, column in shuffled.items()}

    def _flat(self, key: str) -> Array:
        column: Array = getattr(self, key)[: self.num_steps]
        return column.reshape(-1, *column.shape[2:])

    def _keep_final(self, t: int, final_obs: Array) -> None:
        last = np.reshape(final_obs, (self.num_envs, self.obs_dim))
        for env in np.flatnonzero(self.truncated[t]):
            self._cut.append((t, int(env)))
            self._final.append(np.array(last[env], np.float32))

    def _check(self, value: Array) -> None:
        if not self.is_full:
            raise NotEnoughData(f"The block holds {self.length} of {self.num_steps} steps: fill it before finish().")
        needed = (self.num_steps + 1) * self.num_envs + len(self._final)
        if value.shape != (needed,):
            raise ShapeError(f"value {list(value.shape)}: [{needed}] is needed, one for each of observations().")
        # inside the block the last observation of a truncated episode is in the next row, or was given as final_obs
        lost = self.truncated[:-1] & ~self.terminated[:-1] & self.valid[1:]
        for place in self._cut:
            if place[0] < len(lost):
                lost[place] = False
        if lost.any():
            t, env = np.argwhere(lost)[0].tolist()
            raise ShapeError(
                f"Step {t} of environment {env} was truncated, and the next row starts another episode: its last "
                "observation is needed for the bootstrap. Give it as final_obs, or mark the restart as not valid."
            )
