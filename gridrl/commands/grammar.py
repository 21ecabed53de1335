"""How the words behind an algorithm's name are read. Nothing that is typed is ever evaluated.

Options, each with the words up to the next one as its values:

    --key value                       one value                             --gamma 0.9
    --key value value                 several: one run for each of them     --gamma 0.9 0.99
    --key                             True                                  --normalize_obs
    --key=value                       the same as `--key value`             --note=--x
    --key[short] value                a short form for the run's name       --hid[h] [32,32] [64,32]
    --key[] value                     only the value stands in the name     --act[] torch.nn.ReLU torch.nn.Tanh
    --outer:inner value               a key inside a dict                   --ac_kwargs:hidden_sizes [64,64]
    --some-key                        is --some_key                         --steps-per-epoch 1000
    --no-some-key                     is --some_key false                   --no-save-replay
    --seeds n                         is --seed 0 1 ... n-1                 --seeds 5

A word that starts with one dash is a value if it is a number (`-1`, `-1e-3`), otherwise a mistake.

Values, the first rule that fits:

    a Python literal                  numbers, text, lists, dicts, ...      1e-3  [64,64]  {'a':1}  'text'  None
        true, false, none             in any case, inside brackets too      TRUE  [true,none]
        without its brackets          a tuple                               64,64
    module.name                       what a module holds, by its path      torch.nn.ReLU
        only where its first part can be imported and the parameter is not annotated `str`; inside brackets too
    range(first,end[,step])           several values, as in Python          range(0,3)  ->  0 1 2
    linspace(first,last,count)        several, evenly spaced                linspace(0,1,3)  ->  0.0 0.5 1.0
    logspace(first,last,count)        several, first and last as powers     logspace(-4,-2,3)  ->  0.0001 0.001 0.01
                                      of ten
    anything else                     text                                  CartPole-v1
"""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gridrl.build import Reference
from gridrl.errors import BadValue, Problems
from gridrl.utils.sources import dotted_name

MAX_SPREAD = 10_000
"""As many values may one `range(...)` stand for."""

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "none": None}
_UNREADABLE = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
_KEY = re.compile(r"--(?P<key>[A-Za-z_][\w-]*(?::[\w-]+)*)(?:\[(?P<short>[^\[\]]*)\])?", re.ASCII)
_NUMBER = re.compile(r"-[\d.]")


@dataclass(frozen=True)
class Flag:
    """One option as it was typed.

    Attributes:
        typed: the option without its shorthand and value, as the user wrote it: `--hid`.
        key: the key that it names, `-` turned into `_`: `hid`, `ac_kwargs:hidden_sizes`.
        shorthand: what stood in brackets behind the key, None where there were none.
        words: the words behind it, unread; none at all means True.
    """

    typed: str
    key: str
    shorthand: str | None
    words: tuple[str, ...]


def split_flags(words: Sequence[str], problems: Problems) -> list[Flag]:
    """Cuts the command line into options, in their order.

    Args:
        words: the command line behind the algorithm's name.
        problems: takes what cannot be read, so that all faults are told at once.
    """
    flags: list[Flag] = []
    for word in words:
        if word.startswith("--"):
            _open_flag(word, flags, problems)
        elif word.startswith("-") and len(word) > 1 and not _NUMBER.match(word):
            problems.add(f"`{word}`: options have two dashes: `-{word}`.")
        elif flags:
            flags[-1] = Flag(flags[-1].typed, flags[-1].key, flags[-1].shorthand, (*flags[-1].words, word))
        else:
            problems.add(f"`{word}`: stands before the first option. Options are written `--key value`.")
    return flags


def _open_flag(word: str, flags: list[Flag], problems: Problems) -> None:
    name, equals, value = word.partition("=")
    match = _KEY.fullmatch(name)
    if match is None:
        problems.add(
            f"`{name}`: is not the name of an option. Options are written `--key`, `--outer:inner`, `--key[h]`."
        )
        key, typed, shorthand = name, name, None
    else:
        key, shorthand = match["key"].replace("-", "_"), match["short"]
        typed = "--" + match["key"]
    flags.append(Flag(typed, key, shorthand, (value,) if equals else ()))


