"""Experience for a memory: what an explorer does in its worlds, handed over step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gridrl.envs.stepping import Episode, Outcome, Worlds
from gridrl.memory.staging import Staging
from gridrl.nn.exploring import Explorer

Array: TypeAlias = npt.NDArray[Any]

# What most steps of one environment have in common, made once; nobody writes into them.
_FALSE, _TRUE = np.zeros(1, np.bool_), np.ones(1, np.bool_)
_ZERO, _ONE = np.zeros(1, np.float32), np.ones(1, np.float32)


class ReplayCollector:
    """Steps worlds with an explorer, and puts every transition into a staging: `obs, action, reward, terminated`.

    A step of several environments that only starts an episode again is no transition, and is not kept.
    """

    def __init__(
        self,
        worlds: Worlds,
        explorer: Explorer,
        staging: Staging,
        rng: np.random.Generator,
        to_env: Callable[[Any], Any] | None = None,
    ) -> None:
        """Puts a collector together; the worlds must have been reset.

        Args:
            worlds: what is acted in.
            explorer: who acts.
            staging: of as many environments as there are worlds.
            rng: what noise and random actions are drawn from.
            to_env: makes the environment's action of the explorer's; None: they are the same.
        """
        self._worlds, self._explorer, self._staging, self._rng = worlds, explorer, staging, rng
        self._to_env = to_env or (lambda action: action)
        self._step = self._step_one if worlds.num_envs == 1 else self._step_many

    def collect(self, steps: int, interactions: int, *, at_random: bool = False) -> list[Episode]:
        """Does `steps` steps in every world.

        Args:
            steps: of each world.
            interactions: environment steps that have been done before, of all environments and ranks.
            at_random: whether actions are drawn uniformly, instead of by the explorer.

        Returns:
            The episodes that ended, in the order of their ends.
        """
        explorer, worlds, many = self._explorer, self._worlds, self._worlds.num_envs
        count = steps * many
        if at_random:
            chosen, noise = explorer.random(self._rng, count), None
        else:
            explorer.prepare(interactions)
            chosen, noise = None, explorer.draw(self._rng, count)
        choose: Any = explorer.one if many == 1 else explorer.batch
        obs = worlds.obs.copy()
        for t in range(steps):
            rows = t if many == 1 else slice(t * many, (t + 1) * many)
            if chosen is not None:
                action = chosen[rows]
            else:
                action = choose(obs, None if noise is None else noise[rows])
            obs = self._step(obs, action)
        return worlds.finished_episodes()

    def _step_one(self, obs: Array, action: Any) -> Array:
        """Does a step, and gives what is acted upon next."""
        outcome = self._worlds.step(self._to_env(action))
        following = outcome.obs.copy()  # the environment may write its next observation where this one stands
        last = following if outcome.final_obs is None else outcome.final_obs
        self._staging.put(
            {
                "obs": obs[None],
                "action": np.asarray(action)[None],
                "reward": np.array([outcome.reward], np.float32),
                "terminated": _ONE if outcome.terminated else _ZERO,
            },
            _TRUE if outcome.terminated else _FALSE,
            _TRUE if outcome.truncated else _FALSE,
            {"obs": last[None]},
        )
        return following

    def _step_many(self, obs: Array, action: Array) -> Array:
        """Does a step of all environments, and gives what is acted upon next."""
        outcome: Outcome = self._worlds.step(self._to_env(action))
        following = outcome.obs.copy()
        self._staging.put(
            {
                "obs": obs,
                "action": action,
                "reward": outcome.reward.astype(np.float32),
                "terminated": outcome.terminated.astype(np.float32),
            },
            outcome.terminated,
            outcome.truncated,
            {"obs": following},
            valid=outcome.valid,
        )
        return following
