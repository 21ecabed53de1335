"""The hash of what a run calls: equal for equal code however it is named, another one after each edit that matters."""

from __future__ import annotations

import functools
import importlib
import linecache
import os
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gridrl
from gridrl.build import Builder, Reference
from gridrl.launch.code import CodeReader, read_code
from gridrl.launch.thunks import read_thunk
from gridrl.utils import user_modules

MODULE = """
    '''What this module is for.'''
    from functools import wraps
    import numpy as np
    from lab.nets import Net, SIZE
    from . import data  # a neighbour

    RATE = 1e-3


    def noisy(function):
        @wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner


    @noisy
    def train(lr=RATE, seed=0):
        "Trains."
        from lab.tools import late

        def step(x):
            return late.follow(helper(x))

        return step(lr) + Net(SIZE).out


    def helper(x):
        return x + 1  # one more
    """

FILES = {
    "lab/__init__.py": "VERSION = 1",
    "lab/train.py": MODULE,
    "lab/nets.py": """
        from .deep import Base

        SIZE = 3

        class Net(Base):
            def __init__(self, size):
                self.out = size
        """,
    "lab/deep.py": "class Base:\n    depth = 1\n",
    "lab/data.py": "FILE = 'a'",
    "lab/tools/__init__.py": "",
    "lab/tools/late.py": "from ..ring import follow",
    "lab/ring.py": "import lab.train\n\ndef follow(x):\n    return x\n",
    "lab/unused.py": "X = 1",
}


