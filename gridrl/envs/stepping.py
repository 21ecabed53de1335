"""One environment or many behind one stepping interface, at the cost of a few microseconds per step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from gridrl.envs.making import limited, make_vector
from gridrl.envs.spaces import FlatObservation, Floats, action_dim
from gridrl.envs.state import get_state, set_state

Array = npt.NDArray[Any]


class Outcome(NamedTuple):
    """What one step of all environments gave.

    With one environment nothing has a leading axis: vectors are [D] and the rest are Python scalars. With several,
    N stands in front of everything. Assigning into a `[N, ...]` row works for both.

    Attributes:
        obs: float32 [D] or [N, D], the observation to act on next. With one environment that is the first of the next
            episode where this one ended; with several it is this episode's last, and the first of the next comes
            with the step after, whose action is ignored (gymnasium's next-step autoreset).
        reward: a float or float [N].
        terminated: bool or bool [N]: the world came to an end.
        truncated: bool or bool [N]: a time limit, or `max_ep_len`, cut the episode.
        valid: True or bool [N]: False for the step of an environment that was a reset and no transition. It must
            never reach a loss.
        final_obs: [D], the last observation of an episode that was truncated, where `obs` is already the next
            episode's; None otherwise, and always with several environments, where `obs` is that observation.
    """

    obs: Floats
    reward: Any
    terminated: Any
    truncated: Any
    valid: Any
    final_obs: Floats | None


class Episode(NamedTuple):
    """A finished episode: the undiscounted sum of its rewards, and its number of steps."""

    ret: float
    length: int


class Worlds(ABC):
    """Environments that step together, with flat observations, and the bookkeeping of their episodes.

    Attributes:
        num_envs: how many.
        observation: turns observations into vectors; `.dim` is their length.
        action_space: the space of one environment's action.
        obs: the observation to act on, float32 [D] (one environment) or [N, D].

    >>> from gridrl.envs.making import env_fn
    >>> worlds = make_worlds(env_fn("CartPole-v1"), num_envs=2, max_ep_len=200)
    >>> obs = worlds.reset(seed=0)
    >>> outcome = worlds.step(np.array([0, 1]))
    >>> outcome.obs.shape, outcome.reward.tolist(), outcome.valid.tolist()
    ((2, 4), [1.0, 1.0], [True, True])
    >>> worlds.close()
    """

    obs: Floats

    def __init__(
        self, env: Any, num_envs: int, observation_space: gym.Space[Any], action_space: gym.Space[Any]
    ) -> None:
        """Takes hold of an environment, single or vector.

        Raises:
            BadValue: for a space of observations or actions that is not supported.
        """
        self.env = env
        self.num_envs = num_envs
        self.observation = FlatObservation(observation_space)
        self.action_space = action_space
        self.action_dim = action_dim(action_space)
        self._finished: list[Episode] = []

    @abstractmethod
    def reset(self, seed: int | None = None) -> Floats:
        """Starts new episodes everywhere and forgets the unfinished ones.

        Args:
            seed: the seed of the environments' generators, each its own; None lets their generators go on.

        Returns:
            The first observations, as in `obs`.
        """

    @abstractmethod
    def step(self, action: Any) -> Outcome:
        """Steps all environments once; episodes that end start again by themselves.

        Args:
            action: Discrete: an int, or int64 [N], counted from 0. Box: float32 [A] or [N, A], unbounded: what lies
                outside the space is clipped for the environment alone.
        """

    def finished_episodes(self) -> list[Episode]:
        """The episodes that ended since this was last asked, in order."""
        finished, self._finished = self._finished, []
        return finished

    @abstractmethod
    def get_state(self) -> dict[str, Any] | None:
        """Everything that the next steps depend on, in plain values; None if an environment's state is not known."""

    @abstractmethod
    def set_state(self, state: dict[str, Any]) -> None:
        """Continues where `get_state` was called, in environments made alike.

        Raises:
            VersionMismatch: if the environments are of another kind than those that the state was taken from.
        """

    def close(self) -> None:
        """Closes the environments."""
        self.env.close()


def make_worlds(env_fn: Callable[[], Any], num_envs: int = 1, *, max_ep_len: int | None = None) -> Worlds:
    """Makes `num_envs` environments that step together; call `reset(seed)` before the first step.

    Args:
        env_fn: makes one environment; an `EnvFn` also knows its registry's vector environment.
        num_envs: 1 steps a plain environment, which is the fastest way for one.
        max_ep_len: episodes are truncated (not terminated: their values are bootstrapped) after so many steps, if
            the environment's own limit does not come first. None for the environment's own limit only.

    Raises:
        BadValue: for an environment that cannot be made, or whose spaces are not supported.
    """
    if num_envs == 1:
        return _OneWorld(limited(env_fn(), max_ep_len))
    return _ManyWorlds(make_vector(env_fn, num_envs, max_ep_len=max_ep_len))


class _OneWorld(Worlds):
    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env, 1, env.observation_space, env.action_space)
        self._to_env = _one_action(env.action_space)
        self._return, self._length = 0.0, 0

    def reset(self, seed: int | None = None) -> Floats:
        obs, _ = self.env.reset(seed=seed)
        self.obs = self.observation(obs)
        self._return, self._length = 0.0, 0
        return self.obs

    def step(self, action: Any) -> Outcome:
        raw, reward, terminated, truncated, _ = self.env.step(self._to_env(action))
        reward = float(reward)
        self._return += reward
        self._length += 1
        obs = self.obs = self.observation(raw)
        if not (terminated or truncated):
            return Outcome(obs, reward, False, False, True, None)
        self._finished.append(Episode(self._return, self._length))
        final_obs = None if terminated else obs.copy()
        return Outcome(self.reset(), reward, bool(terminated), bool(truncated), True, final_obs)

    def get_state(self) -> dict[str, Any] | None:
        env = get_state(self.env)
        if env is None:
            return None
        return {"env": env, "obs": self.obs.tolist(), "return": self._return, "length": self._length}

    def set_state(self, state: dict[str, Any]) -> None:
        set_state(self.env, state["env"])
        self.obs = np.array(state["obs"], np.float32)
        self._return, self._length = state["return"], state["length"]


