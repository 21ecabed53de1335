"""The names of a run's files, and writes that no reader ever sees half done."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gridrl.utils.names import cut_name

# its kind and its number; torch's format, or that of runs that never import torch
CHECKPOINT_NAME = re.compile(r"(\w+)_(\d+)\.(?:pt|plain)")

_LOG_BYTES = 65536  # that a log's tail is taken from


@dataclass(frozen=True)
class RunPaths:
    """Every file name of a run directory; no other place joins them.

    Attributes:
        root: the run directory.
    """

    root: Path

    @property
    def config(self) -> Path:
        """What was run: variant, seed, thunk, versions (written by the launcher, `save_config` adds its part)."""
        return self.root / "config.json"

    @property
    def status(self) -> Path:
        """How the run is doing: state, process, times, exit code."""
        return self.root / "status.json"

    @property
    def payload(self) -> Path:
        """The pickled thunk with its arguments."""
        return self.root / "payload.pkl"

    @property
    def stdout(self) -> Path:
        """Everything that rank 0 printed, standard error included."""
        return self.root / "stdout.log"

    def rank_stdout(self, rank: int) -> Path:
        """What an MPI rank printed; rank 0 writes `stdout.log`."""
        return self.stdout if rank == 0 else self.root / f"stdout.rank{rank}.log"

    @property
    def error(self) -> Path:
        """The traceback of a failed run."""
        return self.root / "error.txt"

    @property
    def progress(self) -> Path:
        """One row per epoch, tab separated."""
        return self.root / "progress.txt"

    @property
    def progress_cut(self) -> Path:
        """Rows of earlier attempts past the checkpoint that the run went on from."""
        return self.root / "progress.cut.txt"

    def claim(self, number: int) -> Path:
        """The directory that says which launcher the run belongs to; the highest number counts."""
        return self.root / f"claim.{number}"

    @property
    def ranks(self) -> Path:
        """One small mark per MPI rank: its process when it starts, how it ended."""
        return self.root / "ranks"

    @property
    def checkpoints(self) -> Path:
        """Everything that a resumed run needs."""
        return self.root / "checkpoints"

    def has_checkpoint(self) -> bool:
        """Whether there is one to go on from."""
        try:
            names = os.listdir(self.checkpoints)
        except OSError:
            return False
        return any(CHECKPOINT_NAME.fullmatch(name) for name in names)

    @property
    def model(self) -> Path:
        """The trained networks, for acting."""
        return self.root / "model"

    def model_file(self, itr: int | None = None) -> Path:
        """The networks' weights: the newest, or those of epoch `itr`."""
        return self.model / f"model{'' if itr is None else itr}.pt"

    def model_extras(self, itr: int | None = None) -> Path:
        """What was saved beside the weights."""
        return self.model / f"vars{'' if itr is None else itr}.pt"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.root / "tensorboard"


GRIDS = ".gridrl"
"""The directory of a data directory that holds what grids keep beside their runs."""


@dataclass(frozen=True)
class GridPaths:
    """Every file name of what a grid keeps beside its runs.

    Attributes:
        root: its directory, see `of_grid`.
    """

    root: Path

    @classmethod
    def of_grid(cls, data_dir: Path, grid: str) -> GridPaths:
        """The files of the grid of this name."""
        return cls(data_dir / GRIDS / (cut_name(quote(grid, safe=" ")) or "_"))

    @classmethod
    def of_run(cls, run_dir: Path, grid: str) -> GridPaths | None:
        """The files of the grid of this name that a run belongs to; None where no directory above it has them."""
        found = (cls.of_grid(place, grid) for place in run_dir.absolute().parents if (place / GRIDS).is_dir())
        return next((paths for paths in found if paths.root.is_dir()), None)

    @property
    def data_dir(self) -> Path:
        """The data directory that it is in."""
        return self.root.parent.parent

    @property
    def grid(self) -> Path:
        """What the grid is, and where its runs are; made from the runs' own files where it is missing."""
        return self.root / "grid.json"

    @property
    def snapshots(self) -> Path:
        """Copies of the user's sources, a directory each; see `SnapshotPaths`."""
        return self.root / "snapshot"

    def events(self, host: str, pid: int) -> Path:
        """What a launcher did, one line each."""
        return self.root / f"events-{host}-{pid}.jsonl"

    def beat(self, host: str, pid: int) -> Path:
        """Where a launcher counts while it lives."""
        return self.root / f"beat-{host}-{pid}"

    def seen(self, host: str) -> Path:
        """Which counters of other hosts a host has seen standing since when."""
        return self.root / f"seen-{host}.json"


@dataclass(frozen=True)
class SnapshotPaths:
    """Every file name of a snapshot.

    Attributes:
        root: its directory.
    """

    root: Path

    @property
    def sources(self) -> Path:
        """The tree of copies that runs import from."""
        return self.root / "sources"

    @property
    def manifest(self) -> Path:
        """What was copied."""
        return self.root / "manifest.json"

    @property
    def description(self) -> Path:
        """Commit, packages, machine, variables."""
        return self.root / "snapshot.json"

    @property
    def diff(self) -> Path:
        """What had changed since the commit."""
        return self.root / "git.diff"

    @property
    def thunk(self) -> Path:
        """The pickled functions that have no module to be imported from."""
        return self.root / "thunk.pkl"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` when the block ends well.

    A reader sees the old file or the new one, never half of it; after an exception the old one stands and nothing is
    left behind. The content is on the disk before the name is.

    Args:
        path: the file to make or replace; its directory is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.tmp")
    try:
        yield aside
        with open(aside, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, data: str | bytes, mode: int | None = None) -> None:
    """Writes a whole file at once, see `atomic_path`.

    Args:
        path: the file.
        data: its content; text is written as UTF-8 with line ends as given.
        mode: permission bits, set before the first byte is written; None: what the umask leaves.
    """
    content = data.encode() if isinstance(data, str) else data
    with atomic_path(path) as aside:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(aside, flags, 0o666 if mode is None else mode), "wb") as file:
            file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON, see `atomic_path`."""
    write_atomic(path, json.dumps(value, indent=4, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any | None:
    """The content of a JSON file, None where there is no file or where it does not hold JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def log_tail(log: Path, count: int) -> list[str]:
    """The last lines of a log that are not empty; none where there is no log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.rstrip() for line in lines if line.strip()][-count:]
