"""The keys of a grid and the nested dicts that their values span."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridrl.build import Reference
from gridrl.errors import BadValue, ClashingKeys, DuplicateKey, EmptyGrid, GridError
from gridrl.utils.serialization import canonical

SEED = "seed"
"""The key that tells the repetitions of a variant apart; it is no part of a run's name."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """One key of a grid with the values that it ranges over.

    Attributes:
        key: the name of a keyword of the thunk; colons lead into nested dicts.
        values: at least one.
        shorthand: how the key is called in names, as the user gave it; None where he gave none.
        in_name: whether the key stands in names although it has one value.
    """

    key: str
    values: tuple[Any, ...]
    shorthand: str | None = None
    in_name: bool = False

    @property
    def path(self) -> tuple[str, ...]:
        """The key's parts, from the outermost dict inwards."""
        return tuple(self.key.split(":"))

    @property
    def is_named(self) -> bool:
        """Whether the key stands in the names of variants."""
        return self.key != SEED and (self.in_name or len(self.values) > 1)

    @property
    def is_switch(self) -> bool:
        """Whether all values are True or False: names then show the key alone, where it is True."""
        return all(isinstance(value, bool) for value in self.values)


def check_parameter(new: Parameter, known: Sequence[Parameter]) -> None:
    """Raises if `new` makes no sense by itself or beside the `known` parameters; every fault is told.

    Raises:
        BadValue: an empty part in the key.
        EmptyGrid: no values.
        DuplicateKey: the key is there already, or two of its values are the same.
        ClashingKeys: the key is a value in one place and a dict in another.
    """
    if not all(new.path):
        raise BadValue(f"{new.key!r}: a part of this key is empty. Keys are written `key` or `outer:inner`.")
    faults: list[tuple[type[GridError], str]] = []
    if not new.values:
        faults.append((EmptyGrid, f"`{new.key}`: an empty list of values leaves nothing to run."))
    if any(parameter.key == new.key for parameter in known):
        faults.append((DuplicateKey, f"`{new.key}` was added already; give all its values in one list."))
    else:
        faults += [(ClashingKeys, clash) for other in known if (clash := _clash(other, new))]
    if repeated := _repeated_values(new):
        faults.append((DuplicateKey, repeated))
    if faults:
        raise faults[0][0]("\n".join(message for _, message in faults))


def _repeated_values(parameter: Parameter) -> str | None:
    seen: dict[object, Any] = {}
    for value in parameter.values:
        text = _identity(value)
        if text in seen:
            return f"`{parameter.key}`: the value {_twice(seen[text], value)} stands there twice.{_hint(parameter)}"
        seen[text] = value
    return None


def _identity(value: Any) -> object:
    """What makes two values the same run; an object that has no canonical form equals itself alone."""
    try:
        return canonical(value)
    except Exception:
        return id(value)


def _twice(first: Any, second: Any) -> str:
    one, other = (str(value) if isinstance(value, Reference) else repr(value) for value in (first, second))
    return one if one == other else f"{one}, also written {other},"


def _hint(parameter: Parameter) -> str:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.values)
    if not numbers:
        return ""
    listed = list(parameter.values)
    return f" A list is several values; for one value that is a list, write [{listed!r}]."


def _clash(first: Parameter, second: Parameter) -> str | None:
    """Says where two keys ask for different things in one place, None where they go together."""
    if any(a != b for a, b in zip(first.path, second.path, strict=False)):
        return None
    for one, other in itertools.product(first.values, second.values):
        try:
            nest([(first.path, one), (second.path, other)])
        except ClashingKeys as clash:
            outer, inner = sorted((first.key, second.key), key=len)
            return f"`{outer}` and `{inner}` clash: {clash}"
    return None


def nest(assignments: Sequence[tuple[Sequence[str], Any]]) -> dict[str, Any]:
    """Builds a variant from paths and values; dicts among the values are copied and merged, nothing is shared.

    >>> nest([(("a", "x"), 1), (("a",), {"y": 2})])
    {'a': {'x': 1, 'y': 2}}

    Raises:
        ClashingKeys: one place is given twice, or is a value and a dict at once.
    """
    variant: dict[str, Any] = {}
    for path, value in assignments:
        _put(variant, (), path, value)
    return variant


def _put(level: dict[Any, Any], trail: tuple[str, ...], path: Sequence[Any], value: Any) -> None:
    *outer, last = path
    for part in outer:
        trail = (*trail, part)
        level = level.setdefault(part, {})
        if not isinstance(level, dict):
            raise ClashingKeys(f"`{_joined(trail)}` would be the value {level!r} and a dict at once.")
    if last not in level:
        level[last] = own_copy(value)
    elif isinstance(level[last], dict) and isinstance(value, dict):
        for key, inner in value.items():
            _put(level[last], (*trail, last), (key,), inner)
    else:
        _refuse((*trail, last), level[last], value)


def _refuse(trail: tuple[Any, ...], first: Any, second: Any) -> None:
    place = _joined(trail)
    if isinstance(first, dict) or isinstance(second, dict):
        leaf = second if isinstance(first, dict) else first
        raise ClashingKeys(f"`{place}` would be the value {leaf!r} and a dict at once.")
    raise ClashingKeys(f"`{place}` is given twice, as {first!r} and as {second!r}.")


def _joined(trail: tuple[Any, ...]) -> str:
    return ":".join(map(str, trail))


def own_copy(value: Any) -> Any:
    """A copy that shares nothing that can be changed; what refuses to be copied (a lock, a module) is shared itself."""
    try:
        return copy.deepcopy(value)
    except Exception:
        if type(value) is dict:
            return {key: own_copy(inner) for key, inner in value.items()}
        if type(value) in (list, tuple, set):
            return type(value)(own_copy(inner) for inner in value)
        return value


def expand(parameters: Sequence[Parameter]) -> Iterator[dict[str, Any]]:
    """The variants of a grid: nested dicts, the first key varying slowest.

    Raises:
        EmptyGrid: there is no parameter.
    """
    if not parameters:
        raise EmptyGrid("The grid has no keys, so there is nothing to run. Add some: grid.add('lr', [1e-3, 1e-4]).")
    for values in itertools.product(*(parameter.values for parameter in parameters)):
        yield nest([(parameter.path, value) for parameter, value in zip(parameters, values, strict=True)])


def value_at(variant: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value of a key in a nested variant.

    Raises:
        BadValue: the variant has no such key.
    """
    found: Any = variant
    for part in path:
        if not isinstance(found, Mapping) or part not in found:
            raise BadValue(f"The variant has no {_joined(tuple(path))!r}.")
        found = found[part]
    return found
