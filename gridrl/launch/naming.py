"""Readable names for the variants of a grid, different for different variants."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gridrl.launch.variants import Parameter, value_at
from gridrl.utils.names import cut_name, default_shorthand, short_hash, valid_str
from gridrl.utils.serialization import canonical

NAMELESS = "default"
"""The name of the variant that has nothing to be named after."""

_HASH_DIGITS = 4


def prefix_shorthand(key: str, length: int) -> str:
    """The first `length` characters of each part of a key, without what is no letter or digit.

    >>> prefix_shorthand("steps_per_epoch", 7), prefix_shorthand("ac_kwargs:hidden_sizes", 3)
    ('stepsp', 'ac-hid')
    """
    return "-".join("".join(filter(str.isalnum, part[:length])) for part in key.split(":"))


def label_keys(parameters: Sequence[Parameter], shorten: bool) -> dict[str, str]:
    """What each named key is called in names: its shorthand, different for every key.

    Default shorthands that are equal are lengthened until they differ (`steps_per_epoch` and `steps_warm`:
    `stepsp`, `stepsw`); what cannot be told apart so gets a short hash of its key. Neither depends on the order of
    the keys. An empty shorthand stays empty: the user wants the value alone.

    Args:
        parameters: keys that stand in names.
        shorten: whether keys without a shorthand get the default one (otherwise their own name).
    """
    growing = {p.key for p in parameters if p.shorthand is None and shorten}
    labels = {p.key: valid_str(_first_label(p, shorten)) for p in parameters}
    longest = max((len(part) for key in growing for part in key.split(":")), default=0)
    for length in range(4, longest + 1):
        clashing = _clashing(labels)
        if not clashing & growing:
            break
        labels.update({key: valid_str(prefix_shorthand(key, length)) for key in clashing & growing})
    for key in _clashing(labels):
        labels[key] += f"-{short_hash(key)}"
    return labels


def _first_label(parameter: Parameter, shorten: bool) -> str:
    if parameter.shorthand is not None:
        return parameter.shorthand
    return default_shorthand(parameter.key) if shorten else parameter.key


def _clashing(labels: Mapping[str, str]) -> set[str]:
    counts = Counter(labels.values())
    return {key for key, label in labels.items() if label and counts[label] > 1}


class Names:
    """The names of a grid's variants: grid name, then shorthand and value of each key that varies.

    Values are shown without case and special characters, so that different ones can look alike (`a/b`, `a-b`; None,
    'none'; 1.0, '1-0'). All variants whose names would be equal get a short hash of their values, which depends
    neither on the order of the keys nor on the rest of the grid.

    Args:
        name: the grid's own name; it stands first.
        parameters: the keys of the grid.
        shorten: whether keys without a shorthand get the default one.
    """

    def __init__(self, name: str, parameters: Sequence[Parameter], shorten: bool) -> None:
        self._name = name
        self._named = [parameter for parameter in parameters if parameter.is_named]
        self._labels = label_keys(self._named, shorten)
        self._clashing: dict[str, int] = {}
        self._find_clashes()

    def of(self, variant: Mapping[str, Any]) -> str:
        """The name of a variant, the seed left out.

        Raises:
            BadValue: the variant lacks a key that varies in the grid.
        """
        return self._of_values([value_at(variant, parameter.path) for parameter in self._named])

    def _of_values(self, values: Sequence[Any]) -> str:
        stem = cut_name(self._stem(values))
        return f"{stem}-{self._hash(values, self._clashing[stem])}" if stem in self._clashing else stem

    def _stem(self, values: Sequence[Any]) -> str:
        parts = [self._part(parameter, value) for parameter, value in zip(self._named, values, strict=True)]
        return "".join([self._name, *parts]).lstrip("_") or NAMELESS

    def _part(self, parameter: Parameter, value: Any) -> str:
        label = self._labels[parameter.key]
        if parameter.is_switch:
            return f"_{label or valid_str(parameter.key)}" if value else ""
        return f"_{label}{valid_str(value)}"

    def _hash(self, values: Sequence[Any], digits: int) -> str:
        return short_hash(canonical({p.key: value for p, value in zip(self._named, values, strict=True)}), digits)

    def _find_clashes(self) -> None:
        """Notes the stems that several variants share, each with as many digits as tell these variants apart."""
        every = list(itertools.product(*(parameter.values for parameter in self._named)))
        stems = Counter(cut_name(self._stem(values)) for values in every)
        self._clashing = {stem: _HASH_DIGITS for stem, count in stems.items() if count > 1}
        for _ in range(6 if self._clashing else 0):
            names = Counter(self._of_values(values) for values in every)
            doubled = {cut_name(self._stem(values)) for values in every if names[self._of_values(values)] > 1}
            if not doubled:
                break
            self._clashing.update({stem: self._clashing.get(stem, 0) + _HASH_DIGITS for stem in doubled})
