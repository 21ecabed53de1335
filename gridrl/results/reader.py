"""Finds run directories, of gridrl and of other programs; one that cannot be read stops nothing, and is told."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from gridrl.errors import BadValue
from gridrl.log.record import derived_state
from gridrl.results.choosing import Choice, Where
from gridrl.results.columns import mixed_scores
from gridrl.results.identity import Grouping, identify
from gridrl.results.places import Place, Skipped, matching_dirs, natural, walk
from gridrl.results.run import Run
from gridrl.results.sources import Source, source_in
from gridrl.utils.files import RunPaths, read_json
from gridrl.utils.optional import is_installed

if TYPE_CHECKING:
    import pandas

_MAX_PLACES = 2000  # directories that are looked at for a hint
_MAX_TOLD = 8  # runs that are named in one line
_NO_TENSORBOARD = "TensorBoard event files are left out: pip install 'gridrl[tensorboard]' to read them"


@dataclass
class RunSet:
    """Runs, and what was found beside them.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as data:
    ...     _ = Path(data, "progress.txt").write_text("TotalEnvInteracts\\tAverageEpRet\\n1000\\t20.5\\n2000\\t31\\n")
    ...     for run in find_runs([data]):
    ...         print(run["TotalEnvInteracts"], run["Performance"], run.score_column())
    [1000. 2000.] [20.5 31. ] AverageEpRet

    Attributes:
        logdirs: the directories that were searched, in order.
        runs: the runs in them, each once.
        waiting: runs that were launched and have no file of rows.
        skipped: what was left out, with reasons.
        notes: what else is worth a word.
        not_chosen: how many runs were not wanted.
    """

    logdirs: list[Path]
    runs: list[Run] = field(default_factory=list)
    waiting: list[Run] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_chosen: int = 0

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    @overload
    def __getitem__(self, place: int) -> Run: ...
    @overload
    def __getitem__(self, place: slice) -> list[Run]: ...
    def __getitem__(self, place: int | slice) -> Run | list[Run]:
        """The run, or the runs, at a place."""
        return self.runs[place]

    def with_rows(self, names: Iterable[str] = ()) -> list[Run]:
        """Reads the runs; those without a row, or that cannot be read, move to `skipped`.

        Args:
            names: columns, or names that stand for columns, to read at once.
        """
        asked, runs = list(names), []
        for run in self.runs:
            reason = _why_unreadable(run, asked)
            if reason:
                self.skipped.append(Skipped(run.path, reason))
            else:
                runs.append(run)
        self.runs = runs
        return runs

    def told(self) -> list[str]:
        """Everything that a reader of a figure, a table or a page should know, a line for each."""
        lines = [*self.notes]
        lines += [f"left out {skipped}" for skipped in dict.fromkeys(self.skipped)]
        states = {id(run): run.state for run in self.runs}
        for run in self.runs:
            if states[id(run)] != "running":  # its file may grow at any moment
                lines += [f"{run.path}: {note}" for note in run.notes]
        unfinished = [f"{run.dir.name} ({states[id(run)]})" for run in self.runs if states[id(run)] not in ("", "done")]
        if unfinished:
            more = ", ..." if len(unfinished) > _MAX_TOLD else ""
            lines.append(f"not finished: {', '.join(unfinished[:_MAX_TOLD])}{more}")
        return lines

    def mixed_scores(self, name: str) -> str:
        """What has to be told where the columns that a name stands for share an axis, see `results.columns`."""
        return mixed_scores(column for run in self.runs if (column := run.find(name)) is not None)

    def to_frame(self, names: Sequence[str] | None = None) -> pandas.DataFrame:
        """All rows of all runs as a pandas frame, see `gridrl.results.frame.to_frame`.

        Raises:
            BadValue: pandas is not installed.
        """
        from gridrl.results.frame import to_frame

        return to_frame(self, names)


def _why_unreadable(run: Run, asked: Sequence[str]) -> str:
    try:
        run.columns([column for name in asked if (column := run.find(name)) is not None])
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, BadValue) as error:
        return str(error)
    return ""


def find_runs(
    dirs: Iterable[str | Path] | str | Path,
    *,
    group: str | None = None,
    where: Where = (),
    states: str | Sequence[str] | None = None,
    name: str | None = None,
) -> RunSet:
    """Finds the runs in directories; their rows are read later, when they are asked for.

    Args:
        dirs: run directories, directories that hold runs at any depth, or the beginning of the names of such:
            `data/ppo` means `data/ppo` if there is one, else everything whose name starts with it.
        group: a regular expression that finds what a run is grouped by in its path; see
            `gridrl.results.identity.Grouping`.
        where: hyperparameters that a run must have: `{"ac_kwargs:hidden_sizes": [64, 64]}`, or pairs of a key and a
            value; of several values for one key it must have one.
        states: a state, or several, one of which a run must be in.
        name: what a run's name, or that of its directory, must look like; `*` stands for any letters.

    Returns:
        The runs in the order of `dirs`, then of their names, `s2` before `s10`. Links are followed, in circles once.

    Raises:
        BadValue: there is no such directory, state, or hyperparameter; a near match is told. All are told at once.
    """
    choice, grouping = Choice(where, states, name), Grouping(group) if group else None
    found = RunSet(_logdirs([dirs] if isinstance(dirs, (str, Path)) else dirs))
    visited: set[tuple[int, int]] = set()
    run_dirs: set[Path] = set()
    parts: list[Path] = []
    for logdir in found.logdirs:
        for place in walk(logdir, visited, found.skipped):
            source = source_in(place.path, place.files)
            if source is not None and source.kind != "progress" and not run_dirs.isdisjoint(place.above):
                parts.append(place.path)  # of the run above: its test episodes, its event files
            elif source is not None or RunPaths(place.path).status.name in place.files:
                run_dirs.add(place.path)
                _add(_run_at(place, source, logdir, grouping, found.notes), choice, found)
    choice.check()
    _tell_unmatched(found, grouping)
    _tell_parts(found, [part for part in parts if part.name != RunPaths(part).tensorboard.name])
    return found


def _logdirs(dirs: Iterable[str | Path]) -> list[Path]:
    faults: list[str] = []
    logdirs: list[Path] = []
    for directory in dirs:
        try:
            logdirs += [path for path in matching_dirs(directory) if path not in logdirs]
        except BadValue as error:
            faults.append(str(error))
    if faults:
        raise BadValue("\n".join(faults))
    return logdirs


def _run_at(place: Place, source: Source | None, logdir: Path, grouping: Grouping | None, notes: list[str]) -> Run:
    config = _config(RunPaths(place.path), place, source, notes)
    identity = identify(config, place.path)
    if grouping is not None:
        identity = grouping.identify(identity, place.path.as_posix())
    return Run(place.path, logdir, identity, source, config)


def _config(paths: RunPaths, place: Place, source: Source | None, notes: list[str]) -> dict[str, Any]:
    if paths.config.name in place.files:
        config = read_json(paths.config)
        if isinstance(config, dict):
            return config
        notes.append(f"{paths.config} cannot be read; the name of its directory is taken")
    elif source is not None and source.kind == "events" and is_installed("tensorboard"):
        from gridrl.results.events import read_hyperparameters

        with contextlib.suppress(OSError, BadValue):  # told when its rows are read
            return read_hyperparameters(source.files)
    return {}


def _add(run: Run, choice: Choice, found: RunSet) -> None:
    """Puts a run where it belongs."""
    if not choice.takes(run):
        found.not_chosen += 1
    elif run.source is None:
        found.waiting.append(run)
        found.skipped.append(Skipped(run.dir, f"no row yet ({derived_state(run.dir)})"))
    elif run.source.kind == "events" and not is_installed("tensorboard"):
        if _NO_TENSORBOARD not in found.notes:
            found.notes.append(_NO_TENSORBOARD)
    else:
        found.runs.append(run)


def _tell_unmatched(found: RunSet, grouping: Grouping | None) -> None:
    unmatched = sum(not run.identity.is_grouped for run in found.runs) if grouping else 0
    if unmatched:
        what = "1 run does" if unmatched == 1 else f"{unmatched} runs do"
        found.notes.append(f"{what} not match `--group`: grouped by name")


def _tell_parts(found: RunSet, parts: Sequence[Path]) -> None:
    if parts:
        what = "1 directory" if len(parts) == 1 else f"{len(parts)} directories"
        found.notes.append(f"{what} below other runs, without a progress file, counted as parts of these: {parts[0]}")


def find_run_dirs(dirs: Iterable[str | Path]) -> list[Path]:
    """The directories of all runs that were launched or have rows, those that have not begun too.

    Args:
        dirs: as `find_runs` takes them.

    Raises:
        BadValue: there is no such directory, or no run below it; a near match is told.
    """
    found = find_runs(dirs)
    run_dirs = [run.dir for run in [*found.runs, *found.waiting]]
    if not run_dirs:
        where = ", ".join(map(str, found.logdirs))
        near = [str(run_dir) for logdir in found.logdirs for run_dir in runs_near(logdir.absolute().parent)][:8]
        told = "".join([" Runs near it:", *(f"\n  {run_dir}" for run_dir in near)]) if near else ""
        raise BadValue(f"{where}: there is no run.{told}")
    return sorted(run_dirs, key=lambda run_dir: natural(str(run_dir)))


def runs_near(directory: Path, limit: int = 8) -> list[Path]:
    """Some run directories below `directory`, or else below the nearest directory above it that is there.

    Args:
        directory: where a run was looked for.
        limit: as many as that at most; a big tree is searched in part.
    """
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    places = itertools.islice(walk(directory, set(), []), _MAX_PLACES)
    return list(itertools.islice((place.path for place in places if source_in(place.path, place.files)), limit))
