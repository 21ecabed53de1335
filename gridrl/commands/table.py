"""Prints a table of variants: final scores and how sure they are, the best first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gridrl.commands.choosing import add_choice, add_score, chosen_runs
from gridrl.commands.parser import CommandParser
from gridrl.errors import BadValue, Problems, did_you_mean
from gridrl.utils.console import console, is_terminal, say, warn_line
from gridrl.utils.files import write_atomic
from gridrl.utils.texts import one_line

if TYPE_CHECKING:
    from gridrl.results.table import Column, Table

_ENDINGS = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".txt": "text"}
_FORMATS = tuple(dict.fromkeys(_ENDINGS.values()))
_FIRST_TO_GO = ("time", "steps", "setting", "seeds", "marks", "states", "verdict")
"""The kinds of columns that a narrow terminal does without, in this order."""

_LEAST_NAME = 16
_GAP = 3  # between two columns of a terminal's table


def main(words: Sequence[str]) -> int:
    """Prints the table, or writes it to files; what was left out is said on standard error."""
    options = _parser().read(words)
    files = _files(options.save, options.format)
    from gridrl.results.table import table

    found = chosen_runs(options)
    made = table(
        found,
        value=options.value,
        last=options.last,
        metric=options.metric,
        smaller_is_better=options.smaller_is_better,
    )
    for file, kind in files.items():
        _write(file, formatted(made, kind))
    if files:
        for file in files:
            say(f"Wrote {one_line(file)}")
    elif options.format not in (None, "text"):
        say(formatted(made, options.format).rstrip("\n"))
    else:
        show(made)
    for line in found.told():
        warn_line(one_line(line))
    return 0


def formatted(table: Table, kind: str) -> str:
    """The table in a format: "text", "markdown", "latex" or "csv"."""
    if kind == "text":
        return "\n".join([*table.lines(), "", *table.captions(), ""])
    made: str = {"markdown": table.markdown, "latex": table.latex, "csv": table.csv}[kind]()
    return made


def show(table: Table) -> None:
    """Prints the table for people: as wide as the terminal where there is one."""
    columns = table.columns()
    width = shutil.get_terminal_size().columns if is_terminal() or "COLUMNS" in os.environ else None
    kept = columns if width is None else fitting(columns, width)
    if is_terminal():
        _print_rich(table, kept)
    else:
        for line in table.lines(kept, width):
            say(line)
    for line in table.captions():
        say(one_line(line))
    left_out = [column.title for column in columns if column not in kept]
    if left_out:
        say(f"No room for: {', '.join(map(one_line, left_out))}.")


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that a terminal of so many characters has room for; a variant's name may lose its middle."""
    kept = list(columns)
    for kind in _FIRST_TO_GO:
        for column in reversed([one for one in kept if one.kind == kind]):
            if _width_of(kept) <= width:
                return kept
            kept.remove(column)
    return kept


def _width_of(columns: Sequence[Column]) -> int:
    widths = [max(map(len, (column.title, *column.cells))) for column in columns]
    return min(widths[0], _LEAST_NAME) + sum(widths[1:]) + _GAP * len(columns)


def _print_rich(table: Table, columns: Sequence[Column]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Rich
    from rich.text import Text

    made = Rich(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(
            Text(one_line(column.title)),
            justify="left" if column.is_left else "right",
            overflow="fold",
            no_wrap=column.kind not in ("variant", "setting", "marks"),
        )
    for place, row in enumerate(table.rows):
        style = "bold" if row.verdict == "best" else ""
        made.add_row(*(Text(one_line(column.cells[place])) for column in columns), style=style)
    console().print(made)


def _files(paths: Sequence[str] | None, asked: str | None) -> dict[Path, str]:
    """The files to write with their formats, checked before anything is read."""
    problems = Problems()
    if asked is not None and asked not in _FORMATS:
        near = did_you_mean(asked, _FORMATS)
        problems.add(f"`--format`: there is no {asked!r}.{near} There are: {', '.join(_FORMATS)}.")
    files = {}
    for path in map(Path, paths or ()):
        kind = asked or _ENDINGS.get(path.suffix.lower())
        if kind is None:
            problems.add(f"`--save`: {path}: the ending is the format, {', '.join(_ENDINGS)}; or give `--format`.")
        else:
            files[path.expanduser()] = kind
    problems.raise_if_any(BadValue)
    return files


def _write(file: Path, text: str) -> None:
    try:
        write_atomic(file, text)
    except OSError as error:
        raise BadValue(f"`--save`: {file} cannot be written: {error.strerror or error}.") from error


def _parser() -> CommandParser:
    parser = CommandParser(
        "table",
        "DIR ... [options]",
        "Tells how good each variant is, the best first: the mean of the last rows of each run, its mean over seeds "
        "with a 95 % interval, and a test against the best. Runs that have not finished count only where a variant has "
        "no finished one.",
        [
            "data/ppo",
            "data/ppo --last 5 --metric iqm --save scores.md scores.tex",
            "data --where env_name=CartPole-v1 --format csv",
        ],
    )
    add = parser.add_argument
    add_choice(parser)
    add_score(parser)
    add("--format", metavar="NAME", help="text, markdown, latex or csv")
    add("--save", nargs="+", metavar="FILE", help="write .md, .tex, .csv or .txt instead of printing")
    return parser
