"""Presets are values for parameters that the algorithms have."""

from __future__ import annotations

import pytest

from gridrl.algos.presets import PRESETS, preset, presets_of
from gridrl.errors import BadValue
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.continuous import SquashedActorCritic
from gridrl.nn.q_networks import MLPQNetwork
from gridrl.signature import read_signature
from tests.algos.short_runs import Short


@pytest.mark.parametrize("algorithm", PRESETS)
def test_every_key_is_a_parameter_of_the_algorithm_or_of_its_networks(algorithm: str) -> None:
    known = {parameter.name for parameter in read_signature(f"gridrl.algos.{algorithm}:{algorithm}").params}
    networks = {
        f"ac_kwargs:{parameter.name}"
        for builder in (MLPActorCritic, SquashedActorCritic, MLPQNetwork)
        for parameter in read_signature(builder).params
    }
    for values in PRESETS[algorithm].values():
        assert set(values) <= known | networks


def test_the_documented_defaults_are_a_preset_that_changes_nothing() -> None:
    assert preset("ppo", "spinningup") == preset("gridrl.algos.vpg:vpg", "spinningup") == {}


def test_the_published_defaults_of_stable_baselines3() -> None:
    found = preset("gridrl.algos.ppo:ppo", "sb3")
    assert (found["steps_per_epoch"], found["minibatch_size"], found["train_pi_iters"]) == (2048, 64, 10)
    assert (found["lam"], found["max_grad_norm"], found["target_kl"]) == (0.95, 0.5, None)
    found["gamma"] = 0.0
    assert preset("ppo", "sb3")["gamma"] == 0.99


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_a_preset_trains(short: Short, algorithm: str) -> None:
    values = {key: value for key, value in preset(algorithm, "sb3").items() if ":" not in key}
    networks = {key.partition(":")[2]: value for key, value in preset(algorithm, "sb3").items() if ":" in key}
    short(algorithm=algorithm, **{**values, "steps_per_epoch": 128}, ac_kwargs=networks)


def test_unknown_presets_are_told_with_the_nearest() -> None:
    with pytest.raises(BadValue, match=r"preset 'sb': ppo has spinningup, sb3\. Did you mean 'sb3'\?"):
        preset("ppo", "sb")
    with pytest.raises(BadValue, match=r"preset 'sb3': my_module:train has no presets; ddpg, dqn, .*vpg have\."):
        preset("my_module:train", "sb3")
    assert presets_of("other.module:ppo") == {}
