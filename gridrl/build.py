"""Deferred objects: `Builder`, a call that is made later, and names that stand for code until they are resolved."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

from gridrl.errors import BuildError, did_you_mean
from gridrl.references import NamedTable, Reference, load_file, resolve

__all__ = [
    "Builder",
    "NamedTable",
    "Reference",
    "load_file",
    "recursive_update",
    "replace_references",
    "resolve",
    "resolve_references",
]

T = TypeVar("T")


def resolve_references(value: Any) -> Any:
    """`value` with every `Reference` in its dicts, lists, tuples, sets and Builders replaced by its object.

    What holds no reference comes back as the very object that went in; nothing is changed in place.
    """
    return replace_references(value, Reference.resolve)


def replace_references(value: Any, replace: Callable[[Reference], Any]) -> Any:
    """`value` with every `Reference` replaced by what `replace` makes of it, see `resolve_references`."""
    if isinstance(value, Reference):
        return replace(value)
    if isinstance(value, Builder):
        return _same_or(value, _replaced(value, replace), lambda new: type(value)(*new))
    if isinstance(value, MutableMapping):
        return _with_values_replaced(value, replace)
    if type(value) in (list, tuple, set, frozenset):
        return _same_or(value, _replaced(value, replace), type(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _same_or(value, _replaced(value, replace), lambda new: type(value)(*new))
    return value


def _replaced(values: Iterable[Any], replace: Callable[[Reference], Any]) -> list[Any]:
    return [replace_references(value, replace) for value in values]


def _with_values_replaced(
    value: MutableMapping[Any, Any], replace: Callable[[Reference], Any]
) -> MutableMapping[Any, Any]:
    replaced = {key: replace_references(part, replace) for key, part in value.items()}
    changed = {key: part for key, part in replaced.items() if part is not value[key]}
    if changed:
        value = copy.copy(value)  # of whatever kind it is
        value.update(changed)
    return value


def _same_or(value: Any, new: list[Any], rebuild: Callable[[list[Any]], Any]) -> Any:
    return rebuild(new) if any(a is not b for a, b in zip(new, value, strict=True)) else value


def recursive_update(original: MutableMapping[Any, Any], update: Mapping[Any, Any]) -> MutableMapping[Any, Any]:
    """Merges `update` into `original`, dict by dict, and gives `original` back.

    A dict meets a dict: they are merged, at every depth. Anything else replaces what stood there. A dict whose keys
    are whole numbers meets a list: those places of (a copy of) the list are replaced. Dicts of `update` are copied,
    their other values are shared.

    >>> recursive_update({"a": {"x": 1, "y": 2}, "b": [1, 2]}, {"a": {"y": 3}, "b": {0: 9}})
    {'a': {'x': 1, 'y': 3}, 'b': [9, 2]}

    Args:
        original: changed in place.
        update: what to add or replace.

    Raises:
        BuildError: `update` names a place that a list does not have.
    """
    for key, value in update.items():
        original[key] = _merged(original.get(key), value) if isinstance(value, MutableMapping) else value
    return original


def _merged(old: Any, new: MutableMapping[Any, Any]) -> Any:
    if isinstance(old, MutableMapping):
        return recursive_update(old, new)
    if isinstance(old, Mapping):
        return recursive_update(dict(old), new)
    if isinstance(old, list) and new and all(_is_index(key) for key in new):
        return _merged_list(old, new)
    return recursive_update({}, new)


def _is_index(key: Any) -> bool:
    return (isinstance(key, int) and not isinstance(key, bool)) or (isinstance(key, str) and key.isdecimal())


def _merged_list(old: list[Any], new: Mapping[Any, Any]) -> list[Any]:
    result = list(old)
    for key, value in new.items():
        if not -len(result) <= int(key) < len(result):
            raise BuildError(f"there is no place {key} in a list of {len(result)}: {old!r}")
        place = int(key)
        result[place] = _merged(result[place], value) if isinstance(value, MutableMapping) else value
    return result


class Builder(tuple[Any, ...], Generic[T]):
    """A class (or any callable) with its keyword arguments, called later, in another process if need be.

    >>> from fractions import Fraction
    >>> half = Builder(Fraction, {"denominator": 2}, default={"numerator": 1})
    >>> half(), half(numerator=3)
    (Fraction(1, 2), Fraction(3, 2))

    A call's own arguments come before `kwargs`, these before `default`; dicts among them are merged at every depth
    (see `recursive_update`). Nothing given is changed by a call. `default` is copied deeply for every object; lists
    and objects in `kwargs` and in the call are handed over as they are. It is the tuple of its three parts.

    Attributes:
        class_type: what is called.
        kwargs: its keyword arguments.
        default: keyword arguments that `kwargs` and the call may overwrite.
    """

    __slots__ = ()

    def __new__(
        cls,
        class_type: Callable[..., T] | Reference,
        kwargs: dict[str, Any] | None = None,
        default: dict[str, Any] | None = None,
    ) -> Builder[T]:
        """Makes a builder; `kwargs` and `default` are empty dicts where they are None.

        Raises:
            BuildError: `class_type` cannot be called, or the arguments are no dicts.
        """
        if not (callable(class_type) or isinstance(class_type, Reference)):
            raise BuildError(f"Builder: {class_type!r} cannot be called; give a class or a function.")
        for name, given in (("kwargs", kwargs), ("default", default)):
            if not (given is None or isinstance(given, Mapping)):
                raise BuildError(f"Builder: {name} is a dict of keyword arguments, not {given!r}.")
        parts = (class_type, {} if kwargs is None else kwargs, {} if default is None else default)
        return super().__new__(cls, parts)

    @property
    def class_type(self) -> Callable[..., T] | Reference:
        """What is called."""
        found: Callable[..., T] | Reference = self[0]
        return found

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments of the call."""
        found: dict[str, Any] = self[1]
        return found

    @property
    def default(self) -> dict[str, Any]:
        """Keyword arguments that `kwargs` may overwrite."""
        found: dict[str, Any] = self[2]
        return found

    def __call__(self, **kwargs: Any) -> T:
        """Makes the object.

        Args:
            kwargs: more keyword arguments; they overwrite the builder's own.

        Raises:
            BuildError: `class_type` does not take these arguments.
        """
        arguments: dict[str, Any] = copy.deepcopy(dict(self.default))
        recursive_update(arguments, self.kwargs)
        recursive_update(arguments, kwargs)
        make = self.class_type.resolve() if isinstance(self.class_type, Reference) else self.class_type
        try:
            made: T = make(**arguments)
        except TypeError as error:
            fault = _binding_fault(make, arguments)
            if fault is None:
                raise
            raise BuildError(f"Builder: {_name_of(make)} {fault}") from error
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:  # without it, pickle and copy would wrap the tuple once more
        return tuple(self)

    def __repr__(self) -> str:
        parts = [_name_of(self.class_type)]
        parts += [f"{name}={given!r}" for name, given in (("kwargs", self[1]), ("default", self[2])) if given]
        return f"{type(self).__name__}({', '.join(parts)})"


def _name_of(target: Any) -> str:
    """A readable name without a memory address."""
    name = getattr(target, "__qualname__", None) or str(target)
    module = getattr(target, "__module__", None)
    return name if module in (None, "builtins") or isinstance(target, Reference) else f"{module}.{name}"


def _binding_fault(make: Callable[..., Any], arguments: Mapping[str, Any]) -> str | None:
    """Why `make(**arguments)` cannot be called, None where it can (the fault then lies inside)."""
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(**arguments)
    except TypeError as error:
        names = list(signature.parameters)
        unknown = [name for name in arguments if name not in names]
        hints = "".join(did_you_mean(name, names) for name in unknown[:1])
        return f"cannot be called so: {error}.{hints} It takes {', '.join(names) or 'nothing'}."
    return None
