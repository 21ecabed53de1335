"""Functions and classes that no import finds again, told apart by what they do: code, constants, closure, defaults."""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

from gridrl.utils.callables import closure

Describe = Callable[[Any, str], str]
"""Gives the canonical text of a value; the second argument says where the value stands, for errors."""

# What Python itself puts into a class: nothing that its author wrote, or nothing that changes what it does.
_OF_PYTHON = {
    "__module__",
    "__qualname__",
    "__name__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__annotations__",
    "__annotations_cache__",
    "__annotate__",
    "__annotate_func__",
    "__conditional_annotations__",
    "__firstlineno__",
    "__static_attributes__",
    "__orig_bases__",
    "__parameters__",
    "__type_params__",
    "__abstractmethods__",
    "_abc_impl",
    "__match_args__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__slotnames__",
}

# Of a code object's flags those that say how it is called: *args, **kwargs, generator, coroutine. The others say where
# it was defined and with which __future__.
_FLAGS_OF_CALLS = (
    inspect.CO_VARARGS
    | inspect.CO_VARKEYWORDS
    | inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)


def function_text(function: types.FunctionType, describe: Describe, path: str) -> str:
    """What a function does: its code, defaults and closure. Neither its file nor its line numbers matter.

    Args:
        function: a Python function.
        describe: for the values that it holds.
        path: where it stands, for errors.
    """
    name = function.__name__
    parts = [code_text(function.__code__, describe, path)]
    parts += [describe(value, f"{path}, default of {name!r}") for value in function.__defaults__ or ()]
    for key, value in sorted((function.__kwdefaults__ or {}).items()):
        parts.append(f"{key}={describe(value, f'{path}, default {key!r} of {name!r}')}")
    for variable, value in closure(function).items():
        parts.append(f"{variable}:{describe(value, f'{path}, closure variable {variable!r} of {name!r}')}")
    return f"function({', '.join(parts)})"


def code_text(code: types.CodeType, describe: Describe, path: str) -> str:
    """A code object without its file, its lines and the place of its definition."""
    shape = (
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags & _FLAGS_OF_CALLS,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        getattr(code, "co_exceptiontable", b"").hex(),
    )
    constants = [_constant_text(constant, code, describe, path) for constant in code.co_consts]
    if "__firstlineno__" in code.co_names:
        body = f"[{', '.join(_instructions_without_line(code, constants))}]"
    else:
        body = f"{code.co_code.hex()} [{', '.join(constants)}]"
    return f"code({code.co_name} {shape} {body})"


def _constant_text(constant: Any, code: types.CodeType, describe: Describe, path: str) -> str:
    if isinstance(constant, types.CodeType):
        return code_text(constant, describe, path)
    if isinstance(constant, str) and "__qualname__" in code.co_names and constant == code.co_qualname:
        constant = code.co_name  # a class's body stores in which function it stands
    return describe(constant, path)


def _instructions_without_line(code: types.CodeType, constants: list[str]) -> Iterator[str]:
    """The instructions of a class's body, which from Python 3.13 on stores its own line; constants stand in place."""
    instructions = [instruction for instruction in dis.get_instructions(code) if instruction.opname != "EXTENDED_ARG"]
    for instruction, following in zip(instructions, [*instructions[1:], None], strict=True):
        if following is not None and following.argval == "__firstlineno__":
            continue
        is_constant = instruction.opcode in dis.hasconst and instruction.arg is not None
        yield f"{instruction.opname} {constants[instruction.arg or 0] if is_constant else instruction.arg}"


def class_text(cls: type, describe: Describe, path: str) -> str:
    """What a class does: its bases, methods and attributes; members of an enum, fields of a dataclass."""
    bases = [describe(base, f"{path}, base of {cls.__name__!r}") for base in cls.__bases__]
    parts = [f"{name}={text}" for name, text in sorted(_attributes(cls, describe, path))]
    return f"class({cls.__name__} [{', '.join(bases)}] {{{', '.join(parts)}}})"


def _attributes(cls: type, describe: Describe, path: str) -> Iterator[tuple[str, str]]:
    skipped = _OF_PYTHON | _generated(cls)
    for name, value in vars(cls).items():
        if name not in skipped and not isinstance(value, _DESCRIPTORS_OF_SLOTS):
            yield name, _attribute_text(value, describe, f"{path}, {cls.__name__}.{name}")
    if dataclasses.is_dataclass(cls):
        yield "fields", _fields_text(cls, describe, path)
    if issubclass(cls, enum.Enum):
        members = {name: member.value for name, member in cls.__members__.items()}
        yield "members", describe(members, f"{path}, {cls.__name__}")
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        yield "tuple", describe([cls._fields, getattr(cls, "_field_defaults", {})], f"{path}, {cls.__name__}")


_DESCRIPTORS_OF_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


def _generated(cls: type) -> set[str]:
    """Attributes that a decorator or metaclass wrote; what they were made from is told instead."""
    names: set[str] = set()
    if dataclasses.is_dataclass(cls) or (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        names.update(
            name
            for name, value in vars(cls).items()
            if isinstance(code := getattr(_bare(value), "__code__", None), types.CodeType)
            and (code.co_filename.startswith("<") or code.co_filename in _GENERATORS)
        )
        names.update(field.name for field in getattr(cls, "__dataclass_fields__", {}).values())
        names.update(["_fields", "_field_defaults", "__new__", *getattr(cls, "_fields", ())])
    if issubclass(cls, enum.Enum):
        names.update(name for name in vars(cls) if name in enum.Enum.__dict__ or name.startswith("_"))
        names.update(cls.__members__)
    return names


_GENERATORS = (dataclasses.__file__, functools.__file__)


def _bare(value: Any) -> Any:
    return getattr(value, "__wrapped__", getattr(value, "__func__", value))


def _fields_text(cls: type, describe: Describe, path: str) -> str:
    texts = []
    for field in dataclasses.fields(cls):
        where = f"{path}, field {field.name!r} of {cls.__name__!r}"
        default = "" if field.default is dataclasses.MISSING else describe(field.default, where)
        factory = "" if field.default_factory is dataclasses.MISSING else describe(field.default_factory, where)
        texts.append(f"{field.name}: {default}: {factory}")
    return f"[{', '.join(texts)}]"


def _attribute_text(value: Any, describe: Describe, path: str) -> str:
    if isinstance(value, (staticmethod, classmethod)):
        return f"{type(value).__name__}({describe(value.__func__, path)})"
    if isinstance(value, property):
        functions = [describe(function, path) for function in (value.fget, value.fset, value.fdel)]
        return f"property({', '.join(functions)})"
    if isinstance(value, functools.cached_property):
        return f"cached_property({describe(value.func, path)})"
    return describe(value, path)
