"""What algorithms of action values do first: the network, its optimiser and who explores; and prioritised replay."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl.algos.assembly import Factor, lr_factor, make_module, obs_shape, settle
from gridrl.algos.off_policy import OffPolicyRun
from gridrl.envs.stepping import Worlds
from gridrl.errors import BadValue
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.table import ArrayMemoryTable
from gridrl.nn.optimizers import FlatAdam
from gridrl.nn.q_networks import EpsilonGreedy, InShape, MLPQNetwork, action_values
from gridrl.schedules import Schedule
from gridrl.train.callback import Callback


@dataclass(frozen=True)
class DiscreteNetworks:
    """A network of action values, and what learns and acts with it.

    Attributes:
        module: the network.
        q: the same for flat observations, whatever shape `module` wants.
        adam: its optimiser.
        explorer: acts with it.
    """

    module: nn.Module
    q: nn.Module
    adam: FlatAdam
    explorer: EpsilonGreedy


def make_discrete(
    actor_critic: Callable[..., nn.Module],
    ac_kwargs: Mapping[str, Any],
    worlds: Worlds,
    epsilon: Schedule,
    *,
    seed: int,
    device: str,
    lr: float,
) -> DiscreteNetworks:
    """Makes the network, the same on all ranks.

    Args:
        actor_critic: class with the interface of `gridrl.nn.q_networks.MLPQNetwork`.
        ac_kwargs: its keyword arguments.
        worlds: what it acts in; their actions are Discrete.
        epsilon: share of random actions, by environment steps.
        seed: of the first weights; handed on where the class takes `rng`.
        device: where to learn, such as "cpu" or "cuda".
        lr: learning rate.

    Raises:
        BadValue: for a device that is not there, or a network that gives something else than a value for each action.
    """
    assert isinstance(worlds.action_space, spaces.Discrete), "the run has checked it"
    choices = int(worlds.action_space.n)
    module = make_module(actor_critic, ac_kwargs, worlds.observation.space, worlds.action_space, seed)
    flat = settle(module, [module], device)
    q = for_flat(module, worlds.observation.space)
    _check(q, torch.zeros(2, worlds.observation.dim, device=flat.param.device), choices, actor_critic)
    explorer = EpsilonGreedy(action_values(q, flat), choices, epsilon)
    return DiscreteNetworks(module, q, FlatAdam(flat.segments[0], lr), explorer)


def for_flat(module: nn.Module, observation_space: gym.Space[Any]) -> nn.Module:
    """The network as one of flat observations, which ours are; others want those of a Box in their shape."""
    shape = None if isinstance(module, MLPQNetwork) else obs_shape(module, observation_space)
    return module if shape is None else InShape(module, shape)


def with_streams(actor_critic: Callable[..., nn.Module], ac_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that make `actor_critic` a dueling network, where it can be one."""
    if "dueling" not in inspect.signature(actor_critic).parameters:
        return dict(ac_kwargs)
    return {"dueling": True, **ac_kwargs}


class LearningRate(Callback):
    """Sets a learning rate that changes from epoch to epoch."""

    def __init__(self, adam: FlatAdam, factor: Factor, epoch: Callable[[], int]) -> None:
        """Takes the optimiser, what its learning rate is multiplied by in each epoch, and what tells the epoch."""
        super().__init__()
        self._adam, self._factor, self._epoch = adam, factor, epoch
        self._first = float(adam.param_groups[0]["lr"])

    def begin_batch(self) -> None:
        """Sets it, before anything is learned."""
        self._adam.param_groups[0]["lr"] = self._first * self._factor(self._epoch())


def learning_rate(
    adam: FlatAdam, lr_schedule: str | Factor | None, epochs: int, run: OffPolicyRun
) -> list[LearningRate]:
    """What sets the learning rate of a run's epochs, in a list; nothing where it is constant."""
    return [] if lr_schedule is None else [LearningRate(adam, lr_factor(lr_schedule, epochs), lambda: run.epoch)]


class Priorities(Callback):
    """Gives the transitions that were drawn the sizes of their errors as priorities, and raises the exponent of the
    importance weights.

    Schaul et al. 2016, algorithm 1, https://arxiv.org/abs/1511.05952.
    """

    def __init__(
        self,
        td_error: Callable[[], Tensor],
        table: ArrayMemoryTable,
        sampler: PrioritisedSampleStrategy,
        beta: Schedule,
        interactions: Callable[[], int],
        data_group: str | None = "default",
    ) -> None:
        """Puts together what it needs.

        Args:
            td_error: gives the errors of the newest update, [B].
            table: that the batches are drawn from.
            sampler: of the table.
            beta: the exponent, by environment steps.
            interactions: gives the environment steps that have been done.
            data_group: the batch, which says under `index` what was drawn.
        """
        super().__init__()
        self.data_group = data_group
        self._td_error, self._table, self._sampler = td_error, table, sampler
        self._beta, self._interactions = beta, interactions

    def end_batch(self, index: Tensor) -> None:
        """Sets the priorities of a batch."""
        self._table.update_priorities(index, self._td_error().abs())
        self._sampler.beta = self._beta.at(self._interactions())

    def state_dict(self) -> dict[str, Any]:
        """The exponent that the next batch is weighted by."""
        return {"beta": self._sampler.beta}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        if load_hparams:
            self._sampler.beta = float(state_dict["beta"])


def _check(q: nn.Module, obs: Tensor, choices: int, actor_critic: Callable[..., nn.Module]) -> None:
    with torch.no_grad():
        given: Any = q(obs)
    found = list(getattr(given, "shape", ())) or type(given).__name__
    if found != [len(obs), choices]:
        raise BadValue(
            f"actor_critic={getattr(actor_critic, '__name__', actor_critic)}: it gave {found} for two observations; "
            f"the values of {choices} actions at each are needed, [{len(obs)}, {choices}]."
        )
