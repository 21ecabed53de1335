from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.signature import NO_LITERAL, REQUIRED, Parameter, Signature, acts_in, grows, read_signature

ALGORITHM = '''
"""An algorithm in our style; importing it would fail."""
from __future__ import annotations

import a_package_that_nobody_has as missing
import math
from typing import TYPE_CHECKING

import torch.nn as nn
from lab.nets import Critic, sizes as layer_sizes
from . import tools
from .nets import *

from gridrl import signature
from gridrl.signature import grows

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 3e-4
SIZES = [64, 64]
Alias = Critic


@missing.decorated(1)
@grows("epochs", "steps")
def train(
    env_fn: Callable[[], "Env"],
    actor_critic=Critic,
    ac_kwargs: dict[str, object] = dict(),
    activation=nn.Tanh,
    seed: int = 0,
    *,
    gamma: float = .99,
    rate=RATE,
    hidden=SIZES,
    limit=float("inf"),
    big=10**6,
    negative=-1e-3,
    logger_kwargs=dict(fmt="x", n=1),
    table={"a": (1, None)},
    made=math.sqrt(2),
    typed: "int | None" = None,
    local=Alias,
    function=helper,
    starred=Starred,
    sized=layer_sizes,
    tool=tools.hammer,
    order=sorted,
    long=[
        1,
        2,
    ],
) -> None:
    """Trains.

    Args:
        gamma: the discount,
            below 1.
        seed: where randomness starts.
    """


def helper(a, /, b, *args, c, **kwargs): ...


@signature.grows("n")
@signature.acts_in("Discrete")
async def waiting(n=1): ...


short = lambda x, y=2: x
again = train
made = functools.partial(train, seed=3)
number = 5


class Thing(Critic):
    """A thing.

    Args:
        size: how large.
    """

    def __init__(self, size: int, name="a", **more):
        """Makes it.

        Args:
            name: what it is called.
        """

    def run(self, n=1): ...

    @classmethod
    def make(cls, path): ...

    @staticmethod
    def plain(a, b): ...
'''

NETS = '''
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

T = TypeVar("T")
sizes = (1, 2)


class Base:
    """The base.

    Args:
        width: its width.
    """

    def __init__(self, width=8): ...


class Critic(Base): ...


class Bare: ...


class Boxed(Generic[T]): ...


class Elsewhere(unknown.Base): ...


class Starred: ...


@dataclass
class Point:
    """A point.

    Attributes:
        x: across.
    """

    x: float
    kind: ClassVar[str] = "p"
    y: float = 2.0
    tags: list[str] = field(default_factory=list)
    hidden: int = field(default=3, init=False)


@dataclass(frozen=True)
class Point3(Point):
    z: float = field(default=0.5)
    y: int = 7


async def main(): ...
'''

FILES = {
    "lab/__init__.py": "from lab.algorithm import train\nfrom .nets import Critic as Net\nfrom lab import nets\n",
    "lab/algorithm.py": ALGORITHM,
    "lab/nets.py": NETS,
    "lab/tools.py": "def hammer(weight=1): ...\n",
    "lab/circle.py": "from lab.circle2 import thing\n",
    "lab/circle2.py": "from lab.circle import thing\n",
    "lab/choices.py": "try:\n    from fast import f\nexcept ImportError:\n    f = None\n"
    "if True:\n    def g(a): ...\nelse:\n    def g(b): ...\n",
    "lab/broken.py": "def f(:\n",
    "lab/latin.py": b"# -*- coding: latin-1 -*-\ndef f(a='\xe9'): ...\n",
    "lab/fast.cpython-311-x86_64-linux-gnu.so": b"",
    "lab/fast/__init__.pyi": "def f(a): ...\n",
    "lab/space/inner.py": "def f(inside): ...\n",
    "scripts/my train.py": "from neighbour import shared\nfrom neighbour import Base\nclass Own(Base): ...\n"
    "def train(lr=1e-3, net=Base): ...\n",
    "scripts/neighbour.py": "def shared(a): ...\nclass Base:\n    def __init__(self, deep=1): ...\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package `lab` on Python's path, and a folder of scripts; none of it could be imported."""
    root = tmp_path_factory.mktemp("source's")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))
    assert not [name for name in sys.modules if name.split(".")[0] in ("lab", "neighbour")], "nothing was imported"


@pytest.fixture(scope="module")
def train(folder: Path) -> Signature:
    return read_signature("lab.algorithm:train")


def parameter(signature: Signature, name: str) -> Parameter:
    found = signature.get(name)
    assert found is not None
    return found


