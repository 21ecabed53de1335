"""Runs as a data frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridrl.errors import BadValue
from gridrl.results.reader import find_runs
from tests.results.made_runs import MakeRun


def test_each_row_says_whose_it_is(make_run: MakeRun, data: Path) -> None:
    make_run("a", 3, variant={"hid": [64], "lr": 0.1, "same": 1, "seed": 3}, env={"id": "E-v0"})
    make_run("b", 4, {"Epoch": [0], "Note": ["x"]}, variant={"hid": [32], "same": 1, "seed": 4})
    frame = find_runs(data).to_frame()
    assert list(frame.columns) == [
        "run", "name", "condition", "env", "seed", "state", "hid", "lr", "TotalEnvInteracts", "AverageEpRet", "Epoch",
        "Note",
    ]  # fmt: skip
    assert frame["name"].tolist() == ["a", "a", "b"]
    assert frame["seed"].tolist() == [3, 3, 4]
    assert frame["hid"].tolist() == ["[64]", "[64]", "[32]"]
    assert frame["env"].tolist() == ["E-v0", "E-v0", ""]
    assert frame["run"].tolist()[0] == str(data / "a" / "a_s3")
    np.testing.assert_array_equal(frame["lr"], [0.1, 0.1, np.nan])
    np.testing.assert_array_equal(frame["AverageEpRet"], [1, 2, np.nan])
    assert frame["Note"].tolist()[2] == "x"


def test_wanted_columns_keep_the_names_they_were_asked_by(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0)
    (data / "sb3").mkdir()
    (data / "sb3" / "progress.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n10,\n20,5\n")
    frame = find_runs(data).to_frame(["TotalEnvInteracts", "Performance"])
    assert frame["TotalEnvInteracts"].tolist() == [100, 200, 10, 20]
    np.testing.assert_array_equal(frame["Performance"], [1, 2, np.nan, 5])


def test_columns_of_one_name_are_told_apart(make_run: MakeRun, data: Path) -> None:
    for seed in (0, 1):
        make_run("a", seed, {"seed": [9], "lr": [0.5]}, variant={"lr": seed, "state": seed})
    frame = find_runs(data).to_frame()
    assert (frame["seed"].tolist(), frame["run:seed"].tolist()) == ([9, 9], [0, 1])
    assert (frame["lr"].tolist(), frame["config:lr"].tolist()) == ([0.5, 0.5], [0, 1])
    assert (frame["state"].tolist(), frame["config:state"].tolist()) == (["", ""], [0, 1])


def test_what_cannot_be_read_is_left_out_and_told(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, {})
    found = find_runs(data)
    assert (found.to_frame().empty, list(found.to_frame(["x"]).columns)[-1]) == (True, "x")
    assert found.told() == [f"left out {data}/a/a_s0/progress.txt: is empty"]


def test_pandas_is_asked_for_where_it_is_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(BadValue, match="A data frame needs pandas, which"):
        find_runs(data).to_frame()
