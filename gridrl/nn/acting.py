"""Acting: actions, values and log-probabilities without gradients, by numpy where the networks are plain MLPs.

One observation through a torch policy costs 60 times what numpy takes for it on the same memory; that is most of a
rollout's time. So only the action is computed while the environments wait, and values and log-probabilities come
from one pass over the whole rollout at its end.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gridrl.nn.actor_critic import MLPCritic
from gridrl.nn.flat import FlatParameters
from gridrl.nn.mlp import NumpyMLP, PlainLayer, plain_layers
from gridrl.nn.policies import Head, MLPActor, MLPCategoricalActor, MLPGaussianActor

Array: TypeAlias = npt.NDArray[Any]

# A subclass may do anything, and goes through torch.
_PLAIN_ACTORS = (MLPCategoricalActor, MLPGaussianActor)


class Actor(Protocol):
    """What a rollout needs of networks."""

    def refresh(self) -> None:
        """Takes the networks' newest parameters; called before acting or looking, when they have been updated."""
        ...

    def draw(self, rng: np.random.Generator, count: int) -> Array | None:
        """Noise for `count` actions [count, A]; None where the networks draw by themselves."""
        ...

    def one(self, obs: Array, noise: Array | None) -> Any:
        """A sampled action for one flat observation float32 [D]."""
        ...

    def batch(self, obs: Array, noise: Array | None) -> Array:
        """Sampled actions [B] or [B, A] for flat observations float32 [B, D]."""
        ...

    def best(self, obs: Array) -> Array:
        """The likeliest actions [B] or [B, A] for flat observations float32 [B, D]."""
        ...

    def look(self, obs: Array, action: Array) -> tuple[Array, float]:
        """Log-probabilities float32 [B] of actions, and the policy's mean entropy in nats."""
        ...

    def value(self, obs: Array) -> Array:
        """Values float32 [B] of flat observations float32 [B, D]."""
        ...


class ActingHead(Protocol):
    """The part of a policy's head that acting needs; see `gridrl.nn.policies.Head`."""

    def draw(self, rng: np.random.Generator, count: int) -> Array: ...

    def sample(self, out: Array, noise: Array) -> Array: ...

    def mode(self, out: Array) -> Array: ...


class NumpyPolicy:
    """Acts for a policy that is a plain MLP, through numpy views of its parameters."""

    def __init__(self, head: ActingHead, policy: NumpyMLP) -> None:
        self._head = head
        self._policy = policy

    def refresh(self) -> None:
        """Nothing to do: the memory is shared."""

    def draw(self, rng: np.random.Generator, count: int) -> Array | None:
        """See `Actor`."""
        return self._head.draw(rng, count)

    def one(self, obs: Array, noise: Array | None) -> Any:
        """See `Actor`."""
        assert noise is not None
        return self._head.sample(self._policy.one(obs), noise)

    def batch(self, obs: Array, noise: Array | None) -> Array:
        """See `Actor`."""
        assert noise is not None
        return self._head.sample(self._policy.batch(obs), noise)

    def best(self, obs: Array) -> Array:
        """See `Actor`."""
        return self._head.mode(self._policy.batch(obs))


class NumpyActor(NumpyPolicy):
    """Acts for plain MLPs through numpy views of their parameters, and looks at what they did."""

    def __init__(self, head: Head, policy: NumpyMLP, value: NumpyMLP) -> None:
        super().__init__(head, policy)
        self._looking = head
        self._value = value

    def look(self, obs: Array, action: Array) -> tuple[Array, float]:
        """See `Actor`."""
        return self._looking.look(self._policy.batch(obs), action)

    def value(self, obs: Array) -> Array:
        """See `Actor`."""
        return self._value.batch(obs)[:, 0].copy()


