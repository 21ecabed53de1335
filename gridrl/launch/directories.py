"""Which directory belongs to which run, told by the `config.json` files below the data directory."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue, Problems
from gridrl.launch.arguments import LOGGER_KWARGS
from gridrl.launch.claiming import is_claimed
from gridrl.launch.known import KnownRun, KnownRuns
from gridrl.launch.spec import RunSpec, differences
from gridrl.launch.variants import SEED
from gridrl.log.claims import CLAIM_NAME
from gridrl.log.places import check_name, setup_logger_kwargs
from gridrl.log.record import derived_state, read_status
from gridrl.utils.names import short_hash

_HASH_DIGITS = (4, 8, 16)


@dataclass(frozen=True, eq=False)
class Place:
    """Where a run goes.

    Attributes:
        run_dir: its directory.
        name: its name there, which has a hash at its end where another variant has taken the plain one.
        known: what stands there of an earlier start of the run, None where nothing does.
        state: its state as of now, "new" where nothing stands there.
    """

    run_dir: Path
    name: str
    known: KnownRun | None = None
    state: str = "new"


class Directories:
    """Finds the directory of each run: the one that it has already, else a new one that nobody else has.

    Args:
        data_dir: where runs are looked for, and new ones go.
        datestamp: whether new directories bear date and time.
        dry_run: whether runs are only looked at, so that those which are running do no harm.
        left: the grid whose runs are about to be moved away: their directories are free. None: of no grid.
        wanted: grid and id of each run that is to be placed. Where the grid's index knows them all, and each of them is
            done, no other run is looked at.

    Attributes:
        left: the directories of these runs.
        notes: what the user should know.
        seen: what was read of runs.
    """

    def __init__(
        self,
        data_dir: Path,
        datestamp: bool,
        *,
        dry_run: bool = False,
        left: str | None = None,
        wanted: Collection[tuple[str, str]] = (),
    ) -> None:
        self._data_dir = data_dir
        self._datestamp = datestamp
        self._dry_run = dry_run
        self._known: dict[tuple[Any, Any], KnownRun] = {}
        self._owners: dict[Path, dict[tuple[Any, Any], Mapping[str, Any]]] = {}
        self._names: dict[tuple[Any, Any], str] = {}
        self._taken: set[Path] = set()
        self._searched: set[Path] = set()
        self._left_grid = left
        self.left: list[Path] = []
        self.notes: list[str] = []
        self.seen = KnownRuns(data_dir)
        self._finished = self.seen.finished(wanted) if left is None else {}
        if not self._finished:
            self._search(data_dir)

    def _search(self, directory: Path) -> None:
        """Takes up the runs of a directory, two levels deep."""
        if directory in self._searched:
            return
        self._searched.add(directory)
        for run in self.seen.below(directory):
            if not self._is_left(run):
                self._take_up(run)

    def _take_up(self, run: KnownRun) -> None:
        other = self._known.get(run.key)
        if other is None or _rank(run) > _rank(other):  # of copies the one that is done
            self._known[run.key] = run
        self._owners.setdefault(run.run_dir.parent, {}).setdefault(run.owner, run.config)
        self._names.setdefault(run.owner, run.name)

    def _is_left(self, run: KnownRun) -> bool:
        """Whether a run is about to be moved away; it is noted."""
        is_left = self._left_grid is not None and run.config.get("grid") == self._left_grid
        if is_left and run.run_dir not in self.left:
            self.left.append(run.run_dir)
        return is_left

    def _search_outer(self, name: str) -> None:
        """Takes up the runs in the directories that the slashes of a name make, dated or not."""
        first, *deeper = name.split("/")
        if deeper:
            for outer in (glob.escape(first), f"????-??-??_{glob.escape(first)}"):
                for directory in sorted(self._data_dir.glob(outer)):
                    self._search(directory.joinpath(*deeper[:-1]))

    def place(self, spec: RunSpec, config: Mapping[str, Any], problems: Problems) -> Place:
        """The directory of a run.

        Args:
            spec: the run.
            config: its `config.json` as it will be written, without the name.
            problems: takes what speaks against starting it there.

        Raises:
            BadValue: its name makes no directory below the data directory.
        """
        check_name(spec.name)
        if not self._finished:
            self._search_outer(spec.name)
        place = self._own_wish(spec) or self._where_it_was(spec) or self._new(spec, config)
        for fault in self._faults(place):
            problems.add(fault)
        self._taken.add(place.run_dir)
        return place

    def _own_wish(self, spec: RunSpec) -> Place | None:
        """The directory that the variant names itself, in `logger_kwargs:output_dir`."""
        wish = spec.arguments.logger_kwargs.get("output_dir")
        if wish is None:
            return None
        run_dir = Path(wish).expanduser().absolute()
        known = self.seen.read(run_dir)
        is_own = known is not None and known.key == _key(spec) and not self._is_left(known)
        return _placed(run_dir, spec.name, known if is_own else None)

    def _where_it_was(self, spec: RunSpec) -> Place | None:
        known = self._finished.get(_key(spec)) or self._known.get(_key(spec))
        return None if known is None else _placed(known.run_dir, known.name, known)

    def _new(self, spec: RunSpec, config: Mapping[str, Any]) -> Place:
        """A directory of its own, beside those of its variant's other seeds, away from other variants."""
        digest = repr(_owner(spec))
        candidates = [spec.name, *(f"{spec.name}-{short_hash(digest, digits)}" for digits in _HASH_DIGITS)]
        if _owner(spec) in self._names:
            candidates.insert(0, self._names[_owner(spec)])  # a variant keeps its name
        folders = {name: self._plain(name, spec.seed).parent for name in candidates}
        name = next((name for name in candidates if not self._others(folders[name], spec)), candidates[-1])
        if self._came_late(self._plain(name, spec.seed)):
            return self._where_it_was(spec) or self._new(spec, config)
        if others := self._others(folders[spec.name], spec):
            self._note(folders[spec.name], folders[name], _changes(others[0], config, spec))
        self._owners.setdefault(folders[name], {}).setdefault(_owner(spec), config)
        self._names.setdefault(_owner(spec), name)
        return Place(self._plain(name, spec.seed), name)

    def _came_late(self, run_dir: Path) -> bool:
        """Whether another launcher has made a directory since the search; its run is taken up."""
        known = self.seen.read(run_dir, again=True)
        if known is None or known.key in self._known or self._is_left(known):
            return False
        self._take_up(known)
        return True

    def _plain(self, name: str, seed: int) -> Path:
        where = setup_logger_kwargs(name, seed, self._data_dir, self._datestamp)["output_dir"]
        return Path(where).absolute()

    def _others(self, folder: Path, spec: RunSpec) -> list[Mapping[str, Any]]:
        """The configurations of other variants' runs in a directory, unless this variant has runs there too."""
        owners = self._owners.get(folder, {})
        return [] if _owner(spec) in owners else list(owners.values())

    def _note(self, folder: Path, new: Path, changed: Sequence[str]) -> None:
        told = "; ".join(changed) or "values that read the same"
        note = f"{folder} belongs to other runs ({told}): these go to {new}."
        if note not in self.notes:
            self.notes.append(note)

    def _faults(self, place: Place) -> Iterator[str]:
        if place.run_dir in self._taken:
            yield f"{place.run_dir}: two runs would write there. Leave `{LOGGER_KWARGS}:output_dir` to the launcher."
        elif self._is_taken(place) and (strangers := _strangers(place.run_dir, self._data_dir)):
            yield (
                f"{place.run_dir} {strangers}. Nothing is written over: move it away, or choose another name or "
                "data_dir."
            )
        elif place.state == "running" and not self._dry_run and not is_claimed(place.run_dir):
            yield still_running(place.run_dir)

    def _is_taken(self, place: Place) -> bool:
        return place.known is None and place.run_dir not in self.left


