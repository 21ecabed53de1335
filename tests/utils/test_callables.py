from __future__ import annotations

import functools
import math
import os
import sys
from collections import OrderedDict
from types import ModuleType
from typing import Any

import pytest

from gridrl.utils.callables import callable_path, closure, readable_name


class Outer:
    class Inner: ...

    def method(self) -> None: ...

    @staticmethod
    def static() -> None: ...


def function() -> None: ...


def replaced() -> None: ...


original = replaced


def replaced() -> None: ...  # type: ignore[no-redef]


@functools.lru_cache
def cached() -> None: ...


def local() -> Any:
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (function, f"{__name__}:function"),
        (Outer, f"{__name__}:Outer"),
        (Outer.Inner, f"{__name__}:Outer.Inner"),
        (Outer.method, f"{__name__}:Outer.method"),
        (Outer.static, f"{__name__}:Outer.static"),
        (cached, f"{__name__}:cached"),
        (len, "builtins:len"),
        (math.sqrt, "math:sqrt"),
        (OrderedDict, "collections:OrderedDict"),
        (os.path.join, "posixpath:join"),
    ],
)
def test_what_an_import_gives_back_has_a_path(obj: Any, path: str) -> None:
    assert callable_path(obj) == path


@pytest.mark.parametrize(
    "obj",
    [lambda: 0, local(), original, functools.partial(function), Outer().method, Outer(), 3, "text", None, sys],
)
def test_what_an_import_does_not_give_back_has_none(obj: Any) -> None:
    assert callable_path(obj) is None


@pytest.mark.parametrize("main", ["__main__", "__mp_main__"])
def test_what_belongs_to_the_script_has_no_path(monkeypatch: pytest.MonkeyPatch, main: str) -> None:
    module = ModuleType(main)
    monkeypatch.setitem(sys.modules, main, module)

    def script() -> None: ...

    script.__module__, script.__qualname__ = main, "script"
    module.script = script  # type: ignore[attr-defined]
    assert callable_path(script) is None
    script.__module__ = "another_name"
    monkeypatch.setitem(sys.modules, "another_name", module)
    assert callable_path(script) == "another_name:script"


@pytest.mark.parametrize(
    ("obj", "name"),
    [
        (function, f"{__name__}.function"),
        (Outer.Inner, f"{__name__}.Outer.Inner"),
        (local(), f"{__name__}.local.<locals>.inner"),
        (len, "builtins.len"),
        (sys, "module sys"),
        (functools.partial(len), "partial of builtins.len"),
        (Outer(), f"<{__name__}.Outer>"),
        ((i for i in ""), "<genexpr>"),
    ],
)
def test_a_readable_name_is_the_same_in_every_process(obj: Any, name: str) -> None:
    assert readable_name(obj) == name


def test_the_closure_holds_the_variables_that_are_bound() -> None:
    def outer(a: int, is_bound: bool) -> Any:
        if is_bound:
            b = 2
        return lambda: (a, b)

    assert closure(outer(1, True)) == {"a": 1, "b": 2}
    assert closure(outer(1, False)) == {"a": 1}
    assert closure(function) == {}  # type: ignore[arg-type]
