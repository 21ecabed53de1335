"""The experience of an off-policy run: a table of transitions, the way into it, and its part of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.journal import ReplayJournal
from gridrl.memory.n_step import as_n_step, n_step_columns
from gridrl.memory.staging import Staging
from gridrl.memory.storage import NextElementMapper
from gridrl.memory.strategies import FifoEjectionStrategy, UniformSampleStrategy
from gridrl.memory.strategy import SampleStrategy
from gridrl.memory.table import ArrayMemoryTable
from gridrl.typing import SampleResult

# Steps of each environment that may wait on their way into the table; pieces of episodes are about as long.
_BLOCK = 64
# ... but never more than this share of what the table holds.
_WAITING = 0.01
# Pieces are at least so many times as long as the transitions that are drawn from them.
_PIECE = 16
_CUT = "cut"


class Replay:
    """Transitions in a table, drawn as batches with the keys `obs, action, reward, next_obs, terminated`.

    New steps wait until a block of them can be stored at once: at most 64 of each environment, and at most a hundredth
    of what the table holds, so that the newest ones are missing from a batch where nobody can notice. For transitions
    of n steps, which cannot reach beyond a block, it is 16 n to 64 n steps of each.

    Attributes:
        table: what is drawn from.
        staging: takes the new steps.
    """

    def __init__(
        self,
        size: int,
        num_envs: int,
        obs_dim: int,
        *,
        action_shape: tuple[int, ...],
        action_dtype: npt.DTypeLike,
        n_step: int = 1,
        gamma: float = 1.0,
        sampler: SampleStrategy | None = None,
        device: Any = "cpu",
    ) -> None:
        """Makes an empty table.

        Args:
            size: steps that it holds at most; the oldest leave.
            num_envs: environments that step together.
            obs_dim: length of a flat observation.
            action_shape: () for the index of a discrete action, (A,) for a continuous one.
            action_dtype: int64 or float32.
            n_step: steps that a transition spans, see `gridrl.memory.n_step`; beyond 1, batches have a key
                `bootstrap_discount` too.
            gamma: discount per step within a transition of several.
            sampler: draws; None: uniformly.
            device: where the tensors of batches are.
        """
        self._n_step = n_step
        one_step = [VirtualColumn("next_obs", (obs_dim,), np.float32, "obs", NextElementMapper)]
        columns = [
            Column("obs", (obs_dim,), np.float32),
            Column("action", action_shape, action_dtype),
            Column("reward", (), np.float32),
            Column("terminated", (), np.float32),
            *(one_step if n_step == 1 else n_step_columns(obs_dim, n_step, gamma)),
            TagColumn(_CUT, (), np.float32),
        ]
        self.table = ArrayMemoryTable(
            columns=columns,
            maxlen=size,
            sampler=UniformSampleStrategy() if sampler is None else sampler,
            ejector=FifoEjectionStrategy(),
            length_key="action",
            adaptors=[] if n_step == 1 else [as_n_step],
            device=device,
        )
        self.staging = Staging(self.table, num_envs, steps=max(1, min(1024, size // num_envs)), tag=_CUT)

    def __len__(self) -> int:
        """Steps that are held or wait."""
        return self.table.size() + self.staging.staged * self.staging.num_envs

    def sample(self, count: int, rng: np.random.Generator) -> SampleResult:
        """A batch of `count` transitions, by batch key.

        Raises:
            NotEnoughData: nothing has been collected yet that could be drawn.
        """
        if self._is_due():
            self.staging.flush()
        return self.table.sample(count, 1, rng)

    def _is_due(self) -> bool:
        waiting, held = self.staging.staged, self.table.size()
        if waiting >= _BLOCK * self._n_step or not held:
            return True
        return waiting >= _least(self._n_step) and waiting * self.staging.num_envs > _WAITING * held


def _least(n_step: int) -> int:
    """Steps of the shortest piece that an episode is cut into, but for the first ones."""
    return 1 if n_step == 1 else _PIECE * n_step


class SavedReplay:
    """The replay's part of a rank's checkpoints, with the number of steps that stand in it.

    Attributes:
        lost: steps of the run that were collected before the replay began: not 0 where it was not saved.
    """

    def __init__(self, replay: Replay, directory: Path, *, is_saved: bool) -> None:
        """Takes the replay, the directory for its files, and whether anything is to be written there."""
        self.replay = replay
        self.lost = 0
        self._is_saved = is_saved
        self._journal = ReplayJournal(directory, replay.table, replay.staging)

    @property
    def bytes_per_step(self) -> int:
        """What a step takes on the disk."""
        return self._journal.bytes_per_step

    def state_dict(self) -> dict[str, Any]:
        """Writes what is new since the last checkpoint, and says where it stands."""
        return {"position": self._journal.commit() if self._is_saved else None, "lost": self.lost}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up what `state_dict` gave; without a saved replay, it begins empty."""
        self.lost = state_dict["lost"]
        if state_dict["position"] is not None:
            self._journal.restore(state_dict["position"])

    def forget_episodes(self) -> None:
        """New episodes begin everywhere: those that go on are cut off where they are."""
        self.replay.staging.flush()
