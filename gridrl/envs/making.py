"""Makes environments by name, one or several at once, and says what is wrong with a name before anything starts."""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium import error as gym_error
from gymnasium.envs import registration
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

from gridrl.errors import BadValue, GridRLWarning, did_you_mean, nearest

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
        _spec(self.env_id)
        with _told(self):
            return gym.make(self.env_id, **{**self.kwargs, **more})

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
        BadValue: if the environment cannot be made, or `num_envs` is no positive number.
    """
    if num_envs < 1:
        raise BadValue(f"num_envs is {num_envs}: at least one environment is needed.")
    vector = _registered_vector(env_fn, num_envs, max_ep_len) if isinstance(env_fn, EnvFn) else None
    return vector or SyncVectorEnv([partial(_make_limited, env_fn, max_ep_len)] * num_envs)


def limited(env: Env, max_ep_len: int | None) -> Env:
    """The environment with episodes of at most `max_ep_len` steps: beyond, they are truncated, not terminated.

    An environment whose own limit is as short already is returned as it is.
    """
    own = env.spec.max_episode_steps if env.spec else None
    if max_ep_len is None or (own is not None and own <= max_ep_len):
        return env
    return TimeLimit(env, max_ep_len)


def check_env_id(name: str) -> str | None:
    """What is wrong with an environment's name, with the nearest registered one; None if nothing is.

    The module of a `module:Env-v0` name is imported; no environment is made.
    """
    if name.count(":") > 1:
        return f"Environment {name!r} has more than one colon: 'module:Env-v0' or 'Env-v0' is meant."
    module, _, env_id = name.rpartition(":")
    if module:
        trouble = _import_trouble(module)
        if trouble:
            return f"Environment {name!r}: {trouble}"
    try:
        namespace, stem, version = registration.parse_env_id(env_id)
    except gym_error.Error:
        return f"Environment {name!r} is no environment id: 'Env-v0', 'namespace/Env-v0' or 'module:Env-v0' is meant."
    versions = _versions(namespace, stem)
    if env_id in gym.registry or (version is None and versions):
        return None
    return f"Environment {name!r} {_unregistered(namespace, stem, module, versions)}"


def _versions(namespace: str | None, stem: str) -> list[int]:
    return sorted(
        spec.version
        for spec in gym.registry.values()
        if (spec.namespace, spec.name) == (namespace, stem) and spec.version is not None
    )


def _unregistered(namespace: str | None, stem: str, module: str, versions: list[int]) -> str:
    prefix = f"{module}:" if module else ""
    if versions:
        known = ", ".join(f"v{version}" for version in versions)
        latest = prefix + registration.get_env_id(namespace, stem, versions[-1])
        return f"is not registered, but {stem} is, as {known}. Did you mean {latest!r}?"
    namespaces = {spec.namespace for spec in gym.registry.values() if spec.namespace}
    if namespace and namespace not in namespaces:
        hint = did_you_mean(namespace, namespaces)
        install = f" Install the package that registers it, and name its module: 'module:{namespace}/{stem}'."
        return f"is not registered: nothing is in a namespace {namespace!r}.{hint or install}"
    stems = {registration.get_env_id(spec.namespace, spec.name, None) for spec in gym.registry.values()}
    near = nearest(registration.get_env_id(namespace, stem, None), stems)
    if near is None:
        return "is not registered. An environment of your own is named with its module: 'module:Env-v0'."
    return f"is not registered. Did you mean {prefix + _latest_id(near)!r}?"


def _latest_id(stem: str) -> str:
    namespace, name, _ = registration.parse_env_id(stem)
    return registration.get_env_id(namespace, name, registration.find_highest_version(namespace, name))


def _import_trouble(module: str) -> str | None:
    """Why a module cannot be imported, None if it can."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name and (module + ".").startswith(missing.name + "."):
            return f"there is no module {missing.name!r} (looked for in the current directory and on sys.path)."
        return f"its module {module!r} needs the package {missing.name!r}, which is not installed."
    except Exception as fault:
        return f"its module {module!r} cannot be imported: {type(fault).__name__}: {fault}."
    return None


def _make_limited(env_fn: Callable[[], Env], max_ep_len: int | None) -> Env:
    return limited(env_fn(), max_ep_len)


def _registered_vector(env_fn: EnvFn, num_envs: int, max_ep_len: int | None) -> Vector | None:
    """The registry's own vector environment; None if it has none, or one that cannot do what is asked."""
    spec = _spec(env_fn.env_id)
    if spec.vector_entry_point is None or spec.additional_wrappers:
        return None
    kwargs = {key: value for key, value in env_fn.kwargs.items() if key != "disable_env_checker"}
    limits = [kwargs.get("max_episode_steps", spec.max_episode_steps), max_ep_len]
    if any(limits):
        kwargs["max_episode_steps"] = min(limit for limit in limits if limit is not None)
    with _told(env_fn):
        if not _takes(_creator(spec.vector_entry_point), kwargs):
            return None
        env = gym.make_vec(env_fn.env_id, num_envs, "vector_entry_point", **kwargs)
    return _next_step(env_fn, env)


def _spec(name: str) -> registration.EnvSpec:
    fault = check_env_id(name)
    if fault:
        raise BadValue(fault)
    env_id = name.rpartition(":")[2]
    return gym.registry.get(env_id) or gym.registry[_latest_id(env_id)]


def _creator(entry_point: Any) -> Callable[..., Any]:
    return registration.load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


@contextmanager
def _told(env_fn: EnvFn) -> Iterator[None]:
    """What commonly goes wrong in making a registered environment becomes a message for who typed its name."""
    try:
        yield
    except (gym_error.DependencyNotInstalled, ImportError) as missing:
        raise BadValue(f"Environment {env_fn.env_id!r} needs a package that is not installed: {missing}") from missing
    except gym_error.Error as fault:
        raise BadValue(f"Environment {env_fn.env_id!r} cannot be made: {fault}") from fault
    except TypeError as fault:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(fault))
        if unknown is None:
            raise
        raise BadValue(_unknown_keyword(env_fn, unknown[1])) from fault


def _unknown_keyword(env_fn: EnvFn, keyword: str) -> str:
    creator = _creator(_spec(env_fn.env_id).entry_point)
    known = [name for name, p in inspect.signature(creator).parameters.items() if p.kind is not p.VAR_KEYWORD]
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    return f"Environment {env_fn.env_id!r} has no argument {keyword!r}: {takes}.{did_you_mean(keyword, known)}"


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


def _takes(creator: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        parameters = inspect.signature(creator).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(p.kind is p.VAR_KEYWORD for p in parameters) or set(kwargs) <= {p.name for p in parameters}
