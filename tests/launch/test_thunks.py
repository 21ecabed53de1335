"""What a thunk may be, and what it gets."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridrl import call_experiment
from gridrl.build import Reference
from gridrl.errors import (
    BadValue,
    RunDirectoryInUse,
)
from tests.launch.helpers import config_of, run


def test_a_run_gets_only_the_keywords_that_it_takes(data_dir: Path) -> None:
    def thunk(lr: float) -> None:
        import random

        print(lr, random.random())

    result = run(thunk, data_dir, keys={"lr": 0.5, "seed": [3, 3 + 10]})
    assert result.ok
    import random

    told = [(r.run_dir / "stdout.log").read_text().split() for r in result]
    assert told == [["0.5", str(random.Random(3).random())], ["0.5", str(random.Random(13).random())]]


def test_a_run_has_one_thread_and_a_fixed_hash_seed(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("MINE", "kept")

    def thunk() -> None:
        import sys

        names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED", "PMI_RANK", "MINE"]
        heavy = [name for name in ("torch", "numpy", "gymnasium", "mpi4py") if name in sys.modules]
        print([os.environ.get(name) for name in names], heavy)

    (only,) = run(thunk, data_dir)
    assert (only.run_dir / "stdout.log").read_text() == "['1', '1', '1', '0', None, 'kept'] []\n"


def test_the_thunk_may_be_a_key_of_the_grid(data_dir: Path) -> None:
    def first(lr: int, logger_kwargs: Any) -> None:
        print("first", lr)

    def second(lr: int) -> None:
        print("second", lr)

    result = run("algo", data_dir, keys={"algo": [first, second], "lr": 3})
    assert result.ok
    assert [r.name for r in result] == ["g_algfirst", "g_algsecond"]
    assert [(r.run_dir / "stdout.log").read_text() for r in result] == ["first 3\n", "second 3\n"]
    assert result[0].variant == {"algo": first, "lr": 3}
    with pytest.raises(BadValue, match=r"The thunk 'alog' is no key of the grid\. Did you mean 'algo'\?"):
        run("alog", data_dir, keys={"algo": [first, second], "lr": 3})


def test_a_thunk_may_be_named(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "my_thunks.py"
    path.write_text("import my_neighbour\ndef train(lr, seed):\n    print(my_neighbour.WORD, lr, seed)\n")
    (tmp_path / "my_neighbour.py").write_text("WORD = 'beside'\n")
    (by_file,) = run(f"{path}:train", data_dir, keys={"lr": 1, "seed": 4})
    assert (by_file.run_dir / "stdout.log").read_text() == "beside 1 4\n"
    assert "my_thunks" not in sys.modules
    assert config_of(by_file.run_dir)["thunk"] == f"{path}:train"


def test_references_are_resolved_in_the_run(data_dir: Path) -> None:
    def thunk(net: Any) -> None:
        print(net["kind"].__module__, net["kind"].__qualname__)

    (typed,) = run(thunk, data_dir, keys={"net:kind": Reference("fractions.Fraction")})
    assert (typed.run_dir / "stdout.log").read_text() == "fractions Fraction\n"
    import fractions

    (given,) = run(thunk, data_dir, keys={"net:kind": fractions.Fraction})
    assert given.skipped
    with pytest.raises(BadValue, match=r"fractions has no 'Fractoin'\. Did you mean 'Fraction'\?"):
        run(thunk, data_dir, keys={"net:kind": Reference("fractions.Fractoin")})


def test_logger_kwargs_of_the_variant_are_added(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def thunk(logger_kwargs: Any) -> None:
        print(sorted(logger_kwargs.items()))

    own = data_dir / "my own"
    (first,) = run(thunk, data_dir, keys={"logger_kwargs:quiet": True}, log=["tensorboard"])
    told = (first.run_dir / "stdout.log").read_text()
    assert (
        told
        == str([("exp_name", "g"), ("log", ["tensorboard"]), ("output_dir", str(first.run_dir)), ("quiet", True)])
        + "\n"
    )
    result = call_experiment("e", thunk, data_dir=data_dir, logger_kwargs={"output_dir": str(own), "exp_name": "x"})
    assert result.run_dir == own
    assert (own / "stdout.log").read_text() == str([("exp_name", "x"), ("output_dir", str(own))]) + "\n"
    assert "Note: the logger_kwargs given are added to those of the launcher." in capsys.readouterr().out
    with pytest.raises(RunDirectoryInUse, match="two runs would write there"):
        run(thunk, data_dir, name="h", keys={"logger_kwargs:output_dir": str(data_dir / "same"), "seed": [0, 1]})


UNGUARDED = """
import sys
import numpy as np
from gridrl import ExperimentGrid, call_experiment
import neighbour

