"""One run as it was asked for: everything that decides what it computes, and nothing about where or when."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gridrl.errors import BadValue, Problems
from gridrl.launch.arguments import LOGGER_KWARGS, Arguments
from gridrl.launch.code import NO_CODE, Code
from gridrl.launch.thunks import Thunk
from gridrl.launch.variants import SEED
from gridrl.signature import NO_LITERAL
from gridrl.utils.names import short_hash
from gridrl.utils.serialization import canonical, convert_json

SCHEMA = 1
"""Stands in every id; grows when runs of old ids must not be taken for runs of new ones."""

_ID_DIGITS = 16


@dataclass(frozen=True, eq=False)
class RunSpec:
    """One variant with one seed.

    Attributes:
        grid: the name of the grid or experiment that it belongs to.
        name: its readable name, without the seed.
        variant: its hyperparameters as typed.
        seed: its seed.
        thunk: what it calls.
        arguments: the variant, sorted by how its values reach the thunk.
        num_cpu: its MPI ranks.
        grows: the values of keys that may be raised to go on with the run; they are no part of its ids.
        variant_id: the hash of all that its seeds have in common.
        run_id: the hash of all that it computes.
        code: what it calls; that is no part of its ids.
    """

    grid: str
    name: str
    variant: Mapping[str, Any]
    seed: int
    thunk: Thunk
    arguments: Arguments
    num_cpu: int = 1
    grows: Mapping[str, Any] = field(default_factory=dict)
    variant_id: str = ""
    run_id: str = ""
    code: Code = NO_CODE

    def shown_variant(self) -> dict[str, Any]:
        """The variant as `config.json` shows it."""
        shown = convert_json(dict(self.variant))
        return shown if isinstance(shown, dict) else {}


def identify_run(
    thunk: Thunk, variant: Mapping[str, Any], seed: int, num_cpu: int, outside: Collection[str]
) -> tuple[str, str]:
    """The ids of a run: the one that all its seeds share, and its own.

    Args:
        thunk: what it calls.
        variant: its hyperparameters.
        seed: its seed.
        num_cpu: its MPI ranks.
        outside: keys that change nothing of what is computed, or only how long it goes on.

    Raises:
        BadValue: values without a canonical form; all of them are told.
    """
    problems = Problems()
    texts = {}
    for key, value in variant.items():
        if key != SEED and key not in outside:
            try:
                texts[key] = canonical(value, key)
            except BadValue as error:
                problems.add(str(error))
    problems.raise_if_any(BadValue)
    common = canonical([SCHEMA, thunk.identity, texts, num_cpu])
    return short_hash(common, _ID_DIGITS), short_hash(canonical([common, seed]), _ID_DIGITS)


def keys_outside(thunk: Thunk, varying: Collection[str]) -> set[str]:
    """The keys that are no part of a run's ids: growing ones and the logger's, unless they vary within the grid."""
    return {key for key in (*thunk.signature.grows, LOGGER_KWARGS) if key not in varying}


def growth(thunk: Thunk, variant: Mapping[str, Any], varying: Collection[str]) -> dict[str, Any]:
    """How far a run is to go: the value of each growing key, given or by default; None where that is not known."""
    values: dict[str, Any] = {}
    for key in sorted(thunk.signature.grows - set(varying)):
        parameter = thunk.signature.get(key)
        default = None if parameter is None or parameter.default is NO_LITERAL else parameter.default
        values[key] = convert_json(variant.get(key, default))
    return values


def has_grown(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether any growing key asks for more than an earlier start of the run did.

    Numbers are compared; where one of two different values is none, the run is to go on: it decides itself.
    """
    return any(_is_more(old.get(key), value) for key, value in new.items())


def _is_more(old: Any, new: Any) -> bool:
    if _is_number(old) and _is_number(new):
        return bool(new > old)
    return bool(new != old)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], defaults: Mapping[str, str]) -> Iterator[str]:
    """What has changed from one nested dict to another: `gamma: 0.99 -> 0.9`, one text per key.

    Args:
        old: what was.
        new: what is.
        defaults: what holds where a key is not given, as far as that is known.
    """
    before, after = dict(leaves(old)), dict(leaves(new))
    for key in sorted(before.keys() | after.keys()):
        first, second = before.get(key, _NOT_GIVEN), after.get(key, _NOT_GIVEN)
        if first != second or type(first) is not type(second):
            default = f"{defaults[key]} by default" if key in defaults else "not given"
            yield " -> ".join([f"{key}: {_shown(first, default)}", _shown(second, default)])


_NOT_GIVEN = object()


def leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values in a nested dict with their keys, joined by colons; an empty dict is a value."""
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from leaves(inner, f"{prefix}{key}:")
        else:
            yield f"{prefix}{key}", inner


def _shown(value: Any, default: str) -> str:
    if value is _NOT_GIVEN:
        return default
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
