"""Draws results to files or into a window."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from gridrl.commands.choosing import add_choice, chosen_runs
from gridrl.commands.display import has_display
from gridrl.commands.options import SHORTCUTS
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
    plot(found, **_given(options), show=not options.save)
    for file in options.save or ():
        say(f"Wrote {file}")
    return 0


def can_show() -> bool:
    """Whether matplotlib can open a window."""
    return has_display() and os.environ.get("MPLBACKEND", "").lower() not in _NO_WINDOWS


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `gridrl.plot`."""
    given = {name: value for name, value in vars(options).items() if not name.startswith("_")}
    given["by"] = None if options.by is None else _full(options.by)
    given["heatmap"] = None if options.heatmap is None else [_full(key) for key in options.heatmap]
    return given


def _full(key: str) -> str:
    """A key as it stands in `config.json`, for one of the command line's short forms."""
    key = key.replace("-", "_")
    return SHORTCUTS.get(key, key)


def _parser() -> CommandParser:
    parser = CommandParser(
        "plot",
        "DIR ... [options]",
        "Draws learning curves: one for each variant, the mean over its seeds; from five seeds on with a 95 % "
        "interval, with fewer the seeds themselves. Or final scores: side by side (--compare), "
        "as performance profiles (--profile), or over two hyperparameters (--heatmap).",
        [
            "data/ppo --save curves.png",
            "data/ppo -y AverageEpRet EpLen -s 5",
            "data/a data/b -l 'small net' 'large net' --save a.pdf a.png",
            "data/ppo --by env --metric iqm --where hid=[64,64] --save by_env.svg",
            "data/ppo --compare --last 20 --save final.png",
            "data/ppo --heatmap hid pi_lr --save heatmap.png",
        ],
    )
    add_choice(parser)
    _add_curves(parser)
    _add_kinds(parser)
    parser.add_argument("--select", nargs="+", metavar="TEXT", help="only runs whose path holds all of these")
    parser.add_argument("--exclude", nargs="+", metavar="TEXT", help="no runs whose path holds one of these")
    parser.add_argument("--width", type=_inches, metavar="INCHES", help="of the figure; 3.3: for a column of a paper")
    parser.add_argument("--save", nargs="+", metavar="FILE", help="write .png, .svg or .pdf; needs no display")
    return parser


def _add_curves(parser: CommandParser) -> None:
    add = parser.add_argument
    add("-l", "--legend", nargs="+", metavar="TEXT", help="a label for each DIR, or for each curve")
    steps = "default: %(default)s; Time: wall time"
    add("-x", "--xaxis", "--x", default="TotalEnvInteracts", metavar="COLUMN", help=steps)
    performance = "default: Performance, the return of test episodes, else of training episodes"
    add("-y", "--value", nargs="+", default=["Performance"], metavar="COLUMN", help=performance)
    add("--count", action="store_true", help="a curve for each run")
    add("-s", "--smooth", type=whole_number, default=1, metavar="N", help="moving mean over N rows")
    add("--est", metavar="NAME", help="over the seeds: mean, median, max, min, std, var, sum")
    add("--metric", metavar="NAME", help="over the seeds: mean, median, iqm (the interquartile mean)")
    bands = "ci (95 % interval), std, se, range, none; default: ci from 5 seeds on"
    add("--band", metavar="NAME", help=bands.replace("%", "%%"))
    add("--by", metavar="KEY", help="a plot for each value of a hyperparameter")
    add("--log", nargs="+", metavar="AXIS", help="logarithmic axes: x, y")


def _add_kinds(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--compare", action="store_true", help="final scores of the variants with intervals, best first")
    add("--profile", action="store_true", help="which share of the runs scores above each threshold")
    add("--heatmap", nargs=2, metavar="KEY KEY", help="final scores over two hyperparameters")
    add("--last", type=whole_number, default=10, metavar="N", help="a final score is the mean of a run's last N rows")


def _inches(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"wants a number of inches, got {text!r}") from None
