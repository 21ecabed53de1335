from __future__ import annotations

import functools
import os
import threading
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from gridrl.build import Builder
from gridrl.utils.serialization import find_unpicklable

LOCK = threading.Lock()
REASON = "TypeError: cannot pickle '_thread.lock' object"


class Holder:
    def __init__(self, thing: Any = None) -> None:
        self.fine = 1
        self.thing = thing

    def method(self) -> None: ...


class Slotted:
    __slots__ = ("fine", "thing")

    def __init__(self) -> None:
        self.fine, self.thing = 1, LOCK


class Stubborn:
    def __reduce__(self) -> str:
        raise RuntimeError(f"not me, at {hex(id(self))}: <x at {hex(id(self))}>")


@dataclass
class Point:
    x: Any


Pair = namedtuple("Pair", "x y")


def closing(lock: Any) -> Any:
    def act() -> Any:
        return lock

    return act


def twice(lock: Any) -> Any:
    inner = closing(lock)
    return lambda: inner()


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": [1, (2, {3})], "b": np.ones(3)},
        lambda x: x + 1,
        closing(np.zeros(130_000)),
        Builder(Holder, {"thing": len}),
        Holder,
        functools.partial(closing, 1),
    ],
)
def test_what_can_be_pickled_has_no_culprit(value: Any) -> None:
    assert find_unpicklable(value, "value") is None


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (LOCK, "v"),
        ({"a": 1, "b": {"c": LOCK}}, "v:b:c"),
        ({"a": [1, LOCK]}, "v:a:1"),
        ((1, (2, LOCK)), "v:1:1"),
        (Pair(1, LOCK), "v:1"),
        ({3: LOCK}, "v:3"),
        ({LOCK: 3}, "v, a key"),
        (Holder(LOCK), "v.thing"),
        (Holder({"deep": LOCK}), "v.thing:deep"),
        (Holder(LOCK).method, "v.thing"),
        (Slotted(), "v.thing"),
        (Point(LOCK), "v.x"),
        (Builder(Holder, {"thing": LOCK}), "v:kwargs:thing"),
        (Builder(Holder, None, {"thing": [LOCK]}), "v:default:thing:0"),
        (functools.partial(Holder, LOCK), "v:0"),
        (functools.partial(Holder, thing=LOCK), "v:thing"),
        (closing(LOCK), "v, closure variable 'lock' of 'act'"),
        (twice(LOCK), "v, closure variable 'inner' of '<lambda>', closure variable 'lock' of 'act'"),
        ({"act": closing([LOCK])}, "v:act, closure variable 'lock' of 'act':0"),
    ],
)
def test_the_innermost_culprit_is_named_by_its_place(value: Any, place: str) -> None:
    assert find_unpicklable(value, "v") == (place, REASON)


def test_the_place_reads_well_without_a_root() -> None:
    assert find_unpicklable({"ac_kwargs": {"activation": LOCK}}) == ("ac_kwargs:activation", REASON)
    assert find_unpicklable(closing(LOCK)) == ("closure variable 'lock' of 'act'", REASON)


def test_defaults_of_functions_are_looked_into() -> None:
    def positional(a: Any = LOCK) -> None: ...

    def keyword(*, b: Any = LOCK) -> None: ...

    assert find_unpicklable(positional, "f") == ("f, a default of 'positional'", REASON)
    assert find_unpicklable(keyword, "f") == ("f, the default 'b' of 'keyword'", REASON)


def test_globals_of_functions_that_are_pickled_whole_are_looked_into() -> None:
    def uses_it() -> Any:
        return [LOCK for _ in range(3)]

    assert find_unpicklable(uses_it, "thunk") == ("thunk, global 'LOCK' of 'uses_it'", REASON)


def test_classes_that_are_pickled_whole_are_looked_into() -> None:
    class Local:
        lock = LOCK

    assert find_unpicklable(Local, "net") == ("net.lock", REASON)

    class Method:
        def go(self) -> Any:
            return LOCK

    assert find_unpicklable(Method, "net") == ("net.go, global 'LOCK' of 'go'", REASON)


def test_the_reason_is_the_one_that_pickle_gave_without_addresses() -> None:
    found = find_unpicklable([Stubborn()], "v")
    assert found is not None
    assert found[0] == "v:0"
    assert found[1].startswith("RuntimeError: not me")
    assert found[1].endswith(": <x>")


def test_generators_and_open_files_are_named() -> None:
    assert find_unpicklable({"data": (i for i in range(3))}) == (
        "data",
        "TypeError: cannot pickle 'generator' object",
    )
    with open(os.devnull, "w") as file:
        found = find_unpicklable({"out": file})
    assert found is not None
    assert found[0] == "out"


def test_a_knot_around_a_culprit_is_no_endless_loop() -> None:
    knot: list[Any] = []
    knot.append(knot)
    assert find_unpicklable(knot) is None
    knot.append({"k": knot, "lock": LOCK})
    assert find_unpicklable(knot, "v") == ("v:1:lock", REASON)


def test_nesting_beyond_the_stack_is_told() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    found = find_unpicklable({"a": deep}, "v")
    assert found == ("v", "it is nested too deeply to be pickled")
    while deep:  # taking it apart level by level spares the garbage collector the depth
        deep = deep[0]
