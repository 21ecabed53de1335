"""Name, seed, environment and hyperparameters of runs of any program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.results.identity import Grouping, Identity, identify, settings_of


@pytest.mark.parametrize(
    ("directory", "name", "seed", "env"),
    [
        ("ppo_s3", "ppo", 3, ""),
        ("2026-01-31_12-00-00-ppo_s3", "ppo", 3, ""),
        ("2026-01-31_ppo", "ppo", None, ""),
        ("CartPole-v1__ppo_continuous__7__1690000000", "ppo_continuous", 7, "CartPole-v1"),
        ("ppo-seed12", "ppo-seed12", 12, ""),
        ("seed=4", "seed=4", 4, ""),
        ("lr=1,seed_5", "lr=1,seed_5", 5, ""),
        ("PPO_1", "PPO_1", None, ""),
        ("unseeded3", "unseeded3", None, ""),
        ("_s3", "_s3", 3, ""),
    ],
)
def test_a_directory_tells_who_a_run_is(directory: str, name: str, seed: int | None, env: str) -> None:
    assert identify({}, Path("/data", directory)) == Identity(name, seed, env, name)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"exp_name": "a", "seed": 1}, Identity("a", 1, "", "a")),
        ({"exp_name": "", "seed": True}, Identity("x", 9, "", "x")),
        ({"exp_name": ["a"], "seed": "1"}, Identity("x", 9, "", "x")),
        ({"env": {"id": "E-v0", "kwargs": {}}}, Identity("x", 9, "E-v0", "x")),
        ({"env": None, "env_name": "F-v0"}, Identity("x", 9, "F-v0", "x")),
    ],
)
def test_a_configuration_counts_first_where_it_makes_sense(config: dict[str, Any], expected: Identity) -> None:
    assert identify(config, Path("/data/x_s9")) == expected


@pytest.mark.parametrize(
    ("pattern", "condition", "seed", "env"),
    [
        (r"lr=[\d.e-]+", "lr=1e-3", 9, "E"),
        (r"lr=([\d.e-]+)/(\w+?)_s", "1e-3, x", 9, "E"),
        (r"lr=(?P<rate>[\d.e-]+)/x_s(?P<seed>\d)", "1e-3", 4, "E"),
        (r"data/(?P<env>\w+)/lr=1e-3", "data/walk/lr=1e-3", 9, "walk"),
        (r"lr=1e-3/x_s4(y)?", "x", 9, "E"),
    ],
)
def test_a_path_can_tell_it_too(pattern: str, condition: str, seed: int, env: str) -> None:
    known = Identity("x", 9, "E", "x")
    assert Grouping(pattern).identify(known, "/data/walk/lr=1e-3/x_s4") == Identity("x", seed, env, condition, True)


def test_a_path_that_does_not_match_tells_nothing() -> None:
    known = Identity("x", 9, "E", "x")
    assert Grouping("zzz").identify(known, "/data") is known


def test_a_pattern_that_is_none_is_told() -> None:
    with pytest.raises(BadValue, match=r"`--group`: '\(' is no regular expression: missing \)"):
        Grouping("(")


def test_hyperparameters_are_the_variant_with_colons() -> None:
    config = {"variant": {"net": {"hid": [64], "act": {}}, "seed": 3, "lr": None}, "num_cpu": 2, "algorithm": {"a": 1}}
    assert settings_of(config) == {"net:hid": [64], "net:act": {}, "lr": None}


def test_of_other_programs_they_are_all_but_the_place_and_addresses() -> None:
    config = {
        "exp_name": "su", "seed": 0, "logger": {"<Logger object at 0x7f>": {}}, "logger_kwargs": {"output_dir": "x"},
        "env_fn": "<function <lambda> at 0x7f5152ed5120>", "ac_kwargs": {"hidden_sizes": [64]},
    }  # fmt: skip
    assert settings_of(config) == {"env_fn": "<function <lambda>>", "ac_kwargs:hidden_sizes": [64]}
