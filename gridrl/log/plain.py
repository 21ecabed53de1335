"""States without tensors, in files that neither their writing nor their reading needs torch for.

A pickle of numbers, text, lists, tuples and dicts; arrays stand in it as their bytes. Reading it runs no pickled code:
nothing that a pickle could name is ever looked up, but for `complex`.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.log.saving import Array, portable, refuse, write_saved

_ARRAY = "gridrl:array of bytes"
_KINDS = "biufc"  # booleans, whole numbers, real and complex ones: what torch has too


def write_plain(path: Path, state: Any) -> None:
    """Writes a state at once.

    Args:
        path: the file.
        state: numpy arrays, numbers, text, bytes, None, lists, tuples and dicts of these.

    Raises:
        CheckpointError: something else is in it; it is named by its key path.
        DiskFull: no room; what was there stands.
    """
    write_saved(path, pickle.dumps(portable(state, of_array=_packed), protocol=4))


def _packed(array: Array, where: str) -> dict[str, Any]:
    if array.dtype.kind not in _KINDS:
        refuse(array, where)
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {_ARRAY: (native.dtype.str, array.shape, native.tobytes())}


def read_plain(path: Path) -> Any:
    """What `write_plain` wrote: arrays come back as arrays.

    Raises:
        OSError: the file cannot be read.
        pickle.UnpicklingError, EOFError, ValueError: it is damaged, or holds something else.
    """
    return _unpacked(_Reader(io.BytesIO(path.read_bytes())).load())


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            dtype, shape, content = value[_ARRAY]
            array = np.frombuffer(content, np.dtype(dtype)).reshape(shape)
            return array.astype(array.dtype.newbyteorder("="))  # a copy, which can be written to
        return {key: _unpacked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_unpacked(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


class _Reader(pickle.Unpickler):
    """Reads pickles of plain values alone."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "complex"):
            return complex
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no plain value does")
