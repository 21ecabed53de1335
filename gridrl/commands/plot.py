"""Draws learning curves to files or into a window."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gridrl.commands.choosing import add_choice, chosen_runs
from gridrl.commands.display import has_display
from gridrl.commands.parser import CommandParser, whole_number
from gridrl.errors import BadValue
from gridrl.utils.console import say

_NO_WINDOWS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")
"""matplotlib's backends that only write files."""


def main(words: Sequence[str]) -> int:
    """Draws what was asked for; what was left out is said on standard error."""
    options = _parser().read(words)
    if not options.save and not can_show():
        raise BadValue("There is no display to open a window on. Give a file: `--save curves.png`.")
    from gridrl.results.figure import plot

    found = chosen_runs(options)
    plot(found, **{name: value for name, value in vars(options).items() if not name.startswith("_")})
    for file in options.save or ():
        say(f"Wrote {file}")
    if not options.save:
        from matplotlib import pyplot

        pyplot.show()
    return 0


def can_show() -> bool:
    """Whether matplotlib can open a window."""
    return has_display() and os.environ.get("MPLBACKEND", "").lower() not in _NO_WINDOWS


def _parser() -> CommandParser:
    parser = CommandParser(
        "plot",
        "DIR ... [options]",
        "Draws learning curves: one for each variant, the mean over its seeds with their standard deviation.",
        [
            "data/ppo --save curves.png",
            "data/ppo -y AverageEpRet EpLen -s 5",
            "data/a data/b -l 'small net' 'large net' --save a.pdf a.png",
            "data --where gamma=0.99 hid=[64,64] --state done --save curves.png",
        ],
    )
    add = parser.add_argument
    add_choice(parser)
    add("-l", "--legend", nargs="+", metavar="TEXT", help="a label for each DIR, or for each curve")
    add("-x", "--xaxis", default="TotalEnvInteracts", metavar="COLUMN", help="default: %(default)s")
    performance = "default: Performance, the return of test episodes, else of training episodes"
    add("-y", "--value", nargs="+", default=["Performance"], metavar="COLUMN", help=performance)
    add("--count", action="store_true", help="a curve for each run")
    add("-s", "--smooth", type=whole_number, default=1, metavar="N", help="moving mean over N rows")
    add("--select", nargs="+", metavar="TEXT", help="only runs whose path holds all of these")
    add("--exclude", nargs="+", metavar="TEXT", help="no runs whose path holds one of these")
    add("--est", default="mean", metavar="NAME", help="over the seeds: mean, median, max, min, std, var, sum")
    add("--save", nargs="+", metavar="FILE", help="write .png, .svg or .pdf; needs no display")
    return parser
