from __future__ import annotations

import builtins
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import math
import operator
import os
import subprocess
import sys
import threading
import types
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gridrl.build import Builder, Reference
from gridrl.errors import BadValue
from gridrl.utils.serialization import canonical

Pair = namedtuple("Pair", "x y")
Other = namedtuple("Other", "x y")

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=10,
)


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = 0
    note: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass
class Place:
    x: Any
    y: Any = 0


class Named:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __gridrl_id__(self) -> Any:
        return {"value": self.value}

    def method(self) -> None: ...

    @classmethod
    def make(cls) -> None: ...


class Fixed:
    __gridrl_id__ = "version 1"


class Anonymous: ...


def function(a: int = 1) -> None: ...


# --- what is equal, what differs ---


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1, 2], (1, 2)),
        ([[1], (2,)], ((1,), [2])),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, OrderedDict(a=1)),
        ({"a": 1}, MappingProxyType({"a": 1})),
        ([1, 2], deque([1, 2])),
        ({1, 2, 3}, frozenset([3, 2, 1])),
        (1, np.int64(1)),
        (1, np.uint8(1)),
        (0.5, np.float32(0.5)),
        (0.5, np.float64(0.5)),
        (True, np.True_),
        ("a", np.str_("a")),
        (1 + 2j, np.complex128(1 + 2j)),
        (float("nan"), np.float64("nan")),
        (float("nan"), -float("nan")),
        (b"ab", bytearray(b"ab")),
        (Point(1, (2,)), Point(1, [2])),
        (Point(1, note="a"), Point(1, note="b")),
        (np.arange(6).reshape(2, 3).T, np.ascontiguousarray(np.arange(6).reshape(2, 3).T)),
        (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
        (torch.ones(2, 3).T, torch.ones(3, 2, requires_grad=True)),
        (functools.partial(function, 1, a=2), functools.partial(functools.partial(function, 1), a=2)),
        (Named([1]), Named((1,))),
        (Named(1).method, Named(1).method),
        (Path("a/b"), Path("a") / "b"),
    ],
)
def test_values_that_mean_the_same_have_one_text(a: Any, b: Any) -> None:
    assert canonical(a) == canonical(b)


DIFFERENT = [
    None,
    "None",
    "none",
    True,
    1,
    1.0,
    "1",
    b"1",
    "True",
    False,
    0,
    0.0,
    -0.0,
    "",
    b"",
    [],
    {},
    set(),
    [[]],
    [None],
    ["None"],
    {"a": None},
    {"a": 1},
    {1: 1},
    {"1": 1},
    {1.0: 1},
    [1, 2],
    [2, 1],
    [12],
    {1, 2},
    "[1, 2]",
    "a/b",
    "a-b",
    "A/B",
    "1-0",
    "a, b",
    ["a", "b"],
    'a", "b',
    float("nan"),
    "nan",
    math.inf,
    -math.inf,
    0.1,
    0.1 + 2**-56,
    np.float32(0.1),
    10**400,
    2**70,
    1j,
    decimal.Decimal("1"),
    decimal.Decimal("1.0"),
    fractions.Fraction(1),
    datetime.date(2020, 1, 1),
    datetime.datetime(2020, 1, 1),
    datetime.timedelta(1),
    range(2),
    slice(2),
    ...,
    Path("a/b"),
    Color.RED,
    Color.BLUE,
    Flags.A,
    Flags.B,
    Flags.A | Flags.B,
    Flags(0),
    "Color.RED",
    Level.LOW,
    Pair(1, 2),
    Other(1, 2),
    Point(1, 2),
    Place(1, 2),
    {"x": 1, "y": 2},
    Named(1),
    Named(2),
    Fixed(),
    np.zeros(2),
    np.zeros(2, dtype=np.float32),
    np.zeros((2, 1)),
    np.zeros(2, dtype=int),
    np.array(["a"], dtype=object),
    np.array([None], dtype=object),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]),
    np.datetime64("2020-01-01"),
    np.dtype("float32"),
    torch.zeros(2),
    torch.zeros(2, dtype=torch.bfloat16),
    torch.zeros(()),
    torch.zeros(1),
    torch.float32,
    torch.float64,
    torch.device("cpu"),
    len,
    print,
    math.sqrt,
    np.sin,
    np.float32,
    np.mean,
    torch.tanh,
    torch.relu,
    torch.nn.functional.gelu,
    torch.nn.Tanh,
    torch.Tensor.tanh,
    str.upper,
    "ab".upper,
    dict.fromkeys,
    int.__add__,
    operator.itemgetter(1),
    operator.itemgetter(2),
    operator.attrgetter("a"),
    function,
    Named,
    Named.method,
    Named.make,
    Named(1).method,
    Named(2).method,
    functools.partial(function),
    functools.partial(function, 1),
    functools.partial(function, a=1),
    Builder(function),
    Builder(function, {"a": 1}),
    Builder(function, None, {"a": 1}),
    [function, {}, {}],
    Reference("no_such_package.A"),
    Reference("no_such_package.B"),
    "no_such_package.A",
    math,
    os.path,
    lambda: 1,
    lambda: 2,
]


