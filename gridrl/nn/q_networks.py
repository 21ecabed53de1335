"""Networks of action values, and acting by them: greedily, or at random now and then."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl.errors import BadValue
from gridrl.nn.continuous import evaluate
from gridrl.nn.flat import FlatParameters
from gridrl.nn.initialization import initialize
from gridrl.nn.mlp import NumpyMLP, forward, mlp, plain_layers
from gridrl.ops.q_learning import dueling as dueling_values
from gridrl.schedules import Schedule

Array: TypeAlias = npt.NDArray[Any]


class MLPQNetwork(nn.Module):
    """The values of all actions, by an MLP.

    A class of your own serves `gridrl.dqn` too: it is called with the two spaces and `ac_kwargs`, and gives values
    [B, A] for observations, which are flat vectors [B, D], but those of a Box keep their shape.

    Attributes:
        trunk: the hidden layers that all outputs share.
        values: the last layers of a plain network, advantages of a dueling one: -> [B, A].
        state_value: the last layers of a dueling network's state value, -> [B, 1]; None in a plain one.

    >>> net = MLPQNetwork(spaces.Box(-1.0, 1.0, (3,)), spaces.Discrete(2), hidden_sizes=(32,))
    >>> net(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        hidden_sizes: Sequence[int] = (120, 84),
        activation: Callable[[], nn.Module] = torch.nn.ReLU,
        *,
        dueling: bool = False,
        init: str = "uniform",
        rng: np.random.Generator | int = 0,
    ) -> None:
        """Makes the network and draws its parameters.

        Args:
            observation_space: of one environment; any that flattens to a vector.
            action_space: Discrete.
            hidden_sizes: units of each hidden layer.
            activation: class of the hidden layers' activation, such as torch.nn.ReLU.
            dueling: whether a state's value and its actions' advantages come from streams of their own (Wang et al.
                2016), each with a hidden layer of the last size.
            init: how the first weights are drawn: uniform (torch's default) or orthogonal (gain sqrt(2), last layer 1).
            rng: what the first weights are drawn from, or a seed for it.

        Raises:
            BadValue: for actions that are not Discrete, sizes or an initialisation that are not supported.
        """
        super().__init__()
        if not isinstance(action_space, spaces.Discrete):
            raise BadValue(
                f"actions of {action_space} are not supported: a Q-network values each action of a Discrete. ddpg, td3 "
                "and sac take a Box."
            )
        sizes = [hidden_sizes] if isinstance(hidden_sizes, int) else list(hidden_sizes)
        sizes = [spaces.flatdim(observation_space), *sizes]
        shared = sizes[:-1] if dueling and len(sizes) > 1 else sizes
        outputs = sizes[len(shared) :]
        self.trunk = nn.Sequential(*mlp(shared, activation), *([activation()] if len(shared) > 1 else []))
        self.values = mlp([shared[-1], *outputs, int(action_space.n)], activation)
        self.state_value = mlp([shared[-1], *outputs, 1], activation) if dueling else None
        generator = np.random.default_rng(rng)
        initialize(self.trunk, init, generator, last_gain=2.0**0.5)
        for head in (self.values, self.state_value):
            if head is not None:
                initialize(head, init, generator, last_gain=1.0)
        self._parts = [_Part(part) for part in (self.trunk, self.values, self.state_value) if part is not None]

    def forward(self, obs: Tensor) -> Tensor:
        """Values [B, A] of all actions at observations [B, D]."""
        trunk, values, *state_value = self._parts
        hidden = trunk(obs)
        return dueling_values(state_value[0](hidden), values(hidden)) if state_value else values(hidden)


class _Part:
    """Evaluates an MLP without its modules, whose calls cost more than small layers do; with them if one is hooked."""

    def __init__(self, net: nn.Sequential) -> None:
        self._net = net
        self._layers = plain_layers(net) if len(net) else []

    def __call__(self, x: Tensor) -> Tensor:
        if self._layers is None or any(module._forward_hooks or module._forward_pre_hooks for module in self._net):
            through_modules: Tensor = self._net(x)
            return through_modules
        return forward(self._layers, x)