print("top level")
weights = np.arange(2**17, dtype=float)


class Rule:
    scale = 2.0

    def __call__(self, x):
        return self.scale * x


def train(rule, lr, seed, logger_kwargs):
    print("result", rule()(lr), neighbour.double(seed))


def make(data):
    return lambda lr: print("closure", lr * float(data.sum()))


data_dir = sys.argv[1]
grid = ExperimentGrid("by_name")
grid.add("rule", [Rule])
grid.add("lr", [1.0, 2.0])
grid.add("seed", [4])
assert grid.run(train, data_dir=data_dir).ok
call_experiment("by_lambda", lambda lr: print("lambda", lr), data_dir=data_dir, lr=3)
call_experiment("by_closure", make(weights), data_dir=data_dir, lr=1.0)
grid = ExperimentGrid("by_value")
grid.add("thunk", [lambda lr: print("one"), lambda lr: print("two")])
grid.add("lr", 1)
assert grid.run("thunk", data_dir=data_dir).ok
"""


def test_an_unguarded_script_with_anything_in_it_works(
    script: Callable[..., Path], run_script: Callable[..., Any], data_dir: Path
) -> None:
    script("def double(x):\n    return 2 * x\n", "neighbour.py")
    path = script(UNGUARDED)
    for expected in ("done  ", "done (before)"):
        ended = run_script(path, str(data_dir))
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("top level") == 1
        assert ended.stdout.count(expected) >= 3
    logs = {log.parent.name: log.read_text() for log in data_dir.rglob("stdout.log")}
    assert not any("top level" in log for log in logs.values())
    assert logs["by_name_lr1-0_s4"] == "result 2.0 8\n"
    assert logs["by_name_lr2-0_s4"] == "result 4.0 8\n"
    assert logs["by_lambda_s0"] == "lambda 3\n"
    assert logs["by_closure_s0"] == f"closure {float(sum(range(2**17)))}\n"
    assert sorted(log for name, log in logs.items() if name.startswith("by_value")) == ["one\n", "two\n"]
    assert json.loads((data_dir / "by_name_lr1-0/by_name_lr1-0_s4/config.json").read_text())["thunk"] == f"{path}:train"


async def waits(lr: float) -> None: ...


def yields(lr: float) -> Iterator[float]:
    yield lr


@pytest.mark.parametrize("thunk", [waits, yields, functools.partial(waits, lr=1)])
def test_what_runs_nothing_when_it_is_called_is_refused(thunk: Callable[..., Any], data_dir: Path) -> None:
    with pytest.raises(BadValue, match="is async or a generator: calling it runs nothing"):
        run(thunk, data_dir, keys={"lr": 1})
    assert not data_dir.exists()


@pytest.mark.parametrize("kind", ["coroutine", "generator"])
def test_a_named_thunk_that_runs_nothing_is_a_failure(
    kind: str, script: Callable[..., Path], data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = script("async def coroutine(lr): ...\ndef generator(lr):\n    yield lr\n")
    (only,) = run(f"{path}:{kind}", data_dir, keys={"lr": 1})
    assert only.state == "failed"
    assert f"the thunk gave a {kind}: it is async or a generator, and nothing of it has run" in str(only.error)


CACHED = """
import functools, sys
from gridrl import call_experiment

@functools.lru_cache
def train(lr, seed=0):
    print("lr is", lr)

result = call_experiment("e", train, data_dir=sys.argv[1], lr=2)
sys.exit(0 if result.ok else 1)
"""


def test_a_cached_function_of_a_script_runs(script: Any, run_script: Any, data_dir: Path) -> None:
    path = script(CACHED)
    for _ in range(2):
        ended = run_script(path, str(data_dir))
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 done before" in ended.stdout
    assert (data_dir / "e" / "e_s0" / "stdout.log").read_text() == "lr is 2\n"
