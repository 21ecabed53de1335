"""Checkpoints of training: callbacks that save everything by name, and bring it back before training goes on.

The form that a run of gridrl's algorithms uses, and anybody's own loop, is that of `gridrl.log.checkpoints`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.errors import BadValue, CheckpointError, InvalidCheckpointLocation, VersionMismatch, did_you_mean
from gridrl.log.checkpoints import FORMAT, Checkpoints, generators_state, set_generators_state
from gridrl.log.saving import portable
from gridrl.train.callback import Callback
from gridrl.train.checkpoint_files import CheckpointFiles
from gridrl.train.restoring import Journal, Restoree, Table, check_names, load_all
from gridrl.utils.mpi import broadcast, gather_objects, num_procs, proc_id

__all__ = [
    "FORMAT",
    "CheckpointLoader",
    "Checkpointer",
    "Checkpoints",
    "InvalidCheckpointLocation",
    "Restoree",
    "generators_state",
    "set_generators_state",
]


log = logging.getLogger(__name__)


class Checkpointer(Callback):
    """Writes a checkpoint after every so many updates: `{run_root}/{storage_subdirectory}/checkpoint_{index}.tar`.

    In it stand the restorees' states by name, where the training is, and the generators of Python, numpy and torch.
    With a `CheckpointLoader` a training goes on from it as if it had never stopped, given that all it depends on is
    named: losses (with their optimisers and schedules), targets, collectors, memories, generators of its own.

    A file is written at once or not at all, and none is ever overwritten: the index goes on behind those that are
    there. It comes after the other callbacks of its cycle, and before those that end the training. Of several MPI
    ranks the first one writes, its own restorees, and every rank's generators and memories.

    >>> import tempfile
    >>> from gridrl.train.trainer import Trainer
    >>> batches = [{"batch_size": 1}] * 4
    >>> with tempfile.TemporaryDirectory() as run_root:
    ...     checkpointer = Checkpointer(restorees=[], run_root=run_root, checkpoint_interval=2)
    ...     Trainer([checkpointer], batches).train()
    ...     sorted(path.name for path in (Path(run_root) / "checkpoints").iterdir())
    ['checkpoint_0.tar', 'checkpoint_1.tar']
    """

    priority = 500

    def __init__(
        self,
        *,
        restorees: Sequence[Restoree],
        run_root: str | Path,
        checkpoint_interval: int,
        checkpoint_index: int = 0,
        storage_subdirectory: str = "checkpoints",
        memory: Mapping[str, Table | Journal] | None = None,
        generators: Mapping[str, np.random.Generator] | None = None,
        keep: int | None = None,
    ) -> None:
        """Takes what is saved where.

        Args:
            restorees: what stands in the checkpoint, each under its name.
            run_root: the directory of the run.
            checkpoint_interval: updates between checkpoints.
            checkpoint_index: of the first checkpoint; where there are such files already, the next one that is free.
            storage_subdirectory: where in `run_root` the files are.
            memory: memories by name: tables, which are saved whole each time, or journals, which write what has come.
            generators: numpy generators by name, whose draws are to follow as well.
            keep: how many of the newest files stay; None: all.

        Raises:
            ValueError: two restorees have the same name.
            BadValue: fewer than one update, or than one file.
        """
        if checkpoint_interval < 1 or (keep is not None and keep < 1):
            raise BadValue(f"checkpoint_interval={checkpoint_interval}, keep={keep}: 1 or more is needed.")
        check_names(restorees)
        super().__init__(cycle=checkpoint_interval)
        self._restorees = list(restorees)
        self._files = CheckpointFiles(run_root, storage_subdirectory)
        self._index = checkpoint_index
        self._memory, self._generators, self._keep = dict(memory or {}), dict(generators or {}), keep
        self._positions: dict[int, Any] = {}

    def begin_training(self) -> None:
        """Makes the directory and finds the next index that is free."""
        if proc_id() == 0:
            self._files.make()
        there = broadcast(self._files.indices())
        self._index = max([self._index, *(index + 1 for index in there)])
        if any(_is_journal(memory) for memory in self._memory.values()):
            self._positions = {index: self._positions_of(index) for index in there}

    def end_cycle(self, bp_step: int, bp_samples: int) -> dict[str, Any]:
        """Writes a checkpoint; every rank calls it.

        Returns:
            `latest_checkpoint`, the file, and `checkpoint_index`, for the trainer's state.

        Raises:
            NotFinite: a loss is not finite any more; the last checkpoint stands.
            CheckpointError: a state holds something that cannot be loaded without trust.
            DiskFull: no room; the last checkpoint stands.
        """
        index = self._index
        where = {"latest_checkpoint": str(self._files.path(index)), "checkpoint_index": index}
        states = {restoree.name: restoree.state_dict() for restoree in self._restorees}
        memory = {name: self._saved(name, memory) for name, memory in self._memory.items()}
        ranks = gather_objects({"generators": generators_state(**self._generators), "memory": memory})
        if proc_id() == 0:
            training = {**where, "bp_step": bp_step, "bp_samples": bp_samples}
            self._files.write(index, {"callback_state_dicts": states, "training_state": training, "ranks": ranks})
        self._index = index + 1
        self._note(index, memory)
        return where

    def _positions_of(self, index: int) -> dict[str, Any]:
        """What journals have to keep for a checkpoint that is there: nothing for one that nobody can load."""
        try:
            ranks = self._files.read(index)["ranks"]
        except VersionMismatch:
            raise
        except CheckpointError as error:
            log.warning("Nothing of the memory is kept for a checkpoint: %s", error)
            return {}
        there = ranks[proc_id()]["memory"] if proc_id() < len(ranks) else {}
        journals = [name for name, memory in self._memory.items() if _is_journal(memory)]
        return {name: there[name] for name in journals if "chunks" in there.get(name, ())}

    def _saved(self, name: str, memory: Any) -> dict[str, Any]:
        if not _is_journal(memory):
            return dict(memory.state_dict())
        return dict(memory.commit(kept=[position[name] for position in self._positions.values() if name in position]))

    def _note(self, index: int, memory: dict[str, Any]) -> None:
        """Remembers what journals have to keep, and removes the files that are not to stay."""
        self._positions[index] = {name: memory[name] for name in memory if _is_journal(self._memory[name])}
        if self._keep is not None:
            self._positions = {kept: self._positions[kept] for kept in sorted(self._positions)[-self._keep :]}
            if proc_id() == 0:
                self._files.keep(self._keep)


class CheckpointLoader(Callback):
    """Brings back what a `Checkpointer` saved, before the training starts.

    The state of restorees and memories, and how far the training was, are there when the first `begin_training` is
    called; the generators are put back after the last one, so that the draws are those that followed the checkpoint.
    Where one of them cannot take its state up, because the checkpoint is of another network for example, none does.
    A journal drops what it wrote after the checkpoint: later ones cannot be loaded with their memory any more.

    >>> loader = CheckpointLoader(restorees=[], run_root="runs/1", checkpoint_index=3)
    """

    priority = 1000

    def __init__(
        self,
        *,
        restorees: Sequence[Restoree],
        run_root: str | Path,
        checkpoint_index: int | None = None,
        load_weights: bool = True,
        load_optimizers: bool = True,
        load_hparams: bool = True,
        storage_subdirectory: str = "checkpoints",
        memory: Mapping[str, Table | Journal] | None = None,
        generators: Mapping[str, np.random.Generator] | None = None,
        map_location: Any = "cpu",
    ) -> None:
        """Takes what is restored from where.

        Args:
            restorees: what takes its state up; the checkpoint may hold more.
            run_root: the directory of the run.
            checkpoint_index: of the checkpoint; None: the newest one, or, where there is none, nothing happens, so that
                the same program starts a training and goes on with it.
            load_weights: whether to take the networks' weights.
            load_optimizers: whether to take the optimisers' state.
            load_hparams: whether to take everything else: schedules, counters, how far the training was, memories and
                generators.
            storage_subdirectory: where in `run_root` the files are.
            memory: memories by name, as the `Checkpointer` got them.
            generators: numpy generators by name, as the `Checkpointer` got them.
            map_location: the device that the file is read to, as `torch.load` takes it; what is restored stays on its
                own.

        Raises:
            ValueError: two restorees have the same name.
        """
        check_names(restorees)
        super().__init__()
        self._restorees = list(restorees)
        self._files = CheckpointFiles(run_root, storage_subdirectory)
        self._index, self._map_location = checkpoint_index, map_location
        self._flags = (load_weights, load_optimizers, load_hparams)
        self._memory, self._generators = dict(memory or {}), dict(generators or {})
        self._drawn: Any = None

    def restore_state(self) -> dict[str, Any] | None:
        """Loads the checkpoint.

        Returns:
            `bp_step`, `bp_samples`, `latest_checkpoint` and `checkpoint_index` for the trainer's state, if
            `load_hparams`.

        Raises:
            InvalidCheckpointLocation: there is no such directory.
            FileNotFoundError: it has no checkpoint of this index.
            CheckpointError: it cannot be read, or does not fit: then nothing has changed.
        """
        index = self._found()
        if index is None:
            return None
        path = self._files.path(index)
        content = self._files.read(index, self._map_location)
        states, own = content["callback_state_dicts"], self._of_rank(path, content["ranks"])
        self._check(path, "restoree", [restoree.name for restoree in self._restorees], states)
        loads: list[tuple[str, Any, Callable[[], Any]]] = [
            (one.name, one, partial(one.load_state_dict, states[one.name], *self._flags)) for one in self._restorees
        ]
        if not self._flags[2]:
            load_all(loads, path)
            return None
        self._check(path, "memory", self._memory, own["memory"])
        self._check(path, "generator", self._generators, own["generators"]["named"])
        for name, memory in sorted(self._memory.items(), key=lambda item: _is_journal(item[1])):
            load = memory.restore if _is_journal(memory) else memory.load_state_dict  # type: ignore[union-attr]
            loads.append((name, memory, partial(load, own["memory"][name])))
        load_all(loads, path)
        self._drawn = own["generators"]
        training: dict[str, Any] = content["training_state"]
        return training

    def begin_training(self) -> None:
        """Puts the generators back."""
        if self._drawn is not None:
            set_generators_state(self._drawn, **self._generators)
            self._drawn = None

    def _found(self) -> int | None:
        """The index to load; None where there is nothing to load and nothing was asked for."""
        if self._index is not None:
            if not self._files.directory.is_dir():
                raise InvalidCheckpointLocation(
                    f"Checkpoint folder {self._files.directory} does not exist: run_root and storage_subdirectory are "
                    "those of the Checkpointer that wrote it."
                )
            return self._index
        return max(self._files.indices(), default=None)

    def _of_rank(self, path: Path, ranks: Sequence[Any]) -> dict[str, Any]:
        """What the file holds of this rank alone; the generators' states stand on the CPU."""
        if len(ranks) != num_procs() and self._flags[2]:
            raise CheckpointError(
                f"{path} was written by {len(ranks)} MPI rank(s), this training has {num_procs()}: generators and "
                "memories cannot be shared out. load_hparams=False takes networks and optimisers alone."
            )
        own = ranks[proc_id() % len(ranks)]
        return {**own, "generators": portable(own["generators"])}

    def _check(self, path: Path, kind: str, wanted: Iterable[str], there: Mapping[str, Any]) -> None:
        missing = [name for name in wanted if name not in there]
        if missing:
            raise CheckpointError(
                f"{path} holds no {kind} {missing[0]!r}; it has: {', '.join(there) or 'none'}."
                f"{did_you_mean(missing[0], there)} Nothing was changed."
            )


def _is_journal(memory: Any) -> bool:
    return hasattr(memory, "commit")