class InShape(nn.Module):
    """A network that wants observations in another shape, for flat ones.

    Attributes:
        net: the network.
        shape: of one observation.
    """

    def __init__(self, net: nn.Module, shape: tuple[int, ...]) -> None:
        """Takes the network, and the shape in which it wants an observation."""
        super().__init__()
        self.net, self.shape = net, shape

    def forward(self, obs: Tensor) -> Tensor:
        """Values [B, A] at observations [B, D]."""
        values: Tensor = self.net(obs.reshape(-1, *self.shape))
        return values


class ActionValues(Protocol):
    """What acting needs of a Q-network."""

    def refresh(self) -> None:
        """Takes the network's newest parameters; called before acting, when they have been updated."""
        ...

    def one(self, obs: Array) -> Array:
        """Values [A] of all actions at one flat observation float32 [D]; the next call overwrites them."""
        ...

    def batch(self, obs: Array) -> Array:
        """Values [B, A] at flat observations float32 [B, D]; the next call overwrites them."""
        ...


class NumpyActionValues:
    """Values of a plain `MLPQNetwork` through numpy views of its parameters."""

    def __init__(self, trunk: NumpyMLP | None, values: NumpyMLP, state_value: NumpyMLP | None) -> None:
        """Takes the parts of the network; `trunk` is None where it has no layer."""
        self._trunk, self._values, self._state_value = trunk, values, state_value

    def refresh(self) -> None:
        """Nothing to do: the memory is shared."""

    def one(self, obs: Array) -> Array:
        """See `ActionValues`."""
        hidden = obs if self._trunk is None else self._trunk.one(obs)
        values = self._values.one(hidden)
        if self._state_value is not None:
            values += self._state_value.one(hidden)[0] - values.mean()
        return values

    def batch(self, obs: Array) -> Array:
        """See `ActionValues`."""
        hidden = obs if self._trunk is None else self._trunk.batch(obs)
        values = self._values.batch(hidden)
        if self._state_value is not None:
            values += self._state_value.batch(hidden) - values.mean(1, keepdims=True)
        return values


class CopiedActionValues(NumpyActionValues):
    """Values of a plain `MLPQNetwork` on another device, by a copy of its parameters that `refresh` renews."""

    def __init__(self, net: MLPQNetwork, flat: FlatParameters) -> None:
        own = copy.deepcopy(net).cpu()
        self._theirs, self._ours = flat.param, FlatParameters([own])
        super().__init__(*_numpy_parts(own))

    def refresh(self) -> None:
        """Copies the parameters to the CPU."""
        self._ours.param.copy_(self._theirs)


class TorchActionValues:
    """Values of any network, through torch."""

    def __init__(self, net: nn.Module, device: torch.device) -> None:
        """Takes a network that gives values [B, A] for observations [B, D]."""
        self._net, self._device = net, device

    def refresh(self) -> None:
        """Nothing to do."""

    def one(self, obs: Array) -> Array:
        """See `ActionValues`."""
        values: Array = self.batch(obs[None])[0]
        return values

    def batch(self, obs: Array) -> Array:
        """See `ActionValues`."""
        with torch.inference_mode():
            values: Array = self._net(torch.as_tensor(obs, device=self._device)).cpu().numpy()
        return values


def action_values(net: nn.Module, flat: FlatParameters) -> ActionValues:
    """The quickest way to ask `net` for values.

    Args:
        net: gives values [B, A] for flat observations [B, D].
        flat: holds its parameters, and those of nothing else.
    """
    if not isinstance(net, MLPQNetwork) or not _is_plain(net):
        return TorchActionValues(net, flat.param.device)
    return NumpyActionValues(*_numpy_parts(net)) if flat.param.device.type == "cpu" else CopiedActionValues(net, flat)


