"""Gives a trained policy back from its run directory: networks, normaliser and environment."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import nn

from gridrl.algos.assembly import obs_shape
from gridrl.algos.discrete import for_flat
from gridrl.build import resolve
from gridrl.envs.making import EnvFn, env_fn
from gridrl.envs.scaling import ActionScale
from gridrl.envs.spaces import FlatObservation, action_dim
from gridrl.envs.wrappers import RunningNormalizer
from gridrl.errors import BadValue, CheckpointError
from gridrl.nn.acting import Actor, make_actor
from gridrl.nn.continuous import DeterministicHead
from gridrl.nn.exploring import Explorer, make_explorer
from gridrl.nn.flat import FlatParameters
from gridrl.nn.q_networks import EpsilonGreedy, action_values
from gridrl.schedules import ConstantSchedule
from gridrl.utils.files import RunPaths, read_json

# How the configuration writes classes and functions: "torch.nn.modules.activation.ReLU", "my_module:make".
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*")


class LoadedPolicy:
    """A trained policy that acts.

    Attributes:
        config: the run's `config.json`.
        module: the networks, with the saved weights.
        env_fn: makes the environment that it was trained in.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        module: nn.Module,
        make: Callable[..., gym.Env[Any, Any]],
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        normalizer: RunningNormalizer | None = None,
    ) -> None:
        """Use `load`."""
        self.config, self.module, self.env_fn = config, module, make
        self._observation, self._action_space = FlatObservation(observation_space), action_space
        self._normalizer = normalizer
        self._actor, self._to_env = _acting(module, config["algorithm"], observation_space, action_space)

    def act(
        self, obs: Any, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> int | npt.NDArray[Any]:
        """The action for one observation, as the environment takes it.

        Args:
            obs: as the environment gave it.
            deterministic: the likeliest action; False for one drawn from the policy.
            rng: what is drawn from; a new generator, differently seeded each time, if none is given. Networks that
                are no plain MLPs draw from torch's global generator instead.

        Returns:
            An int for Discrete actions; an array of the action space's shape and type for Box ones, within its bounds.
        """
        seen = self._observation(obs)
        if self._normalizer is not None:
            seen = self._normalizer(seen)
        if deterministic:
            action = self._actor.best(seen[None])[0]
        else:
            noise = self._actor.draw(np.random.default_rng() if rng is None else rng, 1)
            action = self._actor.one(seen, None if noise is None else noise[0])
        if isinstance(self._action_space, spaces.Discrete):
            return int(action) + int(self._action_space.start)
        assert isinstance(self._action_space, spaces.Box)
        space = self._action_space
        if self._to_env is not None:
            action = self._to_env(action)
        clipped: npt.NDArray[Any] = np.clip(np.reshape(action, space.shape), space.low, space.high).astype(space.dtype)
        return clipped

    def make_env(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """A new environment like the one that the policy was trained in.

        Args:
            kwargs: more arguments for it, such as `render_mode="human"`.
        """
        return self.env_fn(**kwargs)


def _acting(
    module: nn.Module, algorithm: Mapping[str, Any], observation_space: gym.Space[Any], action_space: gym.Space[Any]
) -> tuple[Actor | Explorer, Callable[[Any], Any] | None]:
    """Who acts, and what makes the environment's actions of theirs (None: they are the same)."""
    if not hasattr(module, "pi"):  # a network of action values
        assert isinstance(action_space, spaces.Discrete), "as the run had them"
        values = action_values(for_flat(module, observation_space), FlatParameters([module]))
        epsilon = ConstantSchedule(float(algorithm.get("epsilon_end", 0.0)))
        return EpsilonGreedy(values, int(action_space.n), epsilon), None
    if isinstance(module.pi, nn.Module) and hasattr(module, "v"):
        flat = FlatParameters([module.pi, module.v])  # type: ignore[list-item]
        return make_actor(module, flat, obs_shape(module, observation_space)), None
    width, noise = action_dim(action_space), algorithm.get("act_noise")
    head = None if noise is None else DeterministicHead(width, float(noise))
    return make_explorer(module.pi, width, head), ActionScale(action_space)  # type: ignore[arg-type]


def load(
    run_dir: str | Path, itr: int | None = None, *, make_env: Callable[..., gym.Env[Any, Any]] | None = None
) -> LoadedPolicy:
    """Rebuilds the policy of a finished or interrupted run.

    Args:
        run_dir: the run's directory, which holds `config.json` and `model/`.
        itr: the epoch whose networks are wanted, where every one was kept; None for the newest.
        make_env: makes the environment, where the configuration does not name it (a run of a Python function).

    Raises:
        CheckpointError: something is missing, or does not fit together; the message says what.
    """
    paths = RunPaths(Path(run_dir))
    config = _config(paths)
    algorithm = config["algorithm"]
    make = make_env or _env_fn(config, paths)
    env = make()
    observation_space, action_space = env.observation_space, env.action_space
    env.close()
    state = _saved(paths, itr)
    module = _networks(algorithm, observation_space, action_space, paths)
    _fit(module, state["actor_critic"], paths)
    module.eval()
    normalizer = None
    if "obs_normalizer" in state:
        normalizer = RunningNormalizer(tuple(state["obs_normalizer"]["mean"].shape))
        normalizer.load_state_dict(state["obs_normalizer"])
        normalizer.frozen = True
    return LoadedPolicy(config, module, make, observation_space, action_space, normalizer)


def _config(paths: RunPaths) -> dict[str, Any]:
    if not paths.root.is_dir():
        raise CheckpointError(f"{paths.root}: there is no such directory.")
    config = read_json(paths.config)
    if not isinstance(config, dict):
        raise CheckpointError(f"{paths.root} is no run directory: it has no readable {paths.config.name}.")
    if "actor_critic" not in config.get("algorithm", {}):
        raise CheckpointError(
            f"{paths.config} does not say which networks were trained (algorithm.actor_critic): it is not of an "
            "algorithm that gridrl brings, or of a run that ended before it began to train."
        )
    return config


def _env_fn(config: Mapping[str, Any], paths: RunPaths) -> EnvFn:
    """The environment as the launcher noted it, or as `EnvFn`'s own text says it."""
    env = config.get("env") or {}
    if env.get("id"):
        return env_fn(env["id"], **_revived(env.get("kwargs") or {}))
    made = _read_env_fn(str(config["algorithm"].get("env_fn")))
    if made is None:
        raise CheckpointError(
            f"{paths.config} does not name the environment (env_fn is {config['algorithm'].get('env_fn')}): give "
            "load(run_dir, make_env=...) a function that makes it."
        )
    return made


def _read_env_fn(text: str) -> EnvFn | None:
    """Reads `env_fn('CartPole-v1', max_episode_steps=50)`, in which every argument is a literal."""
    try:
        call = ast.parse(text, mode="eval").body
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "env_fn":
            (name,) = (ast.literal_eval(argument) for argument in call.args)
            return env_fn(name, **{str(word.arg): ast.literal_eval(word.value) for word in call.keywords})
    except (SyntaxError, ValueError):
        pass
    return None


def _revived(value: Any) -> Any:
    """Puts classes and functions back in the place of their names; other texts stay."""
    if isinstance(value, Mapping):
        return {key: _revived(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_revived(part) for part in value]
    if isinstance(value, str) and _DOTTED.fullmatch(value):
        with contextlib.suppress(BadValue):
            found = resolve(value)
            return found if callable(found) else value
    return value


def _saved(paths: RunPaths, itr: int | None) -> dict[str, Any]:
    path = paths.model_file(itr)
    if not path.is_file():
        kept = sorted(found.name for found in paths.model.glob("model*.pt"))
        raise CheckpointError(f"{path} is missing; saved are: {', '.join(kept) or 'none, the run has saved no model'}.")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if "actor_critic" not in state:
        raise CheckpointError(f"{path} holds no 'actor_critic': it was not saved by an algorithm that gridrl brings.")
    return state


def _networks(
    algorithm: Mapping[str, Any], observation_space: gym.Space[Any], action_space: gym.Space[Any], paths: RunPaths
) -> nn.Module:
    name = str(algorithm["actor_critic"])
    try:
        actor_critic = resolve(name)
    except BadValue as error:
        raise CheckpointError(
            f"{paths.config} names the networks {name!r}, which cannot be found: {error} Run where it can be imported."
        ) from error
    kwargs = _revived(algorithm.get("ac_kwargs") or {})
    try:
        module: nn.Module = actor_critic(observation_space, action_space, **kwargs)
    except (TypeError, BadValue) as error:
        raise CheckpointError(f"{paths.config}: the networks {name!r} cannot be made again: {error}") from error
    return module


def _fit(module: nn.Module, weights: Mapping[str, Any], paths: RunPaths) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {paths.model} do not fit the networks that {paths.config} describes: {error}"
        ) from error
