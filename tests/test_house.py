"""The house rules that a program can check: floors, sizes, what a plain import costs, the public list."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gridrl

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "gridrl").rglob("*.py"))
HEAVY = ("torch", "matplotlib", "gymnasium", "mpi4py.MPI", "pandas", "tensorboard", "wandb")


def heavy_modules_after(code: str, cwd: Path) -> list[str]:
    """The heavy modules that a clean interpreter has loaded after it ran `code`."""
    report = f"\nimport sys, json; print('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    ended = subprocess.run(
        [sys.executable, "-c", code + report], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    loaded: list[str] = json.loads(ended.stdout.splitlines()[-1])
    return loaded


RUN_MAIN = """
import runpy, sys
sys.argv = {argv!r}
try:
    runpy.run_module("gridrl.run", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert end.code in (0, None), end.code
"""


@pytest.mark.parametrize(
    "code",
    [
        "import gridrl",
        "from gridrl import ExperimentGrid\n"
        "g = ExperimentGrid('g')\n"
        "g.add('ac_kwargs:hidden_sizes', [[64, 64], [32]], 'hid')\n"
        "g.add('seed', [0, 10])\n"
        "assert len(g.variants()) == 4\n"
        "g.print()\n",
        "import gridrl.log.logger, gridrl.launch.worker, gridrl.launch.scheduler\n"
        "import gridrl.results.reader, gridrl.results.figure, gridrl.commands.plot\n"
        "import gridrl.schedules, gridrl.typing, gridrl.ops.returns, gridrl.utils.crud_storage, gridrl.utils.timing\n"
        "import gridrl.utils.deprecated, gridrl.utils.maths, gridrl.utils.threading, gridrl.utils.torch_mpi",
        RUN_MAIN.format(argv=["gridrl.run", "--help"]),
        RUN_MAIN.format(argv=["gridrl.run", "ppo", "--help"]),
        RUN_MAIN.format(argv=["gridrl.run", "plot", "--help"]),
    ],
    ids=["import", "grid", "parts", "help", "ppo-help", "plot-help"],
)
def test_nothing_heavy_is_loaded_by(code: str, tmp_path: Path) -> None:
    assert heavy_modules_after(code, tmp_path) == []


def test_the_import_probe_sees_what_is_loaded(tmp_path: Path) -> None:
    assert heavy_modules_after("import gymnasium", tmp_path) == ["gymnasium"]


def test_a_module_imports_strictly_lower_floors() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_keep_their_budgets(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350, "a file that needs more is two files"
    too_long = [
        f"{node.name} ({length} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := _lines_without_docstring(node)) > 60
    ]
    assert too_long == []


def _lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = ast.get_docstring(node, clean=False)
    return (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_things_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    bare = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert bare == []
    assert ast.get_docstring(tree) or not tree.body, "a module says what it gives you"


def test_no_module_cycle() -> None:
    """A module level import never comes back to its own module (imports for type checking set aside)."""
    graph = {_module_name(path): set(_imports_at_load(path)) for path in SOURCES}
    state: dict[str, str] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert state.get(module) != "open", " -> ".join((*trail, module))
        if module in state:
            return
        state[module] = "open"
        for target in sorted(graph[module]):
            visit(target, (*trail, module))
        state[module] = "closed"

    for module in graph:
        visit(module, ())


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports_at_load(path: Path) -> Iterator[str]:
    known = {_module_name(other) for other in SOURCES}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield from ({inner} & known) or ({node.module} & known)
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known


def test_the_public_list_is_what_can_be_imported() -> None:
    assert sorted(gridrl.__all__) == gridrl.__all__
    assert set(gridrl.__all__) == set(gridrl._PUBLIC)
    for name in gridrl.__all__:
        assert getattr(gridrl, name) is getattr(importlib.import_module(gridrl._PUBLIC[name]), name)
        assert name in dir(gridrl)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Grid'"):
        _ = gridrl.Grid


def test_no_module_has_the_name_of_a_public_function_of_its_package() -> None:
    """Importing the module `gridrl.ppo`, if there were one, would hide the function `gridrl.ppo`."""
    modules = {path.stem for path in (ROOT / "gridrl").iterdir()}
    assert modules.isdisjoint(gridrl.__all__)