class CopiedActor(NumpyActor):
    """Acts for plain MLPs on another device, by a copy of their parameters that `refresh` renews."""

    def __init__(self, net: Any, flat: FlatParameters) -> None:
        own = copy.deepcopy(net).cpu()
        self._theirs = flat.param
        self._ours = FlatParameters([own.pi, own.v])
        parts = _numpy_parts(own)
        assert parts is not None, "only plain networks are acted for by a copy"
        super().__init__(*parts)

    def refresh(self) -> None:
        """Copies the parameters to the CPU."""
        self._ours.param.copy_(self._theirs)


class TorchActor:
    """Acts for any networks with the interface of `MLPActorCritic`, through torch."""

    def __init__(self, net: Any, obs_shape: tuple[int, ...] | None, device: torch.device) -> None:
        """Takes the networks; `obs_shape` is the shape in which they want an observation, None for flat."""
        self._net = net
        self._shape = obs_shape
        self._device = device

    def refresh(self) -> None:
        """Nothing to do."""

    def draw(self, rng: np.random.Generator, count: int) -> Array | None:
        """None: the networks draw from torch's generator."""
        return None

    def one(self, obs: Array, noise: Array | None) -> Any:
        """See `Actor`."""
        action = _array(self._act(self._tensor(obs[None])[0]))
        return action.item() if action.ndim == 0 else action

    def batch(self, obs: Array, noise: Array | None) -> Array:
        """See `Actor`."""
        return _array(self._act(self._tensor(obs)))

    def _act(self, obs: Tensor) -> Any:
        with torch.inference_mode():
            return self._net.act(obs)

    def best(self, obs: Array) -> Array:
        """The distribution's `mode` (or `mean`); what `act` gives where it has neither."""
        with torch.inference_mode():
            distribution, _ = self._net.pi(self._tensor(obs))
            for name in ("mode", "mean"):
                found = getattr(distribution, name, None)
                if isinstance(found, Tensor):
                    return _array(found)
            return _array(self._net.act(self._tensor(obs)))

    def look(self, obs: Array, action: Array) -> tuple[Array, float]:
        """See `Actor`."""
        with torch.inference_mode():
            distribution, logp = self._net.pi(self._tensor(obs), torch.as_tensor(action, device=self._device))
            return _array(logp), float(distribution.entropy().mean())

    def value(self, obs: Array) -> Array:
        """See `Actor`."""
        with torch.inference_mode():
            return _array(self._net.v(self._tensor(obs)))

    def _tensor(self, obs: Array) -> Tensor:
        tensor = torch.as_tensor(obs, device=self._device)
        return tensor if self._shape is None else tensor.reshape(-1, *self._shape)


def make_actor(net: nn.Module, flat: FlatParameters, obs_shape: tuple[int, ...] | None = None) -> Actor:
    """The quickest way to act with `net`.

    Args:
        net: networks with the interface of `gridrl.nn.actor_critic.MLPActorCritic`.
        flat: holds the parameters of `net.pi` and `net.v`, in this order.
        obs_shape: the shape in which `net` wants an observation, None for a flat vector.
    """
    parts = _numpy_parts(net) if obs_shape is None else None
    if parts is None:
        return TorchActor(net, obs_shape, flat.param.device)
    return NumpyActor(*parts) if flat.param.device.type == "cpu" else CopiedActor(net, flat)


def plain_parts(net: nn.Module) -> tuple[Head, list[PlainLayer], list[PlainLayer]] | None:
    """The head, the policy's layers and the value function's, where both networks are plain MLPs; None elsewhere."""
    policy, value = getattr(net, "pi", None), getattr(net, "v", None)
    if not isinstance(policy, MLPActor) or type(policy) not in _PLAIN_ACTORS or type(value) is not MLPCritic:
        return None
    policy_layers, value_layers = plain_layers(policy.net), plain_layers(value.v_net)
    if policy_layers is None or value_layers is None:
        return None
    return policy.head, policy_layers, value_layers


def _numpy_parts(net: nn.Module) -> tuple[Head, NumpyMLP, NumpyMLP] | None:
    parts = plain_parts(net)
    return None if parts is None else (parts[0], NumpyMLP(parts[1]), NumpyMLP(parts[2]))


def _array(x: Any) -> Array:
    array: Array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return array
