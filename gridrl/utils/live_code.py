"""What functions and classes that live in this process do: the source that they were made from, and what they use."""

from __future__ import annotations

import ast
import dis
import functools
import linecache
import types
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from gridrl.utils.canonical import canonical
from gridrl.utils.fingerprints import class_text, code_text
from gridrl.utils.plain_code import first_line, plain_tree

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BY_NAME = ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL")


def function_source(function: types.FunctionType) -> str:
    """What a function does: its source without layout, a notebook cell's too; where there is none, its code."""
    code = function.__code__
    tree = _tree_of(code.co_filename, function.__globals__)
    node = None if tree is None else _lambda_in(tree, code) if code.co_name == "<lambda>" else _named_in(tree, code)
    return code_text(code, described, "") if node is None else ast.unparse(node)


def class_source(cls: type) -> str:
    """What a class does, as `function_source` says it of a function."""
    functions = [value for value in vars(cls).values() if isinstance(value, types.FunctionType)]
    for function in functions:
        tree = _tree_of(function.__code__.co_filename, function.__globals__)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__ and _holds(node, function.__code__):
                return ast.unparse(node)
    return class_text(cls, described, "")


def described(value: object, _path: str = "") -> str:
    """The canonical text of a value; of one that has none, its type."""
    try:
        return canonical(value)
    except Exception:
        return f"{type(value).__module__}:{type(value).__qualname__}"


def used_globals(code: types.CodeType) -> Iterator[str]:
    """The global names that a code object uses, those of the functions in it too."""
    for step in dis.get_instructions(code):
        if step.opname in _BY_NAME:
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from used_globals(constant)


def _tree_of(file: str, module_globals: dict[str, object]) -> ast.Module | None:
    """The parsed source that a code object was made from; None where nobody knows it."""
    linecache.checkcache(file)
    text = "".join(linecache.getlines(file, module_globals))
    try:
        return _parsed(text) if text else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    return plain_tree(text, is_main=True)


def _named_in(tree: ast.Module, code: types.CodeType) -> ast.AST | None:
    found = (node for node in ast.walk(tree) if isinstance(node, _DEFINITIONS) and node.name == code.co_name)
    return next((node for node in found if first_line(node) == code.co_firstlineno), None)


def _holds(node: ast.ClassDef, code: types.CodeType) -> bool:
    return any(isinstance(item, _DEFINITIONS) and first_line(item) == code.co_firstlineno for item in node.body)


def _lambda_in(tree: ast.Module, code: types.CodeType) -> ast.AST | None:
    """The lambda on the line of a code object; of several there, the one whose body stands where the code says."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno]
    places = [(line, column) for line, _, column, end in code.co_positions() if line and column is not None and end]
    if len(found) > 1:
        first = min(places, default=None)
        found = [node for node in found if (node.body.lineno, node.body.col_offset) == first]
    return found[0] if len(found) == 1 else None


def parts_of(obj: Any) -> list[Any]:
    """What a container, method or the like is made of, as far as it may hold code."""
    if isinstance(obj, Mapping):
        return [*obj.keys(), *obj.values()]
    if isinstance(obj, (list, tuple, set, frozenset, deque)):
        return list(obj)
    if isinstance(obj, functools.partial):
        return [obj.func, obj.args, obj.keywords]
    if isinstance(obj, types.MethodType):
        return [obj.__func__, obj.__self__]
    if isinstance(obj, (staticmethod, classmethod)):
        return [obj.__func__]
    if isinstance(obj, property):
        return [obj.fget, obj.fset, obj.fdel]
    if isinstance(obj, functools.cached_property):
        return [obj.func]
    if callable(obj) and isinstance(wrapped := getattr(obj, "__wrapped__", None), types.FunctionType):
        return [wrapped]  # of `functools.lru_cache`
    return []


def holds_state(obj: Any) -> bool:
    """Whether an object has attributes of its own."""
    return isinstance(getattr(obj, "__dict__", None), dict)


def unwrapped(function: Any) -> Any:
    """The function inside of decorators that say what they wrap, as those with `functools.wraps` do."""
    while isinstance(inner := getattr(function, "__wrapped__", None), types.FunctionType) and inner is not function:
        function = inner
    return function