class Project:
    """A directory of modules that can be found."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.syspath_prepend(str(root))
    before = set(sys.modules)
    yield Project(root)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(root)):
            del sys.modules[name]


@pytest.fixture
def lab(project: Project) -> Project:
    for name, text in FILES.items():
        project.put(name, text)
    return project


def hash_of(thunk: Any, **variant: Any) -> str:
    return read_code(read_thunk(thunk), variant).hash


def in_a_process(code: str | Path, root: Path, **environment: str) -> str:
    """What code or a script prints in a process of its own, without the blanks around it."""
    ended = subprocess.run(
        [sys.executable, *(["-c", code] if isinstance(code, str) else [code])],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{Path(gridrl.__file__).parent.parent}"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


AS_TEXT = "from gridrl.launch.code import read_code\nfrom gridrl.launch.thunks import read_thunk\n"
AS_TEXT += "import sys\ncode = read_code(read_thunk('lab.train:train'))\nassert 'lab' not in sys.modules\n"
AS_FUNCTION = "from gridrl.launch.code import read_code\nfrom gridrl.launch.thunks import read_thunk\n"
AS_FUNCTION += "from lab.train import train\ncode = read_code(read_thunk(train))\n"


def test_a_function_and_its_name_give_one_hash_in_every_process(lab: Project) -> None:
    texts = [AS_TEXT + "print(code.hash)", AS_FUNCTION + "print(code.hash)"]
    found = {in_a_process(text, lab.root, PYTHONHASHSEED=seed) for text in texts for seed in ("0", "17")}
    assert found == {hash_of("lab.train:train")}
    assert len(found.pop()) == 12


def test_the_order_of_the_module_path_does_not_count(lab: Project, tmp_path: Path) -> None:
    turned = "import sys\nsys.path[:] = [*sys.path[1:], sys.path[0]]\n"
    assert in_a_process(turned + AS_TEXT + "print(code.hash)", lab.root) == hash_of("lab.train:train")


def test_its_files_are_the_users_own(lab: Project) -> None:
    names = ("__init__", "train", "nets", "deep", "data", "tools/__init__", "tools/late", "ring")
    expected = sorted(lab.root / "lab" / f"{name}.py" for name in names)
    assert list(read_code(read_thunk("lab.train:train")).files) == expected


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("lab/train.py", "  # one more", "  # one more, and a word on why"),
        ("lab/train.py", "'''What this module is for.'''", ""),
        ("lab/train.py", '"Trains."', '"""Trains.\n\n    At length.\n    """'),
        ("lab/train.py", "x + 1", "(x +\n            1)"),
        ("lab/train.py", "def helper(x):\n", "\n\n\ndef helper( x ):\n\n"),
        ("lab/train.py", "RATE = 1e-3", "RATE = 1e-3\n\nif __name__ == '__main__':\n    print(train())"),
        ("lab/train.py", "RATE = 1e-3", "from typing import TYPE_CHECKING\nRATE = 1e-3"),
        ("lab/unused.py", "X = 1", "X = 2"),
    ],
    ids=[
        "comment",
        "module-docstring",
        "docstring",
        "brackets",
        "blank-lines",
        "main-block",
        "import",
        "unused-module",
    ],
)
def test_what_it_does_not_do_does_not_count(lab: Project, file: str, old: str, new: str) -> None:
    before = hash_of("lab.train:train")
    lab.edit(file, old, new)
    if "TYPE_CHECKING" in new:
        now = hash_of("lab.train:train")
        lab.edit(file, "RATE = 1e-3", "if TYPE_CHECKING:\n    import lab.unused\nRATE = 1e-3")
        assert hash_of("lab.train:train") == now
    else:
        assert hash_of("lab.train:train") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("lab/train.py", "return step(lr)", "return 2 * step(lr)"),
        ("lab/train.py", "return x + 1", "return x + 2"),
        ("lab/train.py", "RATE = 1e-3", "RATE = 1e-4"),
        ("lab/train.py", "return function(*args, **kwargs)", "return -function(*args, **kwargs)"),
        ("lab/nets.py", "self.out = size", "self.out = size + 1"),
        ("lab/nets.py", "SIZE = 3", "SIZE = 4"),
        ("lab/deep.py", "depth = 1", "depth = 2"),
        ("lab/data.py", "'a'", "'b'"),
        ("lab/__init__.py", "VERSION = 1", "VERSION = 2"),
        ("lab/tools/late.py", "import follow", "import follow as follow"),
        ("lab/ring.py", "return x", "return 1 + x"),
    ],
    ids=[
        "function", "helper", "constant", "decorator", "class", "imported-constant", "base-two-levels-deep",
        "relative-neighbour", "package", "nested-import", "behind-a-circle",
    ],
)  # fmt: skip
def test_what_it_does_counts(lab: Project, file: str, old: str, new: str) -> None:
    before = hash_of("lab.train:train")
    lab.edit(file, old, new)
    after = hash_of("lab.train:train")
    assert after != before
    lab.edit(file, new, old)
    assert hash_of("lab.train:train") == before


def test_a_file_is_read_again_only_when_it_has_changed(lab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    tree = user_modules._tree
    monkeypatch.setattr(user_modules, "_tree", lambda path, is_main: read.append(path) or tree(path, is_main))
    reader = CodeReader()
    thunk = read_thunk("lab.train:train")
    first = {reader.read(thunk, {"lr": value}).hash for value in range(100)}
    assert len(first) == 1
    assert len(read) == len(set(read)) == 8
    assert hash_of("lab.train:train") in first
    assert len(read) == 8
    lab.edit("lab/deep.py", "depth = 1", "depth = 17")
    assert hash_of("lab.train:train") not in first
    assert read[8:] == [lab.root / "lab" / "deep.py"]


ODD = {
    "syntax error": ("try:\n    import broken\nexcept SyntaxError:\n    broken = None", {"broken.py": "def f(:\n"}),
    "missing module": ("try:\n    import nowhere.at.all\nexcept ImportError:\n    pass", {}),
    "relative beyond the top": ("def late():\n    from ...x import y", {}),
    "namespace package": ("import space.inner.part", {"space/inner/part.py": "X = 1"}),
    "no text": ("import blob", {"blob.py": "\0"}),
    "wrong encoding": ("import coded", {"coded.py": "# -*- coding: nonsense -*-\nX = 1"}),
    "odd escape": ("import escape", {"escape.py": r"X = '\d'"}),
    "built in": ("import sys, _thread, numpy.random._pcg64, torch.nn as nn", {}),
    "star": ("from stars import *\nY = Z", {"stars.py": "Z = 1"}),
    "itself": ("import odd", {}),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_modules_stop_nothing(project: Project, what: str) -> None:
    imports, files = ODD[what]
    for name, text in files.items():
        project.put(name, text)
    project.put("odd.py", f"{imports}\n\ndef train():\n    return 1\n")
    code = read_code(read_thunk("odd:train"))
    assert project.root / "odd.py" in code.files
    assert (project.root / "space/inner/part.py" in code.files) == (what == "namespace package")
    project.edit("odd.py", "return 1", "return 2")
    assert hash_of("odd:train") != code.hash


def test_a_module_in_an_archive_does_not_count(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    with zipfile.ZipFile(project.root / "packed.zip", "w") as archive:
        archive.writestr("packed_module.py", "X = 1")
    monkeypatch.syspath_prepend(str(project.root / "packed.zip"))
    project.put("uses.py", "import packed_module\n\ndef train():\n    return packed_module.X\n")
    assert read_code(read_thunk("uses:train")).files == (project.root / "uses.py",)
    assert hash_of(importlib.import_module("uses").train) == hash_of("uses:train")


def test_our_own_algorithms_go_by_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    code = read_code(read_thunk("gridrl.algos.ppo:ppo"))
    assert code.files == ()
    assert code.hash != hash_of("gridrl.algos.vpg:vpg")
    monkeypatch.setattr(gridrl, "__version__", "99")
    assert hash_of("gridrl.algos.ppo:ppo") != code.hash


def test_code_among_the_hyperparameters_counts(lab: Project) -> None:
    nets = importlib.import_module("lab.nets")
    ways: list[dict[str, Any]] = [
        {"actor_critic": nets.Net},
        {"actor_critic": Reference("lab.nets.Net")},
        {"actor_critic": Reference("lab.nets:Net")},
        {"ac_kwargs": {"made_by": [Builder(nets.Net, {"size": 3})]}},
        {"net": nets.Net(3)},
        {"make": functools.partial(nets.Net, 3)},
        {"env_name": "lab.nets:Small-v0"},
    ]
    plain = hash_of("gridrl.algos.ppo:ppo")
    before = [hash_of("gridrl.algos.ppo:ppo", **way) for way in ways]
    assert plain not in before
    lab.edit("lab/deep.py", "depth = 1", "depth = 2")
    after = [hash_of("gridrl.algos.ppo:ppo", **way) for way in ways]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert hash_of("gridrl.algos.ppo:ppo") == plain
    numbers = {"lr": 1e-3, "activation": Reference("torch.nn.ReLU"), "env_name": "CartPole-v1", "f": len}
    assert hash_of("gridrl.algos.ppo:ppo", **numbers) == plain


def test_an_environment_that_a_script_registers_counts(lab: Project) -> None:
    entry = types.SimpleNamespace(entry_point="lab.nets:Net")
    thunk = read_thunk("gridrl.algos.ppo:ppo")
    before = read_code(thunk, {"env_name": "Mine-v0"}, entry)
    assert lab.root / "lab" / "nets.py" in before.files
    lab.edit("lab/nets.py", "size", "length")
    assert read_code(thunk, {"env_name": "Mine-v0"}, entry).hash != before.hash


SCRIPT = """
    from functools import lru_cache, partial, wraps

    import helpers
    from helpers import scale as double
    from gridrl.launch.code import read_code
    from gridrl.launch.thunks import read_thunk

    WIDTH = 64
    LAYERS = [WIDTH]
    LAYERS.append(32)
    if WIDTH > 32:
        BIG = True
    else:
        BIG = False

    def logged(function):
        @wraps(function)
        def inner(**kwargs):
            return function(**kwargs)
        return inner

    class Base:
        def size(self):
            return len(LAYERS)

    class Net(Base):
        def forward(self, x):
            return double(x)

    @logged
    def train(lr=0.1, seed=0):
        result = Net().forward(lr)
        return [inner_helper(r) for r in (result, BIG)]

    def inner_helper(x):
        '''Helps.'''
        return x + 1

    def unrelated():
        return WIDTH + 100

    def make(offset):
        def nested(lr=0.1, seed=0):
            return inner_helper(lr) + offset
        return nested

    class Runner:
        __gridrl_id__ = "runner"

        def __call__(self, lr=0.1, seed=0):
            return inner_helper(lr)

        def go(self, lr=0.1, seed=0):
            return self(lr)

    @lru_cache
    def remembered(lr=0.1, seed=0):
        return inner_helper(lr)

    thunks = {
        "function": train,
        "lambda": lambda lr=0.1, seed=0: inner_helper(lr),
        "nested": make(1),
        "over a function": (lambda function: lambda lr=0.1, seed=0: function(lr))(inner_helper),
        "partial": partial(train, lr=1),
        "method": Runner().go,
        "object": Runner(),
        "cached": remembered,
    }
    seeds = [0, 1]
    for name, thunk in thunks.items():
        print(name, read_code(read_thunk(thunk)).hash)
    """


_HASHES: dict[tuple[str, str], dict[str, str]] = {}


@pytest.fixture
def scripted(project: Project) -> Callable[[], dict[str, str]]:
    """A script with thunks of all kinds; gives their hashes when it is called."""
    project.put("helpers.py", "def scale(x):\n    return 2 * x\n")
    script = project.put("script.py", SCRIPT)

    def hashes() -> dict[str, str]:
        texts = (script.read_text(), (project.root / "helpers.py").read_text())
        if texts not in _HASHES:  # the directory makes no difference
            printed = in_a_process(script, Path("/"))
            _HASHES[texts] = dict(line.rsplit(" ", 1) for line in printed.splitlines())
        return _HASHES[texts]

    return hashes


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_a_scripts_function_has_the_hash_of_its_name(project: Project, scripted: Callable[[], dict[str, str]]) -> None:
    assert scripted()["function"] == hash_of(f"{project.root / 'script.py'}:train")


ALL = {"function", "lambda", "nested", "over a function", "partial", "method", "object", "cached"}
OF_TRAIN = {"function", "partial"}


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("return x + 1", "return x + 2", ALL),
        ("return double(x)", "return -double(x)", OF_TRAIN),
        ("return len(LAYERS)", "return len(LAYERS) + 1", OF_TRAIN),
        ("LAYERS.append(32)", "LAYERS.append(16)", OF_TRAIN),
        ("WIDTH = 64", "WIDTH = 63", OF_TRAIN),
        ("if WIDTH > 32", "if WIDTH > 31", OF_TRAIN),
        ("return function(**kwargs)", "return function(**kwargs) or 0", OF_TRAIN),
        ("import scale as double", "import scale as double, scale as other", set()),
        ("return inner_helper(lr) + offset", "return inner_helper(lr) - offset", {"nested"}),
        ("return self(lr)", "return self(lr) + 1", {"method", "object"}),
        ("return WIDTH + 100", "return WIDTH + 101", set()),
        ("seeds = [0, 1]", "seeds = [0, 1, 2]\ngrid = helpers", set()),
        ("    '''Helps.'''\n", "    # helps\n\n", set()),
        ("seeds = [0, 1]", "result = 17\nlr = 0.3", set()),
    ],
    ids=[
        "helper", "class", "base", "change-in-place", "constant", "condition", "decorator", "another-import", "closure",
        "method", "unrelated-function", "grid", "docstring", "names-of-local-variables",
    ],
)  # fmt: skip
def test_in_a_script_each_name_counts_for_itself(
    project: Project, scripted: Callable[[], dict[str, str]], old: str, new: str, stale: set[str]
) -> None:
    text = f"{project.root / 'script.py'}:train"
    before, as_text = scripted(), hash_of(text)
    project.edit("script.py", old, new)
    after = scripted()
    assert changed(before, after) == stale
    assert (hash_of(text) != as_text) == ("function" in stale)
    assert after["function"] == hash_of(text)


def test_a_script_is_stale_with_the_modules_that_it_uses(
    project: Project, scripted: Callable[[], dict[str, str]]
) -> None:
    before = scripted()
    project.edit("helpers.py", "2 * x", "3 * x")
    assert changed(before, scripted()) == OF_TRAIN


class Notebook:
    """Runs cells as a notebook does: in `__main__`'s kind of namespace, their source known to linecache alone."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.count = 0

    def cell(self, text: str, *, keeps_source: bool = True) -> None:
        self.count += 1
        text = textwrap.dedent(text)
        name = f"<cell-{self.count}-{id(self)}>"
        if keeps_source:
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec"), self.names)

    def hash(self, name: str = "train") -> str:
        return hash_of(self.names[name])


