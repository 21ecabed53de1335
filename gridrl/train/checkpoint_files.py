"""The numbered files that a `Checkpointer` writes: `{run_root}/{storage_subdirectory}/checkpoint_{index}.tar`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gridrl.errors import CheckpointError, VersionMismatch
from gridrl.log.saving import pack_arrays, portable, unpack_arrays, write_torch

# Raised when what stands in a file gets another form.
FORMAT = 1

_NAME = re.compile(r"checkpoint_(\d+)\.tar")


class CheckpointFiles:
    """The checkpoints in one directory, by index.

    Attributes:
        directory: where they are.
    """

    def __init__(self, run_root: str | Path, storage_subdirectory: str) -> None:
        self.directory = Path(run_root) / storage_subdirectory

    def path(self, index: int) -> Path:
        """The file of an index."""
        return self.directory / f"checkpoint_{index}.tar"

    def indices(self) -> list[int]:
        """The indices that are there, in order."""
        names = (path.name for path in self.directory.iterdir()) if self.directory.is_dir() else ()
        return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))

    def make(self) -> None:
        """Makes the directory, and removes what an attempt left that was killed as it wrote."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for unfinished in self.directory.glob(".checkpoint_*.tar.*.tmp"):
            unfinished.unlink(missing_ok=True)

    def write(self, index: int, content: Mapping[str, Any]) -> None:
        """Writes a file at once.

        Raises:
            CheckpointError: something in it can be loaded only by running pickled code; it is named by its key path.
            DiskFull: no room; nothing was written.
        """
        write_torch(self.path(index), portable(pack_arrays({"format": FORMAT, **content}), "checkpoint"))

    def keep(self, newest: int) -> None:
        """Removes all but the newest ones."""
        for index in self.indices()[:-newest]:
            self.path(index).unlink(missing_ok=True)

    def read(self, index: int, map_location: Any = "cpu") -> dict[str, Any]:
        """What was written, without trust: no pickled code runs.

        Raises:
            FileNotFoundError: there is none of this index; those that are there are named.
            CheckpointError: it cannot be read.
            VersionMismatch: it was written in another format.
        """
        path = self.path(index)
        if not path.is_file():
            there = ", ".join(map(str, self.indices())) or "none"
            raise FileNotFoundError(f"{path} does not exist. Indices of checkpoints there: {there}.")
        try:
            content = torch.load(path, map_location=map_location, weights_only=True)
        except Exception as error:
            told = ": ".join([type(error).__name__, *str(error).splitlines()[:1]]).rstrip(".")
            raise CheckpointError(f"{path} cannot be read: {told}. Load an earlier one.") from error
        found = content.get("format") if isinstance(content, dict) else None
        if found != FORMAT:
            raise VersionMismatch(
                f"{path} has format {found!r}, this gridrl reads {FORMAT}: load it with the program that wrote it."
            )
        unpacked: dict[str, Any] = unpack_arrays(content)
        return unpacked
