"""How the runs below a directory stand: a table, counts, and an exit status for scripts."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridrl.commands.history import history
from gridrl.commands.parser import CommandParser
from gridrl.errors import BadValue
from gridrl.launch.overview import Line, counts_line, table_lines
from gridrl.log.claims import launchers_of
from gridrl.log.code_record import mixes_code
from gridrl.log.heartbeat import LOST_AFTER_S, Observer
from gridrl.log.standing import OVER, RunSeen, Standing
from gridrl.results.reader import find_run_dirs
from gridrl.utils.console import console, is_terminal, say
from gridrl.utils.texts import cut, one_line

if TYPE_CHECKING:
    from rich.text import Text

ALL_DONE, SOME_FAILED, NOT_OVER = 0, 1, 3
"""The exit statuses; 2 is something typed wrong."""

_SHARE = 20  # looking at a big grid takes at most a twentieth of a core
_URGENCY = {"running": 0, "queued": 2, "done": 3}  # of a screen that is too small; what went wrong stands between
_MOST_NAMED = 8  # variants
_FRAME = 6  # lines of a terminal that are no runs: header, counts, who is left out, the prompt


def main(words: Sequence[str]) -> int:
    """Prints the table, again and again with `--watch`, or with `--events` what has happened.

    Gives `ALL_DONE`, `SOME_FAILED` or `NOT_OVER`.
    """
    options = _parser().read(words)
    if options.every <= 0:
        raise BadValue(f"`--every`: wants a number of seconds above 0, got {options.every:g}.")
    runs = _Runs(options.dirs)
    standings = runs.look()
    if options.events:
        for line in history([standing.run_dir for standing in standings]):
            say(line)
    elif options.watch:
        standings = _watch(runs, standings, options.every)
    else:
        for text, color in [*_table(standings), *_counts(standings)]:
            say(text, color)
    return exit_status(standings)


def exit_status(standings: Iterable[Standing]) -> int:
    """What the state of some runs means to a script.

    0: all are done. 1: some went wrong (failed, killed, timeout, lost), whatever the others do. 3: none went wrong,
    but some run or wait.
    """
    states = {standing.state for standing in standings}
    if states & ({*OVER, "unknown"} - {"done", "preempted"}):
        return SOME_FAILED
    return ALL_DONE if states <= {"done"} else NOT_OVER


class _Runs:
    """The runs below some directories; new ones are seen too."""

    def __init__(self, dirs: Sequence[str], observer: Observer | None = None) -> None:
        self._dirs = dirs
        self._seen: dict[Path, RunSeen] = {}
        self._observer = observer or Observer(LOST_AFTER_S, keeps=True)

    def look(self) -> list[Standing]:
        """How they stand now."""
        found = find_run_dirs(self._dirs)
        self._seen = {run_dir: self._seen.get(run_dir) or RunSeen(run_dir, self._observer) for run_dir in found}
        standings = [run.look() for run in self._seen.values()]
        self._observer.keep()
        return standings


def _table(standings: Sequence[Standing]) -> list[Line]:
    return table_lines(standings, _width())


def _width() -> int | None:
    """The terminal's; None where the lines may be as long as they are, for programs that read them."""
    return shutil.get_terminal_size().columns if is_terminal() or "COLUMNS" in os.environ else None


def _counts(standings: Sequence[Standing]) -> list[Line]:
    """How many runs are in each state, and who works on them."""
    lines: list[Line] = [(f"{counts_line(standing.state for standing in standings)}.", None)]
    unfinished = [standing.run_dir for standing in standings if standing.state in ("running", "queued")]
    launchers = launchers_of(unfinished)
    lines += [(f"Launcher: {launcher}.", None) for launcher in launchers]
    mixed = _mixing_code(standings)
    if mixed:
        told = f"{', '.join(mixed[:_MOST_NAMED])}{', ...' if len(mixed) > _MOST_NAMED else ''}"
        lines.append((f"Mixes code (its seeds were made by different code): {told}.", "yellow"))
    if unfinished and all(launcher.is_gone for launcher in launchers):
        lines.append(("No launcher is left: the command that started the grid goes on with it.", "yellow"))
    return lines


