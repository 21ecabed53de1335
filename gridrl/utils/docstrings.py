"""The parts of a Google-style docstring."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"(\w[\w ]*):\s*$")
_WITH_PARAMETERS = ("Args", "Arguments", "Parameters", "Keyword Args", "Keyword Arguments", "Attributes")
_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?:\((?P<kind>[^)]*)\))?\s*:(?:\s+(?P<text>.*))?$")


@dataclass(frozen=True)
class Docstring:
    """A docstring taken apart.

    Attributes:
        summary: its first paragraph, on one line.
        text: all of it, without the common indentation.
        params: what it says of each parameter, on one line each; stars are left off the names.
    """

    summary: str = ""
    text: str = ""
    params: dict[str, str] = field(default_factory=dict)


def parse_docstring(raw: str | None) -> Docstring:
    """Takes a docstring apart; one without sections has a summary and nothing else.

    >>> parse_docstring('''Adds.
    ...
    ...     Args:
    ...         a: the first,
    ...             and the best.
    ...         b (int): the second.
    ... ''').params
    {'a': 'the first, and the best.', 'b': 'the second.'}
    """
    if not raw or not raw.strip():
        return Docstring()
    text = inspect.cleandoc(raw)
    summary = " ".join(text.split("\n\n")[0].split())
    params: dict[str, str] = {}
    for title, lines in _sections(text.splitlines()):
        if title in _WITH_PARAMETERS:
            for name, described in _entries(lines).items():
                params.setdefault(name, described)
    return Docstring(summary, text, params)


def _sections(lines: list[str]) -> list[tuple[str, list[str]]]:
    """The titled sections, each with its indented lines."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        title = _SECTION.match(line)
        if title:
            found.append((title[1], []))
        elif line.strip() and not line[0].isspace():
            found.append(("", []))  # text at the margin ends a section
        elif found:
            found[-1][1].append(line)
    return found


def _entries(lines: list[str]) -> dict[str, str]:
    """`name: text` entries; deeper lines go on with the text before them."""
    margin = min((_indent(line) for line in lines if line.strip()), default=0)
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        entry = _ENTRY.match(line.strip()) if _indent(line) == margin else None
        if entry is None:
            current.append(line.strip())
            continue
        current = [entry["text"]] if entry["text"] else []
        for name in entry["names"].split(","):
            found[name.strip().lstrip("*")] = current
    return {name: " ".join(words) for name, words in found.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
