"""What is refused before anything starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentGrid, call_experiment
from gridrl.algos.ranges import check_networks
from gridrl.build import Reference
from gridrl.errors import (
    BadValue,
    DuplicateKey,
    GridRLError,
    NotPicklable,
    RunDirectoryInUse,
    UnknownFlag,
)
from gridrl.launch.preflight import Answer
from gridrl.log.record import Status, write_status
from tests.launch.helpers import recorder, run


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


def test_a_run_that_is_alive_is_not_started_twice(data_dir: Path) -> None:
    (first,) = run(recorder(), data_dir)
    write_status(first.run_dir, Status("running", started=1.0).with_process())
    with pytest.raises(RunDirectoryInUse, match=rf"this run is still running \(process {os.getpid()} on "):
        run(recorder(), data_dir)
    (seen,) = run(recorder(), data_dir, dry_run=True)
    assert seen.state == "running"


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
        ({"lr": (x for x in [1])}, {}, NotPicklable, "`lr` cannot be pickled"),
    ],
)
def test_bad_input_is_told_before_anything_starts(
    data_dir: Path, keys: dict[str, Any], options: dict[str, Any], kind: type[GridRLError], told: str
) -> None:
    with pytest.raises(kind, match=told) as error:
        run(recorder(), data_dir, keys=keys, **options)
    assert type(error.value) is kind
    assert not data_dir.exists()


def test_what_our_algorithms_would_refuse_is_told_before_anything_starts(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []

    def unasked(references: Any, environments: Any, thunks: Any, devices: set[str], *others: Any) -> Answer:
        asked.append(devices)
        return Answer({}, tuple(f"device={device!r}: none" for device in devices))

    monkeypatch.setattr("gridrl.launch.checks.preflight", unasked)
    keys = {"env_name": "CartPole-v1", "epochs": -1, "num_envs": [0, 2], "gamma": 1.5, "lam": True, "device": "cuda"}
    keys |= {"lr_schedule": ["linear", "liner"], "ac_kwargs:hidden_sizes": [[64], [64, 0]]}
    with pytest.raises(BadValue) as error:
        run("gridrl.algos.ppo:ppo", data_dir, keys=keys)
    assert str(error.value).splitlines() == [
        "`lam`: wants float, got True (bool).",
        "epochs=-1: a whole number from 0 on is needed.",
        "gamma=1.5: a number from 0 to 1 is needed.",
        "num_envs=0: a whole number from 1 on is needed.",
        "hidden_sizes are whole numbers from 1 on, such as [64, 64]; 0 is none.",
        "lr_schedule='liner': None, 'linear' or a function of the epoch is needed. Did you mean 'linear'?",
        "device='cuda': none",
    ]
    assert asked == [{"cuda"}]
    assert not data_dir.exists()


def test_networks_of_another_class_may_have_sizes_of_another_kind() -> None:
    check_networks({"actor_critic": object, "ac_kwargs": {"hidden_sizes": [0]}})
    check_networks({"ac_kwargs": {"hidden_sizes": []}})
    with pytest.raises(BadValue, match="-3 is none"):
        check_networks({"ac_kwargs": {"hidden_sizes": (8, -3)}})


def test_a_thunk_of_somebody_elses_may_mean_something_else_by_a_name(data_dir: Path) -> None:
    def thunk(epochs: int, device: str) -> None: ...

    assert run(thunk, data_dir, keys={"epochs": -1, "device": "abacus"}).ok


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
