"""The options of commands that are no algorithms; what is typed wrong is told like everywhere else."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from gridrl.commands.page import Page
from gridrl.errors import BadValue, UnknownFlag, did_you_mean


class _Once(argparse.Action):
    """Stores a value; an option that is given twice is a mistake."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        seen: set[str] = namespace.__dict__.setdefault("_seen", set())
        if self.option_strings and self.dest in seen:
            raise BadValue(f"`{option_string}`: is given twice.")
        seen.add(self.dest)
        setattr(namespace, self.dest, self.const if self.nargs == 0 else values)


class _Flag(_Once):
    """An option without a value."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(nargs=0, const=True, **{"default": False, **kwargs})


class CommandParser(argparse.ArgumentParser):
    """An argparse parser whose complaints are gridrl's errors, with near matches.

    >>> parser = CommandParser("walk", "DIR [options]", "Walks.")
    >>> _ = parser.add_argument("--steps", type=whole_number, default=1)
    >>> parser.read(["--steps", "3"]).steps
    3

    Args:
        command: the command's name.
        usage: what stands behind the command.
        description: what it does.
        examples: what else can stand there, for the end of its help page.
    """

    def __init__(self, command: str, usage: str, description: str, examples: Sequence[str] = ()) -> None:
        prefix = f"python -m gridrl.run {command}"
        super().__init__(prog=prefix, description=description, allow_abbrev=False)
        self.command = command
        self.usage_text = usage
        self.examples = [f"{prefix} {example}" for example in examples]
        self.register("action", None, _Once)
        self.register("action", "store", _Once)
        self.register("action", "store_true", _Flag)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The options of a command line.

        Raises:
            UnknownFlag, BadValue: something is typed wrong.
            SystemExit: the help page was asked for, and has been printed.
        """
        words = [_underscored(word) for word in words]
        names = [name for action in self._actions for name in action.option_strings]
        # argparse would complain first of what is missing
        self._refuse([word for word in words if word.startswith("--") and word.partition("=")[0] not in names], names)
        options, left = self.parse_known_args(words)
        self._refuse(left, names)
        return options

    def _refuse(self, words: Sequence[str], names: Sequence[str]) -> None:
        if words:
            raise UnknownFlag("\n".join(self._unknown(word, names) for word in words))

    def _unknown(self, word: str, names: Sequence[str]) -> str:
        if not word.startswith("-"):
            return f"`{word}`: is one too many for {self.command}."
        near = did_you_mean(word.partition("=")[0], names).replace("'", "`")
        return f"`{word}`: {self.command} has no such option.{near}"

    def print_help(self, file: Any = None) -> None:
        """Prints the help page, which looks like an algorithm's."""
        page = Page()
        page.lines([f"{self.prog} {self.usage_text}", ""], indent=0)
        page.text(self.description or "")
        page.heading("Options")
        rows = [(_spelled(action), (action.help or "") % vars(action)) for action in self._actions]
        page.rows([*rows[1:], (rows[0][0], "this page")])
        if self.examples:
            page.heading("Examples")
            page.lines(self.examples)

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would have printed."""
        text = re.sub(r"^argument ([^:]*): ", lambda match: f"`{match[1].split('/')[-1]}`: ", message)
        text = re.sub(r"^the following arguments are required: (.*)$", r"\1 is missing", text)
        raise BadValue(text if text.endswith(".") else f"{text}.")


def whole_number(text: str) -> int:
    """The `type` of an option that takes a whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"wants a whole number, got {text!r}") from None


def _spelled(action: argparse.Action) -> str:
    """`-x, --xaxis COLUMN`"""
    several = " ..." if action.nargs == "+" else ""
    value = "" if action.nargs == 0 else f" {action.metavar}{several}"
    return (", ".join(action.option_strings) + value).strip()


def _underscored(word: str) -> str:
    """`--some-key` is `--some_key`."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value
