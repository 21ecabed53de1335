"""Tiny worlds whose best return and values are known, for tests and examples.

Importing this module registers them; their names are `gridrl.envs.toy:GridrlBandit-v0` and so on.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium import spaces

Step: TypeAlias = tuple[Any, float, bool, bool, dict[str, Any]]


class ToyWorld(gym.Env[Any, Any]):
    """What the tiny worlds share: a state that can be taken and put back, and nothing to see.

    Attributes:
        best_return: the expected undiscounted return of an episode under the best policy; NaN where it is not known.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]
    best_return: float
    _changing: ClassVar[tuple[str, ...]] = ()

    def __gridrl_state__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._changing if hasattr(self, name)}

    def __gridrl_set_state__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class Endless(ToyWorld):
    """Pays 1 in every step whatever is done, and never ends; its registered time limit cuts episodes.

    With discount gamma the value of its one state is 1 / (1 - gamma): of every policy, at every time.
    """

    best_return = 25.0  # with the registered time limit

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (1,))
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> Step:
        return np.ones(1, np.float32), 1.0, False, False, {}


class Bandit(ToyWorld):
    """One pull of one arm ends the episode and pays what the arm pays, without chance.

    Args:
        payoffs: what each arm pays.
    """

    def __init__(self, payoffs: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)) -> None:
        self.payoffs = tuple(payoffs)
        self.best_return = max(self.payoffs)
        self.observation_space = spaces.Box(0.0, 1.0, (1,))
        self.action_space = spaces.Discrete(len(self.payoffs))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> Step:
        return np.ones(1, np.float32), self.payoffs[int(action)], True, False, {}


class Chain(ToyWorld):
    """A row of cells, from the leftmost of which one walks; reaching the rightmost pays 1 and ends the episode.

    Walking right (action 1) all the time is best. With discount gamma the value of cell i is then
    gamma ** (length - 2 - i). The observation is the cell's number, a Discrete.

    Args:
        length: number of cells, at least 2.
    """

    best_return = 1.0
    _changing = ("cell",)

    def __init__(self, length: int = 5) -> None:
        self.length = length
        self.observation_space = spaces.Discrete(length)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = 0
        return self.cell, {}

    def step(self, action: Any) -> Step:
        self.cell = max(self.cell + (1 if action == 1 else -1), 0)
        arrived = self.cell == self.length - 1
        return self.cell, float(arrived), arrived, False, {}


class Signpost(ToyWorld):
    """A sign among clutter tells the action that pays 1; any other pays 0. The observation is a Dict.

    An episode has 8 steps, each with a new sign and new clutter: the best return is 8, that of chance 8 / 3.
    """

    best_return = 8.0
    _changing = ("sign", "steps")

    def __init__(self) -> None:
        self.observation_space = spaces.Dict(clutter=spaces.Box(-1.0, 1.0, (2,)), sign=spaces.Discrete(3))
        self.action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._look(), {}

    def step(self, action: Any) -> Step:
        reward = float(action == self.sign)
        self.steps += 1
        return self._look(), reward, self.steps == 8, False, {}

    def _look(self) -> dict[str, Any]:
        self.sign = int(self.np_random.integers(3))
        return {"clutter": self.np_random.uniform(-1.0, 1.0, 2).astype(np.float32), "sign": self.sign}


class Target(ToyWorld):
    """A number is shown, and the action, a number too, costs its squared distance from it.

    An episode has 10 steps, each with a new target, uniform in [-0.8, 0.8]: the best return is 0; always answering 0
    costs 10 * 0.8**2 / 3 = 2.13 on average.
    """

    best_return = 0.0
    _changing = ("target", "steps")

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (1,))
        self.action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.steps = 0
        return self._look(), {}

    def step(self, action: Any) -> Step:
        reward = -float((action[0] - self.target) ** 2)
        self.steps += 1
        return self._look(), reward, self.steps == 10, False, {}

    def _look(self) -> Any:
        self.target = float(self.np_random.uniform(-0.8, 0.8))
        return np.array([self.target], np.float32)


class HitTheMiddle(ToyWorld):
    """A ball between two walls is to be pushed to the middle and kept there; each step costs its squared distance.

    The observation is the place, -10 to 10, and the velocity; the action is added to the velocity, and the walls throw
    the ball back. An episode is cut off after 30 steps. Doing nothing costs about 1000.
    """

    best_return = float("nan")
    _changing = ("place", "velocity", "steps")

    def __init__(self) -> None:
        most = np.array([10.0, 31.0], np.float32)
        self.observation_space = spaces.Box(-most, most)
        self.action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = float(self.np_random.uniform(-10.0, 10.0))
        self.velocity = float(self.np_random.uniform(-0.25, 0.25))
        self.steps = 0
        return self._look(), {}

    def step(self, action: Any) -> Step:
        self.velocity += float(action[0])
        self.place += self.velocity
        if abs(self.place) > 10.0:
            self.place, self.velocity = float(np.clip(self.place, -10.0, 10.0)), -self.velocity
        self.steps += 1
        return self._look(), -(self.place**2), False, self.steps == 30, {}

    def _look(self) -> Any:
        return np.array([self.place, self.velocity], np.float32)


for _name, _world, _limit in (
    ("GridrlBandit-v0", Bandit, None),
    ("GridrlChain-v0", Chain, 50),
    ("GridrlEndless-v0", Endless, 25),
    ("GridrlHitTheMiddle-v0", HitTheMiddle, None),
    ("GridrlSignpost-v0", Signpost, None),
    ("GridrlTarget-v0", Target, None),
):
    if _name not in gym.registry:
        gym.register(_name, entry_point=f"{__name__}:{_world.__name__}", max_episode_steps=_limit)
