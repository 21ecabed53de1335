"""Tables that are made from the spaces of a world: columns, mappers and adaptors as off-policy learning needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gridrl.envs.spaces import MDPSpace
from gridrl.memory.adaptors import DictObsAdaptor, TerminalAdaptor
from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.storage import NextElementMapper, SyntheticDones
from gridrl.memory.strategies import FifoEjectionStrategy, UniformSampleStrategy
from gridrl.memory.strategy import SampleStrategy
from gridrl.memory.table import ArrayMemoryTable
from gridrl.typing import Adaptor


class DictMemoryTable(ArrayMemoryTable):
    """A table of dict observations: the oldest episodes leave, samples hold `observation` and `next_observation`."""

    def __init__(
        self,
        *,
        use_terminal_column: bool,
        obs_keys: Sequence[str],
        columns: Sequence[Column],
        maxlen: int,
        length_key: str = "actions",
        sampler: SampleStrategy | None = None,
        device: torch.device | str = "cpu",
        directory: str | Path | None = None,
    ) -> None:
        """Makes an empty table.

        Args:
            use_terminal_column: whether episodes come with a tag `terminal`, 1 where they were cut off by a time limit;
                `masks` and `terminal` of a sample then allow bootstrapping there, see `TerminalAdaptor`.
            obs_keys: columns of the observation; `next_{key}` has to be a column for each of them.
            columns: of the table.
            maxlen: steps that it holds at most.
            length_key: the column that says how many steps an episode has.
            sampler: draws the sequences; None: uniformly.
            device: where the tensors of samples are.
            directory: keeps the columns in files there, see `ArrayMemoryTable`.
        """
        adaptors: list[Adaptor] = [DictObsAdaptor(obs_keys)]
        if use_terminal_column:
            columns = [*columns, TagColumn("terminal", (), np.float32)]
            adaptors.append(TerminalAdaptor("terminal", "masks"))
        super().__init__(
            columns=columns,
            maxlen=maxlen,
            sampler=UniformSampleStrategy() if sampler is None else sampler,
            ejector=FifoEjectionStrategy(),
            length_key=length_key,
            adaptors=adaptors,
            device=device,
            directory=directory,
        )


class DictObsMemoryTable(DictMemoryTable):
    """For one-step backups: what follows each step is in `next_observation`.

    Beside it are `observation`, `actions`, `rewards`, `dones` and `masks`, the last two [count * sequence_length, 1].

    >>> from gridrl.envs.spaces import BoxSpace, DictSpace
    >>> spaces = MDPSpace(
    ...     rewards=None,
    ...     actions=BoxSpace(dtype=np.float32, shape=(1,)),
    ...     state=DictSpace(spaces={"features": BoxSpace(dtype=np.float32, shape=(3,))}),
    ... )
    >>> table = DictObsMemoryTable(spaces=spaces, maxlen=1000)
    >>> table.add_sequence(0, {"features": np.zeros((3, 3)), "actions": np.zeros((2, 1)), "rewards": [1.0, 0.0]})
    >>> table.sample(count=4, sequence_length=1)["next_observation"]["features"].shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        *,
        spaces: MDPSpace,
        use_terminal_column: bool = False,
        maxlen: int = 1_000_000,
        device: torch.device | str = "cpu",
        dones_dtype: npt.DTypeLike = np.bool_,
        masks_dtype: npt.DTypeLike = np.float32,
        sampler: SampleStrategy | None = None,
        directory: str | Path | None = None,
    ) -> None:
        """Makes an empty table.

        Args:
            spaces: of rewards (None: one float32), actions and observations.
            use_terminal_column: see `DictMemoryTable`.
            maxlen: steps that it holds at most.
            device: where the tensors of samples are.
            dones_dtype: of `dones`, 1 at the last step of an episode.
            masks_dtype: of `masks`, 0 there.
            sampler: draws the sequences; None: uniformly.
            directory: keeps the columns in files there.
        """
        columns = _columns_of(spaces, dones_dtype, masks_dtype)
        for key, space in spaces.state.spaces.items():
            columns.append(VirtualColumn(f"next_{key}", space.shape, space.dtype, key, NextElementMapper))
        super().__init__(
            use_terminal_column=use_terminal_column,
            obs_keys=list(spaces.state.spaces),
            columns=columns,
            maxlen=maxlen,
            sampler=sampler,
            device=device,
            directory=directory,
        )


class DictObsNStepMemoryTable(DictMemoryTable):
    """For backups over n steps: `next_observation` has one row a sequence, what follows its last step.

    All else is as in `DictObsMemoryTable`.
    """

    def __init__(
        self,
        *,
        spaces: MDPSpace,
        use_terminal_column: bool = False,
        maxlen: int = 1_000_000,
        sampler: SampleStrategy | None = None,
        device: torch.device | str = "cpu",
        directory: str | Path | None = None,
    ) -> None:
        """Makes an empty table.

        Args:
            spaces: of rewards (None: one float32), actions and observations.
            use_terminal_column: see `DictMemoryTable`.
            maxlen: steps that it holds at most.
            sampler: draws the sequences; None: uniformly.
            device: where the tensors of samples are.
            directory: keeps the columns in files there.
        """
        columns = _columns_of(spaces, np.bool_, np.float32)
        for key, space in spaces.state.spaces.items():
            last = NextElementMapper.with_only_last
            columns.append(VirtualColumn(f"next_{key}", space.shape, space.dtype, key, last))
        super().__init__(
            use_terminal_column=use_terminal_column,
            obs_keys=list(spaces.state.spaces),
            columns=columns,
            maxlen=maxlen,
            sampler=sampler,
            device=device,
            directory=directory,
        )


def _columns_of(spaces: MDPSpace, dones_dtype: npt.DTypeLike, masks_dtype: npt.DTypeLike) -> list[Column]:
    rewards = spaces.rewards
    reward = Column("rewards", (1,), np.float32) if rewards is None else Column("rewards", rewards.shape, rewards.dtype)
    return [
        Column("actions", spaces.actions.shape, spaces.actions.dtype),
        VirtualColumn("dones", (1,), dones_dtype, "actions", SyntheticDones),
        VirtualColumn("masks", (1,), masks_dtype, "actions", SyntheticDones.as_mask),
        reward,
        *(Column(key, space.shape, space.dtype) for key, space in spaces.state.spaces.items()),
    ]
