"""Runs by hyperparameter, state and name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridrl.build import Reference
from gridrl.errors import BadValue
from gridrl.log.record import Status, write_status
from gridrl.results.choosing import is_same
from gridrl.results.reader import find_runs
from tests.results.made_runs import MakeRun


def chosen(data: Path, **choice: Any) -> list[str]:
    return [run.dir.name for run in find_runs(data, **choice)]


@pytest.fixture
def some_runs(make_run: MakeRun) -> None:
    """Three variants, the last of another program, without seed or variant."""
    for name, hid, gamma in (("a", [64, 64], 0.9), ("b", [32], 0.99)):
        for seed in (0, 1):
            variant = {"ac_kwargs": {"hidden_sizes": hid}, "gamma": gamma, "seed": seed}
            make_run(name, seed, variant=variant, thunk="m:ppo", algorithm={"lam": 0.97}, env={"id": f"{name}-v1"})
    make_run("c", 0, ac_kwargs={"hidden_sizes": [64, 64]}, gamma=1)


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"ac_kwargs:hidden_sizes": (64, 64)}, ["a_s0", "a_s1", "c_s0"]),
        ({"gamma": 1.0}, ["c_s0"]),
        ({"gamma": 0.9, "seed": 1}, ["a_s1"]),
        ([("gamma", 0.9), ("gamma", 1), ("seed", 0)], ["a_s0", "c_s0"]),
        ({"lam": 0.97, "seed": 0}, ["a_s0", "b_s0"]),
        ({"thunk": "m:ppo", "env": "b-v1"}, ["b_s0", "b_s1"]),
        ({"ac_kwargs": {"hidden_sizes": [32]}}, ["b_s0", "b_s1"]),
        ({"gamma": 0.5}, []),
    ],
)
def test_hyperparameters_choose(data: Path, where: Any, names: list[str]) -> None:
    assert chosen(data, where=where) == names


@pytest.mark.usefixtures("some_runs")
def test_a_key_that_no_run_has_is_told_with_a_near_one(data: Path) -> None:
    with pytest.raises(BadValue) as told:
        chosen(data, where={"gama": 1, "seed": 0, "xyzzy": 2})
    assert str(told.value).splitlines() == [
        "`--where`: no run has a setting `gama`. Did you mean 'gamma'?",
        "`--where`: no run has a setting `xyzzy`.",
        "The runs have: ac_kwargs:hidden_sizes, gamma.",
    ]


@pytest.mark.usefixtures("some_runs")
def test_names_choose(data: Path) -> None:
    assert chosen(data, name="[ab]") == ["a_s0", "a_s1", "b_s0", "b_s1"]
    assert chosen(data, name="*_s1") == ["a_s1", "b_s1"]


@pytest.mark.usefixtures("some_runs")
def test_states_choose(data: Path, make_run: MakeRun) -> None:
    write_status(data / "a" / "a_s0", Status("done"))
    waiting = make_run("d", 0)
    (waiting / "progress.txt").unlink()
    write_status(waiting, Status("queued"))
    assert chosen(data, states="done") == ["a_s0"]
    assert chosen(data, states=["done", "failed"]) == ["a_s0"]
    assert len(chosen(data, states="unknown")) == 4
    found = find_runs(data, states="queued")
    assert ([run.name for run in found.waiting], len(found), found.not_chosen) == (["d"], 0, 5)
    assert find_runs(data, states="done").waiting == []


def test_a_state_that_is_none_is_told(data: Path) -> None:
    with pytest.raises(BadValue, match=r"`--state`: 'dune' is no state\. Did you mean 'done'\? There are: queued, "):
        find_runs(data, states="dune")


@pytest.mark.parametrize(
    ("found", "asked", "expected"),
    [
        (1, 1.0, True), (1, True, False), (False, 0, False), (True, True, True), (None, None, True), ("1", 1, False),
        ([1, [2]], (1, (2,)), True), ([1], [1, 2], False), ({"a": [1]}, {"a": (1,)}, True), ({"a": 1}, {"b": 1}, False),
        ("torch.nn.ReLU", Reference("torch.nn.ReLU"), True),
        ("torch.nn.modules.activation.ReLU", Reference("torch.nn.ReLU"), True),
        ("torch.nn.modules.activation.ReLU", "ReLU", True), ("torch.nn.ReLU", "Tanh", False), ("relu", "ReLU", False),
        ("0.9.1", "1", False),
    ],
)  # fmt: skip
def test_values_are_compared_by_what_they_mean(found: Any, asked: Any, expected: bool) -> None:
    assert is_same(found, asked) is expected