# --- one function ---


def test_names_kinds_and_words_are_read(train: Signature) -> None:
    assert (train.name, train.module, train.target) == ("train", "lab.algorithm", "lab.algorithm:train")
    assert train.summary == "Trains."
    assert train.doc.startswith("Trains.\n\nArgs:\n    gamma: the discount,")
    assert [param.name for param in train.params][:6] == [
        "env_fn",
        "actor_critic",
        "ac_kwargs",
        "activation",
        "seed",
        "gamma",
    ]
    assert parameter(train, "seed").kind == inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert parameter(train, "gamma").kind == inspect.Parameter.KEYWORD_ONLY
    assert parameter(train, "gamma").doc == "the discount, below 1."
    assert parameter(train, "env_fn").doc == ""
    assert train.grows == {"epochs", "steps"}
    assert train.actions is None
    assert not train.has_var_keyword
    assert train.get("gama") is None
    assert train.takes("gamma")
    assert not train.takes("gama")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("env_fn", None, REQUIRED),
        ("ac_kwargs", "dict()", {}),
        ("seed", "0", 0),
        ("gamma", ".99", 0.99),
        ("rate", "RATE", 3e-4),
        ("hidden", "SIZES", [64, 64]),
        ("limit", 'float("inf")', float("inf")),
        ("big", "10**6", NO_LITERAL),
        ("negative", "-1e-3", -1e-3),
        ("logger_kwargs", 'dict(fmt="x", n=1)', {"fmt": "x", "n": 1}),
        ("table", '{"a": (1, None)}', {"a": (1, None)}),
        ("made", "math.sqrt(2)", NO_LITERAL),
        ("typed", "None", None),
        ("activation", "nn.Tanh", NO_LITERAL),
        ("long", "[1, 2]", [1, 2]),
    ],
)
def test_defaults_are_read_as_text_and_where_possible_as_values(
    train: Signature, name: str, text: str | None, value: Any
) -> None:
    assert parameter(train, name).default_text == text
    assert parameter(train, name).default == value
    assert type(parameter(train, name).default) is type(value)


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("env_fn", 'Callable[[], "Env"]'),
        ("actor_critic", None),
        ("ac_kwargs", "dict[str, object]"),
        ("typed", "int | None"),
    ],
)
def test_annotations_are_read_as_typed(train: Signature, name: str, annotation: str | None) -> None:
    assert parameter(train, name).annotation == annotation


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("actor_critic", "lab.nets:Critic"),
        ("activation", "torch.nn:Tanh"),
        ("local", "lab.algorithm:Alias"),
        ("function", "lab.algorithm:helper"),
        ("sized", "lab.nets:sizes"),
        ("tool", "lab:tools.hammer"),
        ("order", "builtins:sorted"),
        ("rate", None),
        ("hidden", None),
        ("made", None),
        ("seed", None),
    ],
)
def test_a_default_that_is_a_name_tells_where_it_is_defined(train: Signature, name: str, target: str | None) -> None:
    assert parameter(train, name).default_target == target


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("actor_critic", ("width",)), ("local", ("width",)), ("function", ("b", "c")), ("tool", ("weight",))],
)
def test_the_target_of_a_default_can_be_read_in_turn(train: Signature, name: str, parameters: tuple[str, ...]) -> None:
    target = parameter(train, name).default_target
    assert target is not None
    assert read_signature(target).names == parameters


def test_every_kind_of_parameter_is_told_apart(folder: Path) -> None:
    helper = read_signature("lab.algorithm:helper")
    assert [(param.name, param.kind) for param in helper.params] == [
        ("a", inspect.Parameter.POSITIONAL_ONLY),
        ("b", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("c", inspect.Parameter.KEYWORD_ONLY),
    ]
    assert helper.names == ("b", "c")
    assert helper.has_var_keyword
    assert helper.takes("anything")
    assert helper.grows == frozenset()


def test_growth_is_recognised_under_a_dotted_name_and_on_coroutines(folder: Path) -> None:
    assert read_signature("lab.algorithm:waiting").grows == {"n"}
    assert read_signature("lab.algorithm:waiting").actions == "Discrete"


# --- ways to a function ---


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("lab:train", "lab.algorithm:train"),
        ("lab:Net", "lab.nets:Critic"),
        ("lab:nets.Critic", "lab.nets:Critic"),
        ("lab:algorithm.train", "lab.algorithm:train"),
        ("lab:tools.hammer", "lab.tools:hammer"),
        ("lab.algorithm:Starred", "lab.nets:Starred"),
        ("lab.algorithm:again", "lab.algorithm:train"),
        ("lab.algorithm:Alias", "lab.nets:Critic"),
        ("lab.algorithm:short", "lab.algorithm:short"),
        ("lab.algorithm:Thing.run", "lab.algorithm:Thing.run"),
        ("lab.space.inner:f", "lab.space.inner:f"),
    ],
)
def test_aliases_and_re_exports_lead_to_the_definition(folder: Path, asked: str, found: str) -> None:
    assert read_signature(asked).target == found


