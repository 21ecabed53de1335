"""From single steps of many agents to whole episodes in a table."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gridrl.errors import BadValue, ColumnError, GridRLError, Problems, ShapeError
from gridrl.memory.protocol import MemoryTable
from gridrl.memory.wrappers import (
    ENDS,
    LoggingProxyWrapper,
    MemoryExporterProxyWrapper,
    MemoryProxyWrapper,
    MemoryTableProxyWrapper,
)
from gridrl.typing import AgentId, DictObservation, DictResponse, EpisodeState, MemoryProxy
from gridrl.utils.timing import BlockTimers

__all__ = [
    "Episode",
    "LoggingProxyWrapper",
    "MemoryExporterProxyWrapper",
    "MemoryProxy",
    "MemoryProxyWrapper",
    "MemoryTableProxy",
    "MemoryTableProxyWrapper",
]

log = logging.getLogger(__name__)


@dataclass
class Episode:
    """An episode that is being put together.

    Attributes:
        data: rows so far, by column.

    >>> episode = Episode.from_initial({"obs": [0.0], "actions": [1.0]})
    >>> episode.append({"obs": [1.0], "rewards": 0.5, "actions": [0.0]})
    >>> dict(episode.complete({"obs": [2.0], "rewards": 1.0}))
    {'obs': [[0.0], [1.0], [2.0]], 'actions': [[1.0], [0.0]], 'rewards': [0.5, 1.0]}
    """

    data: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))

    def append(self, observation: Mapping[str, Any]) -> None:
        """Adds a row to each column that is named."""
        for key, value in observation.items():
            self.data[key].append(value)

    def complete(self, observation: Mapping[str, Any]) -> Mapping[str, list[Any]]:
        """Adds the last rows, and gives all of them."""
        self.append(observation)
        return self.data

    @staticmethod
    def from_initial(observation: Mapping[str, Any]) -> Episode:
        """Begins with the first row of each column."""
        episode = Episode()
        episode.append(observation)
        return episode


class MemoryTableProxy:
    """Puts the steps of agents together, and adds each episode to a table when it ends. Not thread safe.

    An agent's identity is that of its episode in the table: take a new one for each episode.

    >>> import numpy as np
    >>> from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
    >>> from gridrl.memory.builders import DictObsMemoryTable
    >>> spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"obs": BoxSpace(np.float32, (1,))}))
    >>> proxy = MemoryTableProxy(DictObsMemoryTable(spaces=spaces, maxlen=1000))
    >>> first = DictObservation({}, EpisodeState.INITIAL, {"obs": [0.0]})
    >>> proxy.add({7: first}, {7: DictResponse({"actions": [0.5]})})
    >>> last = DictObservation({"reward": 1.0}, EpisodeState.TERMINAL, {"obs": [1.0]})
    >>> proxy.add({7: last}, {})
    >>> proxy.size()
    1
    """

    def __init__(
        self,
        memory_table: MemoryTable,
        minimum_length_threshold: int | None = None,
        use_terminal: bool = False,
        *,
        name: str = "memproxy",
    ) -> None:
        """Knows no agent.

        Args:
            memory_table: where episodes go.
            minimum_length_threshold: episodes of fewer steps are dropped; None: none is.
            use_terminal: whether the table has a tag `terminal`: 1 for episodes that were cut off.
            name: what logs call it.
        """
        self._table = memory_table
        self._minimum_length = minimum_length_threshold or 0
        self._use_terminal = use_terminal
        self._name = name
        self._open: dict[AgentId, Episode] = {}
        self._timers = BlockTimers()

    @property
    def name(self) -> str:
        """What logs call it."""
        return self._name

    def size(self) -> int:
        """Steps in the table."""
        return self._table.size()

    def resize(self, new_size: int) -> None:
        """Sets how many steps the table holds at most."""
        self._table.resize(new_size)

    def store(self, path: str) -> None:
        """Writes the table to `{path}.zip`; episodes that have not ended are not in it."""
        self._table.store(path)

    def timers(self) -> BlockTimers:
        """How long episodes take to be added: the timer `add_sequence`."""
        return self._timers

    def is_initial(self, identity: AgentId) -> bool:
        """Whether no episode of this agent is under way; of episodes that are over nothing is known."""
        return identity not in self._open

    def add(self, observations: Mapping[AgentId, DictObservation], responses: Mapping[AgentId, DictResponse]) -> None:
        """Takes what agents observed, and what they did about it.

        Args:
            observations: by agent. Those of an agent that has not begun an episode and ends one are passed over, with
                a warning in the log.
            responses: of all agents whose episode goes on.

        Raises:
            BadValue: an agent begins an episode in the middle of one, or goes on without having begun, or without a
                response, or a reward is missing; then no agent's step has been taken.
            BadValue, ColumnError, ShapeError: the table does not take an episode: it is dropped, and all else has been
                taken.
        """
        self._check(observations, responses)
        refused: list[GridRLError] = []
        for agent, observation in observations.items():
            if observation.episode_state in ENDS:
                try:
                    self._end(agent, observation)
                except (BadValue, ColumnError, ShapeError) as error:
                    refused.append(error)
            else:
                response = responses[agent]
                row = {**response.list_data, **response.scalar_data, **observation.array_data}
                if observation.episode_state is EpisodeState.INITIAL:
                    self._open[agent] = Episode.from_initial(row)
                else:
                    self._open[agent].append({**row, "rewards": observation.rewards["reward"]})
        if refused:
            for other in refused[1:]:
                refused[0].add_note(str(other))
            raise refused[0]

    def _end(self, agent: AgentId, observation: DictObservation) -> None:
        episode = self._open.pop(agent, None)
        if episode is None:
            log.warning("Agent %s ends an episode that it has not begun: passed over.", agent)
            return
        data = episode.complete({**observation.array_data, "rewards": observation.rewards["reward"]})
        if len(data["rewards"]) >= self._minimum_length:
            interrupted = observation.episode_state is EpisodeState.INTERRUPTED
            tag = {"terminal": float(interrupted)} if self._use_terminal else {}
            with self._timers.scope("add_sequence"):
                self._table.add_sequence(agent, {**data, **tag})

    def _check(
        self, observations: Mapping[AgentId, DictObservation], responses: Mapping[AgentId, DictResponse]
    ) -> None:
        problems = Problems()
        for agent, observation in observations.items():
            state, known = observation.episode_state, agent in self._open
            if state is EpisodeState.INITIAL and known:
                problems.add(f"Agent {agent} already has an ongoing episode: end it before another one begins.")
            if state is EpisodeState.RUNNING and not known:
                problems.add(f"Agent {agent} goes on with an episode that it has not begun.")
            if state not in ENDS and agent not in responses:
                problems.add(f"Agent {agent} goes on, and has no response.")
            if state is not EpisodeState.INITIAL and known and "reward" not in observation.rewards:
                problems.add(f"Agent {agent}: rewards has no 'reward', only {sorted(observation.rewards)}.")
        problems.raise_if_any(BadValue)
