"""Ends the runs below a directory, with their launcher."""

from __future__ import annotations

from collections.abc import Sequence

from gridrl.commands.parser import CommandParser
from gridrl.errors import BadValue
from gridrl.launch.result import count_of
from gridrl.launch.stopping import stop
from gridrl.results.reader import find_run_dirs
from gridrl.utils.console import say, warn_line
from gridrl.utils.texts import one_line


def main(words: Sequence[str]) -> int:
    """Ends them and says what was ended; gives 1 where something could not be ended."""
    options = _parser().read(words)
    if options.grace < 0:
        raise BadValue(f"`--grace`: wants 0 seconds or more, got {options.grace:g}.")
    run_dirs = find_run_dirs(options.dirs)
    stopped = stop(run_dirs, options.grace, lambda text: say(one_line(text)))
    for ended in stopped.ended:
        say(f"Ended: {one_line(ended)}.")
    for left in stopped.left:
        warn_line(f"{one_line(left)}.")
    if not stopped.ended and not stopped.left:
        say("Nothing was running.")
    if stopped.waiting:
        say(f"{count_of(stopped.waiting, 'run')} had not been started: the same command as before goes on with them.")
    return 1 if stopped.left else 0


def _parser() -> CommandParser:
    parser = CommandParser(
        "stop",
        "DIR ... [options]",
        "Ends what runs below a directory on this machine: the launcher, as a Ctrl-C does, or where none lives the "
        "processes of the runs. Of a launcher that has runs elsewhere too, only those below the directory are ended.",
        ["data/ppo", "data --grace 60"],
    )
    add = parser.add_argument
    add(
        "dirs",
        nargs="+",
        metavar="DIR",
        help="run directories, directories that hold runs, or how their names begin",
    )
    grace = "what runs get to end by themselves before they are killed; default: %(default)s"
    add("--grace", type=float, default=10.0, metavar="SECONDS", help=grace)
    return parser
