"""Agents: bridges from what many agents observe, each under its identity, to one call of a policy, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gridrl.envs.spaces import BoxSpace, MDPSpace
from gridrl.errors import BadValue, ShapeError, did_you_mean
from gridrl.typing import AgentId, DictObservation, DictResponse, EpisodeState

Array: TypeAlias = npt.NDArray[Any]

_ENDS = (EpisodeState.TERMINAL, EpisodeState.INTERRUPTED)


@runtime_checkable
class AgentProxy(Protocol):
    """What collectors ask of whoever acts."""

    def __call__(self, observations: Mapping[AgentId, DictObservation]) -> dict[AgentId, DictResponse]:
        """What each agent does about its observation; agents whose episode has ended are not among them."""
        ...

    @property
    def policy(self) -> nn.Module:
        """The network that acts."""
        ...

    @property
    def input_names(self) -> tuple[str, ...]:
        """The parts of an observation that it looks at."""
        ...

    @property
    def output_names(self) -> tuple[str, ...]:
        """The parts of a response that it gives."""
        ...


class _NoNetwork(BadValue, AttributeError):
    """Also an AttributeError: up to Python 3.11 `isinstance(agent, AgentProxy)` looks whether there is a `policy`."""


class AgentProxyWrapper(AgentProxy):
    """Stands around an agent; a subclass changes what goes in or comes out.

    >>> class Careful(AgentProxyWrapper):
    ...     def __call__(self, observations):
    ...         responses = super().__call__(observations)
    ...         for response in responses.values():
    ...             response.list_data["actions"] = response.list_data["actions"] * 0.5
    ...         return responses
    """

    def __init__(self, *, inner: AgentProxy) -> None:
        self._inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> dict[AgentId, DictResponse]:
        """What the inner agent does."""
        return self._inner(*args, **kwargs)

    @property
    def policy(self) -> nn.Module:
        """The inner agent's network."""
        return self._inner.policy

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the inner agent looks at."""
        return self._inner.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """What the inner agent gives."""
        return self._inner.output_names


class BatchAgent(AgentProxy, ABC):
    """An agent proxy that acts for all agents at once: a subclass says how, on arrays.

    >>> class Still(BatchAgent):
    ...     def act(self, inputs):
    ...         return {"actions": np.zeros((len(inputs["obs"]), 1), np.float32)}
    >>> here = DictObservation({}, EpisodeState.INITIAL, {"obs": [0.5]})
    >>> Still(("obs",), ("actions",))({7: here})
    {7: DictResponse(list_data={'actions': array([0.], dtype=float32)}, scalar_data={})}
    """

    def __init__(self, input_keys: Sequence[str], output_keys: Sequence[str]) -> None:
        """Names the parts of observations and responses.

        Raises:
            BadValue: keys that are one text instead of several.
        """
        for keys in (input_keys, output_keys):
            if isinstance(keys, str):
                raise BadValue(f"keys are several names, not one text: ({keys!r},) was meant?")
        self._input_keys, self._output_keys = tuple(input_keys), tuple(output_keys)

    @property
    def policy(self) -> nn.Module:
        """The network that acts.

        Raises:
            BadValue: there is none.
        """
        raise _NoNetwork(f"{type(self).__name__} acts without a network.")

    @property
    def input_names(self) -> tuple[str, ...]:
        """The parts of an observation that it looks at."""
        return self._input_keys

    @property
    def output_names(self) -> tuple[str, ...]:
        """The parts of a response that it gives."""
        return self._output_keys

    @abstractmethod
    def act(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What N agents do, by output key [N, ...], about what they observe, by input key [N, ...]."""

    def __call__(self, observations: Mapping[AgentId, DictObservation]) -> dict[AgentId, DictResponse]:
        """What each agent does whose episode goes on; nothing is called where there is none.

        Raises:
            BadValue: an observation lacks a part that is looked at.
            ShapeError: agents observe parts of different shapes, or what came back has not a row for each agent.
        """
        active = [agent for agent, seen in observations.items() if seen.episode_state not in _ENDS]
        if not active:
            return {}
        inputs = {key: _stacked(key, [_part(observations, agent, key) for agent in active]) for key in self._input_keys}
        outputs = self.act(inputs)
        for key, rows in outputs.items():
            if np.shape(rows)[:1] != (len(active),):
                raise ShapeError(f"{key}: {list(np.shape(rows))} came back for {len(active)} agents, a row each.")
        return {agent: _response(outputs, place) for place, agent in enumerate(active)}


