"""Uniform, first-in-first-out and coverage strategies, to draw by and to make room by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.memory.starts import IntArray
from gridrl.memory.strategy import EjectionStrategy, RowSampleStrategy, Strategy

Floats = npt.NDArray[np.float64]


class UniformStrategyBase(Strategy):
    """Draws uniformly across the whole set of experiences."""


class UniformSampleStrategy(UniformStrategyBase, RowSampleStrategy):
    """Every place where a sequence of the wanted length can start is drawn with the same probability.

    >>> strategy = UniformSampleStrategy(seed=1)
    >>> strategy.track(identity=5, sequence_length=3)
    >>> strategy.sample(count=2, transition_count=3)
    [(5, 0), (5, 0)]
    """

    def rows(self, count: int, transition_count: int, rng: np.random.Generator | None = None) -> IntArray:
        """The rows [count] where the drawn sequences start."""
        return self.episodes.require(transition_count).draw(count, rng or self.rng)


class UniformEjectionStrategy(UniformStrategyBase, EjectionStrategy):
    """An episode leaves with a probability in proportion to its steps."""

    def sample(self, count: int) -> Sequence[int]:
        """The identities of episodes that have at least `count` steps together."""
        episodes = self.episodes
        if 2 * count > episodes.size:
            return _drawn_until(count, list(episodes.places), _steps(self), _steps(self), self.rng)
        chosen: dict[int, int] = {}
        freed = 0
        while freed < count:  # half of all steps are left over, so that a draw finds another episode soon
            identity = int(episodes.owner[episodes.starts(1).draw(1, self.rng)[0]])
            if identity not in chosen:
                freed += episodes.places[identity].steps
                chosen[identity] = freed
        return list(chosen)


class FifoStrategyBase(Strategy):
    """Goes through the experiences in the order in which they came."""

    def state(self) -> dict[str, Any]:
        """Identities and lengths of the episodes in their order."""
        places = self.episodes.places
        return {
            "identities": list(places),
            "sequence_lengths": [[identity, place.steps] for identity, place in places.items()],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` gave; in a table, which knows its episodes, nothing has to be taken."""
        if self._alone:
            self.episodes.clear()
            lengths = dict(state["sequence_lengths"])
            for identity in state["identities"]:
                self.episodes.add(identity, lengths[identity])

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps; in a table, which knows its episodes, not these."""
        found = super().snapshot()
        if not self._alone:
            found["state"] = {k: v for k, v in found["state"].items() if k not in ("identities", "sequence_lengths")}
        return found


class FifoSampleStrategy(FifoStrategyBase, RowSampleStrategy):
    """Goes through the episodes from the oldest to the newest, and begins again.

    The next draw goes on where the last one ended; episodes shorter than the sequences are passed over.
    """

    def __init__(
        self, per_episode: bool = True, random_offset: bool = True, *, seed: int | np.random.Generator = 0
    ) -> None:
        """Begins with the oldest.

        Args:
            per_episode: draws one sequence from each episode in a pass; else as many as stand in it side by side.
            random_offset: the first sequence of an episode starts at a random step, else at the first one. Drawn by
                episode, it is always random.
            seed: of the draws, or the generator that makes them.
        """
        super().__init__(seed)
        self.per_episode, self.random_offset = per_episode, random_offset or per_episode
        self._next: tuple[int, int] | None = None  # identity, step

    def rows(self, count: int, transition_count: int, rng: np.random.Generator | None = None) -> IntArray:
        """The rows [count] where the drawn sequences start."""
        self.episodes.require(transition_count)
        found: list[int] = []
        while len(found) < count:
            found += self._a_pass(count - len(found), transition_count, rng or self.rng)
        return np.array(found, np.int64)

    def forget(self, identity: int) -> None:
        """Takes note that an episode goes; where it was next, its follower is."""
        if self._next is not None and self._next[0] == identity:
            identities = list(self.episodes.places)
            after = identities.index(identity) + 1
            self._next = (identities[after], 0) if after < len(identities) else None
        super().forget(identity)

    def state(self) -> dict[str, Any]:
        """Identities and lengths of the episodes in their order, and where the next draw goes on."""
        return {**super().state(), "next": None if self._next is None else list(self._next)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` gave."""
        super().load_state(state)
        found = state.get("next")
        self._next = None if found is None else (int(found[0]), int(found[1]))

    def clear(self) -> None:
        """Forgets every episode, and begins with the oldest again."""
        super().clear()
        self._next = None

    def _a_pass(self, count: int, length: int, rng: np.random.Generator) -> list[int]:
        """Up to `count` rows, from where the last draw ended to the newest episode."""
        if self._next is not None and self._next[0] not in self.episodes:
            self._next = None  # the archive that named it did not bring it
        identities = list(self.episodes.places)
        begin, step = (identities.index(self._next[0]), self._next[1]) if self._next else (0, 0)
        found: list[int] = []
        for number, identity in enumerate(identities[begin:], begin + 1):
            start, steps = self.episodes.places[identity]
            if steps - step >= length:
                if self.random_offset and step == 0:
                    step = int(rng.integers(0, steps - length + 1))
                starts = range(start + step, start + steps - length + 1, length)
                taken = starts[: 1 if self.per_episode else count - len(found)]
                found += taken
                if len(found) == count and not self.per_episode and len(taken) < len(starts):
                    self._next = (identity, starts[len(taken)] - start)
                    return found
            step = 0
            if len(found) == count:
                self._next = (identities[number], 0) if number < len(identities) else None
                return found
        self._next = None
        return found


