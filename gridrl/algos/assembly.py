"""What algorithms do first: networks on one flat buffer, learning-rate schedules, shares of ranks and environments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import gymnasium as gym
import torch
from gymnasium import spaces
from torch import nn

from gridrl.algos.ranges import check_schedule
from gridrl.errors import BadValue
from gridrl.nn.acting import Actor, make_actor, plain_parts
from gridrl.nn.evaluation import Evaluation, make_evaluation
from gridrl.nn.flat import FlatParameters
from gridrl.nn.optimizers import FlatAdam
from gridrl.utils.mpi import broadcast
from gridrl.utils.seeding import generator

# epoch -> what learning rates are multiplied by
Factor: TypeAlias = Callable[[int], float]


@dataclass(frozen=True)
class Networks:
    """A policy and a value function, and the quickest ways to use them.

    Attributes:
        module: the networks, with `pi` and `v`.
        flat: their parameters.
        actor: acts with them.
        evaluation: evaluates them with gradients.
        policy_adam: optimiser of the policy.
        value_adam: optimiser of the value function.
    """

    module: nn.Module
    flat: FlatParameters
    actor: Actor
    evaluation: Evaluation
    policy_adam: FlatAdam
    value_adam: FlatAdam


def make_networks(
    actor_critic: Callable[..., nn.Module],
    ac_kwargs: Mapping[str, Any],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    *,
    seed: int,
    device: str = "cpu",
    pi_lr: float = 3e-4,
    vf_lr: float = 1e-3,
) -> Networks:
    """Makes the networks, the same on all ranks.

    Args:
        actor_critic: class with the interface of `gridrl.nn.actor_critic.MLPActorCritic`.
        ac_kwargs: its keyword arguments.
        observation_space: of one environment.
        action_space: of one environment.
        seed: of the first weights; handed on where the class takes `rng`.
        device: where to learn, such as "cpu" or "cuda".
        pi_lr: learning rate of the policy.
        vf_lr: learning rate of the value function.

    Raises:
        BadValue: for a device that is not there, or networks that share parameters.
    """
    module: Any = make_module(actor_critic, ac_kwargs, observation_space, action_space, seed)
    _check_interface(module, actor_critic)
    flat = settle(module, [module.pi, module.v], device)
    shape = obs_shape(module, observation_space)
    return Networks(
        module=module,
        flat=flat,
        actor=make_actor(module, flat, shape),
        evaluation=make_evaluation(module, flat, shape),
        policy_adam=FlatAdam(flat.segments[0], pi_lr),
        value_adam=FlatAdam(flat.segments[1], vf_lr),
    )


def make_module(
    actor_critic: Callable[..., nn.Module],
    ac_kwargs: Mapping[str, Any],
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    seed: int,
) -> nn.Module:
    """Calls a class of networks; one that takes `rng` gets a generator that follows from the seed."""
    kwargs = dict(ac_kwargs)
    if "rng" in _parameters(actor_critic):
        kwargs.setdefault("rng", generator(seed, "init"))
    return actor_critic(observation_space, action_space, **kwargs)


def settle(module: nn.Module, parts: Sequence[nn.Module], device: str) -> FlatParameters:
    """Brings networks to their device, on one flat buffer, the same on all ranks.

    Args:
        module: the networks.
        parts: of `module`, each of which gets a segment of the buffer.
        device: where to learn, such as "cpu" or "cuda".

    Raises:
        BadValue: for a device that is not there, or parts that share parameters.
    """
    module.to(find_device(device))
    flat = FlatParameters(parts)
    for tensor in module.state_dict().values():
        broadcast(tensor)
    return flat


def obs_shape(module: nn.Module, observation_space: gym.Space[Any]) -> tuple[int, ...] | None:
    """The shape in which networks want an observation; None for a flat vector, which ours always take."""
    if isinstance(observation_space, spaces.Box) and len(observation_space.shape) != 1 and plain_parts(module) is None:
        return observation_space.shape
    return None


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _check_interface(module: Any, actor_critic: Callable[..., Any]) -> None:
    for name in ("pi", "v"):
        if not isinstance(getattr(module, name, None), nn.Module):
            raise BadValue(
                f"actor_critic={getattr(actor_critic, '__name__', actor_critic)}: it has no module {name!r}; see "
                "gridrl.nn.actor_critic.MLPActorCritic for what is needed."
            )
    if plain_parts(module) is None and not callable(getattr(module, "act", None)):
        raise BadValue(f"actor_critic={getattr(actor_critic, '__name__', actor_critic)}: it has no method 'act'.")


def find_device(name: str | torch.device) -> torch.device:
    """The device of this name.

    Raises:
        BadValue: there is none, or not on this machine.
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise BadValue(f"device={name!r}: no such device; 'cpu', 'cuda' or 'cuda:1' is meant.")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise BadValue(f"device={name!r}: this machine has no GPU that torch can use. Use device='cpu'.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadValue(f"device={name!r}: this machine has {torch.cuda.device_count()} GPU(s), counted from cuda:0.")
    return device


def local_steps(steps_per_epoch: int, num_procs: int, num_envs: int) -> int:
    """Steps per epoch of each environment, where `steps_per_epoch` counts those of all environments of all ranks.

    Raises:
        BadValue: if that can leave an environment without a transition. One of several environments spends a step on
            starting an episode again, but never two in a row.
    """
    steps = steps_per_epoch // (num_procs * num_envs)
    least = 1 if num_envs == 1 else 2
    if steps < least:
        why = "one step" if least == 1 else "two steps (the first may only start an episode again)"
        raise BadValue(
            f"steps_per_epoch={steps_per_epoch}: {num_procs} rank(s) with {num_envs} environment(s) each need at least "
            f"{least * num_procs * num_envs}, {why} per environment."
        )
    return steps


def lr_factor(lr_schedule: str | Factor | None, epochs: int) -> Factor:
    """What learning rates are multiplied by, as a function of the epoch.

    Args:
        lr_schedule: None for 1 always, "linear" for a straight line from 1 to 0 over all epochs, or a function.
        epochs: how many there are.

    Raises:
        BadValue: for another name.
    """
    check_schedule(lr_schedule)
    if lr_schedule is None:
        return lambda epoch: 1.0
    return lr_schedule if callable(lr_schedule) else lambda epoch: 1.0 - epoch / epochs
