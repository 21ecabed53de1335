"""Which runs there are already: told by their `config.json` files, found at once through the index of their grid."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.launch.resuming import TRASH
from gridrl.log.record import derived_state
from gridrl.utils.files import GridPaths, RunPaths, read_json


@dataclass(frozen=True, eq=False)
class KnownRun:
    """A run that has a directory already.

    Attributes:
        run_dir: its directory.
        config: what its `config.json` says.
    """

    run_dir: Path
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name, without the seed."""
        name = self.config.get("exp_name")
        return name if isinstance(name, str) else self.run_dir.parent.name

    @property
    def key(self) -> tuple[Any, Any]:
        """Which run of which grid it is."""
        return self.config.get("grid"), self.config["run_id"]

    @property
    def owner(self) -> tuple[Any, Any]:
        """Which variant of which grid it belongs to."""
        return self.config.get("grid"), self.config.get("variant_id")


class KnownRuns:
    """Reads what there is of runs, each once.

    Args:
        data_dir: the data directory, whose grids have an index.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._read: dict[Path, KnownRun | None] = {}

    def __iter__(self) -> Iterator[KnownRun]:
        return (run for run in self._read.values() if run is not None)

    def read(self, run_dir: Path, *, again: bool = False) -> KnownRun | None:
        """The run in a directory; None where its `config.json` tells of none.

        Args:
            run_dir: the directory.
            again: as of now, whatever an earlier look has found.
        """
        if again or run_dir not in self._read:
            config = read_json(RunPaths(run_dir).config)
            known = isinstance(config, dict) and isinstance(config.get("run_id"), str) and KnownRun(run_dir, config)
            self._read[run_dir] = known or None
        return self._read[run_dir]

    def below(self, directory: Path) -> Iterator[KnownRun]:
        """The runs one and two levels below a directory, in the order of their paths."""
        for outer in _subdirectories(directory):
            for run_dir in (outer, *_subdirectories(outer)):
                known = self.read(run_dir)
                if known is not None:
                    yield known

    def finished(self, wanted: Collection[tuple[str, str]]) -> dict[tuple[Any, Any], KnownRun]:
        """The wanted runs (grid and id of each), if the index leads to all of them and they are all done; else none.

        An index may be missing, old or wrong: of each run that it leads to, the run's own files are asked.
        """
        indices = {grid: read_index(self._data_dir, grid) for grid in {grid for grid, _ in wanted}}
        if any(run_id not in indices[grid] for grid, run_id in wanted):
            return {}
        found: dict[tuple[Any, Any], KnownRun] = {}
        for key in wanted:
            run = self.read(indices[key[0]][key[1]])
            if run is None or run.key != key or derived_state(run.run_dir) != "done":
                return {}
            found[key] = run
        return found


def read_index(data_dir: Path, grid: str) -> dict[str, Path]:
    """Where the runs of a grid are, by their ids, as its `grid.json` says; empty where that is missing or broken."""
    found = read_json(GridPaths.of_grid(data_dir, grid).grid)
    runs = found.get("runs") if isinstance(found, dict) else None
    if not isinstance(runs, dict):
        return {}
    paths = {run_id: data_dir / path for run_id, path in runs.items() if isinstance(path, str) and "\0" not in path}
    return {run_id: path for run_id, path in paths.items() if TRASH not in path.parts}


def _subdirectories(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return sorted(directory / entry.name for entry in entries if entry.is_dir() and entry.name != TRASH)
    except OSError:
        return []
