"""Vector environments as agents see them: observations by identity, a new identity for each episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from gridrl.collect.vector_steps import Parts, Step, VectorSteps
from gridrl.envs.stepping import Episode
from gridrl.errors import BadValue, ShapeError
from gridrl.typing import AgentId, DictObservation, DictResponse, EpisodeState, MetaData


class DictGymWrapper(VectorWrapper[Any, Any, Any, Any, Any]):
    """Lets agents live in a vector environment, each for one episode.

    What a step gives holds an observation of each agent that acted (`TERMINAL` where a death ended its episode,
    `INTERRUPTED` where it was cut off) and the first one of each agent that begins. An environment that starts again
    with the step after an episode's last has no agent in between.

    Attributes:
        dict_space: of rewards, actions and parts of observations: a table is made of it.
        steps: what it stands on.
        next_agent: the identity of the next agent; all that begin count up from it.

    >>> from gymnasium.vector import SyncVectorEnv
    >>> from gridrl.envs.toy import Target
    >>> env = DictGymWrapper(SyncVectorEnv(2 * [Target]))
    >>> sorted(env.dict_reset(seed=0))
    [0, 1]
    >>> still = DictResponse({"actions": [0.0]})
    >>> observations, ended = env.dict_step({0: still, 1: still})
    >>> observations[1].episode_state, ended
    (<EpisodeState.RUNNING: 'running'>, {})
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        *,
        autoreset_mode: AutoresetMode | str | None = None,
        first_agent: AgentId = 0,
    ) -> None:
        """Wraps an environment; nobody lives in it before `dict_reset`.

        Args:
            env: of Box or Discrete actions, resetting itself as it says in its metadata.
            autoreset_mode: how it does, where it does not say.
            first_agent: the identity of the first agent: one past those that a restored table holds.

        Raises:
            BadValue: see `VectorSteps`.
        """
        self.steps = VectorSteps(env, autoreset_mode=autoreset_mode)
        super().__init__(env)
        self.dict_space = self.steps.spaces
        self.next_agent = first_agent
        self._agents: list[AgentId | None] = []
        self._still = np.zeros((self.num_envs, *self.dict_space.actions.shape), self.dict_space.actions.dtype)

    def dict_reset(self, seed: int | None = None) -> dict[AgentId, DictObservation]:
        """Begins new episodes everywhere; those under way are left.

        Args:
            seed: gives each environment a seed of its own; None: their generators go on.

        Returns:
            The first observation of each new agent.
        """
        obs = self.steps.reset(seed)
        self._agents = [None] * self.num_envs
        return dict(self._begin(place, obs) for place in range(self.num_envs))

    def dict_step(
        self, actions: Mapping[AgentId, DictResponse]
    ) -> tuple[dict[AgentId, DictObservation], dict[str, float]]:
        """Steps all environments once.

        Args:
            actions: of each agent that lives, under `actions`.

        Returns:
            What each agent observes, and of the episodes that ended, if any did, the means of `reward` (the sum over
            an episode) and `length`.

        Raises:
            BadValue: before the first reset, or where an agent gives no action.
            ShapeError: for an action of another number of numbers than the space has.
        """
        if not self._agents:
            raise BadValue("nobody lives in the environment yet: call dict_reset first.")
        step = self.steps.step(self._collated(actions))
        found: dict[AgentId, DictObservation] = {}
        begun = []
        for place, agent in enumerate(self._agents):
            if agent is not None:
                found[agent] = _observed(step, place)
                if place in step.episodes:
                    self._agents[place] = None
            if self._agents[place] is None and self.steps.running[place]:
                begun.append(place)
        found.update(self._begin(place, self.steps.obs) for place in begun)
        return found, _means(list(step.episodes.values()))

    def _collated(self, actions: Mapping[AgentId, DictResponse]) -> Any:
        rows = self._still.copy()
        for place, agent in enumerate(self._agents):
            if agent is None:
                continue
            if agent not in actions or "actions" not in actions[agent].list_data:
                raise BadValue(f"agent {agent} gives no 'actions': each agent whose episode goes on has to.")
            action = np.asarray(actions[agent].list_data["actions"])
            if action.size != rows[place].size:
                raise ShapeError(f"agent {agent} gives actions {list(action.shape)}: {list(rows.shape[1:])} is needed.")
            rows[place] = action.reshape(rows.shape[1:])
        return rows

    def _begin(self, place: int, obs: Parts) -> tuple[AgentId, DictObservation]:
        agent = self._agents[place] = self.next_agent
        self.next_agent += 1
        first = {name: rows[place] for name, rows in obs.items()}
        return agent, DictObservation({}, EpisodeState.INITIAL, first)


def _observed(step: Step, place: int) -> DictObservation:
    state, metadata = EpisodeState.RUNNING, None
    if place in step.episodes:
        state = EpisodeState.TERMINAL if step.terminated[place] else EpisodeState.INTERRUPTED
        episode = step.episodes[place]
        metadata = MetaData({"episode/reward": episode.ret, "episode/length": float(episode.length)})
    parts = {name: rows[place] for name, rows in step.following.items()}
    return DictObservation({"reward": float(step.reward[place])}, state, parts, metadata)


def _means(episodes: list[Episode]) -> dict[str, float]:
    if not episodes:
        return {}
    number = len(episodes)
    return {
        "reward": sum(episode.ret for episode in episodes) / number,
        "length": sum(episode.length for episode in episodes) / number,
    }
