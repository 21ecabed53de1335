"""Whole runs: a grid, its processes, its directories, and the same command again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentFailed, ExperimentGrid, call_experiment
from gridrl.build import Reference
from gridrl.errors import (
    BadValue,
    DuplicateKey,
    GridRLError,
    NotPicklable,
    RunDirectoryInUse,
    UnknownFlag,
)
from gridrl.launch.result import GridResult
from gridrl.log.record import Status, read_status, write_status
from gridrl.signature import grows
from gridrl.utils.processes import process_identity


def run(thunk: Any, data_dir: Path, name: str = "g", keys: dict[str, Any] | None = None, **options: Any) -> GridResult:
    grid = ExperimentGrid(name)
    for key, values in (keys or {"seed": 0}).items():
        grid.add(key, values)
    return grid.run(thunk, data_dir=data_dir, **options)


def config_of(run_dir: Path) -> Any:
    return json.loads((run_dir / "config.json").read_text())


def record(lr: Any = None, seed: int = 0, logger_kwargs: Any = None) -> None:
    """Appends a line to `calls.txt` in its run directory."""


def recorder() -> Callable[..., None]:
    """A thunk that travels by value, so that its process need not import the tests."""

    def thunk(lr: Any = None, seed: int = 0, logger_kwargs: Any = None) -> None:
        with open(f"{logger_kwargs['output_dir']}/calls.txt", "a") as file:
            file.write(f"{lr!r} {seed}\n")

    return thunk


def test_every_variant_runs_in_a_directory_of_its_own(data_dir: Path) -> None:
    result = run(recorder(), data_dir, keys={"lr": [0.1, 0.2], "seed": [0, 10]}, jobs=2)
    assert result.ok
    assert repr(result) == "GridResult(4 runs: 4 done)"
    assert [(r.name, r.seed, r.variant["lr"]) for r in result] == [
        ("g_lr0-1", 0, 0.1),
        ("g_lr0-1", 10, 0.1),
        ("g_lr0-2", 0, 0.2),
        ("g_lr0-2", 10, 0.2),
    ]
    assert [str(r.run_dir.relative_to(data_dir)) for r in result] == [
        "g_lr0-1/g_lr0-1_s0",
        "g_lr0-1/g_lr0-1_s10",
        "g_lr0-2/g_lr0-2_s0",
        "g_lr0-2/g_lr0-2_s10",
    ]
    assert [(r.run_dir / "calls.txt").read_text() for r in result] == ["0.1 0\n", "0.1 10\n", "0.2 0\n", "0.2 10\n"]


def test_config_and_status_tell_all_about_a_run(data_dir: Path) -> None:
    def thunk(net: Any, lr: float, seed: int) -> None: ...

    (done,) = run(thunk, data_dir, keys={"net:sizes": [(64, 64)], "lr": 0.5, "seed": 7}, command="typed this")
    config = config_of(done.run_dir)
    assert {key: config[key] for key in ("exp_name", "grid", "variant", "seed", "num_cpu", "threads", "env")} == {
        "exp_name": "g",
        "grid": "g",
        "variant": {"net": {"sizes": [64, 64]}, "lr": 0.5, "seed": 7},
        "seed": 7,
        "num_cpu": 1,
        "threads": 1,
        "env": None,
    }
    assert (config["run_id"], config["command"]) == (done.run_id, "typed this")
    assert {"gridrl", "python", "platform", "torch", "numpy", "gymnasium"} <= config["versions"].keys()
    status = read_status(done.run_dir)
    assert status is not None
    assert (status.state, status.attempt, status.exit_code, status.error) == ("done", 1, 0, None)
    assert status.started is not None
    assert status.ended is not None
    assert status.started <= status.ended
    assert status.cpu_s is not None
    assert status.cpu_s > 0
    assert status.peak_memory_mb is not None
    assert status.peak_memory_mb > 1


def test_the_same_command_again_runs_nothing(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"lr": [0.1, 0.2]}
    first = run(recorder(), data_dir, keys=keys)
    capsys.readouterr()
    again = run(recorder(), data_dir, keys=keys)
    assert [(r.state, r.skipped, r.run_dir) for r in again] == [("done", True, r.run_dir) for r in first]
    assert [(r.run_dir / "calls.txt").read_text() for r in again] == ["0.1 0\n", "0.2 0\n"]
    assert "2 runs, 2 done already" in capsys.readouterr().out


def test_a_datestamp_or_another_value_repeats_nothing_that_is_done(data_dir: Path) -> None:
    (first,) = run(recorder(), data_dir, keys={"lr": [0.1]})
    assert first.run_dir == data_dir / "g" / "g_s0"
    again, new = run(recorder(), data_dir, keys={"lr": [0.1, 0.2]}, datestamp=True)
    assert (again.skipped, again.run_dir, again.name) == (True, first.run_dir, "g")
    day = time.strftime("%Y-%m-%d", time.localtime(new.run_dir.stat().st_mtime))
    assert new.run_dir.parent == data_dir / f"{day}_g_lr0-2"
    assert new.run_dir.name.startswith(f"{day}_")
    assert new.run_dir.name.endswith("-g_lr0-2_s0")
    stamped = run(recorder(), data_dir, keys={"lr": [0.1, 0.2]}, datestamp=True)
    assert [r.run_dir for r in stamped] == [first.run_dir, new.run_dir]


def test_a_failing_run_stops_nothing_and_runs_again(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def thunk(lr: int, logger_kwargs: Any) -> None:
        print("hello from", lr)
        with open(f"{logger_kwargs['output_dir']}/calls.txt", "a") as file:
            attempt = file.tell()
            file.write("x")
        if lr == 2 and not attempt:
            raise ValueError("two\nlines")

    first = run(thunk, data_dir, keys={"lr": [1, 2, 3]}, jobs=1)
    assert [r.state for r in first] == ["done", "failed", "done"]
    assert not first.ok
    assert [r.exit_code for r in first] == [0, 1, 0]
    assert first[1].error == "ValueError: two lines"
    assert first.failed == [first[1]]
    traceback = (first[1].run_dir / "error.txt").read_text()
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith("ValueError: two\nlines\n")
    assert "gridrl/launch/worker.py" not in traceback
    assert (first[1].run_dir / "stdout.log").read_text() == "hello from 2\n" + traceback
    out = capsys.readouterr().out
    assert "g_lr2  0     failed" in out
    assert "2 done, 1 failed." in out

    again = run(thunk, data_dir, keys={"lr": [1, 2, 3]})
    assert [(r.state, r.skipped) for r in again] == [("done", True), ("done", False), ("done", True)]
    status = read_status(again[1].run_dir)
    assert status is not None
    assert (status.attempt, status.error) == (2, None)
    assert not (again[1].run_dir / "error.txt").exists()
    log = (again[1].run_dir / "stdout.log").read_text()
    assert log.startswith("hello from 2\nTraceback")
    assert "\n--- attempt 2, " in log
    assert log.endswith("hello from 2\n")


def test_another_single_value_gets_a_directory_of_its_own_and_it_is_said(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = run(recorder(), data_dir, keys={"lr": 0.1, "seed": 0})
    capsys.readouterr()
    second = run(recorder(), data_dir, keys={"lr": 0.2, "seed": [0, 1]})
    name = second[0].name
    assert name.startswith("g-")
    assert len(name) == len("g-") + 4
    assert [r.run_dir for r in second] == [data_dir / name / f"{name}_s0", data_dir / name / f"{name}_s1"]
    told = capsys.readouterr().err
    assert f"{data_dir / 'g'} belongs to other runs (lr: 0.1 -> 0.2): these go to {data_dir / name}." in told
    assert config_of(second[0].run_dir)["exp_name"] == name
    assert (first.run_dir / "calls.txt").read_text() == "0.1 0\n"

    again = run(recorder(), data_dir, keys={"lr": 0.2, "seed": [0, 1, 2]})
    assert [r.skipped for r in again] == [True, True, False]
    assert again[2].run_dir == data_dir / name / f"{name}_s2"
    back = run(recorder(), data_dir, keys={"lr": 0.1, "seed": [0, 1]})
    assert [r.run_dir.parent for r in back] == [data_dir / "g"] * 2


def test_growing_keys_continue_a_run_where_it_is(data_dir: Path) -> None:
    @grows("epochs")
    def thunk(lr: float = 0.1, epochs: int = 3, logger_kwargs: Any = None) -> None:
        with open(f"{logger_kwargs['output_dir']}/calls.txt", "a") as file:
            file.write(f"{epochs} ")

    def calls(**keys: Any) -> tuple[bool, str]:
        (only,) = run(thunk, data_dir, keys=keys)
        assert only.run_dir == data_dir / "g" / "g_s0"
        return only.skipped, (only.run_dir / "calls.txt").read_text()

    assert calls(lr=0.1) == (False, "3 ")
    assert calls(lr=0.1, epochs=2) == (True, "3 ")
    assert calls(lr=0.1, epochs=3) == (True, "3 ")
    assert calls(lr=0.1, epochs=5) == (False, "3 5 ")
    assert calls(lr=0.1) == (True, "3 5 ")
    assert config_of(data_dir / "g" / "g_s0")["grows"] == {"epochs": 5}
    several = run(thunk, data_dir, keys={"lr": 0.1, "epochs": [5, 6]})
    assert [r.skipped for r in several] == [False, False]
    assert len({r.run_dir for r in several}) == 2


LOOK_ALIKE = ["a/b", "a-b", "A/B", 1.0, "1-0", None, "none", True, "true"]


def test_values_that_look_alike_get_directories_of_their_own(data_dir: Path) -> None:
    keys = {"lr": LOOK_ALIKE}
    first = run(recorder(), data_dir, keys=keys, jobs=4)
    assert first.ok
    assert len({str(r.run_dir).casefold() for r in first}) == len(LOOK_ALIKE)
    assert [(r.run_dir / "calls.txt").read_text() for r in first] == [f"{value!r} 0\n" for value in LOOK_ALIKE]
    turned = run(recorder(), data_dir, keys={"lr": LOOK_ALIKE[::-1]})
    assert all(r.skipped for r in turned)
    assert [r.run_dir for r in turned] == [r.run_dir for r in first][::-1]


def test_keys_with_equal_shorthands_get_directories_of_their_own(data_dir: Path) -> None:
    def thunk(steps_per_epoch: int = 1, steps_warm: int = 1) -> None: ...

    result = run(thunk, data_dir, keys={"steps_per_epoch": [1, 2], "steps_warm": [1, 2]}, dry_run=True)
    assert [r.name for r in result] == [
        "g_stepsp1_stepsw1",
        "g_stepsp1_stepsw2",
        "g_stepsp2_stepsw1",
        "g_stepsp2_stepsw2",
    ]


def test_names_with_anything_in_them_work(tmp_path: Path, weird_name: str) -> None:
    where, keys = tmp_path / weird_name, {"lr": ["x\ny", " "]}
    result = run(recorder(), where, name=weird_name, keys=keys)
    assert result.ok
    assert [r.run_dir.parents[1] for r in result] == [where] * 2
    assert [r.run_dir.parent.name for r in result] == [f"{weird_name}_lrx-y", f"{weird_name}_lr-"]
    assert all(r.skipped for r in run(recorder(), where, name=weird_name, keys=keys))


def test_slashes_in_a_name_make_directories_that_are_found_again(data_dir: Path) -> None:
    (first,) = run(recorder(), data_dir, name="suite/deep/t")
    assert first.run_dir == data_dir / "suite" / "deep" / "t" / "t_s0"
    (again,) = run(recorder(), data_dir, name="suite/deep/t", datestamp=True)
    assert (again.skipped, again.run_dir) == (True, first.run_dir)


def test_a_name_that_leads_out_of_the_data_directory_is_refused(data_dir: Path) -> None:
    with pytest.raises(BadValue, match=r"exp_name='\.\./x'"):
        run(recorder(), data_dir, name="../x")


def test_files_that_are_not_ours_are_left_alone(data_dir: Path) -> None:
    stranger = data_dir / "g_lr1" / "g_lr1_s0"
    stranger.mkdir(parents=True)
    (stranger / "thesis.txt").write_text("mine")
    (data_dir / "g_lr2").mkdir()
    (data_dir / "g_lr2" / "g_lr2_s0").write_text("no directory")
    with pytest.raises(RunDirectoryInUse) as error:
        run(recorder(), data_dir, keys={"lr": [0, 1, 2]})
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{stranger} holds files that are not this run's ('thesis.txt').")
    assert second.startswith(f"{data_dir / 'g_lr2' / 'g_lr2_s0'} is no directory.")
    assert sorted(path.name for path in data_dir.iterdir()) == ["g_lr1", "g_lr2"]
    assert [path.name for path in stranger.iterdir()] == ["thesis.txt"]


def test_a_directory_with_only_the_rest_of_a_broken_write_is_ours(data_dir: Path) -> None:
    rest = data_dir / "g" / "g_s0"
    rest.mkdir(parents=True)
    (rest / ".config.json.0123.tmp").write_text("{")
    assert run(recorder(), data_dir).ok


def test_a_run_that_is_alive_is_not_started_twice(data_dir: Path) -> None:
    (first,) = run(recorder(), data_dir)
    write_status(first.run_dir, Status("running", started=1.0).with_process())
    with pytest.raises(RunDirectoryInUse, match=rf"this run is still running \(process {os.getpid()} on "):
        run(recorder(), data_dir)


def test_a_lost_run_runs_again(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = run(recorder(), data_dir)
    gone = Status("running", attempt=4, started=1.0).with_process()
    write_status(first.run_dir, Status(**{**gone.__dict__, "pid_start": -1.0}))
    (again,) = run(recorder(), data_dir)
    assert (again.state, again.skipped) == ("done", False)
    status = read_status(again.run_dir)
    assert status is not None
    assert status.attempt == 5
    assert "1 run, 1 to be started again" in capsys.readouterr().out


def test_a_copy_of_a_finished_run_counts(data_dir: Path) -> None:
    import shutil

    (first,) = run(recorder(), data_dir)
    shutil.copytree(data_dir / "g", data_dir / "a_copy")
    write_status(first.run_dir, Status("failed"))
    (again,) = run(recorder(), data_dir)
    assert again.skipped
    assert again.run_dir == data_dir / "a_copy" / "g_s0"


def test_a_dry_run_shows_states_and_directories_and_makes_nothing(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(recorder(), data_dir, keys={"lr": [1, 2]}, dry_run=True)
    assert [r.state for r in result] == ["new", "new"]
    assert not data_dir.exists()
    run(recorder(), data_dir, keys={"lr": [1]}, name="g_lr1")
    run(recorder(), data_dir, keys={"lr": [1]}, name="g")
    write_status(data_dir / "g" / "g_s0", Status("failed", error="ValueError: x"))
    capsys.readouterr()
    result = run(recorder(), data_dir, keys={"lr": [1, 2]}, dry_run=True)
    assert [(r.state, r.skipped, r.error) for r in result] == [("failed", False, "ValueError: x"), ("new", False, None)]
    lines = capsys.readouterr().out.splitlines()
    assert "g      0     failed        g/g_s0" in lines
    assert "g_lr2  0     new           g_lr2/g_lr2_s0" in lines


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
        import os
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


def test_everything_that_is_wrong_is_told_before_anything_starts(data_dir: Path) -> None:
    def thunk(lr: float, steps: int = 1) -> None: ...

    import threading

    with pytest.raises(BadValue) as error:
        run(thunk, data_dir, keys={"stesp": 2, "steps": ["x", threading.Lock()], "seed": -1})
    assert str(error.value).splitlines() == [
        "`stesp`: thunk has no such parameter. Did you mean 'steps'?",
        "`lr` is missing: thunk has no default for it.",
        "`steps`: wants int, got 'x' (str).",
        "seed: a whole number from 0 to 4294967295 is needed, not -1.",
        "`steps`: wants int, got <unlocked _thread.lock object> (lock).",
        "`steps` cannot be pickled, so it cannot be sent to the run's process: TypeError: cannot pickle "
        "'_thread.lock' object",
    ]
    assert not data_dir.exists()


@pytest.mark.parametrize(
    ("keys", "options", "kind", "told"),
    [
        ({"lrr": 1}, {}, UnknownFlag, "`lrr`: .*thunk has no such parameter. Did you mean 'lr'?"),
        ({"lr": 1}, {"jobs": 0}, BadValue, "jobs=0: how many runs go at once is a whole number from 1"),
        ({"lr": 1}, {"jobs": True}, BadValue, "jobs=True"),
        ({"lr": 1}, {"num_cpu": 0}, BadValue, "num_cpu=0: a run has at least 1 rank"),
        ({"lr": 1}, {"num_cpu": "two"}, BadValue, "num_cpu='two'"),
        ({"lr": 1}, {"num_cpu": 10**6}, BadValue, "more ranks than make sense"),
        ({"lr": 1}, {"log": ["tensorbord"]}, BadValue, "Did you mean 'tensorboard'?"),
        ({"lr": 1, "seed": [1.5]}, {}, BadValue, "seed: a whole number"),
        ({"lr": object()}, {}, BadValue, "lr: a builtins.object has no form that is the same in every process"),
        ({"lr": (x for x in ())}, {}, NotPicklable, "`lr` cannot be pickled"),
    ],
)
def test_bad_input_is_told_before_anything_starts(
    data_dir: Path, keys: dict[str, Any], options: dict[str, Any], kind: type[GridRLError], told: str
) -> None:
    with pytest.raises(kind, match=told) as error:
        run(recorder(), data_dir, keys=keys, **options)
    assert type(error.value) is kind
    assert not data_dir.exists()


def test_a_data_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadValue, match=r"The data directory '.*/file/data' cannot be written: Not a directory\."):
        run(recorder(), tmp_path / "file" / "data")
    with pytest.raises(BadValue, match="data_dir=3: the path of a directory is wanted"):
        call_experiment("e", recorder(), data_dir=3)  # type: ignore[arg-type]


def test_two_names_of_one_value_are_one_run(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "defines_it.py").write_text("def rule(): ...\n")
    (tmp_path / "shows_it.py").write_text("from defines_it import rule\n")
    monkeypatch.syspath_prepend(tmp_path)
    grid = ExperimentGrid("g")
    grid.add("lr", [Reference("defines_it.rule"), Reference("shows_it.rule")])
    with pytest.raises(DuplicateKey, match="Two of the values mean the same"):
        grid.run(recorder(), data_dir=data_dir)
    assert "defines_it" not in sys.modules


def test_two_spellings_of_what_is_loaded_are_told_at_once() -> None:
    grid = ExperimentGrid("g")
    with pytest.raises(DuplicateKey, match=r"the value json.JSONDecoder, also written json:JSONDecoder, stands there"):
        grid.add("lr", [Reference("json.JSONDecoder"), Reference("json:JSONDecoder")])


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


def test_call_experiment_runs_and_streams_and_is_not_repeated(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def thunk(lr: float, seed: int, sizes: Any) -> None:
        print("ünïcode", lr, seed, sizes)

    given = {"a": [1]}
    result = call_experiment("one", thunk, seed=3, data_dir=data_dir, lr=0.5, sizes=given)
    assert (result.state, result.name, result.seed, result.skipped) == ("done", "one", 3, False)
    assert result.run_dir == data_dir / "one" / "one_s3"
    out = capfd.readouterr().out
    assert 'Running experiment: one\nwith kwargs:\n{\n    "lr":\t0.5,\n    "seed":\t3,\n    "sizes":' in out
    assert "\nünïcode 0.5 3 {'a': [1]}\n" in out
    assert (result.run_dir / "stdout.log").read_text() == "ünïcode 0.5 3 {'a': [1]}\n"
    assert call_experiment("one", thunk, seed=3, data_dir=data_dir, lr=0.5, sizes=given).skipped


def test_call_experiment_raises_with_all_that_is_known(data_dir: Path) -> None:
    def thunk() -> None:
        print("before the end")
        raise ArithmeticError("boom")

    with pytest.raises(ExperimentFailed) as error:
        call_experiment("bad", thunk, data_dir=data_dir)
    failed = error.value
    assert (failed.name, failed.run_dir, failed.exit_code, failed.rank) == ("bad", data_dir / "bad" / "bad_s0", 1, None)
    assert failed.log_tail.startswith("before the end\nTraceback")
    assert str(failed).startswith(
        "bad with seed 0 failed (exit status 1): ArithmeticError: boom\n"
        f"Its log: {data_dir / 'bad' / 'bad_s0' / 'stdout.log'}\nThe last lines:\nbefore the end\n"
    )


def test_call_experiment_needs_a_name(data_dir: Path) -> None:
    with pytest.raises(BadValue, match="exp_name=''"):
        call_experiment("", recorder(), data_dir=data_dir)


def test_the_default_data_directory_comes_from_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "user_config.py"
    config.write_text(f"DEFAULT_DATA_DIR = {str(tmp_path / 'mine')!r}\nFORCE_DATESTAMP = True\n")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(config))
    grid = ExperimentGrid("g")
    grid.add("lr", 1)
    (only,) = grid.run(recorder())
    assert only.run_dir.parents[1] == tmp_path / "mine"
    assert only.run_dir.name.endswith("-g_s0")


def test_waiting_before_the_launch_is_announced(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "user_config.py"
    config.write_text("WAIT_BEFORE_LAUNCH = 0.01\n")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(config))
    assert run(recorder(), data_dir).ok
    assert "Starting in 0.01 s (WAIT_BEFORE_LAUNCH); Ctrl-C stops it." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "state", "exit_code", "error"),
    [
        ("os.kill(os.getpid(), 9)", "killed", -9, "killed by SIGKILL (the system does this when memory runs out)"),
        ("os.kill(os.getpid(), 15)", "killed", -15, "killed by SIGTERM"),
        ("os.kill(os.getpid(), 11)", "killed", -11, "killed by SIGSEGV"),
        ("sys.exit(0)", "failed", 1, "the thunk called sys.exit(0); a run is done when its thunk returns"),
        ("sys.exit(3)", "failed", 3, "the thunk called sys.exit(3); a run is done when its thunk returns"),
        ("sys.exit('no')", "failed", 1, "the thunk called sys.exit('no'); a run is done when its thunk returns"),
        ("os._exit(0)", "failed", 0, "the process left with exit status 0 before its thunk returned (os._exit(0)?)"),
        ("os._exit(4)", "failed", 4, "the last words"),
        ("os.kill(os.getpid(), 2); time.sleep(9)", "killed", -2, "killed by SIGINT"),
        (
            "raise OSError(28, 'No space left on device')",
            "failed",
            1,
            "OSError: [Errno 28] No space left on device (make room, then give the same command again)",
        ),
        ("1 / 0", "failed", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_how_a_run_ends_is_told(data_dir: Path, how: str, state: str, exit_code: int, error: str) -> None:
    def thunk(how: str) -> None:
        import os
        import sys
        import time

        print("the last words", flush=True)
        exec(how, {"os": os, "sys": sys, "time": time})

    with pytest.raises(ExperimentFailed) as told:
        call_experiment("end", thunk, data_dir=data_dir, how=how)
    assert told.value.exit_code == exit_code
    assert f"end with seed 0 {state} (exit status {exit_code}): {error}\n" in str(told.value)
    status = read_status(data_dir / "end" / "end_s0")
    assert status is not None
    assert (status.state, status.exit_code, status.error) == (state, exit_code, error)
    assert status.signal == (-exit_code if exit_code < 0 else None)
    assert status.ended is not None
    assert status.cpu_s is not None


def test_what_breaks_while_the_interpreter_ends_takes_nothing_away(data_dir: Path) -> None:
    def thunk() -> None:
        import atexit
        import os

        atexit.register(os._exit, 5)

    result = call_experiment("end", thunk, data_dir=data_dir)
    assert (result.state, result.exit_code) == ("done", 5)


def test_finally_blocks_run_when_a_run_is_told_to_end(data_dir: Path) -> None:
    def thunk() -> None:
        import os

        try:
            os.kill(os.getpid(), 15)
        finally:
            print("cleaned up")

    with pytest.raises(ExperimentFailed, match="killed by SIGTERM"):
        call_experiment("end", thunk, data_dir=data_dir)
    assert "cleaned up\n" in (data_dir / "end" / "end_s0" / "stdout.log").read_text()


def test_nothing_that_a_run_has_started_outlives_it(data_dir: Path) -> None:
    def thunk() -> None:
        import subprocess
        import sys

        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        print("child", child.pid)
        child.stdout.close()

    result = call_experiment("parent", thunk, data_dir=data_dir)
    pid = int((result.run_dir / "stdout.log").read_text().split()[1])
    assert process_identity(pid) is None


def test_many_short_runs_at_once(data_dir: Path) -> None:
    def thunk(lr: int) -> None: ...

    result = run(thunk, data_dir, keys={"lr": list(range(40))}, jobs=8)
    assert result.counts() == {"done": 40}
    assert len({r.run_dir for r in result}) == 40


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
