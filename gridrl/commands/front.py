"""Finds what the first word of the command line names."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from gridrl.algos import ALGOS
from gridrl.build import resolve
from gridrl.commands import COMMANDS
from gridrl.errors import UnknownCommand, nearest

_OPTIONS_OF = {"npg": "trpo --algo npg"}
"""Algorithms that are known by a name of their own, and are options here."""


def dispatch(words: Sequence[str]) -> int:
    """Hands the command line to the command that its first word names.

    Raises:
        UnknownCommand: there is none of that name.
    """
    if not words or words[0] in ("-h", "--help"):
        words = ["help"]
    name, rest = words[0], words[1:]
    if name == "--version":
        return _print_version()
    with here_importable():
        if name in COMMANDS:
            status: int = resolve(COMMANDS[name].target)(rest)
            return status
        from gridrl.commands import algo

        return algo.main(name, _target(name), rest)


@contextlib.contextmanager
def here_importable() -> Iterator[None]:
    """Modules of the working directory can be imported in this block, however the command was started."""
    here = os.getcwd()
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)


def _target(name: str) -> str:
    if name in ALGOS:
        return ALGOS[name]
    module, colon, function = name.rpartition(":")
    if colon and module and function:
        return name
    raise UnknownCommand(f"`{name}`: gridrl has no such command.{_nearest(name)}")


def _nearest(name: str) -> str:
    if name.startswith("-"):
        return " The first word is a command or an algorithm."
    if name.endswith(".py"):
        return f" Name a function in it: `{name}:train`."
    if name in _OPTIONS_OF:
        return f" It is an option of another algorithm: `{_OPTIONS_OF[name]}`."
    near = nearest(name, [*ALGOS, *COMMANDS])
    if near:
        return f" Did you mean `{near}`?"
    module, dot, function = name.rpartition(".")
    return f" A function of yours is written `{module}:{function}`." if dot and module and function else ""


def _print_version() -> int:
    from gridrl import __version__

    print(f"gridrl {__version__}")
    return 0
