"""Rollouts of on-policy algorithms: T steps of N environments with the newest policy, then one pass over them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.envs.stepping import Episode, Worlds
from gridrl.envs.wrappers import Moments, RewardNormalizer, RunningNormalizer
from gridrl.memory.rollout import RolloutStorage
from gridrl.nn.acting import Actor
from gridrl.utils.mpi import gather_objects, mpi_statistics_scalar

Array = npt.NDArray[Any]

# Steps for which noise is drawn at once, and between two updates of the observations' statistics.
_BLOCK = 1024
# ... which begins smaller, since the first observations are normalised by few before them.
_FIRST_BLOCK = 16


class RolloutCollector:
    """Fills a `RolloutStorage` with what a policy does, and computes values, log-probabilities and advantages.

    Episodes go on from one rollout to the next; the last step of a rollout and a time limit are bootstrapped by the
    value of the observation that followed.

    Attributes:
        storage: what the last rollout gave; all ranks' environments together are one batch.
    """

    def __init__(
        self,
        worlds: Worlds,
        actor: Actor,
        storage: RolloutStorage,
        rng: np.random.Generator,
        *,
        gamma: float,
        lam: float,
        obs_normalizer: RunningNormalizer | None = None,
        reward_normalizer: RewardNormalizer | None = None,
    ) -> None:
        """Puts a collector together; the worlds must have been reset.

        Args:
            worlds: what is acted in.
            actor: who acts.
            storage: T steps of as many environments as there are worlds.
            rng: what the actor's noise is drawn from.
            gamma: discount per step.
            lam: the lambda of generalised advantage estimation.
            obs_normalizer: scales what the policy sees; learns from it.
            reward_normalizer: scales what advantages are made of; learns from it.
        """
        self.storage = storage
        self._worlds, self._actor, self._rng = worlds, actor, rng
        self._gamma, self._lam = gamma, lam
        self._shared, self._rewards = obs_normalizer, reward_normalizer
        self._normalize = copy.deepcopy(obs_normalizer)

    def collect(self) -> list[Episode]:
        """Fills the storage and finishes it.

        Returns:
            The episodes that ended, in the order of their ends.
        """
        storage = self.storage
        self._actor.refresh()
        storage.start(self._worlds.obs)
        seen = self._act_in_blocks()
        if self._rewards is not None:
            self._scale_rewards(self._rewards)
        size = storage.num_steps * storage.num_envs
        logp, _ = self._actor.look(seen[:size], storage.action.reshape(size, *storage.action.shape[2:]))
        storage.finish(self._actor.value(seen), self._gamma, self._lam, logp)
        return self._worlds.finished_episodes()

    def normalize_advantages(self) -> None:
        """Shifts and scales the advantages to mean 0 and standard deviation 1 over the valid rows of all ranks."""
        adv = self.storage.adv
        mean, std = mpi_statistics_scalar(adv[self.storage.valid])
        adv -= np.float32(mean)
        adv /= np.float32(std + 1e-8)

    def _act_in_blocks(self) -> Array:
        """Fills the storage; gives all observations that need a value, as the networks see them."""
        if self._normalize is not None and self._shared is not None:
            return self._act_normalized(self._normalize, self._shared)
        for begin, end in _blocks(self.storage.num_steps, _BLOCK):
            self._act(begin, end)
        return self.storage.observations()

    def _act(self, begin: int, end: int) -> None:
        storage, step = self.storage, self._worlds.step
        num_envs, put, obs, normalize = storage.num_envs, storage.put, storage.obs, self._normalize
        noise = self._actor.draw(self._rng, (end - begin) * num_envs)
        if num_envs == 1:
            choose: Any = self._actor.one
            obs = obs[:, 0]
        else:
            choose = self._actor.batch
            noise = None if noise is None else noise.reshape(end - begin, num_envs, -1)
        for t in range(begin, end):
            seen = obs[t] if normalize is None else normalize(obs[t])
            action = choose(seen, None if noise is None else noise[t - begin])
            put(action, step(action))

    def _act_normalized(self, normalize: RunningNormalizer, shared: RunningNormalizer) -> Array:
        """Acts on normalised observations, and leaves these in the storage.

        Within the rollout each rank goes on with the statistics of its own; at its end all ranks take up those of all.
        """
        storage = self.storage
        normalize.load_state_dict(shared.state_dict())
        new = Moments.none(shared.shape)
        for begin, end in _blocks(storage.num_steps, _BLOCK if shared.moments.num_samples else _FIRST_BLOCK):
            self._act(begin, end)
            rows = storage.obs[begin:end]
            moments = normalize.moments_of(rows[storage.valid[begin:end]])
            rows[...] = normalize(rows)  # as they were acted upon
            normalize.merge(moments)
            new = new.merged(moments)
        storage.obs[-1] = normalize(storage.obs[-1])
        seen = storage.observations()
        last = seen[storage.obs.shape[0] * storage.num_envs :]
        last[...] = normalize(last)
        for moments in gather_objects(new):
            shared.merge(moments)
        return seen

    def _scale_rewards(self, normalizer: RewardNormalizer) -> None:
        storage = self.storage
        done = storage.terminated | storage.truncated
        for moments in gather_objects(normalizer.observe(storage.reward, done, storage.valid)):
            normalizer.merge(moments)
        storage.reward[...] = normalizer.scale(storage.reward)


def _blocks(num_steps: int, size: int) -> Iterator[tuple[int, int]]:
    """Cuts a rollout into blocks of `size` steps, each twice as long as the one before up to `_BLOCK`."""
    begin = 0
    while begin < num_steps:
        end = min(begin + size, num_steps)
        yield begin, end
        begin, size = end, min(2 * size, _BLOCK)
