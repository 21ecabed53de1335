"""Any value as something that a JSON file can hold and a person can read."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from collections import deque
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from gridrl.build import Builder, Reference
from gridrl.typing import JSON
from gridrl.utils.callables import readable_name
from gridrl.utils.names import without_address

_MOST_NUMBERS = 1000
_MOST_BYTES = 64
_LONGEST_TEXT_OF_AN_OBJECT = 200
_DEEPEST = 40


def convert_json(obj: Any) -> JSON:
    """`obj` as dicts with text keys, lists, texts, finite numbers, booleans and None.

    It never raises, sorts nothing, and gives the same in every process: no memory address gets into it. Tuples become
    lists; sets too, in the order of their texts. Functions and classes become `"module.qualname"`, a `Reference` what
    was typed, a Builder a dict of its three parts; small arrays and tensors lists, large ones their type, shape and
    hash; NaN and infinities the texts "nan", "inf", "-inf". Of other objects the public attributes are told.

    >>> convert_json({"hidden": (64, 64), 1: float("inf"), "activation": len})
    {'hidden': [64, 64], '1': 'inf', 'activation': 'builtins.len'}
    """
    return _Converter().convert(obj)


class _Converter:
    """Converts one value; remembers what it is inside of."""

    def __init__(self) -> None:
        self._around: list[int] = []
        self._inside_object = False

    def convert(self, obj: Any) -> JSON:
        try:
            if obj is None or (isinstance(obj, (bool, int, float, str)) and not isinstance(obj, enum.Enum)):
                return _plain(obj)
            if id(obj) in self._around:
                return f"<a {type(obj).__name__} inside itself>"
            if len(self._around) >= _DEEPEST:
                return _kind(obj)
            self._around.append(id(obj))
            try:
                return self._compound(obj)
            finally:
                self._around.pop()
        except Exception:  # somebody's object whose attributes or texts fail: its kind is always known
            return _kind(obj)

    def _compound(self, obj: Any) -> JSON:
        if isinstance(obj, Reference):
            return _plain(obj.path)
        if isinstance(obj, Builder):
            return self._mapping({"class_type": obj[0], "kwargs": obj[1], "default": obj[2]})
        if isinstance(obj, functools.partial):
            return self._mapping({"partial": obj.func, "args": obj.args, "kwargs": obj.keywords})
        if isinstance(obj, enum.Enum):
            return f"{readable_name(type(obj))}.{obj.name}"
        if isinstance(obj, Mapping):
            return self._mapping(obj)
        if isinstance(obj, tuple) and hasattr(obj, "_fields"):
            return self._mapping(dict(zip(obj._fields, obj, strict=True)))
        if isinstance(obj, (list, tuple, deque, range)):
            return [self.convert(item) for item in obj]
        if isinstance(obj, (set, frozenset)):
            return sorted((self.convert(item) for item in obj), key=str)
        if isinstance(obj, PurePath):
            return _plain(str(obj))
        if isinstance(obj, (bytes, bytearray)):
            return repr(bytes(obj)) if len(obj) <= _MOST_BYTES else f"{len(obj)} bytes, sha256 {_hash(bytes(obj))}"
        return self._array(obj)

    def _mapping(self, obj: Mapping[Any, Any]) -> dict[str, JSON]:
        found: dict[str, JSON] = {}
        for key, value in obj.items():
            name = _plain(key) if isinstance(key, str) else self._key(key)
            while name in found:  # 1 and "1" are two keys
                name = f"{name} ({type(key).__name__})"
            found[str(name)] = self.convert(value)
        return found

    def _key(self, key: Any) -> str:
        converted = self.convert(key)
        return converted if isinstance(converted, str) else str(converted)

    def _array(self, obj: Any) -> JSON:
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy is not None and isinstance(obj, numpy.generic):
            item = obj.item()
            return str(obj) if isinstance(item, numpy.generic) else self.convert(item)
        if numpy is not None and isinstance(obj, numpy.ndarray):
            if obj.size <= _MOST_NUMBERS:
                return self.convert(obj.tolist())
            content = b"" if obj.dtype.hasobject else obj.tobytes()
            return _summary("array", obj.dtype, obj.shape, content)
        if torch is not None and isinstance(obj, torch.Tensor):
            bare = obj.detach().cpu()
            if bare.numel() <= _MOST_NUMBERS:
                return self.convert(bare.tolist())
            content = bare.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            return _summary("tensor", obj.dtype, tuple(obj.shape), content)
        return self._object(obj)

    def _object(self, obj: Any) -> JSON:
        if _is_named(obj):
            return _plain(readable_name(obj))
        if dataclasses.is_dataclass(obj):
            fields = {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj)}
            return {readable_name(type(obj)): self._mapping(fields)}
        if getattr(type(obj), "__repr__", None) is not object.__repr__:
            text = without_address(repr(obj))
            if len(text) <= _LONGEST_TEXT_OF_AN_OBJECT and "\n" not in text:
                return _plain(text)
        return self._attributes(obj)

    def _attributes(self, obj: Any) -> JSON:
        """The public attributes of an object, one deep: an object inside it is told by its kind."""
        attributes = {key: value for key, value in vars(obj).items() if not key.startswith("_")}
        if self._inside_object or not attributes:
            return _kind(obj)
        self._inside_object = True
        try:
            return {readable_name(type(obj)): self._mapping(attributes)}
        finally:
            self._inside_object = False


def _plain(obj: Any) -> str | int | float | bool | None:
    if obj is None or isinstance(obj, bool):
        return obj
    if isinstance(obj, int):
        return int(obj) if abs(obj) < 2**1024 else hex(obj)  # Python refuses decimal texts of thousands of digits
    if isinstance(obj, float):
        return float(obj) if abs(obj) < float("inf") else str(float(obj))
    # A lone surrogate, from a name typed in another encoding, cannot be written as UTF-8.
    return str(obj).encode("utf-8", errors="backslashreplace").decode("utf-8")


def _is_named(obj: Any) -> bool:
    return isinstance(obj, (type, types.ModuleType)) or isinstance(
        getattr(obj, "__qualname__", getattr(obj, "__name__", None)), str
    )


def _kind(obj: Any) -> str:
    return f"<{type(obj).__module__}.{type(obj).__qualname__}>"


def _summary(kind: str, dtype: Any, shape: tuple[int, ...], content: bytes) -> JSON:
    return {kind: {"dtype": str(dtype), "shape": list(shape), "sha256": _hash(content)}}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