def read_values(word: str, *, only_text: bool = False) -> list[Any]:
    """Reads one word of the command line as one value, or as the several that it stands for.

    >>> read_values("64,64"), read_values("range(0,3)"), read_values("CartPole-v1")
    ([(64, 64)], [0, 1, 2], ['CartPole-v1'])

    Args:
        word: what was typed.
        only_text: the parameter takes nothing but text, so that references and ranges are left as they were typed.

    Returns:
        One value, or those of a `range`, `linspace` or `logspace`.

    Raises:
        BadValue: a `range`, `linspace` or `logspace` makes no sense.
    """
    tree = _parse(word)
    if tree is None:
        return [word]
    if not only_text and isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in _SPREADS:
        return _spread(tree.func.id, tree, word)
    try:
        return [ast.literal_eval(_Names(references=not only_text).visit(tree))]
    except _UNREADABLE:
        return [word]


def _parse(word: str) -> ast.expr | None:
    text = word.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes and the like: what is no literal is text
            tree = ast.parse(text, mode="eval").body
            if "#" in text:  # `64#a` is text, not 64 with a comment
                ast.parse(f"({text})", mode="eval")
    except _UNREADABLE:
        return None
    return tree


class _Names(ast.NodeTransformer):
    """Puts values where names stand that have one: true, false, none and dotted references."""

    def __init__(self, references: bool) -> None:
        self.references = references

    def visit_Name(self, node: ast.Name) -> ast.expr:
        word = node.id.lower()
        return ast.Constant(_WORDS[word]) if word in _WORDS else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        path = dotted_name(node)
        if self.references and path is not None and is_importable(path.partition(".")[0]):
            # literal_eval hands back whatever a Constant holds
            return ast.Constant(Reference(path))  # type: ignore[arg-type]
        return node


def is_importable(module: str) -> bool:
    """Whether a top-level module of that name can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: a module such as __main__ that was made without a spec
        return False


def _spread(name: str, call: ast.Call, word: str) -> list[Any]:
    form, spread = _SPREADS[name]
    try:
        if call.keywords:
            raise ValueError
        numbers = [ast.literal_eval(argument) for argument in call.args]
        if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in numbers):
            raise ValueError
        values = spread(*numbers)
    except BadValue as error:
        raise BadValue(f"`{word}`: stands for {error}") from None
    except (*_UNREADABLE, OverflowError):
        raise BadValue(f"`{word}`: is not of the form {form}.") from None
    if not values:
        raise BadValue(f"`{word}`: holds no value.")
    return list(values)


def _range(*bounds: int) -> Sequence[int]:
    if not 1 <= len(bounds) <= 3:
        raise ValueError
    return _limited(range(*bounds))


def _linspace(first: float, last: float, count: int) -> Sequence[float]:
    return [float(point) for point in _evenly(first, last, count)]


def _logspace(first: float, last: float, count: int) -> Sequence[float]:
    return [_power_of_ten(point) for point in _evenly(first, last, count)]


def _power_of_ten(exponent: Fraction) -> float:
    # whole powers by way of their text: 1e-05, not 1.0000000000000001e-05
    value = float(f"1e{exponent.numerator}") if exponent.denominator == 1 else 10.0 ** float(exponent)
    if math.isinf(value):
        raise OverflowError
    return value


def _evenly(first: float, last: float, count: int) -> list[Fraction]:
    """Evenly spaced points in exact decimal arithmetic: the fourth of linspace(0,1,11) is 0.3 as people write it."""
    if not isinstance(count, int) or count < 1:
        raise ValueError
    start, end = Fraction(str(first)), Fraction(str(last))
    return [start + (end - start) * index / max(count - 1, 1) for index in _limited(range(count))]


def _limited(values: range) -> range:
    if values[MAX_SPREAD:]:
        raise BadValue(f"more than {MAX_SPREAD} values.")
    return values


_SPREADS: dict[str, tuple[str, Callable[..., Sequence[Any]]]] = {
    "range": ("range(first,end), range(end) or range(first,end,step) with whole numbers", _range),
    "linspace": ("linspace(first,last,count)", _linspace),
    "logspace": ("logspace(first,last,count), where first and last are powers of ten", _logspace),
}
