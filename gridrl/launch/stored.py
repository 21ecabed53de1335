"""Functions without a module to be imported from, as a launch has kept them for later ones."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Mapping
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
            return pickle.loads(zlib.decompress(Path(self.path).read_bytes()))[self.kind][self.name]
        except (OSError, zlib.error, KeyError, TypeError) as error:
            raise PayloadError(
                f"{self.path}: this does not hold {self.name!r} any more ({type(error).__name__}). "
                "Give the command with `--code new`."
            ) from error


def write_stored(path: Path, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes objects by kind and name, readable by their owner alone."""
    import cloudpickle

    write_atomic(path, zlib.compress(cloudpickle.dumps(objects)), mode=0o600)
