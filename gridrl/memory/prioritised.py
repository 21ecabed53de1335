"""Prioritised experience replay: what there is much to learn from is drawn more often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gridrl.errors import BadValue
from gridrl.memory.episodes import Episodes
from gridrl.memory.segment_tree import SumSegmentTree
from gridrl.memory.starts import IntArray
from gridrl.memory.strategy import RowSampleStrategy
from gridrl.typing import SamplePoint

_TRIES = 8


class PrioritisedSampleStrategy(RowSampleStrategy):
    """Draws the start of a sequence with probability `P(i) = p_i^alpha / sum_k p_k^alpha`.

    Schaul et al., Prioritized Experience Replay (2016), equation 1 and section 3.4: new steps get the largest priority
    so far; `weight = (N P(i))^-beta`, divided by the largest of the batch, makes up for the unequal draws.
    A sample carries `weight` float32 [B] and `index` int64 [B, 2]; give the latter back with new priorities:

        batch = table.sample(256, 1)
        table.update_priorities(batch["index"], td_error.abs())

    Attributes:
        alpha: 0 draws uniformly, 1 in proportion to the priority.
        beta: 0 gives every sample the weight 1, 1 makes up for everything; raise it as training goes on.
        epsilon: added to each priority, so that none is never drawn.
    """

    adds = ("weight", "index")

    def __init__(
        self,
        alpha: float = 0.6,
        beta: float = 0.4,
        *,
        epsilon: float = 1e-6,
        seed: int | np.random.Generator = 0,
    ) -> None:
        """Knows no episode.

        Args:
            alpha: from 0 to 1.
            beta: from 0 to 1.
            epsilon: above 0.
            seed: of the draws, or the generator that makes them.
        """
        super().__init__(seed)
        if not (alpha >= 0 and beta >= 0 and epsilon > 0):
            raise BadValue(f"alpha and beta are 0 or more, epsilon is more: not {alpha}, {beta}, {epsilon}.")
        self.alpha, self.beta, self.epsilon = alpha, beta, epsilon
        self._begin()

    def _begin(self) -> None:
        self._largest = 1.0  # p^alpha
        self._tree = _tree_of(self.episodes.capacity)
        self.episodes.watch(self._move)

    def attach(self, episodes: Episodes) -> None:
        """Reads this account of episodes from now on."""
        super().attach(episodes)
        self._begin()

    def track(self, identity: int, sequence_length: int) -> None:
        """Gives the steps of a new episode the largest priority so far."""
        super().track(identity, sequence_length)
        start, steps = self.episodes.places[identity]
        self._tree[np.arange(start, start + steps)] = self._largest

    def forget(self, identity: int) -> None:
        """Takes the steps of an episode out of the draw."""
        start, steps = self.episodes.places[identity]
        self._tree[np.arange(start, start + steps)] = 0.0
        super().forget(identity)

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint keeps: priorities too."""
        leaves = torch.from_numpy(self._tree[self.episodes.order()])
        return {**super().snapshot(), "leaves": leaves, "largest": self._largest}

    def resume(self, snapshot: Mapping[str, Any]) -> None:
        """Takes up what `snapshot` gave; the episodes are tracked already."""
        super().resume(snapshot)
        self._tree[self.episodes.order()] = snapshot["leaves"].numpy()
        self._largest = snapshot["largest"]

    def clear(self) -> None:
        """Forgets every episode and every priority."""
        super().clear()
        self._largest = 1.0
        self._tree = _tree_of(self.episodes.capacity)

    def rows(self, count: int, transition_count: int, rng: np.random.Generator | None = None) -> IntArray:
        """The rows [count] where the drawn sequences start, one from each of `count` equal parts of the whole."""
        self.episodes.require(transition_count)
        rng = rng or self.rng
        # section 3.3 and appendix B.2.1: stratified, so that a batch is balanced
        found = self._find((np.arange(count) + rng.random(count)) / count)
        for _ in range(_TRIES):
            short = np.flatnonzero(self.episodes.left[found] < transition_count)
            if not short.size:
                return found
            found[short] = self._find(rng.random(short.size))
        short = np.flatnonzero(self.episodes.left[found] < transition_count)
        found[short] = self._among(self.episodes.starts(transition_count).rows, short.size, rng)
        return found

    def extras(self, rows: IntArray) -> dict[str, npt.NDArray[Any]]:
        """`weight` and `index` of drawn rows."""
        share = self._tree[rows] / self._tree.total
        weight = (self.episodes.size * share) ** -self.beta
        return {
            "weight": (weight / weight.max()).astype(np.float32),
            "index": np.stack([rows, self.episodes.number[rows]], axis=1),
        }

    def update_priorities(self, index: npt.ArrayLike, priority: npt.ArrayLike) -> None:
        """Sets new priorities, usually absolute temporal-difference errors.

        Args:
            index: [B, 2], as samples carry it. Where the step has left the memory meanwhile, or has been moved within
                it to make room, nothing happens.
            priority: [B], 0 or more.

        Raises:
            BadValue: a priority is negative or no number, or there are not as many as steps; nothing has changed.
        """
        pairs, values = np.asarray(index).reshape(-1, 2), np.asarray(priority, np.float64).ravel()
        if len(values) != len(pairs):
            raise BadValue(f"priority: one for each of {len(pairs)} steps is needed, not {len(values)}.")
        if not (np.isfinite(values) & (values >= 0)).all():
            raise BadValue("priority: numbers from 0 on are needed; at least one is negative, NaN or infinite.")
        pairs, values = self._still_there(pairs, values)
        self._set(pairs[:, 0], values)

    def on_sample(
        self,
        ids_and_offsets: Sequence[SamplePoint],
        transition_count: int,
        advantages: npt.ArrayLike | None = None,
    ) -> None:
        """Sets the priorities of sequences to their absolute advantages; None leaves them."""
        if advantages is not None:
            places = self.episodes.places
            known = [i for i, (who, step) in enumerate(ids_and_offsets) if who in places and step < places[who].steps]
            rows = self.episodes.rows_of(ids_and_offsets[i] for i in known)
            self._set(rows, np.abs(np.asarray(advantages, np.float64).ravel()[known]))

    def _still_there(
        self, pairs: IntArray, values: npt.NDArray[np.float64]
    ) -> tuple[IntArray, npt.NDArray[np.float64]]:
        in_range = (pairs[:, 0] >= 0) & (pairs[:, 0] < self.episodes.capacity)
        pairs, values = pairs[in_range], values[in_range]
        same = (self.episodes.number[pairs[:, 0]] == pairs[:, 1]) & (self.episodes.left[pairs[:, 0]] > 0)
        return pairs[same], values[same]

    def _set(self, rows: IntArray, priority: npt.NDArray[np.float64]) -> None:
        if rows.size:
            value = (priority + self.epsilon) ** self.alpha
            self._tree[rows] = value
            self._largest = max(self._largest, float(value.max()))

    def _find(self, share: npt.NDArray[np.float64]) -> IntArray:
        found: IntArray = self._tree.find_prefixsum_idx(share * self._tree.total)
        return found

    def _among(self, rows: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        """Draws from these rows alone, where they hold little of the whole."""
        bounds = np.cumsum(self._tree[rows])
        places = np.searchsorted(bounds, rng.random(count) * bounds[-1], side="right")
        chosen: IntArray = rows[np.minimum(places, len(rows) - 1)]
        return chosen

    def _move(self, rows: IntArray, capacity: int) -> None:
        old, self._tree = self._tree, _tree_of(capacity)
        if len(rows):
            self._tree[np.arange(len(rows))] = old[rows]


def _tree_of(capacity: int) -> SumSegmentTree:
    return SumSegmentTree(1 << (capacity - 1).bit_length())
