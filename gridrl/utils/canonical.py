"""The canonical text of a value: equal for equal hyperparameters, in every process; runs get their ids from it."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import operator
import sys
import types
from collections import deque
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from gridrl.build import Builder, Reference
from gridrl.errors import BadValue
from gridrl.utils.callables import callable_path
from gridrl.utils.fingerprints import class_text, function_text

# Values whose own text tells all of them; named, because importing their modules has a price.
_BY_TEXT = {
    "builtins.complex",
    "builtins.range",
    "builtins.ellipsis",
    "builtins.NotImplementedType",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
}
_OPERATORS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
_METHODS_OF_C = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_TEXTS_OF_TORCH = ("dtype", "device", "memory_format", "layout")


def canonical(obj: Any, root: str = "") -> str:
    """One text for values that mean the same, another for any others; the same in every process and on every machine.

    Lists equal tuples, the order of a dict's keys does not matter, numpy's numbers equal Python's of their kind, a
    `Reference` equals what it names. 1, 1.0 and True differ, as do None and "None". Functions and classes go by
    `module:qualname`; lambdas, nested functions and those of `__main__` by code, constants, defaults and closure,
    whatever their file and line. Arrays and tensors go by type, shape and content, dataclasses by their fields. An
    object may say itself what it is with an attribute or method `__gridrl_id__`.

    >>> canonical({"b": (1, 2.0), "a": None}) == canonical({"a": None, "b": [1, 2.0]})
    True

    Args:
        obj: the value.
        root: what it is called in an error, such as "ac_kwargs".

    Raises:
        BadValue: a part of it has no canonical form; the message names the part.
    """
    try:
        return _Describer().describe(obj, root)
    except RecursionError as error:
        raise BadValue(f"{root}{': ' if root else ''}it is nested too deeply to have an id.") from error


class _Describer:
    """Describes one value; remembers what it is inside of, because functions and classes can hold themselves."""

    def __init__(self) -> None:
        self._around: dict[int, int] = {}

    def describe(self, obj: Any, path: str) -> str:
        plain = _plain_text(obj)
        if plain is not None:
            return plain
        if id(obj) in self._around:
            return f"^{len(self._around) - self._around[id(obj)]}"
        self._around[id(obj)] = len(self._around)
        try:
            return self._compound(obj, path)
        finally:
            del self._around[id(obj)]

    def _compound(self, obj: Any, path: str) -> str:
        for kind in (self._own_id, self._reference, self._container, self._callable, self._method, self._array):
            text = kind(obj, path)
            if text is not None:
                return text
        where = f"{path}: " if path else ""
        raise BadValue(
            f"{where}a {type(obj).__module__}.{type(obj).__qualname__} has no form that is the same in every process, "
            f"so a run with it has no id. Give what it is made from (a function, a Builder, plain values), or give its "
            f"class an attribute or method `__gridrl_id__`."
        )

    def _own_id(self, obj: Any, path: str) -> str | None:
        if not (hasattr(type(obj), "__gridrl_id__") or "__gridrl_id__" in getattr(obj, "__dict__", {})):
            return None
        own = obj.__gridrl_id__
        if isinstance(obj, type):
            return None if callable(own) or isinstance(own, property) else f"id({self.describe(own, path)})"
        return f"{_type_name(obj)}({self.describe(own() if callable(own) else own, path)})"

    def _container(self, obj: Any, path: str) -> str | None:
        if isinstance(obj, Builder):
            names = ("class_type", "kwargs", "default")
            parts = [self.describe(part, _below(path, name)) for part, name in zip(obj, names, strict=True)]
            return f"builder({', '.join(parts)})"
        if isinstance(obj, Mapping):
            return self._mapping(obj, path)
        if isinstance(obj, tuple) and hasattr(obj, "_fields"):
            return f"{self.describe(type(obj), path)}{self._items(obj, path)}"
        if isinstance(obj, (list, tuple, deque)):
            return self._items(obj, path)
        if isinstance(obj, (set, frozenset)):
            return f"set({', '.join(sorted(self.describe(item, path) for item in obj))})"
        if isinstance(obj, slice):
            return f"slice{self._items((obj.start, obj.stop, obj.step), path)}"
        if isinstance(obj, enum.Enum):
            return f"{self.describe(type(obj), path)}.{obj.name or self.describe(obj.value, path)}"
        if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            compared = [field.name for field in dataclasses.fields(obj) if field.compare]
            fields = {name: getattr(obj, name) for name in compared if hasattr(obj, name)}
            return f"{self.describe(type(obj), path)}{self._mapping(fields, path)}"
        return None

    def _items(self, obj: Any, path: str) -> str:
        return f"[{', '.join(self.describe(item, _below(path, place)) for place, item in enumerate(obj))}]"

    def _mapping(self, obj: Mapping[Any, Any], path: str) -> str:
        pairs = [(self.describe(key, path), self.describe(value, _below(path, key))) for key, value in obj.items()]
        return f"{{{', '.join(f'{key}: {value}' for key, value in sorted(pairs))}}}"

    def _callable(self, obj: Any, path: str) -> str | None:
        if isinstance(obj, functools.partial):
            return f"partial({', '.join(self.describe(part, path) for part in (obj.func, obj.args, obj.keywords))})"
        found = callable_path(obj)
        if found is not None:
            return found
        if isinstance(obj, types.FunctionType):
            return _short("function", function_text(obj, self.describe, path))
        if isinstance(obj, type):
            return _short("class", class_text(obj, self.describe, path))
        if isinstance(obj, types.ModuleType):
            return f"module {obj.__name__}"
        return None

    def _method(self, obj: Any, path: str) -> str | None:
        if isinstance(obj, types.MethodType):
            return f"{self.describe(obj.__self__, path)}.{self.describe(obj.__func__, path)}"
        if isinstance(obj, types.BuiltinMethodType) and obj.__self__ is None:  # torch.tanh and its like
            return f"{obj.__module__}:{obj.__qualname__}"
        if isinstance(obj, types.BuiltinMethodType):
            return f"{self.describe(obj.__self__, path)}.{obj.__name__}"
        if isinstance(obj, _METHODS_OF_C):
            return f"{self.describe(obj.__objclass__, path)}.{obj.__name__}"
        if isinstance(obj, _OPERATORS):
            return f"{_type_name(obj)}{self.describe(obj.__reduce__()[1], path)}"
        if isinstance(obj, (staticmethod, classmethod, type(functools.lru_cache(len)))):
            return f"{_type_name(obj)}({self.describe(obj.__wrapped__, path)})"
        return None

    def _reference(self, obj: Any, path: str) -> str | None:
        if not isinstance(obj, Reference):
            return None
        if obj.canonical is not None:
            return obj.canonical
        found = _loaded(obj.path)
        return f"reference {obj.path}" if found is _NOT_LOADED else self.describe(found, path)

    def _array(self, obj: Any, path: str) -> str | None:
        module = type(obj).__module__.partition(".")[0]
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy is not None and type(obj) in (numpy.ndarray, numpy.memmap):
            if obj.dtype.hasobject:
                return f"array({obj.shape}, {self._items(obj.ravel().tolist(), path)})"
            kind = obj.dtype.str if obj.dtype.names is None else str(obj.dtype)
            return f"array({kind}, {obj.shape}, {_hash(obj.tobytes())})"
        if numpy is not None and isinstance(obj, numpy.ufunc):
            name = obj.__name__
            return f"numpy:{name}" if getattr(numpy, name, None) is obj else None
        if numpy is not None and isinstance(obj, (numpy.dtype, numpy.generic)):
            return f"{_type_name(obj)}({obj.str if isinstance(obj, numpy.dtype) else obj})"
        if torch is not None and isinstance(obj, torch.Tensor):
            return _tensor_text(obj, torch)
        if module == "torch" and type(obj).__name__ in _TEXTS_OF_TORCH:
            return str(obj)
        return None


def _tensor_text(tensor: Any, torch: Any) -> str | None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return None
    dense = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    content = dense.reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"tensor({tensor.dtype}, {tuple(tensor.shape)}, {_hash(content)})"


def _plain_text(obj: Any) -> str | None:
    """The text of a value without parts, None where it has some."""
    if obj is None or isinstance(obj, bool):
        return str(obj)
    if isinstance(obj, enum.Enum):
        return None
    if isinstance(obj, int):
        return format(int(obj), "d") if abs(obj) < 2**1024 else hex(obj)
    if isinstance(obj, float):
        return repr(float(obj))
    if isinstance(obj, str):
        return json.dumps(str(obj))
    if isinstance(obj, (bytes, bytearray)):
        return f"bytes({_hash(bytes(obj))})"
    if isinstance(obj, PurePath):
        return f"path({json.dumps(str(obj))})"
    if _type_name(obj) in _BY_TEXT:
        return f"{_type_name(obj)}({obj!r})"
    return _numpy_number(obj)


def _numpy_number(obj: Any) -> str | None:
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(obj, (numpy.bool_, numpy.integer, numpy.floating, numpy.complexfloating)):
        return None
    return _plain_text(obj.item()) if not isinstance(obj.item(), numpy.generic) else None


def _loaded(path: str) -> Any:
    """The object of a dotted name if every module on the way is loaded already; nothing is imported."""
    first, *rest = path.replace(":", ".").split(".")
    found: Any = sys.modules.get(first, _NOT_LOADED)
    prefix = first
    for part in rest:
        value = _attribute(found, part)
        if value is _NOT_LOADED:  # a function of its name may hide the module
            value = _attribute(sys.modules.get(prefix), part)
        prefix = f"{prefix}.{part}"
        found = sys.modules.get(prefix, _NOT_LOADED) if value is _NOT_LOADED else value
    return found


def _attribute(holder: Any, name: str) -> Any:
    if isinstance(holder, types.ModuleType):  # whose own __getattr__ might import
        return vars(holder).get(name, _NOT_LOADED)
    return getattr(holder, name, _NOT_LOADED)


_NOT_LOADED = object()


def _type_name(obj: Any) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def _below(path: str, key: Any) -> str:
    return f"{path}:{key}" if path and isinstance(key, (str, int)) else path or str(key)


def _short(kind: str, text: str) -> str:
    return f"{kind} {_hash(text.encode('utf-8', errors='surrogatepass'))}"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
