"""Collecting in one process: many environments step together, and every step that was one is stored, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv

from gridrl.agents import AgentProxy, BatchAgent
from gridrl.collect.gym_wrapper import DictGymWrapper
from gridrl.collect.vector_steps import Parts, Step, VectorSteps
from gridrl.envs.stepping import Episode
from gridrl.errors import BadValue, ColumnError, did_you_mean
from gridrl.memory.columns import TagColumn, VirtualColumn
from gridrl.memory.staging import Staging
from gridrl.typing import AgentId, DictObservation, EpisodeState, MemoryProxy

Array: TypeAlias = npt.NDArray[Any]

_ENDS = (EpisodeState.TERMINAL, EpisodeState.INTERRUPTED)


class Collector(Protocol):
    """What gathers experience.

    Attributes:
        env_steps: how many steps of environments it has stored.
    """

    env_steps: int

    def collect(self, steps: int) -> list[Episode]:
        """Steps every environment so many times, and gives the episodes that ended."""
        ...


class VectorCollector:
    """Steps a vector environment by an agent, and stores what comes of it.

    A time limit is stored as one (`INTERRUPTED`, not `TERMINAL`), with the observation that followed it; the resets of
    environments that restart with the step after an episode's last are never stored. Into a `Staging` steps go as
    arrays, which is the fast way; into any other memory agent by agent, a new identity for each episode, and an
    episode is whole there as soon as it has ended.

    Attributes:
        agent: who acts; another one may take its place between two steps.
        memory: where the steps go.
        num_envs: how many environments there are.
        env_steps: how many steps of environments were stored.
        num_episodes: how many episodes ended.

    >>> from gridrl.collect.actors import RandomAgentProxy
    >>> from gridrl.envs.making import env_fn
    >>> from gridrl.memory.builders import DictObsMemoryTable
    >>> env = env_fn("CartPole-v1").vector(2)
    >>> table = DictObsMemoryTable(spaces=VectorSteps(env).spaces, use_terminal_column=True, maxlen=1000)
    >>> agent = RandomAgentProxy(env.single_action_space)
    >>> collector = VectorCollector(env, agent, Staging(table, num_envs=2, steps=50), seed=0)
    >>> episodes = collector.collect(100)
    >>> collector.env_steps + collector.num_episodes  # the resets were no steps
    200
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        agent: AgentProxy,
        memory: MemoryProxy | Staging,
        *,
        seed: int | None = None,
        reward_key: str = "rewards",
    ) -> None:
        """Puts a collector together; the environments are reset before the first step.

        Args:
            env: a vector environment, or a `DictGymWrapper` around one.
            agent: gives at least `actions` (into a `Staging`: its first output is the action).
            memory: where the steps go.
            seed: of the environments, each its own.
            reward_key: the column of rewards, into a `Staging`.

        Raises:
            BadValue: an environment that is not supported, a `Staging` of another number of environments, or an agent
                for it that looks at parts which the environment does not give.
            ColumnError: the table of a `Staging` has columns that neither environment nor agent gives.
        """
        self._route = (
            _ArrayRoute(env, agent, memory, reward_key) if isinstance(memory, Staging) else _AgentRoute(env, memory)
        )
        self.agent, self.memory = agent, memory
        self.num_envs: int = env.num_envs
        self.env_steps = self.num_episodes = 0
        self._env, self._seed = env, seed
        self._has_begun = False

    @property
    def next_agent(self) -> AgentId:
        """The identity of the next agent; in a `Staging` episodes have identities of their own."""
        return self._route.next_agent

    @next_agent.setter
    def next_agent(self, agent: AgentId) -> None:
        self._route.next_agent = agent

    def reset(self) -> None:
        """Begins new episodes everywhere; those under way are stored as cut off, see `finish`."""
        self.finish()
        self._route.reset(self._seed)
        self._seed, self._has_begun = None, True

    def finish(self) -> None:
        """Stores the episodes that are under way, up to here, as cut off; the next step begins new ones."""
        if self._has_begun:
            self._route.finish()
            self._has_begun = False

    def collect(self, steps: int) -> list[Episode]:
        """Steps every environment so many times; where one restarts with a step of its own, that is one of them.

        Returns:
            The episodes that ended, in the order of their ends.
        """
        return [episode for _ in range(steps) for episode in self.step()]

    def step(self) -> list[Episode]:
        """Steps every environment once.

        Returns:
            The episodes that ended.
        """
        if not self._has_begun:
            self.reset()
        episodes, stored = self._route.step(self.agent)
        self.env_steps += stored
        self.num_episodes += len(episodes)
        return episodes

    def close(self) -> None:
        """Closes the environments."""
        self._env.close()


