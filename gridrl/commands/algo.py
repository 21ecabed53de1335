"""Runs an algorithm, or any function, over the grid that was typed."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridrl.algos.presets import preset
from gridrl.commands.display import has_display
from gridrl.commands.known import KnownOptions
from gridrl.commands.options import LIMITS
from gridrl.commands.request import Key, Request, read_request
from gridrl.errors import BadValue
from gridrl.signature import read_signature
from gridrl.utils.console import say
from gridrl.utils.files import RunPaths

if TYPE_CHECKING:
    from gridrl.launch.result import GridResult

_TRY_AGAIN = 75
"""The exit status where nothing failed, but runs were asked to make room: EX_TEMPFAIL."""

MAX_LISTED = 6
"""As many directories at most stand in a suggested command."""


def main(name: str, target: str, words: Sequence[str]) -> int:
    """Reads the command line, runs the grid, and says how to go on.

    Args:
        name: what the user typed: `ppo`, `my_module:train`, `file.py:train`.
        target: the `"module:function"` that it stands for.
        words: the command line behind the name.

    Returns:
        The exit status: 0 if every run is done, 75 if nothing failed but runs were preempted, else 1.

    Raises:
        GridRLError: something is typed wrong, and nothing was started.
    """
    known = KnownOptions(name, read_signature(target))
    if {"--help", "-h"} & set(words) or list(words[:1]) == ["help"]:
        from gridrl.commands.algo_help import print_help

        print_help(name, known, target)
        return 0
    request = with_preset(read_request(words, known), target)
    return run_grid(name, target, request, words)


def with_preset(request: Request, target: str) -> Request:
    """The request with a preset's values for the keys that were not given.

    Raises:
        BadValue: the algorithm has no preset of that name, or none at all.
    """
    name = request.launch.get("preset")
    if name is None:
        return request
    given = [key.name for key in request.keys]
    added = [Key(key, (value,)) for key, value in preset(target, name).items() if not _is_given(key, given)]
    return Request((*request.keys, *added), request.launch)


def _is_given(key: str, given: Sequence[str]) -> bool:
    """Whether `key` was given, or a part of it, or a dict that holds it."""
    return any(key == one or key.startswith(f"{one}:") or one.startswith(f"{key}:") for one in given)


def run_grid(name: str, target: str, request: Request, words: Sequence[str]) -> int:
    """Runs a request and says how to go on; gives the exit status.

    Args:
        name: the first word of the command line.
        target: what the runs call.
        request: what was asked for.
        words: the command line behind the name.
    """
    from gridrl.launch.grid import ExperimentGrid
    from gridrl.launch.order import data_directory

    launch = request.launch
    grid_name = launch.get("exp_name", name.rpartition(":")[2])
    if launch.get("detach", False) and not launch.get("dry_run", False):
        from gridrl.commands.detach import detach, is_detached, report_start

        if not is_detached():
            return detach([name, *words], grid_name, data_directory(launch.get("data_dir")))
        report_start()
    grid = ExperimentGrid(name=grid_name)
    # no option at all is one run of the defaults, though a grid without a key is a mistake in a script
    for key in request.keys or (Key("seed", (0,)),):
        grid.add(key.name, list(key.values), key.shorthand)
    result = grid.run(
        target,
        num_cpu=launch.get("num_cpu", 1),
        data_dir=launch.get("data_dir"),
        datestamp=launch.get("datestamp", False),
        jobs=launch.get("jobs"),
        log=launch.get("log", ()),
        dry_run=launch.get("dry_run", False),
        preset=launch.get("preset"),
        only_failed=launch.get("only_failed", False),
        force=launch.get("force", False),
        fresh=launch.get("fresh", False),
        accept_code=launch.get("accept_code", False),
        **{name: launch[name] for name in LIMITS if name in launch},
        isolation=launch.get("isolation", "auto"),
        live_code=launch.get("live_code", False),
        code=launch.get("code"),
        command=shlex.join(["python", "-m", "gridrl.run", name, *words]),
    )
    if launch.get("dry_run", False):
        return 0
    for line in next_commands(result):
        say(line)
    if result.ok:
        return 0
    only_preempted = not result.failed and any(run.state == "preempted" for run in result)
    return _TRY_AGAIN if only_preempted else 1


def next_commands(result: GridResult) -> list[str]:
    """The commands that show what came of a grid, quoted for the shell; none where no run is done."""
    done = [run.run_dir for run in result if run.state == "done"]
    drawn = [run_dir for run_dir in done if RunPaths(run_dir).progress.exists()]
    trained = [run_dir for run_dir in done if RunPaths(run_dir).model.is_dir()]
    lines = []
    if drawn:
        where = " ".join(map(shlex.quote, plot_paths(drawn)))
        lines.append(f"  python -m gridrl.run plot {where}{'' if has_display() else ' --save curves.png'}")
    if trained:
        lines.append(f"  python -m gridrl.run test_policy {shlex.quote(_shown(trained[0]))}")
    return ["", "See what came of it:", *lines] if lines else []


def plot_paths(run_dirs: Sequence[Path]) -> list[str]:
    """What to give to `plot` for these runs.

    One beginning of a name where nothing else starts with it; else the directories, or their parent where these are
    many.
    """
    from gridrl.results.places import matching_dirs

    parents = list(dict.fromkeys(run_dir.parent for run_dir in run_dirs))
    if len(parents) == 1:
        return [_shown(parents[0])]
    for prefix in _beginnings(Path(_common_beginning(list(map(str, parents))))):
        with contextlib.suppress(BadValue):
            if set(matching_dirs(str(prefix))) == set(parents):
                return [_shown(prefix)]
    if len(parents) > MAX_LISTED:
        return [_shown(Path(os.path.commonpath(parents)))]
    return [_shown(parent) for parent in parents]


def _beginnings(path: Path) -> Iterator[Path]:
    """A path whose name is cut at each underscore, the shortest first, and the whole."""
    parts = path.name.rstrip("_-").split("_")
    for count in range(1, len(parts) + 1):
        if name := "_".join(parts[:count]):
            yield path.with_name(name)


def _common_beginning(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)
    same = itertools.takewhile(lambda letters: letters[0] == letters[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same)


def _shown(path: Path) -> str:
    """The path from here where that is shorter."""
    with contextlib.suppress(ValueError):
        relative = path.relative_to(Path.cwd())
        return str(relative) if relative.parts else str(path)
    return str(path)
