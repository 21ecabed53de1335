"""Acting with the networks of off-policy algorithms: by numpy where the policy is a plain MLP, else by torch."""

from __future__ import annotations

import copy
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gridrl.nn.acting import ActingHead, NumpyPolicy
from gridrl.nn.continuous import DeterministicActor, SquashedGaussianActor
from gridrl.nn.flat import FlatParameters
from gridrl.nn.mlp import NumpyMLP, plain_layers

Array: TypeAlias = npt.NDArray[Any]

# A subclass may do anything, and goes through torch.
_PLAIN = (SquashedGaussianActor, DeterministicActor)


class Explorer(Protocol):
    """Who acts while experience is collected, and when the policy is tested.

    Actions are as the memory keeps them: the index of a discrete one, [A] in [-1, 1] of a continuous one.
    """

    def prepare(self, interactions: int) -> None:
        """Called before some steps: takes the networks' newest parameters.

        Args:
            interactions: environment steps that have been done, of all environments and ranks.
        """
        ...

    def draw(self, rng: np.random.Generator, count: int) -> Array | None:
        """Noise for `count` actions, count first; None where the networks draw by themselves."""
        ...

    def random(self, rng: np.random.Generator, count: int) -> Array:
        """`count` actions drawn uniformly, which ask no network."""
        ...

    def one(self, obs: Array, noise: Array | None) -> Any:
        """An exploring action for one flat observation float32 [D]."""
        ...

    def batch(self, obs: Array, noise: Array | None) -> Array:
        """Exploring actions for flat observations float32 [N, D]."""
        ...

    def best(self, obs: Array) -> Array:
        """The actions without chance for flat observations float32 [N, D]."""
        ...


class PlainExplorer(NumpyPolicy):
    """Explores for a continuous policy that is a plain MLP, through numpy views of its parameters."""

    def __init__(self, head: ActingHead, net: NumpyMLP, act_dim: int) -> None:
        super().__init__(head, net)
        self._act_dim = act_dim

    def prepare(self, interactions: int) -> None:
        """Nothing to do: the memory is shared."""

    def random(self, rng: np.random.Generator, count: int) -> Array:
        """See `Explorer`; float32 [count, A]."""
        return uniform_actions(rng, count, self._act_dim)


class CopiedExplorer(PlainExplorer):
    """Explores for a plain MLP on another device, by a copy of its parameters that `prepare` renews."""

    def __init__(self, head: ActingHead, pi: nn.Module, act_dim: int) -> None:
        own: Any = copy.deepcopy(pi).cpu()
        self._theirs, self._ours = list(pi.parameters()), FlatParameters([own])
        self._parameters = list(own.parameters())
        layers = plain_layers(own.net)
        assert layers is not None, "only plain networks are acted for by a copy"
        super().__init__(head, NumpyMLP(layers), act_dim)

    def prepare(self, interactions: int) -> None:
        """Copies the parameters to the CPU, all at once."""
        with torch.no_grad():
            self._ours.segments[0].param.copy_(torch.cat([p.reshape(-1) for p in self._theirs]))


class TorchExplorer:
    """Explores with any policy that gives actions in [-1, 1], through torch.

    A policy that gives a pair (actions and their log-probabilities) draws by itself; to what any other one gives, the
    head adds its noise.
    """

    def __init__(self, head: ActingHead | None, pi: nn.Module, act_dim: int) -> None:
        self._head, self._pi, self._act_dim = head, pi, act_dim
        self._device = next((p.device for p in pi.parameters()), torch.device("cpu"))

    def prepare(self, interactions: int) -> None:
        """Nothing to do."""

    def draw(self, rng: np.random.Generator, count: int) -> Array | None:
        """See `Explorer`."""
        return None if self._head is None else self._head.draw(rng, count)

    def random(self, rng: np.random.Generator, count: int) -> Array:
        """See `Explorer`; float32 [count, A]."""
        return uniform_actions(rng, count, self._act_dim)

    def one(self, obs: Array, noise: Array | None) -> Any:
        """See `Explorer`."""
        return self.batch(obs[None], None if noise is None else noise[None])[0]

    def batch(self, obs: Array, noise: Array | None) -> Array:
        """See `Explorer`."""
        with torch.no_grad():
            given = self._pi(self._tensor(obs))
        action = _array(given[0] if isinstance(given, tuple) else given)
        return action if self._head is None or noise is None else self._head.sample(action, noise)

    def best(self, obs: Array) -> Array:
        """What `pi.best` gives; what `pi` gives where it has no such method."""
        with torch.no_grad():
            best: Any = getattr(self._pi, "best", self._pi)
            given = best(self._tensor(obs))
        return _array(given[0] if isinstance(given, tuple) else given)

    def _tensor(self, obs: Array) -> Tensor:
        return torch.as_tensor(obs, device=self._device)


def make_explorer(pi: nn.Module, act_dim: int, head: ActingHead | None = None) -> Explorer:
    """The quickest way to act with a continuous policy.

    Args:
        pi: the policy; its parameters stay where they are.
        act_dim: numbers of an action.
        head: makes exploring actions of what the policy gives, with noise of its own; None: the policy explores.
    """
    own = head
    if own is None and isinstance(pi, SquashedGaussianActor):
        own = pi.head
    layers = plain_layers(pi.net) if type(pi) in _PLAIN and isinstance(pi.net, nn.Module) else None
    if layers is None or own is None:
        return TorchExplorer(head, pi, act_dim)
    if next(pi.parameters()).device.type != "cpu":
        return CopiedExplorer(own, pi, act_dim)
    return PlainExplorer(own, NumpyMLP(layers), act_dim)


def uniform_actions(rng: np.random.Generator, count: int, act_dim: int) -> Array:
    """Actions uniform in [-1, 1], float32 [count, A]."""
    action = rng.random((count, act_dim), np.float32)
    action *= 2.0
    action -= 1.0
    return action


def _array(x: Any) -> Array:
    array: Array = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
    return array
