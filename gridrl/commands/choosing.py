"""Options of the commands that read results: which runs are meant, and what scores them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gridrl.commands.grammar import read_values
from gridrl.commands.options import SHORTCUTS
from gridrl.commands.parser import CommandParser, whole_number
from gridrl.errors import BadValue

if TYPE_CHECKING:
    from gridrl.results.reader import RunSet

_OPTIONS = ("group", "where", "state", "name")


def add_choice(parser: CommandParser, dest: str = "dirs") -> None:
    """Adds the directories and what is wanted of them to a command's options.

    Args:
        parser: of the command.
        dest: what the directories are called.
    """
    add = parser.add_argument
    add(dest, nargs="+", metavar="DIR", help="run directories, directories that hold runs, or how their names begin")
    add("--where", nargs="+", metavar="KEY=VALUE", help="only runs with these hyperparameters: ac_kwargs:act=relu")
    add("--state", nargs="+", metavar="STATE", help="only runs in one of these states, as `status` shows them")
    add("--name", metavar="GLOB", help="only runs whose name looks like that; * stands for any letters")
    add("--group", metavar="REGEX", help="what of a run's path it is grouped by; (?P<seed>...) finds its seed")


def add_score(parser: CommandParser) -> None:
    """Adds what a final score is to the options of a command that ranks variants by it."""
    add = parser.add_argument
    performance = "of the score; default: Performance, the return of test episodes, else of training episodes"
    add("-y", "--value", default="Performance", metavar="COLUMN", help=performance)
    rows = "rows that a run's score is the mean of; default: %(default)s"
    add("--last", type=whole_number, default=10, metavar="K", help=rows)
    add("--metric", default="mean", metavar="NAME", help="over seeds: mean, iqm or median; default: %(default)s")
    add("--smaller_is_better", action="store_true", help="of losses and costs")


def chosen_runs(options: argparse.Namespace, dest: str = "dirs") -> RunSet:
    """The runs that the options of `add_choice` mean; the options are taken out of the namespace.

    Raises:
        BadValue: see `gridrl.results.reader.find_runs`; a word behind `--where` that is no key and value.
    """
    from gridrl.results.reader import find_runs

    given = {name: options.__dict__.pop(name) for name in (dest, *_OPTIONS)}
    return find_runs(
        given[dest],
        group=given["group"],
        where=read_where(given["where"] or ()),
        states=given["state"],
        name=given["name"],
    )


def read_where(words: Sequence[str]) -> list[tuple[str, Any]]:
    """Keys and values; a value is read as behind an option of an algorithm, and may stand for several.

    >>> read_where(["hid=[64,64]", "seed=range(0,2)", "gamma=0.99"])
    [('ac_kwargs:hidden_sizes', [64, 64]), ('seed', 0), ('seed', 1), ('gamma', 0.99)]

    Raises:
        BadValue: a word is not of the form `key=value`; all of them are told.
    """
    faults = [word for word in words if not word.partition("=")[0] or "=" not in word]
    if faults:
        raise BadValue("\n".join(f"`--where`: {word!r} is not of the form key=value, gamma=0.99." for word in faults))
    pairs = []
    for word in words:
        key, _, value = word.partition("=")
        key = key.removeprefix("--").replace("-", "_")
        pairs += [(SHORTCUTS.get(key, key), one) for one in read_values(value)]
    return pairs
