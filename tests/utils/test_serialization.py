from __future__ import annotations

import collections
import datetime
import enum
import functools
import json
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gridrl.build import Builder, Reference
from gridrl.utils.serialization import convert_json

Pair = collections.namedtuple("Pair", "x y")


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Plain:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def method(self) -> None: ...


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"hands off {name}")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class HostileMapping(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class Talkative:
    def __repr__(self) -> str:
        return f"Talkative(inner=<object object at {hex(id(self))}>)"


class Endless:
    def __repr__(self) -> str:
        return "line\n" * 100


@dataclass
class Config:
    size: int
    layers: list[int] = field(default_factory=lambda: [1])
    secret: Any = None


def function() -> None: ...


NAME = __name__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.1, 0.1),
        ("é\n\t", "é\n\t"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (-float("inf"), "-inf"),
        ((1, (2, [3])), [1, [2, [3]]]),
        ({"b": 1, "a": 2}, {"b": 1, "a": 2}),
        ({1: "a", None: "b", False: "c", 2.5: "d"}, {"1": "a", "None": "b", "False": "c", "2.5": "d"}),
        ({"1": "text", 1: "number"}, {"1": "text", "1 (int)": "number"}),
        ({(1, 2): 3, function: 4}, {"[1, 2]": 3, f"{NAME}.function": 4}),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset(["b", "a"]), ["a", "b"]),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Pair(1, (2,)), {"x": 1, "y": [2]}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.float64("nan"), "nan"),
        (np.datetime64("2020-01-02"), "datetime.date(2020, 1, 2)"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, "nan"]),
        (np.array(5), 5),
        (np.dtype("float32"), "dtype('float32')"),
        (torch.tensor([1.0, 2.0], requires_grad=True), [1.0, 2.0]),
        (torch.tensor(3), 3),
        (torch.float32, "torch.float32"),
        (torch.device("cpu"), "device(type='cpu')"),
        (torch.nn.ReLU, "torch.nn.modules.activation.ReLU"),
        (torch.tanh, "torch._VariableFunctionsClass.tanh"),
        (function, f"{NAME}.function"),
        (Plain, f"{NAME}.Plain"),
        (Plain().method, f"{NAME}.Plain.method"),
        (len, "builtins.len"),
        (json, "module json"),
        (functools.partial(function, 1, a=2), {"partial": f"{NAME}.function", "args": [1], "kwargs": {"a": 2}}),
        (Builder(Plain, {"a": 1}), {"class_type": f"{NAME}.Plain", "kwargs": {"a": 1}, "default": {}}),
        (Reference("torch.nn.ReLU"), "torch.nn.ReLU"),
        (Color.RED, f"{NAME}.Color.RED"),
        (Level.LOW, f"{NAME}.Level.LOW"),
        (Path("a/b"), "a/b"),
        (b"ab", "b'ab'"),
        (Fraction(1, 2), "Fraction(1, 2)"),
        (datetime.timedelta(1), "datetime.timedelta(days=1)"),
        (ValueError("x"), "ValueError('x')"),
        (2**70, 2**70),
        (Config(3), {f"{NAME}.Config": {"size": 3, "layers": [1], "secret": None}}),
        (Plain(a=1, _b=2), {f"{NAME}.Plain": {"a": 1}}),
        (Plain(), f"<{NAME}.Plain>"),
        (Plain(a=Plain(b=1)), {f"{NAME}.Plain": {"a": f"<{NAME}.Plain>"}}),
        (Talkative(), "Talkative(inner=<object object>)"),
        (threading.Lock(), "<unlocked _thread.lock object>"),
        (object(), "<builtins.object>"),
        (HostileMapping(a=1), f"<{NAME}.HostileMapping>"),
        (Endless(), f"<{NAME}.Endless>"),
    ],
)
def test_values_become_what_json_can_hold_and_people_can_read(value: Any, expected: Any) -> None:
    found = convert_json(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_an_object_that_refuses_every_question_is_told_by_its_kind() -> None:
    found = convert_json({"a": Hostile(), "b": [Hostile()]})
    assert found == {"a": f"<{NAME}.Hostile>", "b": [f"<{NAME}.Hostile>"]}


def test_a_lambda_tells_where_it_stands() -> None:
    line = test_a_lambda_tells_where_it_stands.__code__.co_firstlineno + 2
    assert convert_json(lambda: 0) == f"<lambda> at test_serialization.py:{line}"


def test_a_nested_function_tells_its_place_in_the_code() -> None:
    def inner() -> None: ...

    assert convert_json(inner) == f"{NAME}.test_a_nested_function_tells_its_place_in_the_code.<locals>.inner"


def test_large_arrays_and_tensors_are_summarised() -> None:
    # sha256 of 1001 zero bytes, head: printf, head -c 1001 /dev/zero | sha256sum
    import hashlib

    digest = hashlib.sha256(bytes(1001)).hexdigest()[:16]
    summary = {"dtype": "uint8", "shape": [1001], "sha256": digest}
    assert convert_json(np.zeros(1001, dtype=np.uint8)) == {"array": summary}
    assert convert_json(torch.zeros(1001, dtype=torch.uint8)) == {"tensor": {**summary, "dtype": "torch.uint8"}}
    assert convert_json(torch.zeros(7, 143, dtype=torch.bfloat16))["tensor"]["shape"] == [7, 143]  # type: ignore[call-overload, index]
    assert convert_json(np.zeros(1000)) == [0.0] * 1000
    assert convert_json(bytes(100)) == f"100 bytes, sha256 {hashlib.sha256(bytes(100)).hexdigest()[:16]}"


def test_numbers_that_python_cannot_write_are_hexadecimal() -> None:
    assert convert_json(10**5000) == hex(10**5000)


def test_lone_surrogates_can_be_written_as_utf_8() -> None:
    found = convert_json({"\udc80": ["a\udcff"]})
    assert found == {"\\udc80": ["a\\udcff"]}
    json.dumps(found, ensure_ascii=False).encode()


def test_what_holds_itself_ends() -> None:
    knot: dict[str, Any] = {"a": 1}
    knot["self"] = [knot]
    assert convert_json(knot) == {"a": 1, "self": ["<a dict inside itself>"]}


def test_the_same_value_twice_is_no_knot() -> None:
    shared = [1]
    assert convert_json({"a": shared, "b": shared}) == {"a": [1], "b": [1]}


def test_nesting_beyond_all_measure_ends() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    text = json.dumps(convert_json(deep))
    assert "<builtins.list>" in text
    while deep:  # taking it apart level by level spares the garbage collector the depth
        deep = deep[0]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_everything_becomes_strict_json_and_stays_as_it_is_when_converted_again(value: Any) -> None:
    found = convert_json(value)
    assert json.loads(json.dumps(found, allow_nan=False, ensure_ascii=False).encode()) == found
    assert convert_json(found) == found


@given(st.dictionaries(st.none() | st.booleans() | st.integers() | st.text(max_size=2), st.integers()))
def test_no_key_is_lost(value: dict[Any, int]) -> None:
    assert sorted(convert_json(value).values()) == sorted(value.values())  # type: ignore[union-attr, type-var, arg-type]
