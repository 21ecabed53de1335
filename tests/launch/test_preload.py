"""What a grid's runs are going to import, told without importing it."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridrl.build import Reference
from gridrl.launch.payload import Payload
from gridrl.launch.preload import Preload, find_preload


def test_imports_inside_functions_are_found() -> None:
    def thunk(lr: float) -> Any:
        import xml.dom.minidom as minidom
        from json import decoder

        def inner() -> Any:
            from email import message

            return message

        return minidom, decoder, inner

    found = find_preload([Payload(thunk)])
    assert found.imports["xml.dom.minidom"] >= set()
    assert found.imports["json"] >= {"decoder"}
    assert found.imports["email"] == {"message"}
    assert not found.optimises


def test_what_a_function_holds_is_found() -> None:
    import decimal

    held = functools.partial(lambda number: decimal.Decimal(number))

    def thunk(lr: float) -> Any:
        return held(lr)

    found = find_preload([Payload(thunk, {"other": Path("/")})])
    assert {"decimal", "pathlib"} <= set(found.imports)


def test_names_travel_as_names() -> None:
    keywords = {"act": Reference("torch.nn.ReLU"), "env": "CartPole-v1", "name": "no-environment"}
    found = find_preload([Payload("my_module:train", keywords, environment=("mine:Own-v3", {}))])
    assert found.names == {"my_module:train", "torch.nn.ReLU"}
    assert found.environments == {"CartPole-v1", "mine:Own-v3"}
    assert "gridrl.envs.making" in found.imports
    assert Preload.from_json(found.as_json()) == found


def adam() -> Any:
    import torch

    return lambda net: torch.optim.Adam(net.parameters())


def from_import() -> Any:
    def thunk(net: Any) -> Any:
        from torch.optim import SGD

        return SGD(net.parameters())

    return thunk


def no_optimiser() -> Any:
    return lambda net: net.parameters()


@pytest.mark.parametrize(("made", "optimises"), [(adam, True), (from_import, True), (no_optimiser, False)])
def test_an_optimiser_is_told_by_the_code_that_builds_it(made: Any, optimises: bool) -> None:
    assert find_preload([Payload(made())]).optimises is optimises


def test_relative_imports_start_from_the_package_of_the_function() -> None:
    code = compile("def f():\n    from . import near\n    from ..up import other\n    from .mod import x", "f", "exec")
    preload = Preload()
    preload.add_code(code, "a.b")
    assert preload.imports == {"a.b": {"near"}, "a.up": {"other"}, "a.b.mod": {"x"}}


WARM_UP = """
import json, sys
from gridrl.launch.preload import Preload
from gridrl.launch.warming import has_drawn, warm_up, watch_generators
watch_generators()
warm_up(Preload.from_json(json.loads(sys.argv[1])))
print(json.dumps([name for name in sys.argv[2:] if name in sys.modules]), has_drawn())
"""


def loaded_after(preload: Preload, cwd: Path, *modules: str) -> str:
    import json

    ended = subprocess.run(
        [sys.executable, "-c", WARM_UP, json.dumps(preload.as_json()), *modules],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_only_what_is_needed_is_imported(tmp_path: Path) -> None:
    preload = Preload({"no_such_module": set(), "xml": {"dom"}, "mpi4py": {"MPI"}}, {"json:dumps", "no_such:thing"})
    loaded = loaded_after(preload, tmp_path, "xml.dom", "torch", "gymnasium", "numpy", "mpi4py.MPI")
    assert loaded == '["xml.dom"] False'


def test_our_algorithms_need_no_dynamo_and_bring_their_environment(tmp_path: Path) -> None:
    preload = find_preload([Payload("gridrl.algos.ppo:ppo", environment=("CartPole-v1", {}))])
    cartpole = "gymnasium.envs.classic_control.cartpole"
    loaded = loaded_after(preload, tmp_path, "torch._dynamo", cartpole, "gridrl.train.checkpoint", "mpi4py.MPI")
    assert loaded == f'["{cartpole}", "gridrl.train.checkpoint"] False'


@pytest.mark.parametrize(
    ("body", "loaded"),
    [("return torch.optim.Adam([torch.ones(1)])", '["torch._dynamo"] False'), ("return torch.ones(1)", "[] False")],
)
def test_dynamo_is_imported_where_a_module_builds_an_optimiser(tmp_path: Path, body: str, loaded: str) -> None:
    (tmp_path / "trains.py").write_text(f"import torch\n\nclass Learner:\n    def make(self):\n        {body}\n")
    (tmp_path / "users.py").write_text("from trains import Learner\n\ndef train():\n    Learner().make()\n")
    assert loaded_after(Preload(names={"users:train"}), tmp_path, "torch._dynamo") == loaded


SPARED = """
import weakref
from gridrl.launch.warming import spare_teardown
import torch

class Users:
    pass

kept = Users()
weakref.finalize(kept, print, "the user's finalizer")
before = sum(finalizer.atexit for finalizer in weakref.finalize._registry)
spare_teardown()
print(before > 1, sum(finalizer.atexit for finalizer in weakref.finalize._registry))
"""


def test_only_torch_is_spared_its_teardown(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SPARED], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "True 1\nthe user's finalizer\n"), ended.stderr
