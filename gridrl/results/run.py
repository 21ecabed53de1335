"""One run directory, of whichever program: who it is, how it stands, and its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gridrl.errors import ColumnError, did_you_mean
from gridrl.log.code_record import CodeRecord
from gridrl.log.record import derived_state
from gridrl.log.standing import PERFORMANCE
from gridrl.results import columns
from gridrl.results.identity import Identity, settings_of
from gridrl.results.sources import Source
from gridrl.utils.files import RunPaths

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """One run directory.

    Attributes:
        dir: the directory, by the path that it was found through.
        logdir: what was asked for: the directory that the run was found in.
        identity: its name, seed, environment and condition.
        source: what its rows are read from, None where there are none yet.
        config: `config.json`, empty where there is none.
    """

    dir: Path
    logdir: Path
    identity: Identity
    source: Source | None
    config: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @property
    def name(self) -> str:
        """Its experiment's name, without the seed."""
        return self.identity.name

    @property
    def condition(self) -> str:
        """What it is grouped by: its name, or what `--group` has found in its path."""
        return self.identity.condition

    @property
    def seed(self) -> int | None:
        """Its seed, None where none is recorded."""
        return self.identity.seed

    @property
    def env(self) -> str:
        """Its environment's id, empty where none is known."""
        return self.identity.env

    @property
    def path(self) -> Path:
        """What its rows are read from; its directory where there are none."""
        return self.source.path if self.source else self.dir

    @property
    def code(self) -> str | None:
        """The hash of the code that it ran, None where none is recorded; see `gridrl.log.code_record`."""
        return CodeRecord.of(self.config).hash or None

    @property
    def state(self) -> str:
        """How the run is doing (`gridrl.log.record.derived_state`); empty where gridrl did not launch it."""
        return derived_state(self.dir) if RunPaths(self.dir).status.exists() else ""

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its hyperparameters without the seed, see `gridrl.results.identity.settings_of`."""
        return settings_of(self.config)

    def setting(self, key: str, default: Any = None) -> Any:
        """A hyperparameter as typed, else as the algorithm has recorded it, else what its launcher did.

        Args:
            key: nested keys joined by colons; `seed` and `env` too.
            default: what is given where the run has no such key.
        """
        known = {"seed": self.seed, "env": self.env or None, "env_name": self.env or None}
        if known.get(key) is not None:
            return known[key]
        for values in (self.config.get("variant"), self.config.get("algorithm"), self.config):
            found: Any = values
            for part in key.split(":"):
                found = found.get(part, _ABSENT) if isinstance(found, Mapping) else _ABSENT
            if found is not _ABSENT:
                return found
        return self.settings.get(key, default)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Its columns; none where it has no rows yet.

        Raises:
            OSError, ColumnError: they cannot be read.
        """
        return self.source.names() if self.source else ()

    def columns(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        """Reads columns: name -> [rows], float64, nan where a cell is empty or holds text.

        Args:
            names: those wanted, by their own names; those that the run lacks are left out. None: all.

        Raises:
            OSError, ColumnError: they cannot be read, or there is no row.
        """
        if self.source is None:
            return {}
        wanted = None if names is None else list(names)
        table = self.source.read(wanted)
        return {name: table.columns[name] for name in (wanted or table.names) if name in table.columns}

    def __getitem__(self, name: str) -> Array:
        """One column, also by a name that means the same, such as `TotalEnvInteracts` or `Performance`.

        Raises:
            OSError, ColumnError: it cannot be read, or there is none; a near match is told.
        """
        column = self.find(name)
        if column is None:
            near = did_you_mean(name, self.column_names)
            raise ColumnError(f"{self.path}: no column {name!r}.{near} There are: {', '.join(self.column_names)}.")
        return self.columns([column])[column]

    def find(self, name: str) -> str | None:
        """The column that a name stands for, see `gridrl.results.columns.find_column`."""
        return columns.find_column(name, self.column_names)

    def score_column(self, kind: str | None = None) -> str | None:
        """The column of the return of an episode, None where there is none.

        Args:
            kind: "evaluation" or "training"; None: that of evaluation where there is one, else that of training.
        """
        if kind is None:
            return self.find(PERFORMANCE)
        meanings = [meaning for meaning in columns.SCORES if meaning.kind == kind]
        there = self.column_names
        return next((name for meaning in meanings for name in meaning.names if name in there), None)

    @property
    def steps_column(self) -> str | None:
        """The column of the env steps so far, None where there is none."""
        return self.find(columns.STEPS.names[0])

    @property
    def time_column(self) -> str | None:
        """The column of the seconds since the start, None where there is none."""
        return self.find(columns.TIME.names[0])

    @property
    def num_rows(self) -> int:
        """How many rows it has.

        Raises:
            OSError, ColumnError: they cannot be read, or there is none.
        """
        return self.source.read(()).rows if self.source else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What had to be tolerated in its rows, as far as they have been read."""
        return self.source.notes if self.source else ()


_ABSENT = object()
