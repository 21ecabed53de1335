"""Tables as files: Emote's format, version 1, which holds numbers and JSON only, so that any file may be read safely.

A zip file, not compressed: `version` ("1"), `configuration.json`, and for every stored column `{name}.ranges.npy`
(identity, first row and rows of each episode) and `{name}.npy` (all rows, one episode after the other). The older
format holds pickled dicts of arrays; it is read where `TableSerializationVersion.Legacy` is given, and anything in it
but numpy arrays is refused. It is never written.
"""

from __future__ import annotations

import enum
import json
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from gridrl.errors import BadValue, CheckpointError, GridRLWarning
from gridrl.memory.rows import Array
from gridrl.memory.starts import IntArray
from gridrl.utils.files import atomic_path

if TYPE_CHECKING:
    from gridrl.memory.table import ArrayMemoryTable

# What reading a zip file ends in where it is cut off, changed or something else.
FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    KeyError,
    ValueError,
    EOFError,
    TypeError,
    OSError,
    RuntimeError,  # says to be encrypted, or of a kind that zipfile does not know
)


class TableSerializationVersion(enum.Enum):
    """The version of the memory serialization format."""

    Legacy = 0
    """Pickled: read where it is asked for, never written."""

    V1 = 1
    """Numbers and JSON in a zip file."""

    LATEST = V1


@dataclass
class Contents:
    """What an archive holds.

    Attributes:
        configuration: of the table that wrote it.
        rows: identity -> rows of the episode, by column.
    """

    configuration: dict[str, Any]
    rows: dict[str, dict[int, Array]] = field(default_factory=dict)

    def sequences(self) -> Iterator[tuple[int, dict[str, Array]]]:
        """Every episode with its columns.

        Raises:
            CheckpointError: a column lacks an episode.
        """
        for identity in self.configuration["ids"]:
            lacking = [name for name, episodes in self.rows.items() if identity not in episodes]
            if lacking:
                raise CheckpointError(f"The archive has no rows of episode {identity} in {', '.join(lacking)}.")
            yield identity, {name: episodes[identity] for name, episodes in self.rows.items()}


def write(
    path: Path,
    configuration: Mapping[str, Any],
    columns: Mapping[str, tuple[IntArray, Array]],
    version: TableSerializationVersion,
) -> None:
    """Writes an archive aside and renames it to `{path}.zip`.

    Args:
        path: without the `.zip`.
        configuration: as JSON can hold it.
        columns: by name: (identity, first row, rows) of each episode, and all rows.
        version: V1.

    Raises:
        BadValue: another version.
    """
    if version is not TableSerializationVersion.V1:
        raise BadValue(f"version: {TableSerializationVersion.V1} can be written, not {version}.")
    goal = path.with_name(path.name + ".zip")
    with atomic_path(goal) as aside:
        with zipfile.ZipFile(aside, "w") as archive:
            archive.writestr("version", str(version.value))
            archive.writestr("configuration.json", json.dumps(configuration))
            for name, (ranges, rows) in columns.items():
                _save(archive, f"{name}.ranges.npy", ranges)
                _save(archive, f"{name}.npy", rows)
        aside.chmod(0o644)


