"""Types that several rooms share."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

if TYPE_CHECKING:
    import torch

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""What a JSON file can hold; numbers are finite."""

Number = TypeVar("Number", covariant=True)


@runtime_checkable
class Matrix(Protocol[Number]):
    """Numbers of one kind in rows, such as a numpy array or a tensor: `Matrix[np.float32]` in an annotation."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many rows, and the shape of a row."""

    def __getitem__(self, index: Any, /) -> Any: ...


AgentId: TypeAlias = int
"""An identity that one agent has for one episode: 0 or more."""

FloatList: TypeAlias = Sequence[float]
"""Numbers, an array of them too."""

SingleAgentData: TypeAlias = Any
"""One part of what one agent observes: an array, or what makes one."""

SamplePoint: TypeAlias = tuple[int, int]
"""The identity of an episode, and the step of it at which a sequence starts."""

SampleResult: TypeAlias = dict[str, Any]
"""Tensors by column; where an adaptor has made them so, dicts of tensors."""

Adaptor: TypeAlias = Callable[[SampleResult, int, int], SampleResult]
"""Called with a sample, the number of sequences and their length; gives the sample that the next one gets."""

RewardFnType: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
"""Gives the rewards [B] or [B, 1] of observations and actions."""

TermFnType: TypeAlias = "Callable[[torch.Tensor], torch.Tensor]"
"""Says of observations [B, ...] which end their episode, bool [B] or [B, 1]."""


class EpisodeState(enum.Enum):
    """Where in an episode an observation stands."""

    INITIAL = "initial"
    """It is the first one: no reward belongs to it."""
    RUNNING = "running"
    """It follows a step, and is acted upon."""
    TERMINAL = "terminal"
    """It is the last one: the episode ended with a death."""
    INTERRUPTED = "interrupted"
    """It is the last one: the episode was cut off."""


@dataclass
class MetaData:
    """What is told beside an observation, to be logged.

    Attributes:
        info: numbers by name.
        info_lists: several numbers by name.
    """

    info: dict[str, float] = field(default_factory=dict)
    info_lists: dict[str, FloatList] = field(default_factory=dict)


@dataclass
class DictObservation:
    """What one agent observes.

    Attributes:
        rewards: of the step that led here, by name; `reward` is the one that is learned from.
        episode_state: where in the episode it stands.
        array_data: the parts of the observation.
        metadata: to be logged.
    """

    rewards: dict[str, float]
    episode_state: EpisodeState
    array_data: dict[str, SingleAgentData]
    metadata: MetaData | None = None


@dataclass
class DictResponse:
    """What one agent does.

    Attributes:
        list_data: several numbers by name; `actions` is what it does.
        scalar_data: numbers by name.
    """

    list_data: dict[str, FloatList]
    scalar_data: dict[str, float] = field(default_factory=dict)


class MemoryProxy(Protocol):
    """Between who acts and the memory that is learned from: takes what agents saw and did, a step at a time."""

    def add(self, observations: Mapping[AgentId, DictObservation], responses: Mapping[AgentId, DictResponse]) -> None:
        """Takes observations, and the responses of all agents whose episode goes on."""
