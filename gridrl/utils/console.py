"""Text for people: colours where they are wanted, plain text everywhere else."""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Any, TextIO

from gridrl.errors import did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

COLORS = {
    "gray": "0",
    "red": "1",
    "green": "2",
    "yellow": "3",
    "blue": "4",
    "magenta": "5",
    "cyan": "6",
    "white": "7",
    "crimson": "8;5;161",  # 38 alone is no colour: it begins one of 256
}
"""The documented colours: their ANSI numbers without the first digit, 3 for letters and 4 for the ground."""

_WIDTH_WITHOUT_TERMINAL = 160


def is_terminal(stream: IO[Any] | None = None) -> bool:
    """Whether somebody looks at the stream (standard output where it is None); a closed one is no terminal."""
    stream = sys.stdout if stream is None else stream
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        return False


def wants_color(stream: IO[Any] | None = None) -> bool:
    """Whether colours belong on the stream: a terminal that is not dumb, unless `NO_COLOR` is set.

    `FORCE_COLOR` asks for them on files and pipes too; `NO_COLOR` is stronger (https://no-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def colorize(string: str, color: str, bold: bool = False, highlight: bool = False, *, force: bool | None = None) -> str:
    """`string` between the terminal's codes for a colour, or as it is where nobody could see them.

    Args:
        string: the text.
        color: gray, red, green, yellow, blue, magenta, cyan, white or crimson.
        bold: in bold.
        highlight: colours the ground instead of the letters.
        force: True: always with codes; False: never; None: where standard output wants them, see `wants_color`.

    Raises:
        ValueError: there is no such colour.
    """
    if color not in COLORS:
        raise ValueError(f"{color!r} is no colour.{did_you_mean(color, COLORS)} There are: {', '.join(COLORS)}.")
    if not (wants_color() if force is None else force):
        return string
    code = f"{4 if highlight else 3}{COLORS[color]}{';1' if bold else ''}"
    return f"\x1b[{code}m{string}\x1b[0m"


def console(*, stderr: bool = False) -> Console:
    """A rich console on standard output or error; it is wide enough for tables where there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if is_terminal(stream) or "COLUMNS" in os.environ else _WIDTH_WITHOUT_TERMINAL
    return Console(file=stream, highlight=False, color_system="auto" if wants_color(stream) else None, width=width)


def say(text: str, color: str | None = None, bold: bool = False) -> None:
    """Prints a line on standard output at once, whatever characters it can show."""
    _print(text if color is None else colorize(text, color, bold), sys.stdout)


def warn_line(text: str) -> None:
    """Prints a line on standard error, with "Warning: " before it."""
    _print(colorize(f"Warning: {text}", "yellow", force=wants_color(sys.stderr)), sys.stderr)


def _print(line: str, stream: TextIO | None) -> None:
    if stream is None:  # a program without a console
        return
    try:
        print(line, file=stream, flush=True)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        print(line.encode(encoding, errors="replace").decode(encoding), file=stream, flush=True)