def still_running(run_dir: Path) -> str:
    """What is told of a run that is running, though no launcher that has it could be told."""
    status = read_status(run_dir)
    where = f" (process {status.pid} on {status.host})" if status is not None else ""
    return f"{run_dir}: this run is still running{where}. Wait for it, or end it first."


def _rank(run: KnownRun) -> int:
    """Which of several copies of a run counts: the one that goes on, else one that is done."""
    return {"running": 3, "done": 2, "unknown": 0}.get(derived_state(run.run_dir), 1)


def _placed(run_dir: Path, name: str, known: KnownRun | None) -> Place:
    if known is None:
        return Place(run_dir, name)
    state = derived_state(run_dir)
    return Place(run_dir, name, known, "new" if state == "unknown" else state)


def _key(spec: RunSpec) -> tuple[str, str]:
    return spec.grid, spec.run_id


def _owner(spec: RunSpec) -> tuple[str, str]:
    return spec.grid, spec.variant_id


def _changes(old: Mapping[str, Any], new: Mapping[str, Any], spec: RunSpec) -> list[str]:
    """What tells a variant apart from another one, key by key."""
    defaults = {p.name: p.default_text for p in spec.thunk.signature.params if p.default_text is not None}
    return list(differences(_told_apart(old), _told_apart(new), defaults))


def _told_apart(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration what tells two variants apart: hyperparameters without seed and growing keys, thunk, ranks."""
    variant = config.get("variant")
    left_out = {SEED, LOGGER_KWARGS, *(config.get("grows") or ())}
    kept = {key: value for key, value in variant.items() if key not in left_out} if isinstance(variant, dict) else {}
    return {**kept, **{key: config.get(key) for key in ("grid", "thunk", "num_cpu")}}


def _strangers(run_dir: Path, data_dir: Path) -> str:
    """What speaks against a directory for a new run; empty where it is missing or holds nothing."""
    try:
        with os.scandir(run_dir) as entries:
            names = sorted(entry.name for entry in entries if not _is_remainder(entry.name))
    except FileNotFoundError:
        return ""
    except NotADirectoryError:
        blocking = next(path for path in (run_dir, *run_dir.parents) if path.exists())
        if blocking in (data_dir, *data_dir.parents):
            return ""  # told for all runs at once, see `check_data_dir`
        return "is no directory" if blocking == run_dir else f"cannot be made: {blocking} is no directory"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    shown = ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
    if not names:
        return ""
    return f"holds files that are not this run's ({shown})"


def _is_remainder(name: str) -> bool:
    """Whether something is left of a write that was cut off, or of a launcher that came no further than a claim."""
    return (name.startswith(".") and name.endswith(".tmp")) or CLAIM_NAME.fullmatch(name) is not None


def check_data_dir(data_dir: Path) -> None:
    """Makes sure that runs can be written to a data directory, which is made.

    Raises:
        BadValue: they cannot.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OSError as error:
        raise BadValue(
            f"The data directory {str(data_dir)!r} cannot be written: {error.strerror or error}. "
            "Give another data_dir, or set DEFAULT_DATA_DIR in user_config.py."
        ) from error
