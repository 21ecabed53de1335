"""What SAC, TD3 and DDPG do first: a policy and critics on one flat buffer, their optimisers, and who explores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gridrl.algos.assembly import make_module, settle
from gridrl.envs.stepping import Worlds
from gridrl.errors import BadValue, ShapeError
from gridrl.nn.acting import ActingHead
from gridrl.nn.continuous import critic_values
from gridrl.nn.exploring import Explorer, make_explorer
from gridrl.nn.optimizers import FlatAdam


@dataclass(frozen=True)
class ContinuousNetworks:
    """A policy and critics, and what learns and acts with them.

    Attributes:
        module: the networks.
        pi: the policy.
        q: the critics.
        pi_adam: optimiser of the policy.
        q_adam: optimiser of the critics.
        explorer: acts with the policy.
    """

    module: nn.Module
    pi: nn.Module
    q: nn.Module
    pi_adam: FlatAdam
    q_adam: FlatAdam
    explorer: Explorer


def make_continuous(
    actor_critic: Callable[..., nn.Module],
    ac_kwargs: Mapping[str, Any],
    worlds: Worlds,
    *,
    seed: int,
    device: str,
    pi_lr: float,
    q_lr: float,
    head: ActingHead | None = None,
) -> ContinuousNetworks:
    """Makes the networks, the same on all ranks.

    Args:
        actor_critic: class with the interface of `gridrl.nn.continuous.ContinuousActorCritic`.
        ac_kwargs: its keyword arguments.
        worlds: what the networks act in.
        seed: of the first weights; handed on where the class takes `rng`.
        device: where to learn, such as "cpu" or "cuda".
        pi_lr: learning rate of the policy.
        q_lr: learning rate of the critics.
        head: makes exploring actions of what the policy gives; None: the policy's own.

    Raises:
        BadValue: for a device that is not there, or networks that share parameters.
    """
    module: Any = make_module(actor_critic, ac_kwargs, worlds.observation.space, worlds.action_space, seed)
    for name in ("pi", "q"):
        if not isinstance(getattr(module, name, None), nn.Module):
            raise BadValue(
                f"actor_critic={getattr(actor_critic, '__name__', actor_critic)}: it has no module {name!r}; see "
                "gridrl.nn.continuous.ContinuousActorCritic for what is needed."
            )
    flat = settle(module, [module.pi, module.q], device)
    return ContinuousNetworks(
        module=module,
        pi=module.pi,
        q=module.q,
        pi_adam=FlatAdam(flat.segments[0], pi_lr),
        q_adam=FlatAdam(flat.segments[1], q_lr),
        explorer=make_explorer(module.pi, worlds.action_dim, head),
    )


def q_columns(nets: ContinuousNetworks, worlds: Worlds) -> list[str]:
    """The log's column for each critic: `QVals` of a single one, else `Q1Vals`, `Q2Vals`.

    Raises:
        ShapeError: the critics give something else than one value for each action.
    """
    obs, action = _two(nets, worlds.observation.dim), _two(nets, worlds.action_dim)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        count = len(critic_values(nets.q, action, obs))
    return ["QVals"] if count == 1 else [f"Q{number}Vals" for number in range(1, count + 1)]


def check_policy(nets: ContinuousNetworks, worlds: Worlds, *, with_logp: bool) -> None:
    """Looks at what a policy gives for two observations.

    Args:
        nets: with the policy.
        worlds: that it acts in.
        with_logp: whether it has to give log-probabilities beside the actions.

    Raises:
        ShapeError: it gives something else.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        given = nets.pi(_two(nets, worlds.observation.dim))
    parts = given if isinstance(given, tuple) else (given,)
    wanted = [[2, worlds.action_dim], [2]][: 1 + with_logp]
    found = [list(part.shape) for part in parts]
    if found != wanted:
        what = "actions and their log-probabilities" if with_logp else "actions"
        raise ShapeError(f"pi gave {found} for two observations: {what} are needed, {wanted}.")


def _two(nets: ContinuousNetworks, width: int) -> torch.Tensor:
    return torch.zeros(2, width, device=nets.pi_adam.segment.param.device)


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """In the block the networks are constants: gradients flow through them, but none are computed for them.

    What is thrown away anyway (the critics' gradients of the policy's loss) is a tenth of an update's time.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
