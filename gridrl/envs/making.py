"""Makes environments by name, one or several at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any

import gymnasium as gym
from gymnasium import error as gym_error
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

from gridrl.envs.names import check_env_id, creator_of, find_spec, known_arguments
from gridrl.envs.spaces import flat_dim
from gridrl.errors import BadValue, GridRLWarning

__all__ = ["EnvFn", "check_env_id", "env_fn", "limited", "make_vector", "numbers_of_step", "spaces_of"]

Env = gym.Env[Any, Any]
Vector = VectorEnv[Any, Any, Any]


class EnvFn:
    """Makes one environment per call: what `env_name` and `env_kwargs` of a run become.

    It can be pickled and compared, and its repr is the expression that makes it.

    Attributes:
        env_id: the registered id, with its module in front if one must be imported (`module:Env-v0`).
        kwargs: keyword arguments of `gymnasium.make`.

    >>> make = env_fn("CartPole-v1", max_episode_steps=50)
    >>> make
    env_fn('CartPole-v1', max_episode_steps=50)
    >>> make().spec.max_episode_steps
    50
    """

    def __init__(self, env_id: str, kwargs: Mapping[str, Any] | None = None) -> None:
        self.env_id = env_id
        self.kwargs = dict(kwargs or {})

    def __call__(self, **more: Any) -> Env:
        """A new environment.

        Args:
            **more: keyword arguments of `gymnasium.make` for this one, such as `render_mode="human"`.

        Raises:
            BadValue: if the id is not registered, a package is missing, or a keyword argument is not known.
        """
        kwargs = {**self.kwargs, **more}
        find_spec(self.env_id, kwargs)
        with _told(self):
            return gym.make(self.env_id, **kwargs)

    def vector(self, num_envs: int, *, max_ep_len: int | None = None) -> Vector:
        """`num_envs` environments that step together; see `make_vector`."""
        return make_vector(self, num_envs, max_ep_len=max_ep_len)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EnvFn) and (self.env_id, self.kwargs) == (other.env_id, other.kwargs)

    def __hash__(self) -> int:
        return hash(self.env_id)

    def __repr__(self) -> str:
        return f"env_fn({', '.join([repr(self.env_id), *(f'{key}={value!r}' for key, value in self.kwargs.items())])})"


def env_fn(env_name: str, **kwargs: Any) -> EnvFn:
    """A picklable function that makes the environment.

    Args:
        env_name: a registered id, or `module:Env-v0` where importing `module` registers it.
        **kwargs: keyword arguments of `gymnasium.make`: the environment's own, and `max_episode_steps`.
    """
    return EnvFn(env_name, kwargs)


def make_vector(env_fn: Callable[[], Env], num_envs: int, *, max_ep_len: int | None = None) -> Vector:
    """Environments that step together in one process.

    For an `EnvFn` that is the registry's own vector environment where there is one, otherwise, and for any other
    callable, gymnasium's `SyncVectorEnv`. Both start an episode again by themselves with the step *after* its last one
    (`AutoresetMode.NEXT_STEP`): that step's action is ignored and its reward is 0.

    Args:
        env_fn: makes one environment.
        num_envs: how many.
        max_ep_len: episodes are truncated after so many steps, if the environments' own limit does not come first.

    Raises:
        BadValue: if the environment cannot be made, or `num_envs` or `max_ep_len` is no positive number.
    """
    if num_envs < 1:
        raise BadValue(f"num_envs is {num_envs}: at least one environment is needed.")
    _check_limit(max_ep_len)
    vector = _registered_vector(env_fn, num_envs, max_ep_len) if isinstance(env_fn, EnvFn) else None
    return vector or SyncVectorEnv([partial(_make_limited, env_fn, max_ep_len)] * num_envs)


def numbers_of_step(env_id: str) -> int | None:
    """How many numbers of 4 bytes a memory keeps of each step: observation, action, reward and two marks.

    None where the environment cannot be made, or its spaces are not supported: that is told where it is used.
    """
    with suppress(Exception):
        observation, action = spaces_of(env_id)
        return flat_dim(observation) + (flat_dim(action) if isinstance(action, gym.spaces.Box) else 2) + 3
    return None


@cache
def spaces_of(env_id: str) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """The spaces of observations and actions of an environment, which is made for it, once."""
    env = env_fn(env_id)()
    env.close()
    return env.observation_space, env.action_space


def limited(env: Env, max_ep_len: int | None) -> Env:
    """The environment with episodes of at most `max_ep_len` steps: beyond, they are truncated, not terminated.

    An environment whose own limit is as short already is returned as it is.

    Raises:
        BadValue: if it is no environment of gymnasium's, or `max_ep_len` is no positive number.
    """
    _check_limit(max_ep_len)
    if not isinstance(env, gym.Env):
        raise BadValue(
            f"env_fn made a {type(env).__qualname__}: a single gymnasium.Env is needed, num_envs makes several."
        )
    own = env.spec.max_episode_steps if env.spec else None
    if max_ep_len is None or (own is not None and own <= max_ep_len):
        return env
    return TimeLimit(env, max_ep_len)


def _check_limit(max_ep_len: int | None) -> None:
    if max_ep_len is not None and max_ep_len < 1:
        raise BadValue(f"max_ep_len is {max_ep_len}: an episode has at least one step.")


def _make_limited(env_fn: Callable[[], Env], max_ep_len: int | None) -> Env:
    return limited(env_fn(), max_ep_len)


def _registered_vector(env_fn: EnvFn, num_envs: int, max_ep_len: int | None) -> Vector | None:
    """The registry's own vector environment; None if it has none, or one that cannot do what is asked."""
    spec = find_spec(env_fn.env_id, env_fn.kwargs)
    kwargs = {key: value for key, value in env_fn.kwargs.items() if key != "disable_env_checker"}
    own_limit = kwargs.get("max_episode_steps", spec.max_episode_steps)
    if spec.vector_entry_point is None or spec.additional_wrappers or own_limit == -1:
        return None
    limits = [limit for limit in (own_limit, max_ep_len) if limit is not None]
    if limits:
        kwargs["max_episode_steps"] = min(limits)
    with _told(env_fn):
        if not set(kwargs) <= known_arguments(creator_of(spec.vector_entry_point), kwargs):
            return None
        env = gym.make_vec(env_fn.env_id, num_envs, "vector_entry_point", **kwargs)
    return _next_step(env_fn, env)


@contextmanager
def _told(env_fn: EnvFn) -> Iterator[None]:
    """What an environment finds fault with when it is made becomes a message for who typed its name."""
    try:
        yield
    except ImportError as missing:
        raise BadValue(f"Environment {env_fn.env_id!r} needs a package that is not installed: {missing}") from missing
    except gym_error.Error as fault:
        needs = (
            "needs a package that is not installed" if isinstance(fault, DependencyNotInstalled) else "cannot be made"
        )
        raise BadValue(f"Environment {env_fn.env_id!r} {needs}: {fault}") from fault
    except TypeError as fault:
        if "unexpected keyword argument" not in str(fault):
            raise
        raise BadValue(f"Environment {env_fn.env_id!r} cannot be made: {fault}") from fault


def _next_step(env_fn: EnvFn, env: Vector) -> Vector | None:
    mode = env.metadata.get("autoreset_mode")
    if mode == AutoresetMode.NEXT_STEP:
        return env
    env.close()
    warnings.warn(
        f"The vector environment of {env_fn.env_id} starts episodes again by {mode or 'a rule that it does not name'}, "
        "not by AutoresetMode.NEXT_STEP: single environments are stepped one after the other instead.",
        GridRLWarning,
        stacklevel=2,
    )
    return None
