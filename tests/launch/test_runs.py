"""Whole runs: a grid, its processes, its directories, and the same command again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentGrid
from gridrl.log.record import Status, read_status, write_status
from gridrl.signature import grows
from tests.launch.helpers import config_of, recorder, run


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


def test_a_directory_with_only_the_rest_of_a_broken_write_is_ours(data_dir: Path) -> None:
    rest = data_dir / "g" / "g_s0"
    rest.mkdir(parents=True)
    (rest / ".config.json.0123.tmp").write_text("{")
    assert run(recorder(), data_dir).ok


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


def test_many_short_runs_at_once(data_dir: Path) -> None:
    def thunk(lr: int) -> None: ...

    result = run(thunk, data_dir, keys={"lr": list(range(40))}, jobs=8)
    assert result.counts() == {"done": 40}
    assert len({r.run_dir for r in result}) == 40


def test_the_configuration_names_the_preset_that_filled_the_grid(data_dir: Path) -> None:
    grid = ExperimentGrid("filled")
    grid.add("lr", 1)
    (run,) = grid.run(lambda lr: None, data_dir=data_dir, preset="sb3")
    assert json.loads((run.run_dir / "config.json").read_text())["preset"] == "sb3"


@pytest.mark.parametrize("state", ["running", "done"])
def test_a_waiting_run_that_another_launcher_has_started_is_left_to_it(state: str, data_dir: Path) -> None:
    def thunk(lr: int, state: str, logger_kwargs: Any) -> None:
        import os

        from gridrl.log.record import Status, write_status

        if lr == 2:
            raise ValueError("it has been started twice")
        other = logger_kwargs["output_dir"].replace("lr1", "lr2")
        write_status(other, Status(state, attempt=7).with_process(os.getppid()))

    first, second = run(thunk, data_dir, keys={"lr": [1, 2], "state": state}, jobs=1)
    assert (first.state, second.state) == ("done", state)
    assert second.error == ("another launcher has started it" if state == "running" else None)
    status = read_status(second.run_dir)
    assert status is not None
    assert (status.state, status.attempt) == (state, 7)
