"""Names of functions and classes: the one under which another process finds them again, and one for people."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import types
from typing import Any

from gridrl.utils.names import without_address

MAIN_MODULES = ("__main__", "__mp_main__")


def callable_path(obj: Any) -> str | None:
    """The `"module:qualname"` under which an import gives this very object, None where there is none.

    Lambdas, functions inside functions and everything of `__main__` have none: another process finds something else
    under their name, or nothing.
    """
    module, qualname = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if isinstance(obj, types.BuiltinFunctionType) and isinstance(obj.__self__, types.ModuleType):
        module = obj.__self__.__name__
    if not (isinstance(module, str) and isinstance(qualname, str)) or module in MAIN_MODULES:
        return None
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return f"{module}:{qualname}" if found is obj else None


def closure(function: types.FunctionType) -> dict[str, Any]:
    """The variables of enclosing functions that a function uses; one that is not bound yet is left out."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def readable_name(obj: Any) -> str:
    """What to call an object in a message or a file: the same in every process, without memory addresses.

    >>> readable_name(os.path.join), readable_name(lambda: 0).startswith("<lambda> at ")
    ('posixpath.join', True)
    """
    if isinstance(obj, functools.partial):
        return f"partial of {readable_name(obj.func)}"
    if isinstance(obj, types.ModuleType):
        return f"module {obj.__name__}"
    code = getattr(obj, "__code__", None)
    if isinstance(code, types.CodeType) and getattr(obj, "__name__", None) == "<lambda>":
        return f"<lambda> at {os.path.basename(code.co_filename)}:{code.co_firstlineno}"
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(name, str):
        return without_address(f"<{type(obj).__module__}.{type(obj).__qualname__}>")
    module = getattr(obj, "__module__", None)
    return f"{module}.{name}" if isinstance(module, str) else name