class _ManyWorlds(Worlds):
    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env, env.num_envs, env.single_observation_space, env.single_action_space)
        self._to_env = batch_actions(env.single_action_space, env.num_envs)
        self._forget()

    def _forget(self) -> None:
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)
        self._running = np.ones(self.num_envs, np.bool_)

    def reset(self, seed: int | None = None) -> Floats:
        obs, _ = self.env.reset(seed=spread_seed(self.env, seed))
        self.obs = self.observation.batch(obs)
        self._forget()
        return self.obs

    def step(self, action: Any) -> Outcome:
        raw, reward, terminated, truncated, _ = self.env.step(self._to_env(action))
        valid = self._running
        self._returns += reward  # 0 where an environment was restarted
        self._lengths += valid
        done = terminated | truncated
        if done.any():
            self._end(done)
        self._running = ~done
        obs = self.obs = self.observation.batch(raw)
        return Outcome(obs, reward, terminated, truncated, valid, None)

    def _end(self, done: Array) -> None:
        self._finished += map(Episode, self._returns[done].tolist(), self._lengths[done].tolist())
        self._returns[done] = 0.0
        self._lengths[done] = 0

    def get_state(self) -> dict[str, Any] | None:
        env = get_state(self.env)
        if env is None:
            return None
        counters = {"returns": self._returns, "lengths": self._lengths, "running": self._running, "obs": self.obs}
        return {"env": env, **{name: array.tolist() for name, array in counters.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        set_state(self.env, state["env"])
        self.obs = np.array(state["obs"], np.float32)
        self._returns = np.array(state["returns"], np.float64)
        self._lengths = np.array(state["lengths"], np.int64)
        self._running = np.array(state["running"], np.bool_)


def _one_action(space: gym.Space[Any]) -> Callable[[Any], Any]:
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return (lambda action: int(action) + start) if start else int
    assert isinstance(space, spaces.Box)
    return _clipped(space, space.shape)


def spread_seed(env: VectorEnv[Any, Any, Any], seed: int | None) -> Any:
    """What to reset a vector environment with, so that each environment in it has a seed of its own.

    gymnasium would take seed, seed + 1, ..., so that runs with neighbouring seeds would share all but one world.
    """
    if seed is None or not isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv):
        return seed
    return np.random.SeedSequence(seed).generate_state(env.num_envs).tolist()


def batch_actions(space: gym.Space[Any], num_envs: int) -> Callable[[Any], Any]:
    """The function from what a policy does to what a vector environment takes.

    Args:
        space: of one environment's action: actions of a Discrete are counted from 0; those of a Box are brought into
            shape, and clipped for the environment alone.
        num_envs: how many.
    """
    if isinstance(space, spaces.Discrete):
        start = space.start
        return lambda action: action + start
    assert isinstance(space, spaces.Box)
    return _clipped(space, (num_envs, *space.shape))


def _clipped(space: spaces.Box, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    low, high, dtype = space.low, space.high, space.dtype

    def to_env(action: Any) -> Any:
        return np.minimum(np.maximum(np.asarray(action, dtype).reshape(shape), low), high)

    return to_env
