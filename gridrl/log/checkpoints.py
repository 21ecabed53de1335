"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one file, loadable without trust."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.errors import CheckpointError, VersionMismatch
from gridrl.log.plain import read_plain, write_plain
from gridrl.log.saving import portable, write_torch
from gridrl.utils.files import CHECKPOINT_NAME
from gridrl.utils.mpi import broadcast, proc_id

# Raised when what stands in a checkpoint gets another form.
FORMAT = 1


class Checkpoints:
    """The checkpoints of one run: the newest one, and the one before it until the new one stands.

    Attributes:
        directory: where they are; made with the first one.
        kind: what their names begin with; those of several kinds leave each other alone.
    """

    def __init__(self, directory: Path, kind: str = "checkpoint") -> None:
        self.directory = directory
        self.kind = kind

    def save(self, number: int, state: Mapping[str, Any]) -> Path:
        """Writes a checkpoint at once and removes older ones.

        Args:
            number: what orders them, such as the number of finished epochs.
            state: tensors, numpy arrays (which come back as tensors), numbers, text, lists, tuples and dicts of these.
                Where nothing has imported torch so far, there are no tensors in it: it is not imported for this either
                (a second of CPU and more), and arrays come back as arrays.

        Returns:
            The file.

        Raises:
            CheckpointError: something else is in `state`; it is named by its key path.
        """
        is_plain = "torch" not in sys.modules
        path = self.directory / f"{self.kind}_{number:06d}.{'plain' if is_plain else 'pt'}"
        if is_plain:
            write_plain(path, {"format": FORMAT, "number": number, "state": state})
        else:
            write_torch(path, {"format": FORMAT, "number": number, "state": portable(state)})
        for _, old in self._found():
            if old != path:
                old.unlink(missing_ok=True)
        for unfinished in self.directory.glob(f".{self.kind}_*.*.tmp"):  # of an attempt that was killed as it wrote
            unfinished.unlink(missing_ok=True)
        return path

    def load(self) -> tuple[int, dict[str, Any]] | None:
        """The newest checkpoint's number and state, None where there is none.

        Raises:
            CheckpointError: it cannot be read.
            VersionMismatch: it was written in another format.
        """
        found = self._found()
        if not found:
            return None
        path = found[-1][1]
        try:
            content = _read(path)
        except Exception as error:
            told = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])  # an empty file is worth no word
            raise CheckpointError(
                f"{path} cannot be read: {told.rstrip('.')}. Remove it to begin from the start."
            ) from error
        if content.get("format") != FORMAT:
            raise VersionMismatch(
                f"{path} has format {content.get('format')!r}, this gridrl reads {FORMAT}: go on with the version that "
                "wrote it, or remove it to begin from the start."
            )
        return int(content["number"]), content["state"]

    def load_everywhere(self) -> tuple[int, dict[str, Any]] | None:
        """What rank 0 loads, on all ranks; an error there is raised on all. Every rank calls it."""
        found: Any = None
        if proc_id() == 0:
            try:
                found = self.load()
            except CheckpointError as error:
                found = error
        found = broadcast(found)
        if isinstance(found, CheckpointError):
            raise found
        result: tuple[int, dict[str, Any]] | None = found
        return result

    def _found(self) -> list[tuple[int, Path]]:
        if not self.directory.is_dir():
            return []
        matches = ((CHECKPOINT_NAME.fullmatch(path.name), path) for path in self.directory.iterdir())
        return sorted((int(match[2]), path) for match, path in matches if match and match[1] == self.kind)


def _read(path: Path) -> Any:
    if path.suffix == ".plain":
        return read_plain(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def generators_state(**generators: np.random.Generator) -> dict[str, Any]:
    """Where the given generators stand, and the global ones: Python's, numpy's, torch's if it is loaded (its GPUs' too
    if in use)."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    torch = sys.modules.get("torch")
    return {
        "named": {name: generator.bit_generator.state for name, generator in generators.items()},
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tolist(), position, has_gauss, gauss),
        "torch": None if torch is None else torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else [],
    }


def set_generators_state(state: Mapping[str, Any], **generators: np.random.Generator) -> None:
    """Puts generators where `generators_state` found them."""
    for name, generator in generators.items():
        generator.bit_generator.state = state["named"][name]
    random.setstate(state["python"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), position, has_gauss, gauss))
    if state["torch"] is None:
        return
    import torch

    torch.set_rng_state(state["torch"])
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # a run may go on elsewhere than on its first GPUs
        for device, cuda_state in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
            torch.cuda.set_rng_state(cuda_state, device)
