"""Agents that act without torch: plain MLPs by numpy, functions, and chance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from torch import nn

from gridrl.agents import BatchAgent
from gridrl.envs.spaces import action_dim
from gridrl.errors import BadValue
from gridrl.nn.continuous import SquashedGaussianActor
from gridrl.nn.gaussian_policy import LOG_STD_BOUNDS, MEAN_BOUND, GaussianMlpPolicy, GaussianPolicyHead
from gridrl.nn.mlp import NumpyMLP, plain_layers
from gridrl.nn.policies import MLPActor
from gridrl.nn.squashed import SquashedGaussianHead

Array: TypeAlias = npt.NDArray[Any]
Evaluate: TypeAlias = Callable[[Array], Array]

# Numpy does what their `forward` does. A subclass with one of its own may do anything.
_KNOWN: tuple[type[nn.Module], ...] = (GaussianMlpPolicy, GaussianPolicyHead, MLPActor, SquashedGaussianActor)


class MLPAgentProxy(BatchAgent):
    """Acts by numpy for a policy that is a plain MLP, on the memory of its torch parameters: without torch's cost.

    >>> from gridrl.nn.policies import MLPGaussianActor
    >>> agent = MLPAgentProxy(MLPGaussianActor(3, 2, (8,), nn.Tanh), seed=0)
    >>> agent.act({"obs": np.zeros((5, 3), np.float32)})["actions"].shape
    (5, 2)
    """

    def __init__(
        self,
        policy: Any,
        *,
        seed: int | np.random.Generator | None = None,
        deterministic: bool = False,
        input_key: str = "obs",
        output_key: str = "actions",
    ) -> None:
        """Takes views of the policy's parameters: they stay where they are, and the newest ones act.

        Args:
            policy: a `gridrl.nn.gaussian_policy.GaussianMlpPolicy`, or one with a plain `net` and a `head` that draws
                noise and makes actions of both, such as `gridrl.nn.policies.MLPGaussianActor`; float32, on the CPU.
                No subclass of these with a `forward` of its own.
            seed: of the noise, or what draws it; None: 0.
            deterministic: whether the likeliest actions are taken.
            input_key: the part of an observation that the network takes, flattened.
            output_key: what the actions are called.

        Raises:
            BadValue: for any other policy.
        """
        super().__init__((input_key,), (output_key,))
        parts = _emotes_parts(policy) if isinstance(policy, GaussianMlpPolicy) else _parts(policy)
        if parts is None:
            raise BadValue(
                f"{type(policy).__name__} is no plain MLP with a head on the CPU, which numpy could evaluate: "
                "GenericAgentProxy acts by any torch policy."
            )
        self._policy = policy
        self._net: Evaluate = parts[0]
        self._head: Any = parts[1]
        self._rng = np.random.default_rng(0 if seed is None else seed)
        self._deterministic = deterministic

    @property
    def policy(self) -> nn.Module:
        """The network that acts."""
        found: nn.Module = self._policy
        return found

    def act(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `BatchAgent`."""
        obs = inputs[self._input_keys[0]]
        out = self._net(np.asarray(obs, np.float32).reshape(len(obs), -1))
        if self._deterministic:
            action = self._head.mode(out)
        else:
            action = self._head.sample(out, self._head.draw(self._rng, len(out)))
        return {self._output_keys[0]: action}

    def __deepcopy__(self, memo: dict[int, Any]) -> MLPAgentProxy:
        """An agent with parameters and a generator of its own."""
        return MLPAgentProxy(
            copy.deepcopy(self._policy, memo),
            seed=copy.deepcopy(self._rng, memo),
            deterministic=self._deterministic,
            input_key=self._input_keys[0],
            output_key=self._output_keys[0],
        )