def test_values_that_differ_have_texts_that_differ() -> None:
    texts: dict[str, Any] = {}
    for value in DIFFERENT:
        text = canonical(value)
        assert text not in texts, f"{value!r} and {texts[text]!r}"
        texts[text] = value


@given(VALUES)
def test_a_value_equals_itself_and_no_container_around_it(value: Any) -> None:
    import copy

    assert canonical(value) == canonical(copy.deepcopy(value))
    assert canonical(value) != canonical([value])
    assert canonical(value) != canonical({"a": value})


@given(st.dictionaries(st.text(max_size=3) | st.integers() | st.none() | st.booleans(), SCALARS), st.randoms())
def test_the_order_of_keys_never_matters(value: dict[Any, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert canonical({key: value[key] for key in keys}) == canonical(value)


@given(VALUES, VALUES)
def test_one_text_means_one_value(a: Any, b: Any) -> None:
    def plain(value: Any) -> Any:
        """Comparable, with the type of every number beside it and nan equal to itself."""
        if isinstance(value, (list, tuple)):
            return ["list", *(plain(item) for item in value)]
        if isinstance(value, dict):
            return ["dict", *sorted(((repr((type(key), key)), plain(item)) for key, item in value.items()), key=repr)]
        return (type(value).__name__, repr(value))

    assert (canonical(a) == canonical(b)) == (plain(a) == plain(b))


# --- names ---


def test_what_an_import_finds_goes_by_its_name() -> None:
    assert canonical(torch.nn.ReLU) == "torch.nn.modules.activation:ReLU"
    assert canonical(function) == f"{__name__}:function"
    assert canonical(Named.method) == f"{__name__}:Named.method"
    assert canonical(len) == "builtins:len"
    assert canonical(np.sin) == "numpy:sin"


def test_a_reference_equals_what_it_names() -> None:
    assert canonical(Reference("torch.nn.ReLU")) == canonical(torch.nn.ReLU)
    assert canonical(Reference("torch.nn:ReLU")) == canonical(torch.nn.ReLU)
    assert canonical(Reference("torch.tanh")) == canonical(torch.tanh)
    assert canonical(Reference("os.path.join")) == canonical(os.path.join)
    assert canonical(Builder(Reference("torch.nn.ReLU"))) == canonical(Builder(torch.nn.ReLU))


def test_a_reference_means_what_the_same_words_mean_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    package, inner = types.ModuleType("pack_x"), types.ModuleType("pack_x.same")
    package.same = function  # type: ignore[attr-defined]
    inner.other = len  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pack_x", package)
    monkeypatch.setitem(sys.modules, "pack_x.same", inner)
    assert canonical(Reference("pack_x.same")) == canonical(function)
    assert canonical(Reference("pack_x.same.other")) == canonical(len)
    assert canonical(Reference("pack_x.lost")) == "reference pack_x.lost"


def test_a_reference_that_somebody_has_looked_up_needs_no_import() -> None:
    known = Reference("far.away.ReLU", canonical="torch.nn.modules.activation:ReLU")
    assert canonical({"a": known}) == canonical({"a": torch.nn.ReLU})


def test_a_reference_is_never_imported_and_goes_by_its_path_until_then() -> None:
    code = (
        "import sys; from gridrl.build import Reference; from gridrl.utils.serialization import canonical\n"
        "print(canonical(Reference('fractions.Fraction')), 'fractions' in sys.modules)\n"
        "print(canonical(Reference('json.decoder.NoSuchName')))\n"
    )
    printed = run_python(code)
    assert printed.splitlines() == ["reference fractions.Fraction False", "reference json.decoder.NoSuchName"]


# --- functions without a name to import ---


def make_adder(n: Any, *, scale: Any = 1) -> Callable[[Any], Any]:
    return lambda x: scale * x + n


def test_a_closure_is_part_of_a_function() -> None:
    assert canonical(make_adder(1)) == canonical(make_adder(1))
    assert canonical(make_adder([1, 2])) == canonical(make_adder((1, 2)))
    texts = {canonical(make_adder(n, scale=s)) for n in (1, 1.0, True, "1", None) for s in (1, 2)}
    assert len(texts) == 10


def test_a_large_array_in_a_closure_counts_by_its_content() -> None:
    big = np.arange(130_000.0)
    changed = big.copy()
    changed[100_000] += 1
    assert canonical(make_adder(big)) == canonical(make_adder(big.copy()))
    assert canonical(make_adder(big)) != canonical(make_adder(changed))
    assert len(canonical(make_adder(big))) < 100


def test_code_defaults_constants_and_names_are_part_of_a_function() -> None:
    functions: list[Any] = [
        lambda x: x,
        lambda y: y,
        lambda x: x + 1,
        lambda x: x + 2,
        lambda x: x + 1.0,
        lambda x: x - 1,
        lambda x=1: x,
        lambda x=2: x,
        lambda *, x=1: x,
        lambda x, /: x,
        lambda *x: x,
        lambda **x: x,
        lambda x: x.a,
        lambda x: x.b,
        lambda x: min(x),
        lambda x: max(x),
        lambda x: [i for i in x],  # noqa: C416
        lambda x: [j + 1 for j in x],
        lambda x: (yield x),
        lambda x: x in {1, 2},
        lambda x: x in {1, 3},
        lambda x: lambda: x,
    ]
    assert len({canonical(f) for f in functions}) == len(functions)


def compiled(text: str, file: str, name: str = "f", module: str = "__main__") -> Any:
    """What a script of this text defines under `name`, as a function of its main module."""
    namespace: dict[str, Any] = {"__name__": module, "__builtins__": builtins}
    types.FunctionType(compile(text, file, "exec", dont_inherit=True), namespace)()
    return namespace[name]


SCRIPT = """
import functools
def f(x, k=3):
    def inner(y):
        class Local:
            a = 1
            def go(self): return {1, 2, "three", None, (4, 5)}
        return Local().go() if x else y
    assert x
    return [inner(i) for i in range(k)]
"""


def test_lines_files_and_comments_do_not_matter() -> None:
    moved = compiled("# a comment\n\n\n" + SCRIPT, "/elsewhere/b.py")
    assert canonical(compiled(SCRIPT, "/here/a.py")) == canonical(moved)
    assert canonical(moved) != canonical(compiled(SCRIPT.replace("three", "four"), "/here/a.py"))
    assert canonical(moved) != canonical(compiled(SCRIPT.replace("a = 1", "a = 2"), "/here/a.py"))


def test_a_future_import_and_annotations_do_not_matter() -> None:
    a = compiled("def f(x): return x + 1", "a.py")
    b = compiled("from __future__ import annotations\ndef f(x: Unknown) -> int: return x + 1", "a.py")
    assert canonical(a) == canonical(b)


def test_the_function_around_a_lambda_does_not_matter() -> None:
    a = compiled("f = lambda x: x + 1", "a.py")
    b = compiled("def make():\n    return lambda x: x + 1\nf = make()", "a.py")
    assert canonical(a) == canonical(b)


def test_functions_that_call_themselves_or_each_other_have_a_text() -> None:
    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    assert len({canonical(f) for f in (factorial, even, odd)}) == 3


def test_a_variable_that_is_not_bound_yet_is_part_of_a_text() -> None:
    def outer(bound: bool) -> Callable[[], Any]:
        if bound:
            later = 1
        return lambda: later

    assert canonical(outer(True)) != canonical(outer(False))


def test_wrappers_go_by_what_they_wrap() -> None:
    def cached(n: int) -> Any:
        @functools.lru_cache
        def f() -> int:
            return n

        return f

    assert canonical(cached(1)) == canonical(cached(1))
    assert canonical(cached(1)) != canonical(cached(2))


# --- classes of __main__ ---

CLASS = """
import enum, functools, typing
from collections import namedtuple
from dataclasses import dataclass, field
import torch

class f(torch.nn.Module):
    '''A net.'''
    size = 3
    def __init__(self, n=1):
        super().__init__()
        self.layer = torch.nn.Linear(n, 1)
    @property
    def p(self): return 1
    @staticmethod
    def s(x): return x
    @classmethod
    def c(cls): return cls
    @functools.cached_property
    def k(self): return 2

@dataclass(frozen=True, order=True)
class data:
    x: int
    y: list = field(default_factory=list)
    z: float = 0.5
    def area(self): return self.x * self.z

class kind(enum.Enum):
    A = 1
    B = "b"
    def shout(self): return self.name

class slotted:
    __slots__ = ("a",)
    def get(self): return self.a

class pair(typing.NamedTuple):
    x: int
    y: int = 2

plain = namedtuple("plain", "x y", defaults=[5])

class generic(typing.Generic[typing.TypeVar("T")]):
    def go(self): return 1
"""
CHANGES = [
    ("f", "size = 3", "size = 4"),
    ("f", "def p(self): return 1", "def p(self): return 2"),
    ("f", "def s(x): return x", "def s(x): return -x"),
    ("f", "return cls", "return None"),
    ("f", "return 2", "return 3"),
    ("f", "n=1", "n=2"),
    ("f", "torch.nn.Module", "torch.nn.Sequential"),
    ("data", "x: int", "w: int"),
    ("data", "default_factory=list", "default_factory=dict"),
    ("data", "z: float = 0.5", "z: float = 0.6"),
    ("data", "self.x * self.z", "self.x + self.z"),
    ("kind", "A = 1", "A = 2"),
    ("kind", 'B = "b"', 'C = "b"'),
    ("kind", "return self.name", "return self.value"),
    ("slotted", "return self.a", "return self.a, 1"),
    ("pair", "y: int = 2", "y: int = 3"),
    ("pair", "x: int\n    y", "z: int\n    y"),
    ("plain", "defaults=[5]", "defaults=[6]"),
    ("generic", "return 1", "return 2"),
]


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_a_class_of_a_script_counts_by_what_it_does(name: str, old: str, new: str) -> None:
    first = canonical(compiled(CLASS, "/here/a.py", name))
    assert canonical(compiled("\n\n# moved\n" + CLASS, "/there/b.py", name)) == first
    assert old in CLASS
    assert canonical(compiled(CLASS.replace(old, new), "/here/a.py", name)) != first


def test_objects_of_a_scripts_dataclass_count_by_class_and_fields() -> None:
    data = compiled(CLASS, "a.py", "data")
    assert canonical(data(1)) == canonical(compiled(CLASS, "b.py", "data")(1))
    assert canonical(data(1)) != canonical(data(2))
    assert canonical(compiled(CLASS, "a.py", "kind").A) != canonical(compiled(CLASS, "a.py", "kind").B)


# --- every process gives the same ---

STABLE = """
from gridrl.build import Builder, Reference
from gridrl.utils.serialization import canonical
import functools, dataclasses, enum
class Net:
    names = {"b", "a", "c"}
    def go(self, x): return x in {"x", "y", "z", 1, None}
class Flags(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Point:
    x: int
    tags: frozenset = frozenset("abcdef")
class Kind(enum.Enum):
    A = 1
def f(x, *, k={"q", "r"}):
    return [i for i in x if i in {"p", "q", "r"}]
value = {
    "set": set("abcdefgh"), "f": f, "net": Net, "point": Point(1), "lambda": lambda: {"a", "b"}, "kind": Kind.A,
    "partial": functools.partial(f, 1), "builder": Builder(Net, {"a": {1, "b", None}}), "d": {None: 1, "a": 2, 3: 4},
}
print(canonical(value))
"""


def run_python(code: str, hash_seed: str = "0") -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.strip()


def test_every_process_gives_the_same_text() -> None:
    texts = {run_python(STABLE, hash_seed) for hash_seed in ("0", "1", "4242")}
    assert len(texts) == 1
    assert " 0x" not in texts.pop()


# --- what has no text ---

ANONYMOUS = [
    Anonymous(),
    object(),
    threading.Lock(),
    iter([]),
    (i for i in [1]),
    np.random.default_rng(0),
    np.ma.masked_array([1, 2], [True, False]),
    np.frompyfunc(len, 1, 1),
    torch.zeros(2, device="meta"),
    torch.zeros(2).to_sparse(),
    torch.nn.ReLU(),
]


@pytest.mark.parametrize("value", ANONYMOUS)
def test_what_has_no_form_of_its_own_is_told_with_its_place(value: Any) -> None:
    with pytest.raises(BadValue) as caught:
        canonical({"ac_kwargs": {"layers": [1, value]}})
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    assert str(caught.value) == (
        f"ac_kwargs:layers:1: a {kind} has no form that is the same in every process, so a run with it has no id. "
        "Give what it is made from (a function, a Builder, plain values), or give its class an attribute or method "
        "`__gridrl_id__`."
    )


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (make_adder(Anonymous()), "act, closure variable 'n' of '<lambda>': a "),
        (make_adder(1, scale=[Anonymous()]), "act, closure variable 'scale' of '<lambda>':0: a "),
        (Builder(function, {"a": Anonymous()}), "act:kwargs:a: a "),
        (Point(Anonymous()), "act:x: a "),
        (functools.partial(function, Anonymous()), "act:0: a "),
        (Anonymous().__init__, "act: a "),
        (np.array([Anonymous()], dtype=object), "act:0: a "),
    ],
)
def test_the_place_is_told_through_functions_and_objects(value: Any, place: str) -> None:
    with pytest.raises(BadValue) as caught:
        canonical(value, "act")
    assert place in str(caught.value)


