"""What is wrong with an environment's name or arguments, told before any environment is made."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
from gymnasium import error as gym_error
from gymnasium.envs import registration

from gridrl.errors import BadValue, did_you_mean, nearest

# what gymnasium.make takes for itself
_OF_MAKE = {"max_episode_steps", "disable_env_checker"}


def check_env_id(name: str, kwargs: Mapping[str, Any] | None = None) -> str | None:
    """What is wrong with an environment's name, with the nearest registered one; None if nothing is.

    The module of a `module:Env-v0` name is imported, and so is the one that defines the environment, so that a missing
    package is told; no environment is made.

    Args:
        name: a registered id, or `module:Env-v0` where importing `module` registers it.
        kwargs: arguments for the environment, whose names are checked too.
    """
    fault = _name_fault(name)
    if fault:
        return f"Environment {name!r}{fault}"
    try:
        creator = creator_of(_registered(name).entry_point)
    except (gym_error.DependencyNotInstalled, ImportError) as missing:
        return f"Environment {name!r} needs a package that is not installed: {missing}"
    except AttributeError as wrong:
        return f"Environment {name!r} cannot be made: its entry point is wrong: {wrong}"
    known = known_arguments(creator, kwargs or {}) | _OF_MAKE
    for keyword in sorted(set(kwargs or {}) - known):
        takes = ", ".join(sorted(known))
        return f"Environment {name!r} has no argument {keyword!r}: it takes {takes}.{did_you_mean(keyword, known)}"
    return None


def find_spec(name: str, kwargs: Mapping[str, Any]) -> registration.EnvSpec:
    """What the registry holds of an environment.

    Raises:
        BadValue: with what `check_env_id` says.
    """
    fault = check_env_id(name, kwargs)
    if fault:
        raise BadValue(fault)
    return _registered(name)


def creator_of(entry_point: Any) -> Callable[..., Any]:
    """The function or class that an entry point of the registry names."""
    return registration.load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point


def known_arguments(creator: Callable[..., Any], given: Mapping[str, Any]) -> set[str]:
    """The names of the arguments that it takes; those given count among them where it takes any."""
    try:
        parameters = inspect.signature(creator).parameters.values()
    except (TypeError, ValueError):  # it does not tell
        return set(given)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} | (set(given) if takes_any else set())


def _registered(name: str) -> registration.EnvSpec:
    env_id = name.rpartition(":")[2]
    return gym.registry.get(env_id) or gym.registry[_latest_id(env_id)]


def _name_fault(name: str) -> str | None:
    """The end of a sentence that begins with the environment's name."""
    if name.count(":") > 1:
        return " has more than one colon: 'module:Env-v0' or 'Env-v0' is meant."
    module, _, env_id = name.rpartition(":")
    if module:
        trouble = _import_trouble(module)
        if trouble:
            return f": {trouble}"
    try:
        namespace, stem, version = registration.parse_env_id(env_id)
    except gym_error.Error:
        return " is no environment id: 'Env-v0', 'namespace/Env-v0' or 'module:Env-v0' is meant."
    versions = _versions(namespace, stem)
    if env_id in gym.registry or (version is None and versions):
        return None
    return f" {_unregistered(namespace, stem, module, versions)}"


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
