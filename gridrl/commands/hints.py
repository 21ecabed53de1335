"""What is told about a value that does not fit: what was wanted, what was typed, and what was probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gridrl.build import Reference
from gridrl.commands.grammar import Flag, is_importable, read_values
from gridrl.errors import nearest
from gridrl.utils.annotations import Wanted

_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def shown(value: Any) -> str:
    """A value as it stands in a message, cut where it is long."""
    text = str(value) if isinstance(value, Reference) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def explain(flag: Flag, wrong: Sequence[Any], wanted: Wanted, name: str) -> str:
    """The sentences about the values of an option that do not fit.

    >>> explain(Flag("--gamma", "gamma", None, ("abc",)), ["abc"], Wanted("float"), "ppo")
    "ppo wants float, got 'abc'."

    Args:
        flag: the option as typed.
        wrong: those of its values that do not fit, at least one.
        wanted: what fits.
        name: the algorithm.
    """
    if not flag.words:
        return f"{name} wants {wanted}, but no value stands behind it."
    got = ", ".join(map(shown, wrong[:3])) + (", ..." if len(wrong) > 3 else "")
    return f"{name} wants {wanted}, got {got}.{_hint(flag, wrong[0], wanted)}"


def _hint(flag: Flag, value: Any, wanted: Wanted) -> str:
    if isinstance(value, (list, tuple)) and value and not wanted.takes_lists and all(map(wanted.takes, value)):
        return f" Several values are separated by spaces: `{flag.typed} {' '.join(_items(flag, value))}`."
    if wanted.takes_lists and not isinstance(value, (list, tuple)):
        return one_list(flag, [value], wanted)
    if isinstance(value, str):
        return _text_hint(value, wanted)
    return ""


def _items(flag: Flag, value: Sequence[Any]) -> list[str]:
    """The items of a list in the user's own spelling where it can be had: 1e-3, not 0.001."""
    for word in flag.words:
        items = [item.strip() for item in word.strip("[]() ").rstrip(",").split(",")]
        if read_values(word) == [value] and len(items) == len(value):
            return items
    return [repr(item) for item in value]


def one_list(flag: Flag, values: Sequence[Any], wanted: Wanted) -> str:
    """Says how one list is written, where a list may have been meant."""
    if wanted.annotation is not None and not wanted.takes_lists:
        return ""
    items = [word for word in flag.words if not word.startswith(tuple(_BRACKETS))]
    text = f"[{','.join(items)}]"
    if not all(isinstance(value, (int, float)) for value in values) or not wanted.takes(read_values(text)[0]):
        return ""
    return f" A list is written without spaces: `{flag.typed} {text}`."


def _text_hint(text: str, wanted: Wanted) -> str:
    choices = [choice for choice in wanted.choices if isinstance(choice, str)]
    near = nearest(text, choices)
    if near:
        return f" Did you mean {near!r}?"
    if wanted.takes_functions:
        return _reference_hint(text)
    if text.lstrip("+-").lower() in ("inf", "infinity") and wanted.takes(0.5):
        return f" Write {'-' if text.startswith('-') else ''}1e999 for infinity."
    return " Write true or false." if str(wanted) == "bool" else ""


def _reference_hint(text: str) -> str:
    first, dot, _ = text.partition(".")
    if dot and first.isidentifier() and not is_importable(first):
        return f" There is no module {first!r} on Python's path."
    return " Write its dotted name, such as torch.nn.ReLU."


def shell_split(flag: Flag) -> str | None:
    """Says that the shell cut one list into several words, None where it did not."""
    for start, word in enumerate(flag.words):
        if not word.startswith(tuple(_BRACKETS)) or _depth(word) <= 0:
            continue
        for end in range(start + 2, len(flag.words) + 1):
            parts = flag.words[start:end]
            if sum(map(_depth, parts)) == 0:
                pieces = " and ".join(f"`{part}`" for part in parts)
                return (
                    f"`{flag.typed}`: {pieces} look like one list that the shell split at a space. "
                    f"Write `{flag.typed} {_joined(parts)}`."
                )
    return None


def _joined(parts: Sequence[str]) -> str:
    """The pieces of a list as one word; where no comma stands at a cut, one was meant: `[64 32]`."""
    text = parts[0]
    for part in parts[1:]:
        has_comma = text.endswith((",", *_BRACKETS)) or part.startswith((",", *_BRACKETS.values()))
        text += part if has_comma else f",{part}"
    return text


def _depth(word: str) -> int:
    return sum((letter in _BRACKETS) - (letter in _BRACKETS.values()) for letter in word)