def test_defaults_of_nested_functions_are_looked_into() -> None:
    thing = Anonymous()

    def outer(a: Any = thing) -> None: ...

    def keyword(*, b: Any = thing) -> None: ...

    with pytest.raises(BadValue, match="act, default of 'outer'"):
        canonical(outer, "act")
    with pytest.raises(BadValue, match="act, default 'b' of 'keyword'"):
        canonical(keyword, "act")


def test_an_object_can_say_what_it_is() -> None:
    assert canonical(Fixed()) == f'{__name__}.Fixed("version 1")'
    assert canonical(Named(1)) == f'{__name__}.Named({{"value": 1}})'

    def thunk() -> None: ...

    before = canonical(thunk)
    thunk.__gridrl_id__ = "thunk 2"  # type: ignore[attr-defined]
    assert canonical(thunk) == 'builtins.function("thunk 2")'
    assert canonical(thunk) != before


def test_nesting_beyond_the_stack_is_told() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadValue) as caught:
        canonical(deep, "act")
    assert str(caught.value) == "act: it is nested too deeply to have an id."
    while deep:  # taking it apart level by level spares the garbage collector the depth
        deep = deep[0]


def test_a_container_inside_itself_has_a_text() -> None:
    knot: list[Any] = [1]
    knot.append(knot)
    assert canonical(knot) == "[1, ^1]"
