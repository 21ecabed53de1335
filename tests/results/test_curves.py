"""Which runs make one curve, what it is called, and what is drawn of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridrl.errors import BadValue
from gridrl.results.curves import Curve, check_columns, column_of, group, series
from gridrl.results.places import Skipped
from gridrl.results.reader import find_runs
from tests.results.made_runs import MakeRun


def labels(*dirs: Path, legend: tuple[str, ...] = (), by_run: bool = False) -> dict[str, list[str]]:
    """The names of the run directories by curve."""
    curves = group(find_runs(dirs), legend, by_run=by_run)
    return {curve.label: [run.dir.name for run in curve.runs] for curve in curves}


def test_runs_that_differ_in_the_seed_are_one_curve(make_run: MakeRun, data: Path) -> None:
    for name in ("a", "b"):
        for seed in (0, 10):
            make_run(name, seed, variant={"lr": name, "seed": seed})
    assert labels(data) == {"a": ["a_s0", "a_s10"], "b": ["b_s0", "b_s10"]}


def test_variants_of_one_name_are_told_apart(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, variant={"net": {"hid": [3], "act": "relu"}, "gamma": 0.9, "seed": 0})
    make_run("a", 1, variant={"net": {"hid": [3], "act": "relu"}, "gamma": 0.8, "seed": 1})
    make_run("a", 2, variant={"net": {"hid": [4], "act": "relu"}, "gamma": 0.9, "seed": 2})
    make_run("a", 3, variant={"net": {"hid": [4], "act": "relu"}, "gamma": 0.9, "seed": 3})
    assert labels(data) == {
        "a, net:hid=[3], gamma=0.9": ["a_s0"],
        "a, net:hid=[3], gamma=0.8": ["a_s1"],
        "a, net:hid=[4], gamma=0.9": ["a_s2", "a_s3"],
    }


def test_algorithms_and_ranks_are_told_apart_too(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, variant={"seed": 0}, thunk="m:ppo", num_cpu=1)
    make_run("a", 1, variant={"seed": 1}, thunk="m:vpg", num_cpu=1)
    make_run("a", 2, variant={"seed": 2}, thunk="m:vpg", num_cpu=2)
    assert labels(data) == {
        "a, thunk=m:ppo, num_cpu=1": ["a_s0"],
        "a, thunk=m:vpg, num_cpu=1": ["a_s1"],
        "a, thunk=m:vpg, num_cpu=2": ["a_s2"],
    }


def test_what_only_prolongs_a_run_does_not_tell_it_apart(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, variant={"epochs": 2, "seed": 0}, grows=["epochs"])
    make_run("a", 1, variant={"epochs": 4, "seed": 1}, grows=["epochs"])
    assert list(labels(data)) == ["a"]


def test_a_legend_has_an_entry_for_each_directory(make_run: MakeRun, data: Path) -> None:
    for name in ("a", "b"):
        make_run(name, 0)
    assert labels(data / "a", data / "b", legend=("x", "y")) == {"x": ["a_s0"], "y": ["b_s0"]}
    assert labels(data / "a", data / "b", legend=("x", "x")) == {"x": ["a_s0", "b_s0"]}
    assert labels(data, legend=("all",)) == {"all": ["a_s0", "b_s0"]}


def test_or_an_entry_for_each_curve(make_run: MakeRun, data: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(name, 0)
    assert labels(data, legend=("x", "y", "x")) == {"x": ["a_s0", "c_s0"], "y": ["b_s0"]}


def test_a_legend_of_another_length_is_a_mistake(make_run: MakeRun, data: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(name, 0)
    with pytest.raises(BadValue) as told:
        labels(data, legend=("x", "y"))
    assert str(told.value) == (
        "`--legend`: 2 given. Give one for each directory (1), or one for each curve (3), in this order: a, b, c."
    )


def test_every_run_can_be_a_curve(make_run: MakeRun, data: Path) -> None:
    for seed in (0, 10):
        make_run("a", seed)
    assert labels(data, by_run=True) == {"a, seed 0": ["a_s0"], "a, seed 10": ["a_s10"]}


def test_runs_with_the_same_seed_are_counted(make_run: MakeRun, data: Path) -> None:
    make_run("a", 1)
    make_run("b", 1)
    assert labels(data, legend=("x",), by_run=True) == {"x, run 0": ["a_s1"], "x, run 1": ["b_s1"]}


def test_performance_is_the_test_return_where_there_is_one(make_run: MakeRun) -> None:
    both = {"AverageEpRet": [1], "AverageTestEpRet": [2]}
    runs = find_runs(
        [make_run("a", 0, both), make_run("a", 1, {"AverageEpRet": [1]}), make_run("a", 2, {"Loss": [1]})]
    ).runs
    assert [column_of(run, "Performance") for run in runs] == ["AverageTestEpRet", "AverageEpRet", None]
    assert [column_of(run, "Loss") for run in runs] == [None, None, "Loss"]


def test_a_column_named_performance_is_that_column(make_run: MakeRun) -> None:
    (run,) = find_runs([make_run("a", 0, {"AverageEpRet": [1], "Performance": [2]})]).runs
    assert column_of(run, "Performance") == "Performance"


def test_runs_that_lack_a_column_are_set_aside(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, {"Epoch": [0, 1], "Loss": [4, 2]})
    make_run("a", 1, {"Epoch": [0, 1]})
    make_run("a", 2, {"Epoch": [0, 1], "Loss": ["nan", ""]})
    make_run("a", 3, {"Epoch": [0, 1], "Loss": ["low", "high"]})
    skipped: list[Skipped] = []
    (curve,) = group(find_runs([data]))
    ((places, values),) = series(curve, "Epoch", "Loss", 1, skipped)
    assert (places.tolist(), values.tolist()) == ([0, 1], [4, 2])
    assert [str(one).partition(": ")[2] for one in skipped] == [
        "no column `Loss`",
        "no number in `Epoch` and `Loss`",
        "no number in `Epoch` and `Loss`",
    ]


def test_text_between_numbers_is_no_value(make_run: MakeRun) -> None:
    (run,) = find_runs([make_run("a", 0, {"Epoch": [0, 1, 2], "Loss": [4, "diverged", 2]})]).runs
    ((_, values),) = series(Curve("a", (run,)), "Epoch", "Loss", 1, [])
    np.testing.assert_array_equal(values, [4, np.nan, 2])


def test_smoothing_goes_over_the_rows_of_a_run(make_run: MakeRun) -> None:
    (run,) = find_runs([make_run("a", 0, {"Epoch": [0, 1, 2], "Loss": [3, 0, 3]})]).runs
    ((_, values),) = series(Curve("a", (run,)), "Epoch", "Loss", 3, [])
    np.testing.assert_allclose(values, [1.5, 2, 1.5])


def test_columns_that_no_run_has_are_told_all_at_once(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, {"Epoch": [0], "EpLen": [4]})
    with pytest.raises(BadValue) as told:
        check_columns(find_runs([data]).runs, "Epohc", ["Performance", "EpLne", "EpLen"])
    assert str(told.value).splitlines() == [
        "`--xaxis`: no run has a column `Epohc`. Did you mean 'Epoch'?",
        "`--value`: no run has an episode's return.",
        "`--value`: no run has a column `EpLne`. Did you mean 'EpLen'?",
        "The runs have: Epoch, EpLen.",
    ]
