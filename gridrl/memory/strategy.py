"""What decides which sequences are drawn from a memory, and which episodes leave it when room is needed."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue
from gridrl.memory.episodes import Episodes
from gridrl.memory.starts import IntArray
from gridrl.typing import SamplePoint


class Strategy(ABC):  # noqa: B024
    """Follows which episodes there are; a table tells it of each that comes and goes.

    A strategy can be used alone: then `track` and `forget` keep its own account of episodes. In a table it reads the
    table's, and serves that table only.

    Attributes:
        episodes: where the episodes lie.
        rng: draws wherever no other generator is given.
    """

    def __init__(self, seed: int | np.random.Generator = 0) -> None:
        """Knows no episode.

        Args:
            seed: of the draws, or the generator that makes them.
        """
        self.episodes = Episodes()
        self.rng = np.random.default_rng(seed)
        self._alone = True

    def attach(self, episodes: Episodes) -> None:
        """Reads this account of episodes from now on, which a table keeps.

        Raises:
            BadValue: it reads another table's already, or has been told of episodes.
        """
        if not self._alone or len(self.episodes):
            raise BadValue(f"This {type(self).__name__} is in use already: each table needs one of its own.")
        self.episodes = episodes
        self._alone = False

    def track(self, identity: int, sequence_length: int) -> None:
        """Takes note of an episode.

        Args:
            identity: no other episode has it.
            sequence_length: steps of it.
        """
        if self._alone:
            self.episodes.add(identity, sequence_length)

    def forget(self, identity: int) -> None:
        """Takes note that an episode goes."""
        if self._alone:
            self.episodes.remove(identity)

    def on_sample(  # noqa: B027
        self,
        ids_and_offsets: Sequence[SamplePoint],
        transition_count: int,
        advantages: npt.ArrayLike | None = None,
    ) -> None:
        """Told what has been learned from a sample, for strategies that draw by it.

        Args:
            ids_and_offsets: where the sequences started.
            transition_count: steps of each.
            advantages: a number for each sequence: how much there was to learn.
        """

    def post_import(self) -> None:  # noqa: B027
        """Called when an archive has been read; nothing has to be done."""

    def state(self) -> dict[str, Any]:
        """What a table cannot tell anew, as JSON can hold it."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Takes up what `state` gave."""

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that the same draws follow: tensors and plain values."""
        return {"state": self.state(), "rng": json.dumps(self.rng.bit_generator.state)}

    def resume(self, snapshot: Mapping[str, Any]) -> None:
        """Takes up what `snapshot` gave; the episodes are tracked already."""
        self.load_state(snapshot["state"])
        self.rng.bit_generator.state = json.loads(snapshot["rng"])

    def clear(self) -> None:
        """Forgets every episode."""
        if self._alone:
            self.episodes.clear()

    def begin_simple_import(self) -> None:  # noqa: B027
        """Called before a table takes its episodes from an archive."""

    def end_simple_import(self) -> None:  # noqa: B027
        """Called when the episodes of an archive have been taken, or could not be."""


class SampleStrategy(Strategy):
    """Draws the places where sequences start. Override `sample`, or `rows`, which is faster.

    Attributes:
        adds: the names of what `extras` gives; no column may have one of them.
    """

    adds: tuple[str, ...] = ()

    @abstractmethod
    def sample(self, count: int, transition_count: int) -> Sequence[SamplePoint]:
        """Draws `count` sequences of `transition_count` steps, as (identity, step where it starts).

        Raises:
            NotEnoughData: no episode is as long.
        """

    def rows(self, count: int, transition_count: int, rng: np.random.Generator | None = None) -> IntArray:
        """The rows [count] where the drawn sequences start; `rng` draws them, None: the strategy's own."""
        return self.episodes.rows_of(self.sample(count, transition_count))

    def extras(self, rows: IntArray) -> dict[str, npt.NDArray[Any]]:
        """What a sample carries beside the columns: arrays [count, ...] by name."""
        return {}


class RowSampleStrategy(SampleStrategy):
    """Draws row numbers; the documented pairs are made from them."""

    @abstractmethod
    def rows(self, count: int, transition_count: int, rng: np.random.Generator | None = None) -> IntArray:
        """The rows [count] where the drawn sequences start; `rng` draws them, None: the strategy's own."""

    def sample(self, count: int, transition_count: int) -> Sequence[SamplePoint]:
        """Draws `count` sequences of `transition_count` steps, as (identity, step where it starts).

        Raises:
            NotEnoughData: no episode is as long.
        """
        return self.episodes.points(self.rows(count, transition_count))


class EjectionStrategy(Strategy):
    """Chooses the episodes that leave."""

    @abstractmethod
    def sample(self, count: int) -> Sequence[int]:
        """The identities of episodes that have at least `count` steps together; of all where there are fewer."""
