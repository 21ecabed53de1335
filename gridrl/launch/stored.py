"""Functions without a module to be imported from, as a launch has kept them for later ones."""

from __future__ import annotations

import contextlib
import pickle
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.errors import PayloadError
from gridrl.utils.files import write_atomic


@dataclass(frozen=True)
class Stored:
    """Stands for an object in a file that a launcher has written for itself.

    Attributes:
        path: the file, which its owner alone can read and write.
        kind: the part of it: "thunks" or "env_specs".
        name: of the object.
    """

    path: str
    kind: str
    name: str

    def load(self) -> Any:
        """The object, in a process that may import what it needs.

        Raises:
            PayloadError: the file does not hold it.
        """
        try:
            return pickle.loads(pickle.loads(zlib.decompress(Path(self.path).read_bytes()))[self.kind][self.name])
        except (OSError, zlib.error, KeyError, TypeError) as error:
            raise PayloadError(
                f"{self.path}: this does not hold {self.name!r} any more ({type(error).__name__}). "
                "Give the command with `--code new`."
            ) from error


def write_stored(path: Path, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes objects by kind and name, readable by their owner alone; what cannot be pickled is left out."""
    pickled = {kind: dict(_pickled(named)) for kind, named in objects.items()}
    write_atomic(path, zlib.compress(pickle.dumps(pickled)), mode=0o600)


def _pickled(named: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    import cloudpickle

    for name, value in named.items():
        with contextlib.suppress(Exception):  # of somebody's own `__reduce__`: its run tells, if it needs it
            yield name, cloudpickle.dumps(value)
