"""Vector environments behind one rule: what each step gave, and what followed it, however episodes start again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from gridrl.envs.spaces import BoxSpace, DictSpace, FlatObservation, MDPSpace, action_dim
from gridrl.envs.stepping import Episode, batch_actions, spread_seed
from gridrl.errors import BadValue, ShapeError

Array: TypeAlias = npt.NDArray[Any]

Parts: TypeAlias = dict[str, Array]
"""Observations of N environments by part, [N, *shape]."""


class ObservationParts:
    """Turns observations into arrays by name, for tables that hold them by part.

    A Box keeps its shape; its floats become float32. Discrete and all else becomes the flat vector of
    `FlatObservation`. The parts of a Dict keep their names, anything else is the one part `obs`.

    Attributes:
        spaces: of one environment's parts.

    >>> parts = ObservationParts(spaces.Dict(sign=spaces.Discrete(3), image=spaces.Box(0, 255, (2, 2), np.uint8)))
    >>> {name: (space.shape, np.dtype(space.dtype).name) for name, space in parts.spaces.items()}
    {'sign': ((3,), 'float32'), 'image': ((2, 2), 'uint8')}
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        """Reads the space of one environment's observation.

        Raises:
            BadValue: for a space that has no arrays of one shape.
        """
        self._by_name = isinstance(space, spaces.Dict)
        found = dict(space.spaces) if isinstance(space, spaces.Dict) else {"obs": space}
        self._flat = {
            name: None if isinstance(part, spaces.Box) else FlatObservation(part) for name, part in found.items()
        }
        self.spaces = {name: _box(part) for name, part in found.items()}

    def __call__(self, obs: Any) -> Parts:
        """Arrays [N, *shape] of their own, for the observations of a vector environment."""
        given = obs if self._by_name else {"obs": obs}
        return {name: self._part(name, flat, given[name]) for name, flat in self._flat.items()}

    def put_row(self, parts: Parts, place: int, obs: Any) -> None:
        """Writes one environment's observation into the row `place`."""
        given = obs if self._by_name else {"obs": obs}
        for name, flat in self._flat.items():
            parts[name][place] = given[name] if flat is None else flat(given[name])

    def _part(self, name: str, flat: FlatObservation | None, obs: Any) -> Array:
        return np.array(obs, self.spaces[name].dtype) if flat is None else np.array(flat.batch(obs))


class Step(NamedTuple):
    """What one step of N environments gave.

    Attributes:
        reward: float32 [N].
        terminated: bool [N], where a death ended the episode.
        truncated: bool [N], where it was cut off.
        valid: bool [N], False where the step was a reset, and nothing was done.
        following: by part [N, ...], what followed the step, before anything was reset.
        episodes: those that ended, by environment.
    """

    reward: Array
    terminated: Array
    truncated: Array
    valid: Array
    following: Parts
    episodes: dict[int, Episode]


