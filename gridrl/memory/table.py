"""The table: episodes as columns, drawn from as batches of sequences."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gridrl.errors import BadValue, CheckpointError, ColumnError, ShapeError
from gridrl.memory import archive, snapshot
from gridrl.memory.archive import TableSerializationVersion
from gridrl.memory.columns import Column, by_name, checked_rows, make_storages
from gridrl.memory.episodes import Episodes
from gridrl.memory.protocol import MemoryTable
from gridrl.memory.rows import Array, Draw
from gridrl.memory.storage import VirtualStorage
from gridrl.memory.strategy import EjectionStrategy, SampleStrategy
from gridrl.typing import Adaptor, SampleResult

__all__ = ["ArrayMemoryTable", "MemoryTable"]


class ArrayMemoryTable:
    """Episodes in columns: what is added by episode is drawn by sequence.

    An episode of T steps has T actions and, of observations, T + 1: the last one follows the last step. A sample of
    `count` sequences holds tensors [count * sequence_length, *shape] by column, sequence by sequence; tags, and columns
    that make one row a sequence, are [count, *shape]. Tensors are copies. Methods may be called from several threads.

    Attributes:
        columns: by name.
        storages: their rows, by name.
        episodes: where the episodes lie.
        maxlen: steps that it holds at most.
        sampler: draws the sequences.
        ejector: chooses the episodes that leave when there is no room.
        length_key: the column that says how many steps an episode has.
        adaptors: what a sample goes through before it is handed out.
        device: where its tensors are.
        lock: held by whoever reads or changes it, for more than one call at a time.

    >>> from gridrl.memory.strategies import FifoEjectionStrategy, UniformSampleStrategy
    >>> table = ArrayMemoryTable(
    ...     columns=[Column("obs", (2,), np.float32), Column("actions", (), np.int64)],
    ...     maxlen=100, sampler=UniformSampleStrategy(), ejector=FifoEjectionStrategy(),
    ... )
    >>> table.add_sequence(0, {"obs": np.zeros((4, 2)), "actions": [1, 0, 1]})
    >>> table.size(), table.sample(count=2, sequence_length=3)["obs"].shape
    (3, torch.Size([6, 2]))
    """

    def __init__(
        self,
        *,
        columns: Sequence[Column],
        maxlen: int,
        sampler: SampleStrategy,
        ejector: EjectionStrategy,
        length_key: str = "actions",
        adaptors: Sequence[Adaptor] | None = None,
        device: torch.device | str = "cpu",
        directory: str | Path | None = None,
    ) -> None:
        """Makes an empty table.

        Args:
            columns: names, shapes and dtypes; virtual ones after or before their targets.
            maxlen: steps that it holds at most, from 1 on.
            sampler: draws the sequences; serves this table only.
            ejector: chooses the episodes that leave when there is no room; serves this table only.
            length_key: the column that says how many steps an episode has: its rows.
            adaptors: what a sample goes through before it is handed out, in this order.
            device: where its tensors are.
            directory: keeps the columns in files there, mapped into memory, for data larger than memory; made where it
                is missing. Their contents are of use to this table only, see `store`.

        Raises:
            ColumnError: a name stands twice or is one that the sampler adds, a virtual column without a target or with
                rows of another size, no column `length_key`.
            BadValue: `maxlen` is below 1, or a strategy serves another table.
        """
        if maxlen < 1:
            raise BadValue(f"maxlen: at least 1 step is needed, not {maxlen}.")
        self.columns = by_name(columns, length_key, sampler.adds)
        self.maxlen, self.length_key = maxlen, length_key
        self.sampler, self.ejector = sampler, ejector
        self.adaptors = list(adaptors or ())
        self.device = torch.device(device)
        self.episodes = Episodes(limit=maxlen)
        self.storages = make_storages(self.columns, self.episodes, None if directory is None else Path(directory))
        self._stored = snapshot.stored(self)
        self.lock = threading.RLock()
        self._full = False
        sampler.attach(self.episodes)
        ejector.attach(self.episodes)

    def size(self) -> int:
        """Steps that are held."""
        with self.lock:
            return self.episodes.size

    def full(self) -> bool:
        """Whether episodes have had to leave to make room; `size()` need not be `maxlen`, as they leave whole."""
        with self.lock:
            return self._full

    def resize(self, new_size: int) -> None:
        """Sets how many steps are held at most; where there are more, episodes leave.

        Raises:
            BadValue: it is below 1.
        """
        if new_size < 1:
            raise BadValue(f"new_size: at least 1 step is needed, not {new_size}.")
        with self.lock:
            self.maxlen = self.episodes.limit = new_size
            self._full = False
            self._make_room(0)

    def clear(self) -> None:
        """Takes out every episode, and lets the strategies forget them."""
        with self.lock:
            self.sampler.clear()
            self.ejector.clear()
            self.episodes.clear()
            for storage in self._stored.values():
                storage.extra = None
            self._full = False

    def add_sequence(self, identity: int, sequence: Mapping[str, Any]) -> None:
        """Adds an episode, and makes room for it; where anything is wrong with it, nothing has changed.

        Args:
            identity: a whole number from 0 on that no episode in the table has.
            sequence: by column that is stored: rows [T, *shape] of `length_key`, and T or T + 1 of the others (from the
                first episode on the same of each column). A tag is one value.

        Raises:
            BadValue: the identity is taken or negative, or there is no step.
            ColumnError: columns are missing, unknown, or of another shape, length or dtype.
            ShapeError: it is longer than the whole table. Cut it into pieces of at most `maxlen` steps, each with an
                identity of its own, or make the table larger.
            DiskFull: columns in files have no room to grow.
        """
        self.add_sequences({identity: sequence})

    def add_sequences(self, sequences: Mapping[int, Mapping[str, Any]]) -> None:
        """Adds episodes, the first one first; where anything is wrong with one of them, nothing has changed.

        Args:
            sequences: by identity, see `add_sequence`.

        Raises:
            BadValue, ColumnError, ShapeError: see `add_sequence`.
        """
        with self.lock:
            extra = {name: storage.extra for name, storage in self._stored.items()}
            checked: list[tuple[int, int, dict[str, Array]]] = []
            for identity, sequence in sequences.items():
                rows = self._checked(sequence, extra)
                steps = len(rows[self.length_key])
                self.episodes.check(identity, steps)
                if steps > self.maxlen:
                    raise ShapeError(
                        f"Episode {identity} has {steps} steps, the table holds {self.maxlen}: cut it into pieces, or "
                        "make the table larger with resize()."
                    )
                extra = {name: len(array) - steps for name, array in rows.items()}
                checked.append((int(identity), steps, rows))
            for identity, steps, rows in checked:
                self._make_room(steps)
                self._add(identity, steps, rows)

    def sample(self, count: int, sequence_length: int, rng: np.random.Generator | None = None) -> SampleResult:
        """Draws sequences.

        Args:
            count: sequences, from 1 on.
            sequence_length: steps of each, from 1 on.
            rng: draws them; None: the sampler's own.

        Raises:
            BadValue: a number is below 1.
            NotEnoughData: no episode has so many steps, and as many more as columns of later rows need.
        """
        if count < 1 or sequence_length < 1:
            raise BadValue(f"count and sequence_length: at least 1 is needed, not {count} and {sequence_length}.")
        with self.lock:
            rows = self.sampler.rows(count, sequence_length + self._reach, rng)
            draw = Draw(rows, sequence_length)
            found = {name: storage.gather(draw) for name, storage in self.storages.items()}
            found.update(self.sampler.extras(rows))
        result: SampleResult = {name: self._tensor(array) for name, array in found.items()}
        for adaptor in self.adaptors:
            result = adaptor(result, count, sequence_length)
        return result

    def update_priorities(self, index: Any, priority: Any) -> None:
        """Gives steps that were drawn new priorities, see `PrioritisedSampleStrategy.update_priorities`.

        Raises:
            BadValue: the sampler has no priorities.
        """
        update = getattr(self.sampler, "update_priorities", None)
        if update is None:
            raise BadValue(f"A {type(self.sampler).__name__} has no priorities: PrioritisedSampleStrategy has.")
        with self.lock:
            update(_on_cpu(index), _on_cpu(priority))

    def store(self, path: str | Path, version: TableSerializationVersion = TableSerializationVersion.LATEST) -> bool:
        """Writes everything that is held to `{path}.zip`, at once or not at all; see `gridrl.memory.archive`.

        Raises:
            BadValue: the version cannot be written.
        """
        with self.lock:
            packed = {name: storage.packed() for name, storage in self._stored.items()}
            archive.write(Path(path), self._configuration(), packed, version)
        return True

    def restore(self, path: str | Path, override_version: TableSerializationVersion | None = None) -> bool:
        """Takes everything from `{path}.zip`; what was there before goes. A faulty file changes nothing.

        Raises:
            CheckpointError: there is no such file, or it is no archive of a table like this one.
        """
        with self.lock:
            contents = archive.read(Path(path), override_version)
            archive.compare(contents.configuration, self._configuration())
            sequences = list(self._from_archive(contents))
            self.clear()
            strategies = (self.sampler, self.ejector)
            for strategy, key in zip(strategies, ("sampler_state", "ejector_state"), strict=True):
                strategy.begin_simple_import()
                strategy.load_state(contents.configuration.get(key, {}))
            for identity, rows in sequences:
                self._make_room(len(rows[self.length_key]))
                self._add(identity, len(rows[self.length_key]), rows)
            for strategy in strategies:
                strategy.end_simple_import()
        return True

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs for the same draws to follow: tensors and plain values, generators included.

        Priorities come back as well, other than from an archive (`store`), which is for other tables and programs.
        """
        with self.lock:
            return snapshot.take(self)

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave, in place of all that is held; nothing without `load_hparams`.

        Raises:
            CheckpointError: it is of a table with other columns or strategies, or of a larger one; then nothing has
                changed.
        """
        if load_hparams:
            with self.lock:
                snapshot.check(self, state_dict)
                self.take_up(state_dict)

    def take_up(self, outline: Mapping[str, Any], fill: Callable[[], None] | None = None) -> None:
        """Takes up what `snapshot.take` or `snapshot.outline` gave and `snapshot.check` has passed; see there."""
        with self.lock:
            self.clear()
            snapshot.put_back(self, outline, fill)
            self._full = outline["full"]

    def _configuration(self) -> dict[str, Any]:
        """What an archive says of the table beside the rows."""
        return {
            "ejector_type": type(self.ejector).__name__,
            "sampler_type": type(self.sampler).__name__,
            "length_key": self.length_key,
            "maxlen": self.maxlen,
            "ids": list(self.episodes.places),
            "ejector_state": self.ejector.state(),
            "sampler_state": self.sampler.state(),
            "columns": [[name, type(column).__name__, column.state()] for name, column in self.columns.items()],
            "part_keys": list(self._stored),
        }

    def _from_archive(self, contents: archive.Contents) -> Iterator[tuple[int, dict[str, Array]]]:
        """The episodes of an archive, each of them as it could be added."""
        known: set[int] = set()
        extra: dict[str, int | None] = {}
        for identity, sequence in contents.sequences():
            try:
                rows = self._checked(sequence, extra)
                Episodes().check(identity, len(rows[self.length_key]))
            except (ColumnError, BadValue) as error:
                raise CheckpointError(f"The archive is not of a table like this one.\n{error}") from None
            if identity in known or len(rows[self.length_key]) > self.maxlen:
                raise CheckpointError(
                    f"Episode {identity} of the archive stands twice, or is longer than the table ({self.maxlen})."
                )
            known.add(identity)
            extra = {name: len(array) - len(rows[self.length_key]) for name, array in rows.items()}
            yield identity, rows

    @property
    def _reach(self) -> int:
        """Steps that have to follow a sequence for the sake of virtual columns."""
        return max((s.reach for s in self.storages.values() if isinstance(s, VirtualStorage)), default=0)

    def _checked(self, sequence: Mapping[str, Any], extra: Mapping[str, int | None]) -> dict[str, Array]:
        return checked_rows(self._stored, sequence, self.length_key, extra)

    def _make_room(self, steps: int) -> None:
        while self.episodes.size + steps > self.maxlen:
            leaving = list(self.ejector.sample(self.episodes.size + steps - self.maxlen))
            if not leaving:
                raise BadValue(f"{type(self.ejector).__name__} chose no episode to leave, though there is no room.")
            self._full = True
            for identity in leaving:
                self._remove(identity)

    def _remove(self, identity: int) -> None:
        self.sampler.forget(identity)
        self.ejector.forget(identity)
        self.episodes.remove(identity)

    def _add(self, identity: int, steps: int, rows: Mapping[str, Array]) -> None:
        self.episodes.add(identity, steps)
        for name, storage in self._stored.items():
            storage.put(identity, rows[name])
        self.sampler.track(identity, steps)
        self.ejector.track(identity, steps)

    def _tensor(self, array: npt.NDArray[Any]) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.device.type == "cpu" else tensor.to(self.device)


def _on_cpu(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
