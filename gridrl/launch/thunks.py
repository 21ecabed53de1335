"""What a run calls: a function, or the text that names one. Nothing named by text is imported here."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue
from gridrl.signature import Signature, read_signature
from gridrl.utils.callables import MAIN_MODULES, callable_path, readable_name
from gridrl.utils.serialization import canonical

_LAZY = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


@dataclass(frozen=True, eq=False)
class Thunk:
    """A function that runs call.

    Attributes:
        target: the function, or the text that names it for the worker.
        identity: what makes it the same function in another process: `"module:qualname"`, or the canonical form of
            its code and what it closes over, with the path of the script for what a script defines itself. What a
            script or notebook defines by `def` is known by its name: an edit makes its runs stale, not new ones.
        label: what messages call it.
        signature: what it takes.
    """

    target: Callable[..., Any] | str
    identity: str
    label: str
    signature: Signature

    @property
    def is_importable(self) -> bool:
        """Whether any process can import it by its identity; a script's own functions only by running the script."""
        return isinstance(self.target, str) or callable_path(self.target) is not None


def read_thunk(thunk: Callable[..., Any] | str) -> Thunk:
    """Finds out what a thunk is called and what it takes.

    Args:
        thunk: a function, `"module:function"` or `"file.py:function"`.

    Raises:
        BadValue: it is neither, nothing has that name, or calling it would run nothing.
    """
    if isinstance(thunk, str):
        return _named(thunk)
    if not callable(thunk):
        raise BadValue(f"The thunk is a function, 'module:function' or 'file.py:function', not {thunk!r}.")
    if any(is_lazy(thunk) for is_lazy in _LAZY):
        raise BadValue(
            f"The thunk {_label(thunk)} is async or a generator: calling it runs nothing. Give a plain function, such "
            "as one that hands it to asyncio.run."
        )
    if isinstance(thunk, functools._lru_cache_wrapper) and callable_path(thunk) is None:
        thunk = thunk.__wrapped__  # it travels by its name alone; a run calls it once, so that nothing is lost
    signature = read_signature(thunk)
    return Thunk(thunk, identify(thunk), _label(thunk), signature)


def _named(text: str) -> Thunk:
    where, _, name = text.rpartition(":")
    if where.endswith(".py"):
        text = f"{Path(where).expanduser().resolve()}:{name}"
    signature = read_signature(text)
    where, _, name = signature.target.rpartition(":")
    identity = f"{Path(where).resolve()}:{name}" if where.endswith(".py") else signature.target
    return Thunk(text, identity, name, signature)


def identify(function: Callable[..., Any]) -> str:
    """What makes a function the same one in another process, see `Thunk.identity`.

    Raises:
        BadValue: something that it holds has no canonical form; the message says what.
    """
    path = callable_path(function)
    if path is not None:
        return path
    if isinstance(function, functools.partial):
        parts = canonical([function.args, function.keywords], "the thunk's arguments")
        return f"partial({identify(function.func)}, {parts})"
    if isinstance(function, types.MethodType):
        return f"method({identify(function.__func__)}, {canonical(function.__self__, 'the object of the thunk')})"
    is_main = getattr(function, "__module__", None) in MAIN_MODULES
    script = script_here() if is_main else ""
    name = getattr(function, "__qualname__", "")
    if is_main and name.isidentifier():
        return f"{script or '__main__'}:{name}"  # of a script, what `script.py:name` gives too
    text = canonical(function, "the thunk")
    return f"{script}:{text}" if script else text


def script_here() -> str:
    """The script that runs here; empty for a prompt, a notebook or a pipe."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return os.path.realpath(file) if isinstance(file, str) and os.path.isfile(file) else ""


def _label(function: Callable[..., Any]) -> str:
    inner = inspect.unwrap(function.func if isinstance(function, functools.partial) else function)
    name = getattr(inner, "__qualname__", None)
    if not isinstance(name, str):
        return type(function).__name__
    return readable_name(inner) if name.endswith("<lambda>") else name.rpartition("<locals>.")[2]