CELL = """
    import math
    SIZE = 3
    class Net:
        depth = 1
        def out(self):
            return SIZE
    def helper(x):
        return x + 1
    def train(lr=0.1, seed=0):
        from math import sqrt
        return helper(lr) + Net().out() + math.pi
    """


@pytest.mark.parametrize("keeps_source", [True, False], ids=["source", "code-object"])
def test_in_a_notebook_the_cells_that_it_uses_count(keeps_source: bool) -> None:
    notebook = Notebook()
    notebook.cell(CELL, keeps_source=keeps_source)
    before = notebook.hash()
    notebook.cell("# run again, further down\n\n" + textwrap.dedent(CELL), keeps_source=keeps_source)
    assert notebook.hash() == before
    notebook.cell("def other():\n    return 17\nvalues = [1, 2, 3]", keeps_source=keeps_source)
    assert notebook.hash() == before
    seen = {before}
    for cell in (
        "def helper(x):\n    return x + 2",
        "SIZE = 4",
        "class Net:\n    depth = 2\n    def out(self):\n        return SIZE",
        "import cmath as math",
    ):
        notebook.cell(cell, keeps_source=keeps_source)
        assert notebook.hash() not in seen
        seen.add(notebook.hash())


def test_of_two_lambdas_on_a_line_each_is_itself() -> None:
    notebook = Notebook()
    notebook.cell("one, two = (lambda lr=0, seed=0: lr + 1), (lambda lr=0, seed=0: lr + 2)")
    notebook.cell("three = lambda lr=0, seed=0: (lr  +  1)")
    assert notebook.hash("one") != notebook.hash("two")
    assert notebook.hash("one") == notebook.hash("three")