def _mixing_code(standings: Sequence[Standing]) -> list[str]:
    """The names of the variants whose runs, those that have begun, were made by more than one code."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for standing in standings:
        if standing.state != "queued" and standing.config:
            by_name.setdefault(standing.name, []).append(standing.config)
    return [one_line(name) for name, configs in by_name.items() if mixes_code(configs)]


def _watch(runs: _Runs, standings: list[Standing], every_s: float) -> list[Standing]:
    """Shows the table again and again, until nothing will change any more."""
    if not is_terminal():
        return _watch_in_lines(runs, standings, every_s)
    from rich.live import Live

    with Live(_screen(standings), console=console(), auto_refresh=False) as live:
        while _goes_on(standings):
            standings = _next_look(runs, every_s)
            live.update(_screen(standings), refresh=True)
        standings = runs.look()  # what was written before the launcher went
        live.update(_joined([*_table(standings), *_counts(standings)]), refresh=True)
    return standings


def _watch_in_lines(runs: _Runs, standings: list[Standing], every_s: float) -> list[Standing]:
    told = _tell_counts(standings, "")
    while _goes_on(standings):
        standings = _next_look(runs, every_s)
        told = _tell_counts(standings, told)
    standings = runs.look()  # what was written before the launcher went
    _tell_counts(standings, told)
    return standings


def _tell_counts(standings: Sequence[Standing], told: str) -> str:
    """Says how many runs are in each state, unless that has been told; gives what is told now."""
    counts = counts_line(standing.state for standing in standings)
    if counts != told:
        say(f"{time.strftime('%H:%M:%S')} {counts}")
    return counts


def _next_look(runs: _Runs, every_s: float) -> list[Standing]:
    began = time.perf_counter()
    standings = runs.look()
    took_s = time.perf_counter() - began
    time.sleep(max(every_s, _SHARE * took_s))
    return standings


def _goes_on(standings: Sequence[Standing]) -> bool:
    """Whether anything can still change: a run runs, or waits for a launcher that may live."""
    if any(standing.state == "running" for standing in standings):
        return True
    waiting = [standing.run_dir for standing in standings if standing.state == "queued"]
    return any(not launcher.is_gone for launcher in launchers_of(waiting))


def _screen(standings: Sequence[Standing]) -> Text:
    """As much as a screen holds: what goes wrong and what runs before what waits or is done."""
    size = shutil.get_terminal_size()
    room = max(1, size.lines - _FRAME)
    first = sorted(standings, key=lambda standing: _URGENCY.get(standing.state, 1))
    shown = standings if len(standings) <= room else first[:room]
    left_out = len(standings) - len(shown)
    lines = table_lines(shown, size.columns, with_errors=len(standings) * 2 <= room)
    if left_out:
        lines.append((f"... and {left_out} more", None))
    return _joined([*lines, *((cut(text, size.columns), color) for text, color in _counts(standings))])


def _joined(lines: Iterable[Line]) -> Text:
    from rich.text import Text

    return Text("\n", no_wrap=True).join(Text(text, style=color or "") for text, color in lines)


def _parser() -> CommandParser:
    parser = CommandParser(
        "status",
        "DIR ... [options]",
        "Shows how the runs below a directory stand, on this machine or another one: it reads their files alone. "
        "Exit status: 0 all runs done, 1 some failed, were killed or are lost, 2 typed wrong, 3 some run or wait and "
        "none has failed.",
        ["data", "data/ppo --watch", "data/ppo/ppo_s0 --events"],
    )
    add = parser.add_argument
    add(
        "dirs",
        nargs="+",
        metavar="DIR",
        help="run directories, directories that hold runs, or how their names begin",
    )
    add("-w", "--watch", action="store_true", help="go on showing it until all runs are over; Ctrl-C ends only this")
    add("--events", action="store_true", help="what launchers did with these runs, and when, in the place of the table")
    add("--every", type=float, default=2.0, metavar="SECONDS", help="between two looks; default: %(default)s")
    return parser
