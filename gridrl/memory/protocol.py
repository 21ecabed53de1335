"""What a memory has to do, whoever makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gridrl.memory.archive import TableSerializationVersion
from gridrl.typing import Adaptor, SampleResult


class MemoryTable(Protocol):
    """What proxies, loaders and collectors ask of a memory."""

    adaptors: list[Adaptor]

    def sample(self, count: int, sequence_length: int) -> SampleResult:
        """Draws `count` sequences of `sequence_length` steps, [count * sequence_length, ...] by column."""

    def size(self) -> int:
        """Steps that are held."""

    def full(self) -> bool:
        """Whether episodes have had to leave to make room."""

    def resize(self, new_size: int) -> None:
        """Sets how many steps are held at most."""

    def add_sequence(self, identity: int, sequence: Mapping[str, Any]) -> None:
        """Adds an episode."""

    def store(self, path: str, version: TableSerializationVersion = TableSerializationVersion.LATEST) -> bool:
        """Writes everything to a file."""

    def restore(self, path: str, override_version: TableSerializationVersion | None = None) -> bool:
        """Takes everything from a file; what was there before goes."""