def read(path: Path, version: TableSerializationVersion | None = None) -> Contents:
    """Reads the whole archive `{path}.zip`.

    Args:
        path: without the `.zip`.
        version: None: as the file says. Legacy has to be given to read that format.

    Raises:
        CheckpointError: there is no such file, or it is cut off or no archive.
    """
    goal = path.with_name(path.name + ".zip")
    try:
        with zipfile.ZipFile(goal) as archive:
            found = _version(archive) if version is None else version
            if found is TableSerializationVersion.Legacy:
                if version is None:
                    raise CheckpointError(
                        f"{goal} is pickled, in the older format: give "
                        "override_version=TableSerializationVersion.Legacy to read it."
                    )
                return _legacy(archive)
            return _current(archive)
    except FileNotFoundError:
        raise CheckpointError(f"There is no archive {goal}.") from None
    except (*FAULTS, pickle.UnpicklingError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{goal} is cut off, or no archive of a table: {error}") from error


def compare(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Warns of what the table that wrote an archive had otherwise than the one that reads it."""
    keys = ("ejector_type", "sampler_type", "length_key", "maxlen")
    other = [
        f"{key} {found[key]!r} (here {wanted[key]!r})" for key in keys if found.get(key, wanted[key]) != wanted[key]
    ]
    if other:
        warnings.warn(f"The archive is of a table with {', '.join(other)}.", GridRLWarning, stacklevel=3)


def _save(archive: zipfile.ZipFile, name: str, array: Array) -> None:
    with archive.open(name, "w", force_zip64=True) as file:
        np.save(file, array, allow_pickle=False)


def _load(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as file:
        loaded: Array = np.load(file, allow_pickle=False)
    return loaded


def _version(archive: zipfile.ZipFile) -> TableSerializationVersion:
    if "version" not in archive.namelist():
        return TableSerializationVersion.Legacy
    return TableSerializationVersion(int(archive.read("version")))


def _current(archive: zipfile.ZipFile) -> Contents:
    contents = Contents(json.loads(archive.read("configuration.json")))
    for name in contents.configuration["part_keys"]:
        rows = _load(archive, f"{name}.npy")
        episodes = contents.rows[name] = {}
        for identity, start, size in _load(archive, f"{name}.ranges.npy").reshape(-1, 3).tolist():
            if not 0 <= start <= start + size <= len(rows):
                raise CheckpointError(
                    f"Column {name!r} of the archive has {len(rows)} rows: {start + size} are needed."
                )
            episodes[identity] = rows[start : start + size]
    ids = contents.configuration["ids"]
    if not isinstance(ids, list) or not all(isinstance(identity, int) for identity in ids):
        raise CheckpointError("The archive names no episodes.")
    return contents


def _legacy(archive: zipfile.ZipFile) -> Contents:
    """Only the columns: what else is pickled there is the table itself, with the code of those days."""
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    contents = Contents({"ids": []})
    for name in names:
        with archive.open(f"{name}.npy") as file:
            contents.rows[name] = dict(_unpickled(file))
    contents.configuration["ids"] = list(contents.rows[names[0]]) if names else []
    return contents


def _unpickled(file: IO[bytes]) -> Mapping[int, Array]:
    """The dict in an .npy file that holds one object."""
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    held = _ArraysOnly(file).load()
    mapping = held.item() if isinstance(held, np.ndarray) else held
    if not isinstance(mapping, Mapping):
        raise CheckpointError(f"A column of the archive is a {type(mapping).__name__}, not episodes by identity.")
    return mapping


def fill_table_from_legacy_file(
    memory_table: ArrayMemoryTable,
    path: str | Path,
    *,
    read_obs: bool = False,
    read_actions: bool = False,
    read_rewards: bool = False,
) -> None:
    """Adds the episodes of a pickled memory, from before there were tables, to a table.

    Calling it is the consent to read a pickle; whatever in it is not a number, a numpy array, or a list or dict of
    these, is refused all the same, before it can do anything. Episodes get the identities that follow those in the
    table. (Emote leaves out episodes of up to ten steps, takes what followed the last step from one row too far, and
    reads actions of two numbers only.)

    Args:
        memory_table: has the columns that are read, by the names `obs`, `actions` and `rewards`.
        path: of the file; `.pickle` may be left out.
        read_obs: fills `obs`, with what followed the last step.
        read_actions: fills `actions`.
        read_rewards: fills `rewards`.

    Raises:
        OSError: there is no such file.
        KeyError: the file lacks `dones`, `actions`, `rewards`, `next_obs` or `obs`, or the table a column.
        CheckpointError: the file is cut off, or no such memory.
        ColumnError, ShapeError: an episode does not fit the table; then none has been added.
    """
    wanted = [name for name, read in (("obs", read_obs), ("actions", read_actions), ("rewards", read_rewards)) if read]
    lacking = [name for name in wanted if name not in memory_table.columns]
    if lacking:
        raise KeyError(f"The table has no column {lacking[0]!r}, only {sorted(memory_table.columns)}.")
    file = Path(path) if str(path).endswith(".pickle") else Path(f"{path}.pickle")
    first = max(memory_table.episodes.places, default=-1) + 1
    memory_table.add_sequences(dict(enumerate(_legacy_episodes(_legacy_columns(file), wanted), first)))


def _legacy_columns(file: Path) -> dict[str, Array]:
    """The columns of an old pickled memory, one row a step."""
    with open(file, "rb") as opened:
        try:
            state = _ArraysOnly(opened).load()
            dones = np.asarray(state["dones"]).ravel()
            keys = ("actions", "rewards", "next_obs", "obs")
            return {"dones": dones, **{key: np.asarray(state[key]).reshape(len(dones), -1) for key in keys}}
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise CheckpointError(f"{file} is cut off, or no memory of those days: {error}") from error


def _legacy_episodes(columns: Mapping[str, Array], wanted: list[str]) -> Iterator[dict[str, Array]]:
    begin = 0
    for end in (np.flatnonzero(columns["dones"]) + 1).tolist():
        episode = {name: columns[name][begin:end] for name in wanted}
        if "obs" in episode:
            episode["obs"] = np.concatenate([episode["obs"], columns["next_obs"][end - 1 : end]])
        yield episode
        begin = end


class _Episodes(dict[int, Array]):
    """Stands for the storage classes of those days, which are dicts with attributes."""


class _ArraysOnly(pickle.Unpickler):
    """Takes numpy arrays and dicts of them; a pickle that names anything else is refused before it can do anything."""

    _NUMPY = frozenset({"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"})

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("numpy") and name in self._NUMPY:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if module == "emote.memory.storage" and name.endswith("Storage"):
            return _Episodes
        raise pickle.UnpicklingError(f"it holds a {module}.{name}; only numpy arrays are read")
