"""The general help page: every algorithm and command with a line of its own."""

from __future__ import annotations

from collections.abc import Sequence

from gridrl.algos import ALGOS
from gridrl.commands import COMMANDS
from gridrl.commands.page import Page
from gridrl.errors import GridRLError
from gridrl.signature import read_signature

_RUN = "python -m gridrl.run"
_YOURS = (
    ("my_module:train", "any function of yours: its signature is the list of options"),
    ("file.py:train", "the same, in a file"),
)
_WIDTH = len("my_module:train")


def main(words: Sequence[str] = ()) -> int:
    """Prints the general page; with a word behind it, that command's own."""
    if words:
        from gridrl.commands.front import dispatch

        return dispatch([words[0], "--help"])
    page = Page()
    page.text("gridrl: grids of reinforcement-learning experiments from one command line")
    page.heading("Usage")
    page.lines([f"{_RUN} ALGORITHM --option value [value ...]", f"{_RUN} COMMAND ...", f"{_RUN} WORD --help"])
    page.heading("Algorithms", "several values for an option make a grid; --help shows every option")
    page.rows([*((name, _summary(ALGOS[name])) for name in ALGOS), *_YOURS])
    page.heading("Commands")
    page.rows([(name.ljust(_WIDTH), command.meaning) for name, command in COMMANDS.items()])
    page.heading("Examples")
    page.lines(
        [
            f"{_RUN} ppo --env CartPole-v1 --hid '[64,64]' '[32]' --seeds 3",
            f"{_RUN} plot data/ppo --save curves.png",
            f"{_RUN} test_policy data/ppo_hid64-64/ppo_hid64-64_s0",
        ]
    )
    page.heading("Exit status")
    page.lines(["0 all runs done, 1 a run failed, 2 typed wrong (nothing was started), 75 preempted, 130 interrupted"])
    return 0


def _summary(target: str) -> str:
    try:
        return read_signature(target).summary
    except GridRLError as error:  # an algorithm of another package, whose source cannot be read
        return str(error)