class Odd:
    """An object that answers no question."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_odd_values_stop_nothing() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert hash_of("gridrl.algos.ppo:ppo", odd=Odd(), circle=circle, deep=functools.reduce(lambda x, _: [x], range(99)))


SAFE = st.text("abcxyz_ #'\"\\n\t", max_size=20)


@given(words=st.lists(SAFE, min_size=3, max_size=3), blanks=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_comments_docstrings_and_blank_lines_never_count(words: list[str], blanks: list[int]) -> None:
    from gridrl.utils.plain_code import plain_tree

    plain = "import os\nX = 1\ndef f(a):\n    return a + X\nclass C:\n    pass\n"
    gap = ["\n" * count for count in blanks]
    dressed = (
        f"{words[0]!r}\nimport os  # {words[1]}\n{gap[0]}X = (1)\n{gap[1]}def f( a ):\n    {words[1]!r}\n{gap[2]}"
        f"    return (a\n       +X)\n{gap[3]}class C:\n    {words[2]!r}\n"
    )
    assert ast_text(plain_tree(dressed, is_main=False)) == ast_text(plain_tree(plain, is_main=False))


def ast_text(tree: Any) -> str:
    import ast

    return ast.unparse(tree)


def test_a_program_counts_with_what_it_imports(project: Project) -> None:
    project.put("parts.py", "X = 1")
    program = project.put("train.py", "import parts\nif __name__ == '__main__':\n    print(parts.X)\n")
    tool = project.put("tool.sh", "#!/bin/sh\necho 1\n")
    target = "gridrl.launch.program:run_program"

    def hashes() -> list[str]:
        commands = [(str(program), "fit"), (str(tool),), ("/bin/sh", "-c", "true"), (str(project.root / "none"),)]
        return [hash_of(target, command=command) for command in commands]

    before = hashes()
    assert before[2] == before[3] == hash_of(target)
    assert read_code(read_thunk(target), {"command": (str(program),)}).files == (project.root / "parts.py", program)
    project.edit("parts.py", "X = 1", "X = 2")
    first = hashes()
    assert [one != other for one, other in zip(before, first, strict=True)] == [True, False, False, False]
    project.edit("train.py", "print(parts.X)", "print(-parts.X)")
    tool.write_text("#!/bin/sh\necho 2\n")
    second = hashes()
    assert [one != other for one, other in zip(first, second, strict=True)] == [True, True, False, False]
    project.edit("train.py", "import parts\n", "import parts  # of it\n")
    assert hashes() == second
