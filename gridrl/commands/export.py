"""Writes finished runs in the form of other tools."""

from __future__ import annotations

from collections.abc import Sequence

from gridrl.commands.choosing import add_choice, chosen_runs
from gridrl.commands.parser import CommandParser
from gridrl.utils.console import say, warn_line


def main(words: Sequence[str]) -> int:
    """Writes what was asked for; what was left out is said on standard error."""
    options = _parser().read(words)
    from gridrl.results.export import export

    found = chosen_runs(options)
    written = export(found, options.to, options.out, project=options.project)
    for line in found.told():
        warn_line(line)
    runs = "1 run" if written.runs == 1 else f"{written.runs} runs"
    say(f"Wrote {runs} with {written.rows} rows to {written.out}")
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(
        "export",
        "DIR ... --to FORM [options]",
        "Writes finished runs in the form of another tool, those of other programs too. Nothing is overwritten.",
        [
            "data/ppo --to csv --out ppo.csv",
            "data/ppo --to tensorboard --out events",
            "data/ppo --to wandb --project my-project --where gamma=0.99",
        ],
    )
    add_choice(parser)
    add = parser.add_argument
    add("--to", required=True, metavar="FORM", help="csv, parquet, tensorboard or wandb")
    add("--out", metavar="PATH", help="the file (csv, parquet) or directory (tensorboard, wandb) to write")
    add("--project", default="gridrl", metavar="NAME", help="of W&B; default: %(default)s")
    return parser
