"""One epoch's row in the making: what this rank has recorded, merged with the other ranks' once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from gridrl.errors import ColumnError
from gridrl.log.cells import Cell
from gridrl.log.metrics import Moments
from gridrl.utils.mpi import gather_objects


@dataclass
class Statistics:
    """Numbers whose statistics become columns.

    Attributes:
        moments: this rank's numbers; there may be none.
        with_min_and_max: whether the least and the largest get columns.
        average_only: whether only the average does, without a prefix.
    """

    moments: Moments
    with_min_and_max: bool = False
    average_only: bool = False

    def columns(self, key: str) -> tuple[str, ...]:
        """The documented names, in the documented order."""
        names = (key,) if self.average_only else (f"Average{key}", f"Std{key}")
        return names + ((f"Max{key}", f"Min{key}") if self.with_min_and_max else ())

    def cells(self) -> list[Cell]:
        """The values of `columns`; None where there was no number."""
        found: list[Cell] = [self.moments.mean] if self.average_only else [self.moments.mean, self.moments.std]
        found += [self.moments.maximum, self.moments.minimum] if self.with_min_and_max else []
        return found if self.moments.count else [None] * len(found)


Record: TypeAlias = Cell | Statistics


class RowRecorder:
    """Collects an epoch's records on every rank."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, ...], Record] = {}
        self._columns: set[str] = set()

    def put(self, key: str, record: Record) -> None:
        """Notes a record.

        Raises:
            ColumnError: no name, or a column that is set already.
        """
        if not isinstance(key, str) or not key:
            raise ColumnError(f"log_tabular({key!r}): a column's name is text of at least one letter.")
        columns = record.columns(key) if isinstance(record, Statistics) else (key,)
        for column in columns:
            if column in self._columns:
                raise ColumnError(
                    f"log_tabular({key!r}): you already set {column!r} in this row. "
                    "Maybe you forgot to call dump_tabular()?"
                )
        self._columns.update(columns)
        self._records[columns] = record

    def gather(self) -> dict[str, Cell]:
        """Ends the row: one exchange between the ranks, then the same row on all of them.

        Raises:
            ColumnError: no rank has recorded anything.
        """
        records, self._records = self._records, {}
        self._columns = set()
        merged = _merge(gather_objects(records) or [])
        if not merged:
            raise ColumnError("dump_tabular(): nothing was logged since the last row; call log_tabular() before it.")
        row: dict[str, Cell] = {}
        for columns, record in merged.items():
            cells = record.cells() if isinstance(record, Statistics) else [record]
            for column, cell in zip(columns, cells, strict=True):
                row.setdefault(column, cell)
        return row


def _merge(ranks: Iterable[dict[tuple[str, ...], Record]]) -> dict[tuple[str, ...], Record]:
    """Statistics of the same columns become one; of plain values that of the lowest rank that has one counts."""
    merged: dict[tuple[str, ...], Record] = {}
    for records in ranks:
        for columns, record in records.items():
            known = merged.get(columns)
            if isinstance(known, Statistics) and isinstance(record, Statistics):
                known.moments.merge(record.moments)
            elif known is None:
                merged[columns] = record
    return merged