def test_the_better_branch_of_a_try_and_of_an_if_is_read(folder: Path) -> None:
    assert read_signature("lab.choices:g").names == ("a",)
    with pytest.raises(BadValue, match="there is no module 'fast'"):
        read_signature("lab.choices:f")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("short", ("x", "y")), ("Thing.make", ("path",)), ("Thing.plain", ("a", "b")), ("Thing.run", ("self", "n"))],
)
def test_lambdas_and_methods_have_parameters_too(folder: Path, name: str, parameters: tuple[str, ...]) -> None:
    assert read_signature(f"lab.algorithm:{name}").names == parameters


@pytest.mark.parametrize(
    "asked", ["lab.algorithm:made", "lab.circle:thing", "_thread:exit", "lab.fast:f", "lab.fast.inner:f"]
)
def test_what_only_running_the_code_could_tell_takes_anything(folder: Path, asked: str) -> None:
    signature = read_signature(asked)
    assert signature.params == ()
    assert signature.has_var_keyword


def test_a_file_is_read_by_its_path_with_its_neighbours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "scripts" / "my train.py"
    assert read_signature(f"{path}:train").names == ("lr", "net")
    assert read_signature(f"{path}:shared").names == ("a",)
    assert read_signature(f"{path}:Own").names == ("deep",)
    monkeypatch.chdir(folder / "scripts")
    found = read_signature("my train.py:train")
    assert found.target == "my train.py:train"
    target = parameter(found, "net").default_target
    assert target == "neighbour:Base"


def test_a_file_in_another_encoding_is_read(folder: Path) -> None:
    assert parameter(read_signature("lab.latin:f"), "a").default == "é"


def test_a_file_is_read_anew_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "changing.py"
    path.write_text("def f(a): ...")
    assert read_signature(f"{path}:f").names == ("a",)
    path.write_text("def f(a, b): ...")
    assert read_signature(f"{path}:f").names == ("a", "b")


# --- classes ---


@pytest.mark.parametrize(
    ("name", "parameters", "is_open"),
    [
        ("lab.algorithm:Thing", ("size", "name"), True),
        ("lab.nets:Critic", ("width",), False),
        ("lab.nets:Bare", (), False),
        ("lab.nets:Boxed", (), False),
        ("lab.nets:Elsewhere", (), True),
        ("lab.nets:Point", ("x", "y", "tags"), False),
        ("lab.nets:Point3", ("x", "y", "tags", "z"), False),
    ],
)
def test_a_class_takes_what_its_constructor_takes(
    folder: Path, name: str, parameters: tuple[str, ...], is_open: bool
) -> None:
    signature = read_signature(name)
    assert signature.names == parameters
    assert signature.has_var_keyword is is_open


def test_the_words_of_a_class_and_of_its_constructor_are_joined(folder: Path) -> None:
    thing = read_signature("lab.algorithm:Thing")
    assert (thing.name, thing.summary) == ("Thing", "A thing.")
    assert parameter(thing, "size").doc == "how large."
    assert parameter(thing, "name").doc == "what it is called."
    assert parameter(read_signature("lab.nets:Critic"), "width").doc == "its width."


def test_fields_of_a_dataclass_have_their_defaults(folder: Path) -> None:
    point = read_signature("lab.nets:Point3")
    assert [param.default for param in point.params] == [REQUIRED, 7, [], 0.5]
    assert parameter(point, "x").doc == "across."