class GenericAgentProxy(BatchAgent):
    """Acts by a torch policy that takes several parts of an observation, and gives several parts of a response.

    The policy is called with a tensor for each input key, in their order, and gives its outputs in the order of the
    output keys. It is called as it stands, in training or evaluation mode, and no graph is built.

    >>> policy = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    >>> agent = GenericAgentProxy(policy, "cpu", ("obs",), ("actions",), uses_logprobs=False)
    >>> here = DictObservation({}, EpisodeState.INITIAL, {"obs": [0.0, 1.0, 2.0]})
    >>> agent({0: here})[0].list_data["actions"].shape
    (2,)
    """

    def __init__(
        self,
        policy: nn.Module,
        device: torch.device | str,
        input_keys: Sequence[str],
        output_keys: Sequence[str],
        uses_logprobs: bool = True,
        spaces: MDPSpace | None = None,
    ) -> None:
        """Names what goes in and what comes out.

        Args:
            policy: takes tensors [N, ...], float32 where the observations are of floats.
            device: where the policy is.
            input_keys: the parts of an observation that it takes.
            output_keys: what its outputs are called; further outputs are passed over.
            uses_logprobs: whether its second output is the log-probabilities of the first, which nobody keeps.
            spaces: the shapes of observations and actions: each is brought into its shape, and checked.

        Raises:
            BadValue: an input key that the spaces do not have.
        """
        super().__init__(input_keys, output_keys)
        self._policy, self._device = policy, torch.device(device)
        self._uses_logprobs, self._spaces = uses_logprobs, spaces
        known = spaces.state.spaces if spaces is not None else dict.fromkeys(input_keys)
        for key in self._input_keys:
            if key not in known:
                raise BadValue(f"input_keys: {key!r} is none of {', '.join(known)}.{did_you_mean(key, known)}")

    @property
    def policy(self) -> nn.Module:
        """The network that acts."""
        return self._policy

    def act(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `BatchAgent`.

        Raises:
            BadValue: the policy gives too few outputs, or none with a row for each agent.
            ShapeError: observations or actions that do not have the shape of their space.
        """
        tensors = [self._tensor(key, inputs[key]) for key in self._input_keys]
        with torch.no_grad():
            outputs = self._policy(*tensors)
        outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        if self._uses_logprobs:
            del outputs[1:2]
        if len(outputs) < len(self._output_keys):
            raise BadValue(
                f"the policy gave {len(outputs)} outputs{' beside log-probabilities' * self._uses_logprobs}; "
                f"output_keys names {len(self._output_keys)}: {', '.join(self._output_keys)}."
            )
        count = len(tensors[0])
        return {key: self._rows(key, found, count) for key, found in zip(self._output_keys, outputs, strict=False)}

    def _tensor(self, key: str, rows: Array) -> Tensor:
        space = None if self._spaces is None else self._spaces.state.spaces[key]
        if space is not None:
            rows = _shaped(key, rows, space)
        floats = rows.dtype.kind == "f" or (space is not None and np.dtype(space.dtype).kind == "f")
        rows = rows.astype(np.float32, copy=not rows.flags.writeable) if floats else rows
        return torch.as_tensor(rows, device=self._device)

    def _rows(self, key: str, found: Any, count: int) -> Array:
        if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != count:
            what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise BadValue(f"the policy gave {what} for {key!r}: a tensor [{count}, ...] is needed, a row an agent.")
        rows = np.array(found.detach().cpu().numpy())  # what a policy gives may share memory with its parameters
        return rows if self._spaces is None or key != "actions" else _shaped(key, rows, self._spaces.actions)


class FeatureAgentProxy(GenericAgentProxy):
    """Acts by a policy that takes one array of features, and gives actions and their log-probabilities."""

    def __init__(self, policy: nn.Module, device: torch.device | str = "cpu", input_key: str = "obs") -> None:
        """Names the input.

        Args:
            policy: takes features [N, D], gives actions and log-probabilities.
            device: where it is.
            input_key: the part of an observation that holds the features.
        """
        super().__init__(policy, device, (input_key,), ("actions",))


class VisionAgentProxy(FeatureAgentProxy):
    """Acts by a policy that takes the image `obs`, and gives actions and their log-probabilities."""

    def __init__(self, policy: nn.Module, device: torch.device | str = "cpu") -> None:
        """Takes the policy.

        Args:
            policy: takes images as the environment gives them, with N in front.
            device: where it is.
        """
        super().__init__(policy, device, "obs")


class MultiKeyAgentProxy(GenericAgentProxy):
    """Acts by a policy that takes several parts of an observation, and gives actions and their log-probabilities."""

    def __init__(
        self,
        policy: nn.Module,
        device: torch.device | str,
        input_keys: Sequence[str],
        spaces: MDPSpace | None = None,
    ) -> None:
        """Names the inputs.

        Args:
            policy: takes a tensor for each key, gives actions and log-probabilities.
            device: where it is.
            input_keys: the parts of an observation that it takes.
            spaces: see `GenericAgentProxy`.
        """
        super().__init__(policy, device, input_keys, ("actions",), spaces=spaces)


def _part(observations: Mapping[AgentId, DictObservation], agent: AgentId, key: str) -> Array:
    parts = observations[agent].array_data
    if key not in parts:
        raise BadValue(f"the observation of agent {agent} has no {key!r}, only {', '.join(parts)}.")
    return np.asarray(parts[key])


def _stacked(key: str, rows: list[Array]) -> Array:
    shapes = {row.shape for row in rows}
    if len(shapes) > 1:
        told = " and ".join(str(list(shape)) for shape in sorted(shapes))
        raise ShapeError(f"{key}: agents observe {told}; those that are asked together observe arrays of one shape.")
    return np.stack(rows)


def _response(outputs: Mapping[str, Array], place: int) -> DictResponse:
    rows: dict[str, Any] = {key: np.atleast_1d(rows[place]) for key, rows in outputs.items()}
    return DictResponse(rows)


def _shaped(key: str, rows: Array, space: BoxSpace) -> Array:
    shape = (len(rows), *space.shape)
    if rows.size != int(np.prod(shape)):
        raise ShapeError(f"{key}: {list(rows.shape)} was given, {list(shape)} is the shape of its space.")
    return rows.reshape(shape)
