"""Finds, once, where each value that a hook names comes from, and makes the call that fetches it.

Names are looked up in the callback's data group, then in the trainer's state, then again by the alias table, which
serves the documented names of hooks written for other libraries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gridrl.errors import BindingError, did_you_mean, nearest
from gridrl.train.callback import Callback

State: TypeAlias = MutableMapping[str, Any]
Call: TypeAlias = Callable[[State], Any]
Derive: TypeAlias = Callable[[Any], Any]


def _one_minus(terminated: Any) -> Any:
    is_floating = getattr(terminated, "is_floating_point", None)
    if is_floating is not None and is_floating():
        return 1.0 - terminated
    return 1.0 - terminated * 1.0  # a tensor of truth values knows no subtraction


# documented name -> our batch key, and how to make one from the other
ALIASES: Mapping[str, tuple[str, Derive | None]] = {
    "observation": ("obs", None),
    "actions": ("action", None),
    "rewards": ("reward", None),
    "next_observation": ("next_obs", None),
    "masks": ("terminated", _one_minus),
}


@dataclass(frozen=True)
class Ask:
    """One value that a hook wants: its parameter, the key to look up, and whether it can do without."""

    parameter: str
    key: str
    optional: bool
    keyword_only: bool


@dataclass(frozen=True)
class Found:
    """Where a value stands: the group (None: the state), its key there, and what is done to it on the way."""

    parameter: str
    group: str | None
    key: str
    derive: Derive | None
    by_keyword: bool


@dataclass
class Names:
    """What can be asked for at one moment of an update, and who provides what later.

    Attributes:
        state: keys of the trainer's state.
        groups: keys of each data group.
        later: name -> the callback that provides it, for all callbacks.
    """

    state: set[str]
    groups: dict[str, set[str]]
    later: Mapping[str, Callback] = field(default_factory=dict)

    def add_provided(self, callback: Callback) -> None:
        """Notes that what `callback` provides is there from now on."""
        own = self.state if callback.data_group is None else self.groups.get(callback.data_group, self.state)
        own.update(callback.provides)


def is_overridden(callback: Callback, hook: str) -> bool:
    """Whether the callback does anything in this hook."""
    return getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)


def bind(callback: Callback, hook: str, names: Names) -> Call:
    """Makes the function that calls a hook with what it asks for, taken from the trainer's state.

    Raises:
        BindingError: if something asked for is not there, or an optional parameter looks like a misspelt name.
    """
    function = getattr(callback, hook)
    asks, wants_everything = asks_of(callback, hook)
    group = callback.data_group
    if group is not None and group not in names.groups:
        # before the first batch there are none yet, and hooks outside the update can do without
        group = None
    found: list[Found] = []
    by_keyword = wants_everything
    for ask in asks:
        by_keyword = by_keyword or ask.keyword_only
        where = _find(ask, group, names, by_keyword)
        if where is not None:
            found.append(where)
        else:
            others = {key for other in asks if other is not ask for key in (other.key, _alias(other.key)[0])}
            _tell_missing(callback, hook, ask, group, names, others)
            by_keyword = True  # what follows an optional parameter that is left out cannot go by position
    if wants_everything:
        return _call_with_everything(function, found, group, f"{callback.name}.{hook}")
    return _call(function, found, f"{callback.name}.{hook}")


def asks_of(callback: Callback, hook: str) -> tuple[list[Ask], bool]:
    """What a hook asks for, in the order of its parameters, and whether it takes simply everything (`**kwargs`)."""
    function = getattr(callback, hook)
    keys: dict[str, str] = dict(getattr(function, Callback._KEYS, {}))
    extension = getattr(function, Callback._EXTENDS, None)
    if isinstance(extension, str):
        function = _extension(callback, hook, extension)
        keys |= getattr(function, Callback._KEYS, {})
    parameters = inspect.signature(function).parameters
    asks, wants_everything = [], False
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            wants_everything = wants_everything or parameter.kind is parameter.VAR_KEYWORD
            continue
        key = getattr(callback, keys[name]) if name in keys else name
        asks.append(Ask(name, key, parameter.default is not parameter.empty, parameter.kind is parameter.KEYWORD_ONLY))
    unknown = keys.keys() - parameters.keys()
    if unknown:
        raise BindingError(
            f"{callback.name}.{hook}: keys_from_member names {min(unknown)!r}, which is no parameter of it; "
            f"it has: {_listed(parameters)}."
        )
    return asks, wants_everything


def _extension(callback: Callback, hook: str, method: str) -> Callable[..., Any]:
    marked = any(getattr(vars(base).get(method), Callback._EXTENDS, None) is True for base in type(callback).__mro__)
    if not marked:
        raise BindingError(
            f"{callback.name}.{hook} takes its arguments from {method!r}, which no class of it marks with "
            "`Callback.extend`."
        )
    found: Callable[..., Any] = getattr(callback, method)
    return found


def _find(ask: Ask, group: str | None, names: Names, by_keyword: bool) -> Found | None:
    places: list[tuple[str | None, Collection[str]]] = [(None, names.state)]
    if group is not None:
        places.insert(0, (group, names.groups[group]))
    alias, derive = _alias(ask.key)
    for key, change in ((ask.key, None), (alias, derive)):
        for place, keys in places:
            if key in keys:
                return Found(ask.parameter, place, key, change, by_keyword)
    return None


def _alias(key: str) -> tuple[str, Derive | None]:
    return ALIASES.get(key, (key, None))


def _tell_missing(
    callback: Callback, hook: str, ask: Ask, group: str | None, names: Names, others: Collection[str]
) -> None:
    """Raises for a name that is not there; an optional one may be missing unless it looks misspelt.

    What the hook asks for beside, `others`, it knows how to spell: `action_mask=None` beside `action` is no slip.
    """
    at_hand = sorted(names.state | (names.groups[group] if group is not None else set()))
    if ask.optional:
        near = nearest(ask.key, [name for name in at_hand if name not in others])
        if near is None or names.later.get(ask.key):
            return
        raise BindingError(
            f"{callback.name}.{hook} has an optional parameter {ask.key!r} that nothing fills. Did you mean {near!r}?"
        )
    where = "the trainer's state has" if group is None else f"the {group!r} batch and the trainer's state have"
    provider = names.later.get(ask.key)
    if provider is None:
        hint = did_you_mean(ask.key, at_hand)
    elif provider is callback:
        hint = f" {provider.name} provides it itself, but later."
    elif provider.data_group not in (None, group):
        hint = f" {provider.name} provides it, but in the data group {provider.data_group!r}."
    else:
        hint = f" {provider.name} provides it, but runs later: move it before {callback.name}, or lower its priority."
    raise BindingError(f"{callback.name}.{hook} asks for {ask.key!r}; {where}: {_listed(at_hand)}.{hint}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _call(function: Callable[..., Any], found: list[Found], asker: str) -> Call:
    """The quickest call that fetches `found`; hooks run thousands of times a second."""
    if not found:
        return lambda state: function()
    groups = {value.group for value in found}
    keys = [value.key for value in found]
    if len(groups) == 1 and not any(value.derive or value.by_keyword for value in found):
        (group,) = groups
        return _call_from_state(function, keys, asker) if group is None else _call_from(group, function, keys, asker)
    return _call_mixed(function, found, asker)


def _call_from_state(function: Callable[..., Any], keys: list[str], asker: str) -> Call:
    def call(state: State) -> Any:
        try:
            values = [state[key] for key in keys]
        except KeyError as error:
            raise _vanished(asker, error) from None
        return function(*values)

    return call


def _call_from(group: str, function: Callable[..., Any], keys: list[str], asker: str) -> Call:
    def call(state: State) -> Any:
        try:
            batch = state[group]
            values = [batch[key] for key in keys]
        except KeyError as error:
            raise _vanished(asker, error, group) from None
        return function(*values)

    return call


def _call_mixed(function: Callable[..., Any], found: list[Found], asker: str) -> Call:
    positional = [value for value in found if not value.by_keyword]
    keyword = [value for value in found if value.by_keyword]

    def call(state: State) -> Any:
        try:
            values = [_fetched(state, value) for value in positional]
            named = {value.parameter: _fetched(state, value) for value in keyword}
        except KeyError as error:
            raise _vanished(asker, error) from None
        return function(*values, **named)

    return call


def _call_with_everything(function: Callable[..., Any], found: list[Found], group: str | None, asker: str) -> Call:
    def call(state: State) -> Any:
        try:
            everything = dict(state) if group is None else {**state, **state[group]}
            everything |= {value.parameter: _fetched(state, value) for value in found}
        except KeyError as error:
            raise _vanished(asker, error, group) from None
        return function(**everything)

    return call


def _fetched(state: State, value: Found) -> Any:
    raw = state[value.key] if value.group is None else state[value.group][value.key]
    return raw if value.derive is None else value.derive(raw)


def _vanished(asker: str, error: KeyError, group: str | None = None) -> BindingError:
    if error.args[0] == group:
        return BindingError(f"{asker} reads the data group {group!r}, which nobody has made when it is called.")
    return BindingError(f"{asker} asks for {error.args[0]!r}, which earlier batches had and this one lacks.")