class Asked:
    """Asks a network for values without gradients, batch by batch: a plain one on the CPU by numpy, which costs less.

    The newest parameters count, also where they have been moved to other memory in between.
    """

    def __init__(self, net: nn.Module) -> None:
        """Takes a network: `net(obs)`, of a dict of observations `net(**obs)`, gives values [B, A]."""
        self._net = net
        self._first = next(net.parameters(), None) if isinstance(net, MLPQNetwork) and _is_plain(net) else None
        self._place = 0
        self._numpy: NumpyActionValues | None = None

    def __call__(self, obs: Any) -> Tensor:
        """Values [B, A] of observations [B, D] or a dict of them; the next call overwrites them."""
        first = self._first
        fits = isinstance(obs, Tensor) and obs.is_cpu and obs.dtype == torch.float32
        if first is None or not fits or not first.is_cpu or first.dtype != torch.float32:
            with torch.no_grad():
                values: Tensor = evaluate(self._net, obs)
            return values
        if self._numpy is None or first.data_ptr() != self._place:
            assert isinstance(self._net, MLPQNetwork)
            self._numpy, self._place = NumpyActionValues(*_numpy_parts(self._net)), first.data_ptr()
        return torch.from_numpy(self._numpy.batch(obs.detach().numpy()))


class EpsilonGreedy:
    """Takes a random action with probability epsilon, and the best one otherwise.

    Attributes:
        epsilon: the probability now.
    """

    def __init__(self, values: ActionValues, choices: int, schedule: Schedule) -> None:
        """Takes what values the actions 0 to `choices` - 1, and epsilon by the environment steps that were done."""
        self.epsilon = schedule.at(0)
        self._values, self._choices, self._schedule = values, choices, schedule

    def prepare(self, interactions: int) -> None:
        """Takes the network's newest parameters, and epsilon after so many environment steps of all environments."""
        self._values.refresh()
        self.epsilon = self._schedule.at(interactions)

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """The chance for `count` actions, float64 [count] in [0, 1)."""
        return rng.random(count)

    def random(self, rng: np.random.Generator, count: int) -> Array:
        """`count` actions drawn uniformly, int64 [count]."""
        return rng.integers(self._choices, size=count)

    def one(self, obs: Array, noise: Any) -> int:
        """The action for one flat observation float32 [D] and the chance for it."""
        if noise < self.epsilon:
            return int(noise / self.epsilon * self._choices)  # uniform again: one draw serves for both questions
        return int(self._values.one(obs).argmax())

    def batch(self, obs: Array, noise: Array | None) -> Array:
        """Actions int64 [N] for flat observations float32 [N, D] and the chance for each."""
        assert noise is not None
        is_random = noise < self.epsilon
        if is_random.all():
            return (noise / self.epsilon * self._choices).astype(np.int64)
        action = self.best(obs)
        if is_random.any():
            action[is_random] = (noise[is_random] / self.epsilon * self._choices).astype(np.int64)
        return action

    def best(self, obs: Array) -> Array:
        """The actions of the greatest value, int64 [N], for flat observations float32 [N, D]."""
        action: Array = self._values.batch(obs).argmax(1)
        return action


def _is_plain(net: MLPQNetwork) -> bool:
    """Whether numpy can evaluate it; a subclass may do anything, and cannot."""
    parts = [net.trunk, net.values, net.state_value]
    return type(net) is MLPQNetwork and all(not part or plain_layers(part) is not None for part in parts)


def _numpy_parts(net: MLPQNetwork) -> tuple[NumpyMLP | None, NumpyMLP, NumpyMLP | None]:
    trunk, values = plain_layers(net.trunk) or [], plain_layers(net.values) or []
    if net.state_value is None:
        return None, NumpyMLP([*trunk, *values]), None
    return NumpyMLP(trunk) if trunk else None, NumpyMLP(values), NumpyMLP(plain_layers(net.state_value) or [])
