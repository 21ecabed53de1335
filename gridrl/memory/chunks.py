"""Files that hold some of a table's rows: written once, a piece at a time, and never changed.

A chunk is a zip file, not compressed, that numpy reads as an archive of arrays: `about.json` (format and token), and
for every stored column `{name}.npy` with all rows of its episodes, one episode after the other.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import numpy as np

from gridrl.errors import CheckpointError
from gridrl.log.claims import check_claim
from gridrl.log.disk import told_when_full
from gridrl.memory.archive import FAULTS
from gridrl.memory.rows import Array, BaseStorage
from gridrl.memory.starts import IntArray
from gridrl.utils.files import atomic_path

_FORMAT = 1
_PIECE = 65_536  # rows that are in memory at a time


def write_chunk(path: Path, token: str, columns: Mapping[str, BaseStorage], rows: IntArray) -> None:
    """Writes rows of all columns aside and renames the file to `path`.

    Args:
        path: of the chunk.
        token: by which it is known again.
        columns: the stored ones, by name.
        rows: their numbers [N], in the order in which they are written.

    Raises:
        DiskFull: no room; nothing is left behind.
        RunDirectoryInUse: another launcher has taken the run over.
    """
    check_claim(path)
    with (
        told_when_full(path, "the newest steps were not saved, what was saved before stands"),
        atomic_path(path) as aside,
        zipfile.ZipFile(aside, "w") as archive,
    ):
        archive.writestr("about.json", json.dumps({"format": _FORMAT, "token": token}))
        for name, storage in columns.items():
            with archive.open(_member(name), "w", force_zip64=True) as file:
                shape = (len(rows), *storage.shape)
                head = {"descr": storage.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, head)
                for begin in range(0, len(rows), _PIECE):
                    file.write(storage.at(rows[begin : begin + _PIECE]).tobytes())


def check_chunk(path: Path, token: str) -> None:
    """Reads a whole chunk, a piece at a time.

    Raises:
        CheckpointError: there is none, it is another one, or not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("about.json"))
            damaged = archive.testzip()
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the checkpoint needs its steps.") from None
    except FAULTS as error:
        raise CheckpointError(f"{path} is cut off, or no file of a memory's steps: {error}") from error
    if about != {"format": _FORMAT, "token": token}:
        raise CheckpointError(f"{path} is not the file that was written for this checkpoint.")
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: {damaged} is not what was written.")


def load_chunk(path: Path, columns: Mapping[str, BaseStorage], goal: IntArray) -> None:
    """Puts a chunk's rows into columns, a piece at a time.

    Args:
        path: of a chunk that has passed `check_chunk`.
        columns: the stored ones, by name.
        goal: which row each of its rows [N] becomes; -1: none.

    Raises:
        CheckpointError: its rows are others, or fewer.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name, storage in columns.items():
                with archive.open(_member(name)) as file:
                    begin = 0
                    for piece in _pieces(file, storage, len(goal)):
                        rows = goal[begin : begin + len(piece)]
                        storage.load(rows[rows >= 0], piece[rows >= 0])
                        begin += len(piece)
    except FAULTS as error:
        raise CheckpointError(f"{path} does not fit: {error}") from error


def _pieces(file: IO[bytes], storage: BaseStorage, count: int) -> Iterator[Array]:
    np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if (shape, dtype) != ((count, *storage.shape), storage.dtype):
        raise ValueError(f"rows of {dtype} {shape} instead of {storage.dtype} {(count, *storage.shape)}")
    size: Any = dtype.itemsize * int(np.prod(storage.shape))
    for begin in range(0, count, _PIECE):
        rows = min(_PIECE, count - begin)
        yield np.frombuffer(file.read(rows * size), dtype).reshape(rows, *storage.shape)


def _member(name: str) -> str:
    return f"{quote(name, safe='')}.npy"
