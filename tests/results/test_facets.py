"""One plot for each value of a key, and the names of variants in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.results.facets import in_order, make_panels, resolve_key
from gridrl.results.reader import find_runs
from tests.results.made_runs import MakeRun


def panels(data: Path, by: str | None, **options: Any) -> dict[str, dict[str, list[str]]]:
    """The names of the run directories by title and curve."""
    options = {"by_run": False, **options}
    made = make_panels(find_runs([data]), options.pop("legend", ()), by, **options)
    return {
        panel.title: {curve.label: [run.dir.name for run in curve.runs] for curve in panel.curves} for panel in made
    }


@pytest.fixture
def two_envs(make_run: MakeRun) -> None:
    """Two networks on two environments, as one grid names them."""
    for env in ("Acrobot-v1", "CartPole-v1"):
        for hid in (16, 64):
            for seed in (0, 1):
                make_run(
                    f"ppo_env{env.lower()}_hid{hid}",
                    seed,
                    env={"id": env, "kwargs": {}},
                    variant={"env_name": env, "ac_kwargs": {"hid": hid}, "seed": seed},
                )


@pytest.mark.usefixtures("two_envs")
@pytest.mark.parametrize("key", ["env_name", "env"])
def test_a_variant_is_called_the_same_in_all_plots(data: Path, key: str) -> None:
    found = panels(data, key)
    assert list(found) == ["Acrobot-v1", "CartPole-v1"]
    assert [list(curves) for curves in found.values()] == [["ppo_hid16", "ppo_hid64"]] * 2
    assert found["CartPole-v1"]["ppo_hid64"] == ["ppo_envcartpole-v1_hid64_s0", "ppo_envcartpole-v1_hid64_s1"]


@pytest.mark.usefixtures("two_envs")
@pytest.mark.parametrize("key", ["ac_kwargs:hid", "hid"])
def test_a_key_may_be_given_by_its_last_part(data: Path, key: str) -> None:
    found = panels(data, key)
    assert list(found) == ["hid = 16", "hid = 64"]
    assert [list(curves) for curves in found.values()] == [["ppo_envacrobot-v1", "ppo_envcartpole-v1"]] * 2


@pytest.mark.usefixtures("two_envs")
def test_without_a_key_there_is_one_plot(data: Path) -> None:
    assert [len(curves) for curves in panels(data, None).values()] == [4]


@pytest.mark.usefixtures("two_envs")
def test_a_curve_for_each_run_keeps_its_seed_in_all_plots(data: Path) -> None:
    found = panels(data, "env", by_run=True)
    assert [list(curves) for curves in found.values()] == [
        ["ppo_hid16, seed 0", "ppo_hid16, seed 1", "ppo_hid64, seed 0", "ppo_hid64, seed 1"]
    ] * 2


@pytest.mark.usefixtures("two_envs")
def test_labels_are_for_curves(data: Path) -> None:
    assert [list(curves) for curves in panels(data, "env", legend=["small", "large"]).values()] == [
        ["small", "large"]
    ] * 2


def test_a_variant_that_only_one_plot_has_is_named_like_the_others(make_run: MakeRun, data: Path) -> None:
    make_run("p_envx_hid1", 0, variant={"env_name": "x", "hid": 1})
    make_run("p_envy_hid1", 0, variant={"env_name": "y", "hid": 1})
    make_run("p_envy_hid2", 0, variant={"env_name": "y", "hid": 2})
    assert [list(curves) for curves in panels(data, "env_name").values()] == [["p_hid1"], ["p_hid1", "p_hid2"]]


def test_names_that_meet_in_one_plot_are_left_alone(make_run: MakeRun, data: Path) -> None:
    make_run("first_try", 0, variant={"lr": 1})
    make_run("second_try", 0, variant={"lr": 1})
    make_run("first_try2", 0, variant={"lr": 2})
    assert panels(data, "lr") == {
        "lr = 1": {"first_try": ["first_try_s0"], "second_try": ["second_try_s0"]},
        "lr = 2": {"first_try2": ["first_try2_s0"]},
    }


def test_values_stand_in_order(make_run: MakeRun, data: Path) -> None:
    for index, value in enumerate([0.001, 10, 1e-5, "b10", "b9", None]):
        make_run(f"a{index}", 0, variant={"lr": value})
    assert list(panels(data, "lr")) == [
        "lr = 1e-05", "lr = 0.001", "lr = 10", "lr = b9", "lr = b10", "lr = null",
    ]  # fmt: skip
    assert in_order("2") < in_order("10") < in_order("[2]") < in_order("[10]")


def test_runs_without_the_key_are_left_out_and_told(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, variant={"lr": 1})
    path = make_run("b", 0)
    found = find_runs([data])
    make_panels(found, (), "lr", by_run=False)
    assert [run.name for run in found.runs] == ["a"]
    assert [str(skipped) for skipped in found.skipped] == [f"{path}/progress.txt: its config has no `lr`"]


def test_a_key_that_is_not_there_is_told(make_run: MakeRun, data: Path) -> None:
    make_run("a", 0, variant={"pi": {"lr": 1}, "vf": {"lr": 1}})
    runs = find_runs([data]).runs
    with pytest.raises(BadValue) as told:
        resolve_key(runs, "pi:lrr", "--by")
    assert str(told.value) == (
        "`--by`: no run's config has a key 'pi:lrr'. Did you mean 'pi:lr'? There are: pi:lr, vf:lr."
    )
    with pytest.raises(BadValue) as told:
        resolve_key(runs, "lr", "--by")
    assert str(told.value) == "`--by`: 'lr' may be pi:lr or vf:lr. Give one of them in full."
    make_run("b", 0)
    with pytest.raises(BadValue, match="The runs have no configs with hyperparameters"):
        resolve_key(find_runs([data / "b"]).runs, "lr", "--heatmap")