class FifoEjectionStrategy(FifoStrategyBase, EjectionStrategy):
    """The oldest episode leaves first."""

    def sample(self, count: int) -> Sequence[int]:
        """The identities of the oldest episodes that have at least `count` steps together."""
        chosen, freed = [], 0
        for identity, place in self.episodes.places.items():
            if freed >= count:
                break
            chosen.append(identity)
            freed += place.steps
        return chosen


class CoverageBasedStrategy(Strategy):
    """Favours the episodes that have been drawn less often.

    An episode's weight is its number of steps (of starts, in a draw of sequences) times `(times drawn + 1)^-alpha`;
    each draw of a batch sees the counts that the last one left.
    """

    def __init__(self, alpha: float = 0.5, *, seed: int | np.random.Generator = 0) -> None:
        """Has drawn nothing.

        Args:
            alpha: how strongly: 0 is uniform.
            seed: of the draws, or the generator that makes them.
        """
        super().__init__(seed)
        self.alpha = alpha
        self._drawn: dict[int, int] = {}  # in the order of the episodes
        self._awaited: dict[int, int] = {}  # of episodes that an archive will bring

    def track(self, identity: int, sequence_length: int) -> None:
        """Takes note of an episode."""
        super().track(identity, sequence_length)
        self._drawn[identity] = self._awaited.pop(identity, 0)

    def forget(self, identity: int) -> None:
        """Takes note that an episode goes."""
        super().forget(identity)
        self._drawn.pop(identity, None)

    def clear(self) -> None:
        """Forgets every episode."""
        super().clear()
        self._drawn.clear()

    def state(self) -> dict[str, Any]:
        """How often each episode has been drawn."""
        return {"drawn": [list(pair) for pair in self._drawn.items()]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state` gave, for episodes that it knows or will be told of."""
        for identity, times in state.get("drawn", ()):
            (self._drawn if identity in self._drawn else self._awaited)[identity] = times

    def end_simple_import(self) -> None:
        """Forgets what was awaited and did not come."""
        self._awaited.clear()

    def _favour(self) -> Floats:
        drawn = np.fromiter(self._drawn.values(), np.float64, len(self._drawn))
        favour: Floats = (drawn + 1) ** -self.alpha
        return favour


class CoverageBasedSampleStrategy(CoverageBasedStrategy, RowSampleStrategy):
    """Draws sequences from the episodes that have been drawn less often; counts the sequences drawn."""

    def rows(self, count: int, transition_count: int, rng: np.random.Generator | None = None) -> IntArray:
        """The rows [count] where the drawn sequences start."""
        self.episodes.require(transition_count)
        rng = rng or self.rng
        places = np.array(list(self.episodes.places.values()), np.int64)
        starts = np.maximum(places[:, 1] - transition_count + 1, 0)
        bounds = np.cumsum(starts * self._favour())
        chosen = np.searchsorted(bounds, rng.random(count) * bounds[-1], side="right")
        chosen = np.minimum(chosen, np.flatnonzero(starts)[-1])  # a product can round up to the last bound
        identities = list(self._drawn)
        for episode, times in zip(*np.unique(chosen, return_counts=True), strict=True):
            self._drawn[identities[episode]] += int(times)
        rows: IntArray = places[chosen, 0] + rng.integers(0, starts[chosen])
        return rows


class CoverageBasedEjectionStrategy(CoverageBasedStrategy, EjectionStrategy):
    """Episodes leave by the weights of `CoverageBasedStrategy`, with the counts that `load_state` brought: by their
    steps alone where there are none.
    """

    def sample(self, count: int) -> Sequence[int]:
        """The identities of episodes that have at least `count` steps together."""
        steps = _steps(self)
        return _drawn_until(count, list(self._drawn), steps, steps * self._favour(), self.rng)


def _steps(strategy: Strategy) -> Floats:
    places = strategy.episodes.places
    return np.fromiter((place.steps for place in places.values()), np.float64, len(places))


def _drawn_until(
    count: int, identities: list[int], steps: Floats, weight: Floats, rng: np.random.Generator
) -> list[int]:
    """Draws one after the other by weight, without repeats, until `count` steps are together.

    The order of exponential waiting times, each with its weight as rate, is the order of such draws.
    """
    order = np.argsort(rng.exponential(size=len(identities)) / weight)
    needed = int(np.searchsorted(np.cumsum(steps[order]), count)) + 1
    return [identities[i] for i in order[:needed]]