class VectorSteps:
    """Steps a vector environment, whichever way it starts episodes again.

    With `AutoresetMode.NEXT_STEP` an environment whose episode ended takes no action in the step after, which is its
    reset; with `SAME_STEP` it is reset at once, and so it is with `DISABLED`, by a masked reset.

    Attributes:
        env: the vector environment.
        num_envs: N.
        spaces: of rewards, actions and parts of observations, for a table.
        mode: how episodes start again.
        obs: the parts of what is to be acted on, [N, ...]; there after `reset`.
        running: bool [N], False where the next step will be a reset, and take no action.

    >>> from gridrl.envs.making import env_fn
    >>> steps = VectorSteps(env_fn("CartPole-v1").vector(2))
    >>> steps.reset(seed=0)["obs"].shape
    (2, 4)
    >>> steps.step(np.array([0, 1])).reward
    array([1., 1.], dtype=float32)
    """

    obs: Parts
    running: Array

    def __init__(self, env: VectorEnv[Any, Any, Any], *, autoreset_mode: AutoresetMode | str | None = None) -> None:
        """Reads the spaces.

        Args:
            env: resets itself as it says in `metadata["autoreset_mode"]`.
            autoreset_mode: how it does, where it does not say.

        Raises:
            BadValue: it is no vector environment, does not say how it starts episodes again, or its spaces are not
                supported.
        """
        if not isinstance(env, VectorEnv):
            raise BadValue(
                f"a gymnasium vector environment is needed, not {type(env).__name__}: gridrl.envs.making.make_vector "
                "makes one of environments."
            )
        self.env, self.num_envs = env, env.num_envs
        self.mode = _mode(env, autoreset_mode)
        self._parts = ObservationParts(env.single_observation_space)
        space = env.single_action_space
        action_dim(space)
        self._to_env = batch_actions(space, env.num_envs)
        self._action_size = env.num_envs * int(np.prod(space.shape or ()))
        self.spaces = MDPSpace(BoxSpace(np.float32, (1,)), _action_box(space), DictSpace(self._parts.spaces))
        self._forget()

    def _forget(self) -> None:
        self.running = np.ones(self.num_envs, np.bool_)
        self._returns, self._lengths = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)

    def reset(self, seed: int | None = None) -> Parts:
        """Begins new episodes everywhere.

        Args:
            seed: gives each environment a seed of its own; None: their generators go on.
        """
        raw, _ = self.env.reset(seed=spread_seed(self.env, seed))
        self._forget()
        self.obs = self._parts(raw)
        return self.obs

    def step(self, action: Any) -> Step:
        """Steps all environments once.

        Args:
            action: of a Discrete [N] or [N, 1], counted from 0; of a Box [N, *shape]. Rows of environments that are
                not `running` are not looked at.

        Raises:
            ShapeError: for anything else.
        """
        action = np.asarray(action)
        if action.size != self._action_size:
            raise ShapeError(f"actions of {self.num_envs} environments are needed, not {list(action.shape)}.")
        if isinstance(self.env.single_action_space, spaces.Discrete):
            action = action.reshape(-1).astype(np.int64)
        valid = self.running
        raw, reward, terminated, truncated, info = self.env.step(self._to_env(action))
        self.obs = following = self._parts(raw)
        terminated, truncated = np.array(terminated, np.bool_) & valid, np.array(truncated, np.bool_) & valid
        done = terminated | truncated
        reward = np.where(valid, reward, 0.0)
        episodes = self._counted(reward, valid, done)
        if self.mode is AutoresetMode.NEXT_STEP:
            self.running = ~done
        elif episodes:
            following = self._restart(done, info)
        return Step(reward.astype(np.float32), terminated, truncated, valid, following, episodes)

    def close(self) -> None:
        """Closes the environments."""
        self.env.close()

    def _counted(self, reward: Array, valid: Array, done: Array) -> dict[int, Episode]:
        self._returns += reward
        self._lengths += valid
        if not done.any():
            return {}
        places = np.flatnonzero(done).tolist()
        episodes = {place: Episode(float(self._returns[place]), int(self._lengths[place])) for place in places}
        self._returns[done], self._lengths[done] = 0.0, 0
        return episodes

    def _restart(self, done: Array, info: Mapping[str, Any]) -> Parts:
        """Leaves the first observations of new episodes in `obs`, and gives what followed the step."""
        if self.mode is AutoresetMode.DISABLED:
            following = self.obs
            raw, _ = self.env.reset(options={"reset_mask": done.copy()})
            self.obs = self._parts(raw)
            return following
        last = info.get("final_obs")
        if last is None:
            raise BadValue(
                f"{self.env} ended an episode and gave no `final_obs`, which AutoresetMode.SAME_STEP promises: without "
                "it nobody knows what followed the last step. Use AutoresetMode.NEXT_STEP."
            )
        following = {name: rows.copy() for name, rows in self.obs.items()}
        for place in np.flatnonzero(done).tolist():
            self._parts.put_row(following, place, _row(last, place))
        return following


def _row(rows: Any, place: int) -> Any:
    """One environment's observation: out of an array of observations, or of arrays by name."""
    return {name: part[place] for name, part in rows.items()} if isinstance(rows, Mapping) else rows[place]


def _mode(env: VectorEnv[Any, Any, Any], given: AutoresetMode | str | None) -> AutoresetMode:
    told = env.metadata.get("autoreset_mode") if given is None else given
    for mode in AutoresetMode:
        if told is mode or told == mode.value:
            return mode
    found = "does not say how it starts" if told is None else f"starts by {told!r}"
    known = ", ".join(repr(mode.value) for mode in AutoresetMode)
    raise BadValue(
        f'{env} {found} episodes again (metadata["autoreset_mode"]): which rows are resets cannot be known. Pass '
        f"autoreset_mode, one of {known}, if you know it."
    )


def _box(space: gym.Space[Any]) -> BoxSpace:
    if not isinstance(space, spaces.Box):
        return BoxSpace(np.float32, (FlatObservation(space).dim,))
    return BoxSpace(np.float32 if space.dtype.kind == "f" else space.dtype, space.shape)


def _action_box(space: gym.Space[Any]) -> BoxSpace:
    if isinstance(space, spaces.Discrete):
        return BoxSpace(np.int64, (1,))
    assert isinstance(space, spaces.Box)
    return BoxSpace(np.float32, space.shape)
