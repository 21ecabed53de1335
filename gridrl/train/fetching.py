"""Data fetched batch by batch, some items at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Fetching:
    """Batches without end, of the items that a function gives.

    >>> batches = Fetching(lambda size: [lambda: 1] * size, batch_size=2)
    >>> next(batches)
    [1, 1]
    """

    def __init__(self, get_data: Callable[[int], Sequence[Any]], batch_size: int, num_workers: int = 0) -> None:
        """Fetches nothing yet.

        Args:
            get_data: gives, for a batch size, items or functions that load one.
            batch_size: of every batch.
            num_workers: threads that load items side by side; 0: this one does.
        """
        self._get_data, self._batch_size = get_data, batch_size
        self._pool = ThreadPoolExecutor(num_workers, "fetching") if num_workers else None

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        """The next batch."""
        items = self._get_data(self._batch_size)
        return list(self._pool.map(_loaded, items) if self._pool else map(_loaded, items))

    def close(self) -> None:
        """Ends the threads; a second call does nothing."""
        if self._pool is not None:
            self._pool.shutdown()


def _loaded(item: Any) -> Any:
    return item() if callable(item) else item