# --- what is wrong ---


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("lab.algorithm:trian", "lab.algorithm:trian: {}/lab/algorithm.py has no 'trian'. Did you mean 'train'?"),
        ("lab.algorithm:Starrd", "lab.algorithm:Starrd: {}/lab/algorithm.py has no 'Starrd'. Did you mean 'Starred'?"),
        ("lab.algoritm:train", "lab.algoritm: lab has no module 'algoritm'. Did you mean 'algorithm'?"),
        ("lab.nets.deeper:x", "lab.nets.deeper: lab.nets has no module 'deeper'."),
        ("lab.space.iner:f", "lab.space.iner: lab.space has no module 'iner'. Did you mean 'inner'?"),
        ("labb:train", "labb: there is no module 'labb' on Python's path."),
        ("lab.algorithm:Thing.ran", "lab.algorithm:Thing.ran: Thing has no 'ran'. Did you mean 'run'?"),
        ("lab.algorithm:number", "lab.algorithm:number is no function but the value 5."),
        ("lab:nets", "lab: lab.nets is a module, not a function."),
        ("lab.algorithm:math", "lab.algorithm: math is a module, not a function."),
        ("lab.broken:f", "{}/lab/broken.py, line 1: invalid syntax"),
        ("train", "'train' is neither 'module:function' nor 'file.py:function'."),
        ("lab:", "'lab:' is neither 'module:function' nor 'file.py:function'."),
        ("lab:a b", "'lab:a b' is neither 'module:function' nor 'file.py:function'."),
        ("{}/scripts/my_train.py:f", "{}/scripts/my_train.py: there is no such file. Did you mean 'my train.py'?"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(folder: Path, asked: str, message: str) -> None:
    with pytest.raises(BadValue) as caught:
        read_signature(asked.format(folder))
    assert str(caught.value) == message.format(folder)


def test_a_misspelt_module_of_the_current_directory_is_suggested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_module.py").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadValue, match="Did you mean 'my_module'"):
        read_signature("my_modul:train")


# --- the function itself ---


@grows("epochs")
@acts_in("Box")
def live(a: int, b: float | None = None, *rest: int, c: Callable[..., Any] = len, **more: Any) -> None:
    """Lives.

    Args:
        a: the first.
    """


@dataclass
class Live:
    """Alive.

    Attributes:
        x: across.
    """

    x: int
    y: Any = Path


def test_a_function_is_read_as_it_stands() -> None:
    found = read_signature(live)
    assert found.target == f"{__name__}:live"
    assert (found.summary, found.grows, found.has_var_keyword) == ("Lives.", {"epochs"}, True)
    assert found.actions == "Box"
    assert found.params == (
        Parameter("a", inspect.Parameter.POSITIONAL_OR_KEYWORD, "int", None, REQUIRED, "the first."),
        Parameter("b", inspect.Parameter.POSITIONAL_OR_KEYWORD, "float | None", "None", None),
        Parameter(
            "c", inspect.Parameter.KEYWORD_ONLY, "Callable[..., Any]", "builtins.len", NO_LITERAL, "", "builtins:len"
        ),
    )


def test_source_and_function_agree() -> None:
    from gridrl.build import recursive_update
    from gridrl.utils.console import colorize
    from gridrl.utils.seeding import generator

    for function in (recursive_update, colorize, generator, live):
        read, found = read_signature(f"{function.__module__}:{function.__name__}"), read_signature(function)
        assert (read.target, read.doc, read.grows, read.actions, read.has_var_keyword) == (
            found.target,
            found.doc,
            found.grows,
            found.actions,
            found.has_var_keyword,
        )
        assert [(p.name, p.kind, p.annotation, p.default, p.doc) for p in read.params] == [
            (p.name, p.kind, p.annotation, p.default, p.doc) for p in found.params
        ]


def test_a_class_object_is_read_by_its_constructor() -> None:
    found = read_signature(Live)
    assert found.names == ("x", "y")
    assert parameter(found, "x").doc == "across."
    assert parameter(found, "y").default_target == "pathlib:Path"


def test_a_partial_takes_what_is_left_and_grows_like_its_function() -> None:
    found = read_signature(functools.partial(live, 1, b=2.0))
    assert parameter(found, "b").default == 2.0
    assert found.get("a") is None
    assert (found.grows, found.actions) == ({"epochs"}, "Box")


def test_wrapped_functions_keep_their_growth() -> None:
    @functools.wraps(live)
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    assert read_signature(wrapper).grows == {"epochs"}
    assert read_signature(wrapper).get("a") is not None


def test_functions_without_source_are_read_too() -> None:
    namespace: dict[str, Any] = {}
    code = compile("def typed_in(a, b=3): 'Says.'", "<stdin>", "exec")
    namespace["__name__"] = "__main__"
    typed_in = type(live)(next(c for c in code.co_consts if inspect.iscode(c)), namespace, "typed_in", (3,))
    found = read_signature(typed_in)
    assert (found.names, found.summary) == (("a", "b"), "Says.")


def test_a_builtin_without_a_signature_takes_anything() -> None:
    found = read_signature(dict)
    assert found.params == ()
    assert found.has_var_keyword
    assert found.target == "builtins:dict"