class FunctionAgentProxy(BatchAgent):
    """Acts by a function of arrays.

    >>> agent = FunctionAgentProxy(lambda obs: obs.sum(1) > 0)
    >>> agent.act({"obs": np.ones((2, 3))})
    {'actions': array([ True,  True])}
    """

    def __init__(
        self,
        function: Callable[..., Any],
        input_keys: Sequence[str] = ("obs",),
        output_keys: Sequence[str] = ("actions",),
    ) -> None:
        """Names what goes in and what comes out.

        Args:
            function: takes an array [N, ...] for each input key, gives one, or a tuple of them, for the output keys.
            input_keys: the parts of an observation that it takes.
            output_keys: what it gives.
        """
        super().__init__(input_keys, output_keys)
        self._function = function

    def act(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `BatchAgent`.

        Raises:
            BadValue: the function gives another number of arrays than there are output keys.
        """
        given = self._function(*(inputs[key] for key in self._input_keys))
        rows = given if isinstance(given, tuple) else (given,)
        if len(rows) != len(self._output_keys):
            raise BadValue(
                f"the function gave {len(rows)} arrays; output_keys names {len(self._output_keys)}: "
                f"{', '.join(self._output_keys)}."
            )
        return {key: np.asarray(row) for key, row in zip(self._output_keys, rows, strict=True)}


class RandomAgentProxy(BatchAgent):
    """Takes any action as often as any other: the first steps of off-policy learning.

    >>> agent = RandomAgentProxy(spaces.Discrete(3), seed=0)
    >>> agent.act({"obs": np.zeros((4, 2))})["actions"].shape
    (4,)
    """

    def __init__(self, action_space: gym.Space[Any], *, seed: int | None = None, input_key: str = "obs") -> None:
        """Takes the space of one agent's action.

        Args:
            action_space: Discrete (actions are counted from 0), or Box; sides of it that are not bounded end 1 away
                from the other one, or at -1 and 1.
            seed: of the draws; None: 0.
            input_key: any part of the observations; it tells how many agents there are.

        Raises:
            BadValue: for any other space.
        """
        super().__init__((input_key,), ("actions",))
        action_dim(action_space)
        self._space, self._rng = action_space, np.random.default_rng(0 if seed is None else seed)

    def act(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `BatchAgent`."""
        count, space = len(inputs[self._input_keys[0]]), self._space
        if isinstance(space, spaces.Discrete):
            return {"actions": self._rng.integers(0, space.n, count)}
        assert isinstance(space, spaces.Box)
        low = np.where(np.isfinite(space.low), space.low, np.where(np.isfinite(space.high), space.high - 1.0, -1.0))
        high = np.where(np.isfinite(space.high), space.high, low + np.where(np.isfinite(space.low), 1.0, 2.0))
        return {"actions": self._rng.uniform(low, high, (count, *space.shape)).astype(space.dtype)}


def _parts(policy: Any) -> tuple[Evaluate, Any] | None:
    """What a policy's network gives for observations, by numpy, and its head; None where numpy cannot."""
    head, net = getattr(policy, "head", None), _numpy(getattr(policy, "net", None))
    return None if head is None or net is None or not _does_as_known(policy) else (net.batch, head)


def _emotes_parts(policy: GaussianMlpPolicy) -> tuple[Evaluate, SquashedGaussianHead] | None:
    layers = (policy.encoder, nn.Sequential(policy.policy.mean), nn.Sequential(policy.policy.log_std))
    encoder, mean, log_std = map(_numpy, layers)
    if encoder is None or mean is None or log_std is None or not all(map(_does_as_known, (policy, policy.policy))):
        return None

    def evaluate(obs: Array) -> Array:
        features = encoder.batch(obs)
        return np.concatenate([np.clip(mean.batch(features), -MEAN_BOUND, MEAN_BOUND), log_std.batch(features)], 1)

    return evaluate, SquashedGaussianHead(policy.policy.action_dim, *LOG_STD_BOUNDS)


def _does_as_known(policy: Any) -> bool:
    return all(type(policy).forward is kind.forward for kind in _KNOWN if isinstance(policy, kind))


def _numpy(net: Any) -> NumpyMLP | None:
    layers = plain_layers(net) if isinstance(net, nn.Module) else None
    return None if layers is None or layers[0].linear.weight.device.type != "cpu" else NumpyMLP(layers)
