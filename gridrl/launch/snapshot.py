"""A copy of the user's sources for each launch, from which its runs import: an edit changes nothing that is queued.

`<grid>/snapshot/<hash>/` holds `sources/` (see `gridrl.launch.tree`), `manifest.json` (what was copied),
`snapshot.json` (commit, packages, machine), `git.diff`, and `thunk.pkl` where functions have no module to be imported
from. A launch that finds everything as it was uses the same one again. Nothing is ever deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from gridrl.launch.sources import Source, Sources, find_sources
from gridrl.launch.stored import Stored, write_stored
from gridrl.launch.surroundings import commits, surroundings
from gridrl.launch.tree import link_the_rest, write_tree
from gridrl.stand_ins import StandIns
from gridrl.utils.files import GridPaths, SnapshotPaths, read_json, write_atomic

_DIGITS = 12
_RECENT_NS = 2 * 10**9
"""A file that was changed so shortly before it was read may have been changed again without showing it."""

Hashes = dict[str, str]
"""The hash of each copied file, by its path."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What a snapshot is made of and for.

    Attributes:
        files: the user's files that the runs are known to need.
        codes: what tells the code of this launch from other code, where files do not.
        thunks: the functions that travel as code, by their identities.
        env_specs: how environments are registered that the launcher's script has registered itself, by their names.
    """

    files: Collection[Path] = ()
    codes: Sequence[str] = ()
    thunks: Mapping[str, Any] = field(default_factory=dict)
    env_specs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that has been made.

    Attributes:
        paths: its files.
        stand_ins: its copies, as runs use them.
        is_old: whether what it keeps of functions without a module stands in for the launcher's own.
        told: what the user should know of it.
    """

    paths: SnapshotPaths
    stand_ins: StandIns
    is_old: bool = False
    told: str = ""

    @property
    def name(self) -> str:
        """What `config.json` calls it."""
        return self.paths.root.name

    def thunk(self, identity: str, target: Any) -> Any:
        """What a run calls: the launcher's own function, or the one that was kept of an earlier launch."""
        if self.is_old and not isinstance(target, str) and self.paths.thunk.exists():
            return Stored(str(self.paths.thunk), "thunks", identity)
        return target

    def env_spec(self, name: str | None, spec: Any) -> Any:
        """How an environment is registered, likewise."""
        if self.is_old and spec is not None and name is not None and self.paths.thunk.exists():
            return Stored(str(self.paths.thunk), "env_specs", name)
        return spec


def take_snapshot(grid: GridPaths, subject: Subject) -> Snapshot:
    """Copies the user's sources, or finds that an earlier copy is the same.

    Raises:
        OSError: a file cannot be read, or the copy cannot be written.
    """
    sources = find_sources(subject.files)
    git, diff = commits(sources.work_trees)
    described = {**surroundings(), "git": git, "thunks": sorted(subject.thunks), "codes": sorted(set(subject.codes))}
    described |= {"bases": list(map(str, sources.bases))}
    hashes = _hashes(sources, newest_manifest(grid))
    paths = SnapshotPaths(grid.snapshots / _name(described, diff, hashes))
    if not paths.description.exists():
        contents = {source.path: (_read(source.path), source.mtime_ns) for source in sources.files}
        hashes = {path: _digest(content) for path, (content, _) in contents.items()}
        paths = SnapshotPaths(grid.snapshots / _name(described, diff, hashes))
        _make(paths, sources, contents, hashes, described, diff, subject)
    snapshot = open_snapshot(paths.root)
    link_the_rest(snapshot.stand_ins, hashes, os.path.realpath(grid.data_dir))
    _mend(snapshot.stand_ins, sources, hashes)
    if _as_manifest(sources, hashes) != read_manifest(paths):
        _write_manifest(paths, sources, hashes)
    return Snapshot(paths, snapshot.stand_ins, told=_told(sources))


def open_snapshot(root: Path) -> Snapshot:
    """A snapshot that was made before.

    Raises:
        OSError: it is not there, or damaged.
    """
    paths = SnapshotPaths(root)
    described = read_json(paths.description)
    bases = described.get("bases") if isinstance(described, dict) else None
    if not isinstance(bases, list) or not paths.sources.is_dir():
        raise FileNotFoundError(f"{root}: this snapshot is gone or damaged")
    return Snapshot(paths, StandIns(str(paths.sources.absolute()), tuple(map(str, bases))))


