"""A world whose episodes are written down beforehand, what a plain loop sees of it, and what a table holds of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gridrl.memory.builders import DictObsMemoryTable

TERMINATED, TRUNCATED, BOTH = "terminated", "truncated", "both"

Plan = list[tuple[int, str]]
"""Episodes: how many steps, and how they end. They come round again."""


class Transition(NamedTuple):
    """What one step was."""

    action: float
    reward: float
    following: float
    terminated: bool


class Scripted(gym.Env[Any, Any]):
    """Shows numbers that no other step shows: 10000 * place + 100 * episode + time. The reward is obs + 2 * action."""

    def __init__(self, place: int, plan: Plan) -> None:
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (1,))
        self.action_space = gym.spaces.Box(-np.inf, np.inf, (1,))
        self._place, self._plan, self._episode, self._time = place, plan, -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._episode, self._time = self._episode + 1, 0
        return self._look(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = float(self._look()[0] + 2.0 * action[0])
        self._time += 1
        length, end = self._plan[self._episode % len(self._plan)]
        is_over = self._time == length
        return self._look(), reward, is_over and end != TRUNCATED, is_over and end != TERMINATED, {}

    def _look(self) -> Any:
        return np.array([10_000 * self._place + 100 * self._episode + self._time], np.float32)


def vector(plans: list[Plan], mode: AutoresetMode = AutoresetMode.NEXT_STEP) -> SyncVectorEnv[Any, Any]:
    """One scripted world for each plan."""
    makers = [lambda place=place, plan=plan: Scripted(place, plan) for place, plan in enumerate(plans)]
    return SyncVectorEnv(makers, autoreset_mode=mode)


def act(obs: Any) -> Any:
    """The action that everybody takes."""
    return 0.5 * obs + 1.0


def seen_by_a_plain_loop(plan: Plan, place: int, steps: int) -> dict[float, Transition]:
    """The first steps of one world, by the observation that was acted upon."""
    env, found = Scripted(place, plan), {}
    obs, _ = env.reset()
    for _ in range(steps):
        action = act(obs)
        following, reward, terminated, truncated, _ = env.step(action)
        found[float(obs[0])] = Transition(float(action[0]), reward, float(following[0]), terminated)
        obs = env.reset()[0] if terminated or truncated else following
    return found


def held(table: DictObsMemoryTable) -> dict[float, Transition]:
    """All steps of a table, by the observation; that of each episode's last step is checked to be stored once."""
    found: dict[float, Transition] = {}
    columns = [table.storages[name] for name in ("obs", "actions", "rewards", "terminal")]
    for identity in table.storages["obs"]:
        obs, actions, rewards, tag = (column[identity] for column in columns)
        for time, (action, reward) in enumerate(zip(actions[:, 0], rewards[:, 0], strict=True)):
            terminated = time == len(actions) - 1 and float(tag[0]) == 0.0
            assert float(obs[time, 0]) not in found
            row = Transition(float(action), float(reward), float(obs[time + 1, 0]), terminated)
            found[float(obs[time, 0])] = row
    return found


def drawn(table: DictObsMemoryTable, count: int = 300) -> dict[float, Transition]:
    """Steps as samples show them: whether a death followed is told by the mask."""
    batch = table.sample(count, 1)
    columns = (batch["actions"], batch["rewards"], batch["next_observation"]["obs"], 1.0 - batch["masks"])
    rows = zip(*(column[:, 0].tolist() for column in columns), strict=True)
    keys = batch["observation"]["obs"][:, 0].tolist()
    return {key: Transition(a, r, n, bool(t)) for key, (a, r, n, t) in zip(keys, rows, strict=True)}
