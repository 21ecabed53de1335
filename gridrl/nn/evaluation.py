"""Evaluating a policy and a value function on a batch with gradients, in as few operations as the networks allow."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from gridrl.nn.acting import plain_parts
from gridrl.nn.flat import FlatParameters
from gridrl.nn.mlp import PlainLayer, forward
from gridrl.nn.policies import Distribution, Head
from gridrl.nn.twin import TwinMLP, twin_of


class Evaluation(Protocol):
    """What the losses of an on-policy algorithm need of networks; `obs` is float32 [B, D]."""

    def policy(self, obs: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities [B] of actions and, if asked for, the mean entropy, a scalar."""
        ...

    def distribution(self, obs: Tensor) -> Any:
        """What the policy gives for the observations: a distribution over rows [B]."""
        ...

    def value(self, obs: Tensor) -> Tensor:
        """Values [B]."""
        ...

    def both(self, obs: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None, Tensor]:
        """What `policy` and `value` give."""
        ...


class PlainEvaluation:
    """Evaluates plain MLPs without their modules, both at once where their hidden layers are equal."""

    def __init__(
        self, head: Head, policy: list[PlainLayer], value: list[PlainLayer], twin: TwinMLP | None = None
    ) -> None:
        self._head = head
        self._policy = policy
        self._value = value
        self._twin = twin

    def policy(self, obs: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
        """See `Evaluation`."""
        return self._look(forward(self._policy, obs), action, with_entropy)

    def distribution(self, obs: Tensor) -> Distribution:
        """See `Evaluation`."""
        return Distribution(self._head, forward(self._policy, obs))

    def value(self, obs: Tensor) -> Tensor:
        """See `Evaluation`."""
        return forward(self._value, obs).squeeze(-1)

    def both(self, obs: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None, Tensor]:
        """See `Evaluation`."""
        if self._twin is None:
            return *self.policy(obs, action, with_entropy), self.value(obs)
        out, value = self._twin(obs)
        return *self._look(out, action, with_entropy), value.squeeze(-1)

    def _look(self, out: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
        return self._head.logp(out, action), self._head.entropy(out) if with_entropy else None


class ModuleEvaluation:
    """Evaluates any networks with the interface of `MLPActorCritic`."""

    def __init__(self, net: nn.Module, obs_shape: tuple[int, ...] | None) -> None:
        """Takes the networks; `obs_shape` is the shape in which they want an observation, None for flat."""
        self._net: Any = net
        self._shape = obs_shape

    def policy(self, obs: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
        """See `Evaluation`."""
        distribution, logp = self._net.pi(self._shaped(obs), action)
        return logp, distribution.entropy().mean() if with_entropy else None

    def distribution(self, obs: Tensor) -> Any:
        """See `Evaluation`."""
        return self._net.pi(self._shaped(obs))[0]

    def value(self, obs: Tensor) -> Tensor:
        """See `Evaluation`."""
        value: Tensor = self._net.v(self._shaped(obs))
        return value

    def both(self, obs: Tensor, action: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None, Tensor]:
        """See `Evaluation`."""
        return *self.policy(obs, action, with_entropy), self.value(obs)

    def _shaped(self, obs: Tensor) -> Tensor:
        return obs if self._shape is None else obs.reshape(-1, *self._shape)


def make_evaluation(net: nn.Module, flat: FlatParameters, obs_shape: tuple[int, ...] | None = None) -> Evaluation:
    """The quickest way to evaluate `net` with gradients.

    Args:
        net: networks with the interface of `gridrl.nn.actor_critic.MLPActorCritic`.
        flat: holds the parameters of `net.pi` and `net.v`, in this order.
        obs_shape: the shape in which `net` wants an observation, None for a flat vector.
    """
    parts = plain_parts(net) if obs_shape is None else None
    if parts is None:
        return ModuleEvaluation(net, obs_shape)
    return PlainEvaluation(*parts, twin_of(flat, parts[1], parts[2]))