class _AgentRoute:
    """Agent by agent, into a memory proxy."""

    def __init__(self, env: VectorEnv[Any, Any, Any], memory: MemoryProxy) -> None:
        self._env = env if isinstance(env, DictGymWrapper) else DictGymWrapper(env)
        self._memory = memory
        self._seen: dict[AgentId, DictObservation] = {}

    @property
    def next_agent(self) -> AgentId:
        return self._env.next_agent

    @next_agent.setter
    def next_agent(self, agent: AgentId) -> None:
        self._env.next_agent = agent

    def reset(self, seed: int | None) -> None:
        self._seen = self._env.dict_reset(seed)

    def finish(self) -> None:
        """Whoever has acted stops where it is; who has only begun has nothing to store."""
        self._seen = {name: seen for name, seen in self._seen.items() if seen.episode_state is EpisodeState.RUNNING}
        if self._seen:
            cut = {name: replace(seen, episode_state=EpisodeState.INTERRUPTED) for name, seen in self._seen.items()}
            self._memory.add(cut, {})
        self._seen = {}

    def step(self, agent: AgentProxy) -> tuple[list[Episode], int]:
        acting, self._seen = self._seen, {}  # should anything fail, nobody of these goes on
        responses = agent(acting) if acting else {}
        found, _ = self._env.dict_step(responses)
        if acting:
            self._memory.add(acting, responses)
        ended = {name: seen for name, seen in found.items() if seen.episode_state in _ENDS}
        if ended:
            self._memory.add(ended, {})
        self._seen = {name: seen for name, seen in found.items() if name not in ended}
        return [_episode(seen) for seen in ended.values()], len(acting)


class _ArrayRoute:
    """All environments at once, into a `Staging`."""

    next_agent: AgentId = 0

    def __init__(self, env: VectorEnv[Any, Any, Any], agent: AgentProxy, staging: Staging, reward_key: str) -> None:
        self._steps = env.steps if isinstance(env, DictGymWrapper) else VectorSteps(env)
        self._staging, self._reward_key = staging, reward_key
        self._agents: list[AgentId] = [-1] * self._steps.num_envs
        self._last: Step | None = None
        if staging.num_envs != self._steps.num_envs:
            raise BadValue(f"the Staging is of {staging.num_envs} environments, there are {self._steps.num_envs}.")
        parts = self._steps.spaces.state.spaces
        for key in agent.input_names if isinstance(agent, BatchAgent) else ():
            if key not in parts:
                raise BadValue(
                    f"the agent looks at {key!r}, and the environment gives {', '.join(parts)}."
                    f"{did_you_mean(key, parts)}"
                )
        given = {*parts, *agent.output_names, reward_key}
        for name, column in staging.table.columns.items():
            if not isinstance(column, TagColumn | VirtualColumn) and name not in given:
                raise ColumnError(
                    f"the table has a column {name!r}, and environment and agent give {', '.join(sorted(given))}."
                    f"{did_you_mean(name, given)}"
                )

    def reset(self, seed: int | None) -> None:
        self._steps.reset(seed)
        self._last = None

    def finish(self) -> None:
        self._staging.flush()

    def step(self, agent: AgentProxy) -> tuple[list[Episode], int]:
        obs = self._steps.obs
        if isinstance(agent, BatchAgent):  # arrays that nobody else writes into
            outputs = {key: np.array(rows) for key, rows in agent.act(obs).items()}
        else:
            outputs = self._asked(agent, obs)
        step = self._last = self._steps.step(outputs[agent.output_names[0]])
        rows = {**obs, **outputs, self._reward_key: step.reward}
        self._staging.put(rows, step.terminated, step.truncated, step.following, step.valid)
        return list(step.episodes.values()), int(step.valid.sum())

    def _asked(self, agent: AgentProxy, obs: Parts) -> Parts:
        """What somebody does who knows no arrays, but an agent for each episode."""
        begins = self._begins()
        seen = {}
        for place, first in enumerate(begins.tolist()):
            if first or self._agents[place] < 0:
                self._agents[place], self.next_agent = self.next_agent, self.next_agent + 1
            state = EpisodeState.INITIAL if first else EpisodeState.RUNNING
            rewards = {} if first or self._last is None else {"reward": float(self._last.reward[place])}
            parts = {name: rows[place] for name, rows in obs.items()}
            seen[self._agents[place]] = DictObservation(rewards, state, parts)
        responses = agent(seen)
        return {key: np.stack([responses[name].list_data[key] for name in seen]) for key in agent.output_names}

    def _begins(self) -> Array:
        """Where an episode begins with what is seen now."""
        if self._last is None:
            return np.ones(self._steps.num_envs, np.bool_)
        if self._steps.mode is AutoresetMode.NEXT_STEP:
            return ~self._last.valid
        return self._last.terminated | self._last.truncated


def _episode(last: DictObservation) -> Episode:
    assert last.metadata is not None
    return Episode(last.metadata.info["episode/reward"], int(last.metadata.info["episode/length"]))