def read_manifest(paths: SnapshotPaths) -> dict[str, Any]:
    """Size, time of the last change (ns) and hash of each copied file, by its path; empty where nothing tells."""
    found = read_json(paths.manifest)
    files = found.get("files") if isinstance(found, dict) else None
    return files if isinstance(files, dict) else {}


def newest_manifest(grid: GridPaths) -> tuple[dict[str, Any], int]:
    """The manifest that was written last, and when (ns)."""
    try:
        found = {path: path.stat().st_mtime_ns for path in grid.snapshots.glob("[!.]*/manifest.json")}
    except OSError:
        found = {}
    if not found:
        return {}, 0
    newest = max(found, key=lambda path: found[path])
    return read_manifest(SnapshotPaths(newest.parent)), found[newest]


def _hashes(sources: Sources, known: tuple[dict[str, Any], int]) -> Hashes:
    """The hash of each file; one that stands as it stood when a manifest was written is not read again."""
    manifest, written_ns = known
    found = {}
    for source in sources.files:
        entry = manifest.get(source.path)
        if _is_same(entry, source) and source.mtime_ns < written_ns - _RECENT_NS:
            found[source.path] = str(entry[2])
        else:
            found[source.path] = _digest(_read(source.path))
    return found


def _is_same(entry: Any, source: Source) -> TypeGuard[list[Any]]:
    return isinstance(entry, list) and len(entry) == 3 and entry[:2] == [source.size, source.mtime_ns]


def file_digest(path: str) -> str:
    """What a manifest says of a file as it is now; empty where it cannot be read."""
    try:
        return _digest(_read(path))
    except OSError:
        return ""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _name(described: Mapping[str, Any], diff: bytes, hashes: Hashes) -> str:
    text = json.dumps([described, _digest(diff), sorted(hashes.items())])
    return _digest(text.encode())[:_DIGITS]


def _make(
    paths: SnapshotPaths,
    sources: Sources,
    contents: Mapping[str, tuple[bytes, int]],
    hashes: Hashes,
    described: Mapping[str, Any],
    diff: bytes,
    subject: Subject,
) -> None:
    """Makes a snapshot aside and renames it, so that nobody ever sees half of one."""
    aside = SnapshotPaths(paths.root.with_name(f".{paths.root.name}.{secrets.token_hex(4)}.tmp"))
    aside.sources.mkdir(parents=True)
    try:
        write_tree(StandIns(str(aside.sources.absolute()), tuple(map(str, sources.bases))), contents)
        if subject.thunks or subject.env_specs:
            write_stored(aside.thunk, {"thunks": dict(subject.thunks), "env_specs": dict(subject.env_specs)})
        if diff:
            write_atomic(aside.diff, diff, mode=0o600)  # what it shows may be for its owner alone
        _write_manifest(aside, sources, hashes)
        created = {"created": time.time(), **described}
        write_atomic(aside.description, json.dumps(created, indent=4) + "\n")
        os.rename(aside.root, paths.root)
    except BaseException as error:
        shutil.rmtree(aside.root, ignore_errors=True)
        if not (isinstance(error, OSError) and paths.description.exists()):  # else another launcher was faster
            raise


def _as_manifest(sources: Sources, hashes: Hashes) -> dict[str, list[int | str]]:
    return {one.path: [one.size, one.mtime_ns, hashes[one.path]] for one in sources.files}


def _write_manifest(paths: SnapshotPaths, sources: Sources, hashes: Hashes) -> None:
    write_atomic(paths.manifest, json.dumps({"files": _as_manifest(sources, hashes)}) + "\n")


def _mend(stand_ins: StandIns, sources: Sources, hashes: Hashes) -> None:
    """Writes copies again that are not as they should be: cut off by a loss of power, or removed by somebody."""
    for source in sources.files:
        copy = stand_ins.counterpart(source.path)
        if not os.path.isfile(copy) or os.path.getsize(copy) != source.size:
            content = _read(source.path)
            if _digest(content) == hashes[source.path]:
                write_atomic(Path(copy), content)


def _told(sources: Sources) -> str:
    """What is said where not everything was copied."""
    if not sources.left_out:
        return ""
    largest, total = sources.left_out[0], sum(source.size for source in sources.left_out)
    others = f" and {len(sources.left_out) - 1} more" if len(sources.left_out) > 1 else ""
    return (
        f"{largest.path}{others} ({total / 2**20:.0f} MB): too much for the copy of your sources, so runs import this "
        "as it is when they start."
    )
