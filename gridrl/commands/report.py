"""Writes a report on runs: one HTML file to look at in a browser, or to send to somebody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gridrl.commands.choosing import add_choice, add_score, chosen_runs
from gridrl.commands.parser import CommandParser, whole_number
from gridrl.utils.console import say, warn_line
from gridrl.utils.texts import one_line


def main(words: Sequence[str]) -> int:
    """Writes the file; what was left out is said on standard error, and stands in the file."""
    options = _parser().read(words)
    from gridrl.results.report import check_target, report

    out = Path(options.out).expanduser()
    check_target(out)
    found = chosen_runs(options)
    report(
        found,
        out,
        title=options.title,
        value=options.value,
        curves=options.curves or (),
        last=options.last,
        metric=options.metric,
        smooth=options.smooth,
        smaller_is_better=options.smaller_is_better,
    )
    say(f"Wrote {one_line(out)} ({out.stat().st_size / 1e6:.1f} MB): open it in a browser.")
    for line in found.told():
        warn_line(one_line(line))
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(
        "report",
        "DIR ... [options]",
        "Writes one HTML file that needs no network: a table that can be sorted and filtered, curves, a map over two "
        "hyperparameters, the logs of failed runs, configurations, and how to do it again. It holds what the runs have "
        "recorded: commands, paths and names of hosts too.",
        ["data/ppo", "data/ppo --out ppo.html --title 'PPO on CartPole'", "data --where env_name=CartPole-v1 -s 5"],
    )
    add = parser.add_argument
    add_choice(parser)
    add_score(parser)
    add("--curves", nargs="+", metavar="COLUMN", help="what has curves besides the score; default: the first eight")
    add("-s", "--smooth", type=whole_number, default=1, metavar="N", help="curves: moving mean over N rows")
    add("--title", metavar="TEXT", help="the headline; default: the directories")
    add("--out", default="report.html", metavar="FILE", help="default: %(default)s; another report there is replaced")
    return parser
