"""Finds the part of a value that cannot be pickled, so that a message can name it."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any

from gridrl.build import Builder
from gridrl.utils.callables import MAIN_MODULES, callable_path, closure
from gridrl.utils.names import without_address

_TOO_DEEP = "it is nested too deeply to be pickled"


def find_unpicklable(obj: Any, root: str = "") -> tuple[str, str] | None:
    """Where a value holds something that cannot be pickled, and why; None where all of it can be.

    It goes down dicts, lists, tuples, sets, Builders, attributes, and what functions refer to: their closure, their
    defaults and, where the function itself is pickled, the globals that it uses.

    Args:
        obj: the value.
        root: what it is called, such as "ac_kwargs".

    Returns:
        The key path of the innermost culprit ("ac_kwargs:activation, closure variable 'lock' of 'make'") and the
        reason that pickle gave.
    """
    path, fault = root, _fault(obj)
    seen = {id(obj)}
    while fault is not None and fault != _TOO_DEEP:
        for where, part in _parts(obj, path):
            inner = None if id(part) in seen else _fault(part)
            seen.add(id(part))
            if inner is not None:
                obj, path, fault = part, where, inner
                break
        else:
            break
    return None if fault is None else (path, fault)


def _fault(obj: Any) -> str | None:
    import cloudpickle

    try:
        cloudpickle.dumps(obj)
    except Exception as error:  # what `__reduce__` of somebody's class raises
        if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
            return _TOO_DEEP
        return without_address(f"{type(error).__name__}: {error}")
    return None


def _parts(obj: Any, path: str) -> Iterator[tuple[str, Any]]:
    """What a value is made of, each part with its path."""
    if isinstance(obj, Builder):
        yield from zip((_below(path, name) for name in ("class_type", "kwargs", "default")), obj, strict=True)
    elif isinstance(obj, Mapping):
        yield from ((f"{path}, a key", key) for key in obj)
        yield from ((_below(path, key), value) for key, value in obj.items())
    elif isinstance(obj, (list, tuple, set, frozenset)):
        yield from ((_below(path, place), item) for place, item in enumerate(obj))
    elif isinstance(obj, functools.partial):
        yield path, obj.func
        yield from ((_below(path, place), item) for place, item in enumerate(obj.args))
        yield from ((_below(path, key), value) for key, value in obj.keywords.items())
    elif isinstance(obj, types.MethodType):
        yield path, obj.__self__
        yield path, obj.__func__
    elif isinstance(obj, types.FunctionType):
        yield from _parts_of_function(obj, path)
    else:
        yield from _attributes(obj, path)


def _parts_of_function(function: types.FunctionType, path: str) -> Iterator[tuple[str, Any]]:
    name = repr(function.__name__)
    for variable, value in closure(function).items():
        yield _said(path, f"closure variable {variable!r} of {name}"), value
    for value in function.__defaults__ or ():
        yield _said(path, f"a default of {name}"), value
    for key, value in (function.__kwdefaults__ or {}).items():
        yield _said(path, f"the default {key!r} of {name}"), value
    if callable_path(function) is None:  # pickled with its globals, not by name
        for variable in sorted(_names_used(function.__code__)):
            if variable in function.__globals__:
                yield _said(path, f"global {variable!r} of {name}"), function.__globals__[variable]


def _names_used(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*(_names_used(constant) for constant in inner))


def _attributes(obj: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(obj, type):
        if obj.__module__ not in MAIN_MODULES and "<locals>" not in obj.__qualname__:
            return
        attributes = {key: value for key, value in vars(obj).items() if not key.startswith("__")}
        attributes |= {key: value for key, value in vars(obj).items() if isinstance(value, types.FunctionType)}
    else:
        attributes = dict(getattr(obj, "__dict__", {}))
        slots = [slot for cls in type(obj).__mro__ for slot in _names_of_slots(cls)]
        attributes |= {slot: getattr(obj, slot) for slot in slots if hasattr(obj, slot)}
    for key, value in attributes.items():
        yield f"{path}.{key}", value


def _names_of_slots(cls: type) -> list[str]:
    slots = vars(cls).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [slot for slot in slots if not slot.startswith("__")]


def _below(path: str, key: Any) -> str:
    return f"{path}:{key}" if path else str(key)


def _said(path: str, words: str) -> str:
    return f"{path}, {words}" if path else words
