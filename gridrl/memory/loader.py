"""Sources of batches for a `Trainer`: samples of tables, for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gridrl.errors import ColumnError, NotEnoughData
from gridrl.memory.table import MemoryTable


class MemoryLoader:
    """Samples of one table, one after the other, as a data group.

    Every batch is `{data_group: sample, size_key: rows}`; the number of rows stands in the sample too.

    Attributes:
        data_group: where a batch holds the sample.
        size_key: where it holds the number of its rows.
    """

    def __init__(
        self,
        memory_table: MemoryTable,
        rollout_count: int,
        rollout_length: int,
        size_key: str,
        data_group: str = "default",
    ) -> None:
        """Draws nothing yet.

        Args:
            memory_table: where the samples come from.
            rollout_count: sequences of a sample.
            rollout_length: steps of a sequence.
            size_key: where a batch holds the number of its rows; a `Trainer` looks for `batch_size`.
            data_group: where it holds the sample.
        """
        self.table = memory_table
        self.rollout_count, self.rollout_length = rollout_count, rollout_length
        self.size_key, self.data_group = size_key, data_group

    @property
    def size(self) -> int:
        """Rows of a batch."""
        return self.rollout_count * self.rollout_length

    def is_ready(self) -> bool:
        """Whether the table holds as many steps as a batch has."""
        return self.table.size() >= self.size

    def shortage(self) -> str:
        """What is missing, for people; empty where the loader is ready."""
        held = self.table.size()
        return "" if held >= self.size else f"The table holds {held} steps, a batch takes {self.size}"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Batches without end.

        Raises:
            NotEnoughData: the table is not ready.
        """
        shortage = self.shortage()
        if shortage:
            raise NotEnoughData(
                f"{shortage}: collect more before training starts; is_ready() tells when there is enough."
            )
        while True:
            sample = self.table.sample(self.rollout_count, self.rollout_length)
            sample[self.size_key] = self.size
            yield {self.data_group: sample, self.size_key: self.size}


class JointMemoryLoader:
    """Samples of several tables side by side: a batch holds a data group of each loader, and the sum of their rows.

    Attributes:
        size_key: where a batch holds the sum.
    """

    def __init__(self, loaders: Sequence[MemoryLoader], size_key: str = "batch_size") -> None:
        """Draws nothing yet.

        Args:
            loaders: with a data group of its own each.
            size_key: where a batch holds the number of all its rows.

        Raises:
            ColumnError: two loaders have the same data group.
        """
        groups = [loader.data_group for loader in loaders]
        shared = sorted({group for group in groups if groups.count(group) > 1})
        if shared:
            raise ColumnError(f"Each loader needs a data group of its own; shared: {', '.join(map(repr, shared))}.")
        self._loaders, self.size_key = list(loaders), size_key

    def is_ready(self) -> bool:
        """Whether every loader is."""
        return all(loader.is_ready() for loader in self._loaders)

    def shortage(self) -> str:
        """What is missing, for people; empty where every loader is ready."""
        missing = [(loader.data_group, loader.shortage()) for loader in self._loaders]
        return "; ".join(f"{group}: {shortage}" for group, shortage in missing if shortage)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Batches without end.

        Raises:
            NotEnoughData: a table is not ready.
        """
        for batches in zip(*self._loaders, strict=True):
            pairs = list(zip(self._loaders, batches, strict=True))
            joint: dict[str, Any] = {loader.data_group: batch[loader.data_group] for loader, batch in pairs}
            joint[self.size_key] = sum(batch[loader.size_key] for loader, batch in pairs)
            yield joint


class JointMemoryLoaderWithDataGroup(JointMemoryLoader):
    """A joint loader whose groups stand in a data group themselves: `{data_group: {group: sample, ...}, size_key: n}`.

    Attributes:
        data_group: where a batch holds the groups.
    """

    def __init__(self, loaders: Sequence[MemoryLoader], data_group: str, size_key: str = "batch_size") -> None:
        """Draws nothing yet.

        Args:
            loaders: with a data group of its own each.
            data_group: where a batch holds the groups.
            size_key: where a batch holds the number of all its rows.

        Raises:
            ColumnError: two loaders have the same data group.
        """
        super().__init__(loaders, size_key)
        self.data_group = data_group

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Batches without end.

        Raises:
            NotEnoughData: a table is not ready.
        """
        for joint in super().__iter__():
            yield {self.data_group: joint, self.size_key: joint[self.size_key]}
