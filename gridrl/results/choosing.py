"""Which runs are wanted: by hyperparameters, by state, by name."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gridrl.build import Reference
from gridrl.errors import BadValue, Problems, did_you_mean
from gridrl.log.record import STATES

if TYPE_CHECKING:
    from gridrl.results.run import Run

Where = Mapping[str, Any] | Iterable[tuple[str, Any]]

_KNOWN_STATES = (*STATES, "lost", "unknown")
_ABSENT = object()
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


class Choice:
    """What was asked for.

    Args:
        where: keys and values; a run must have one of the values given to each key. Nested keys are joined by colons.
        states: a run must be in one of them; None: whatever its state.
        name: a run's name or directory's name must look so (`*` stands for any letters); None: whatever it is.

    Raises:
        BadValue: there is no such state.
    """

    def __init__(self, where: Where = (), states: str | Sequence[str] | None = None, name: str | None = None) -> None:
        self._where: dict[str, list[Any]] = {}
        for key, value in where.items() if isinstance(where, Mapping) else where:
            self._where.setdefault(key, []).append(value)
        self._states = [states] if isinstance(states, str) else states
        self._name = name
        self._seen: dict[str, None] = {}
        self._met: set[str] = set()
        problems = Problems()
        for state in self._states or ():
            if state not in _KNOWN_STATES:
                near = did_you_mean(state, _KNOWN_STATES)
                problems.add(f"`--state`: {state!r} is no state.{near} There are: {', '.join(_KNOWN_STATES)}.")
        problems.raise_if_any(BadValue)

    def takes(self, run: Run) -> bool:
        """Whether a run is wanted."""
        if self._where:
            self._seen.update(dict.fromkeys(run.settings))
        fitting = [self._fits(run, key, values) for key, values in self._where.items()]
        if not all(fitting):
            return False
        if self._name is not None and not self._is_named(run, self._name):
            return False
        return self._states is None or (run.state or "unknown") in self._states

    @staticmethod
    def _is_named(run: Run, pattern: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for name in (run.name, run.condition, run.dir.name))

    def _fits(self, run: Run, key: str, values: Sequence[Any]) -> bool:
        found = run.setting(key, _ABSENT)
        if found is not _ABSENT:
            self._met.add(key)
        return any(is_same(found, value) for value in values)

    def check(self) -> None:
        """Says which keys no run has had.

        Raises:
            BadValue: all of them, with near matches.
        """
        problems = Problems()
        for key in self._where:
            if key not in self._met and self._seen:
                problems.add(f"`--where`: no run has a setting `{key}`.{did_you_mean(key, self._seen)}")
        if problems.messages:
            problems.add(f"The runs have: {', '.join(self._seen)}.")
        problems.raise_if_any(BadValue)


def is_same(found: Any, asked: Any) -> bool:
    """Whether a value of a configuration is the one that was asked for.

    Numbers are equal by value, lists equal tuples, and what a module holds is equal by its last part.

    >>> is_same([64, 64], (64, 64)), is_same(1, True), is_same("torch.nn.modules.activation.Tanh", "torch.nn.Tanh")
    (True, False, True)
    """
    if isinstance(asked, Reference):
        asked = asked.path
    if isinstance(found, bool) or isinstance(asked, bool):
        return found is asked
    if isinstance(found, (list, tuple)) and isinstance(asked, (list, tuple)):
        return len(found) == len(asked) and all(map(is_same, found, asked))
    if isinstance(found, Mapping) and isinstance(asked, Mapping):
        return found.keys() == asked.keys() and all(is_same(found[key], asked[key]) for key in found)
    if isinstance(found, str) and isinstance(asked, str) and _DOTTED.fullmatch(found):
        return found == asked or found.rpartition(".")[2] == asked.rpartition(".")[2]
    return bool(found == asked)
