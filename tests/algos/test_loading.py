"""A policy comes back from its run directory and acts as it did, or says what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gridrl
from gridrl.algos.loading import load
from gridrl.envs.making import env_fn
from gridrl.errors import CheckpointError
from tests.algos.short_runs import Separate, Short


def test_the_policy_acts_with_the_saved_weights(short: Short) -> None:
    directory = short(ac_kwargs={"hidden_sizes": (8,), "activation": torch.nn.ReLU})
    policy = gridrl.load(directory)
    weights = torch.load(directory / "model" / "model.pt", weights_only=True)["actor_critic"]
    assert isinstance(policy.module.pi.logits_net[1], torch.nn.ReLU)
    env = policy.make_env()
    assert env.spec is not None
    assert env.spec.id == "CartPole-v1"
    obs, _ = env.reset(seed=0)
    hidden = torch.relu(weights["pi.logits_net.0.weight"] @ torch.from_numpy(obs) + weights["pi.logits_net.0.bias"])
    logits = weights["pi.logits_net.2.weight"] @ hidden + weights["pi.logits_net.2.bias"]
    assert policy.act(obs) == int(logits.argmax())
    rng = np.random.default_rng(0)
    share = np.mean([policy.act(obs, deterministic=False, rng=rng) for _ in range(2000)])
    assert share == pytest.approx(torch.softmax(logits, 0)[1].item(), abs=0.04)
    assert policy.config["algorithm"]["seed"] == 0


def test_the_normaliser_comes_with_it_and_stands_still(short: Short) -> None:
    directory = short(env="Pendulum-v1", normalize_obs=True)
    policy = load(directory)
    saved = torch.load(directory / "model" / "model.pt", weights_only=True)
    statistics = saved["obs_normalizer"]
    assert statistics["count"] == 400
    obs = np.array([0.5, -0.5, 4.0], np.float32)
    seen = (obs - statistics["mean"].numpy()) / np.sqrt(statistics["m2"].numpy() / statistics["count"])
    expected = policy.module.pi.mu_net(torch.from_numpy(seen.astype(np.float32))).detach().numpy()
    action = policy.act(obs)
    assert isinstance(action, np.ndarray)
    assert action == pytest.approx(np.clip(expected, -2.0, 2.0), abs=1e-5)
    assert (action.dtype, action.shape) == (np.float32, (1,))
    again = policy.act(obs)
    assert isinstance(again, np.ndarray)
    assert again == pytest.approx(action, abs=0)


def test_actions_are_in_the_words_of_the_environment(short: Short) -> None:
    box = load(short("box", env="Pendulum-v1", epochs=1))
    big = [box.act(np.zeros(3, np.float32), deterministic=False) for _ in range(200)]
    assert max(abs(float(np.asarray(action)[0])) for action in big) <= 2.0
    dict_world = load(short("dict", env="gridrl.envs.toy:GridrlSignpost-v0"))
    obs, _ = dict_world.make_env().reset(seed=0)
    assert dict_world.act(obs) in (0, 1, 2)


def test_every_kept_epoch_can_be_asked_for(short: Short) -> None:
    directory = short()
    (directory / "model" / "model7.pt").write_bytes((directory / "model" / "model.pt").read_bytes())
    assert load(directory, itr=7).act(np.zeros(4, np.float32)) in (0, 1)
    with pytest.raises(CheckpointError, match=r"model3.pt is missing; saved are: model.pt, model7.pt\."):
        load(directory, itr=3)


def test_networks_of_ones_own_come_back_where_they_can_be_imported(short: Short) -> None:
    directory = short(actor_critic=Separate, ac_kwargs={"width": 4})
    policy = load(directory)
    assert type(policy.module).__name__ == "Separate"
    assert policy.act(np.zeros(4, np.float32)) in (0, 1)


def edit(directory: Path, **changes: Any) -> None:
    config = json.loads((directory / "config.json").read_text())
    config["algorithm"].update(changes)
    (directory / "config.json").write_text(json.dumps(config))


def test_what_the_launcher_noted_of_the_environment_goes_before(short: Short) -> None:
    directory = short()
    config = json.loads((directory / "config.json").read_text())
    config["env"] = {"id": "CartPole-v1", "kwargs": {"max_episode_steps": 7}}
    (directory / "config.json").write_text(json.dumps(config))
    env = load(directory).make_env()
    assert env.spec is not None
    assert env.spec.max_episode_steps == 7


def test_arguments_of_the_environment_come_back_from_its_text(short: Short) -> None:
    directory = short(env_fn=env_fn("CartPole-v1", max_episode_steps=9))
    env = load(directory).make_env()
    assert env.spec is not None
    assert env.spec.max_episode_steps == 9


def test_an_environment_that_is_not_named_is_asked_for(short: Short) -> None:
    directory = short(env_fn=lambda: gym.make("CartPole-v1"))
    with pytest.raises(CheckpointError, match=r"does not name the environment .* load\(run_dir, make_env=\.\.\.\)"):
        load(directory)
    policy = load(directory, make_env=lambda **kwargs: gym.make("CartPole-v1", **kwargs))
    assert policy.act(np.zeros(4, np.float32)) in (0, 1)


def test_text_in_a_configuration_is_never_run_as_code(short: Short, tmp_path: Path) -> None:
    directory = short()
    mark = tmp_path / "mark"
    for text in (
        f"env_fn(open({str(mark)!r}, 'w'))",
        f"__import__('os').mkdir({str(mark)!r})",
        "env_fn(",
        "env_fn(1+x)",
    ):
        edit(directory, env_fn=text)
        with pytest.raises(CheckpointError, match="does not name the environment"):
            load(directory)
    assert not mark.exists()


def test_what_is_missing_or_does_not_fit_is_told(short: Short, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: there is no such directory"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty is no run directory: it has no readable config\.json"):
        load(tmp_path / "empty")
    directory = short()
    edit(directory, ac_kwargs={"hidden_sizes": [16]})
    with pytest.raises(CheckpointError, match=r"do not fit the networks that .*config.json describes"):
        load(directory)
    edit(directory, ac_kwargs={"hidden": [8, 8]})
    with pytest.raises(CheckpointError, match=r"cannot be made again: .*unexpected keyword argument 'hidden'"):
        load(directory)
    edit(directory, actor_critic="nowhere_to_be_found.Networks")
    with pytest.raises(CheckpointError, match=r"names the networks 'nowhere_to_be_found.Networks', which cannot be"):
        load(directory)
    (directory / "model" / "model.pt").unlink()
    with pytest.raises(CheckpointError, match="saved are: none, the run has saved no model"):
        load(directory)
    (directory / "config.json").write_text('{"exp_name": "other"}')
    with pytest.raises(CheckpointError, match="does not say which networks were trained"):
        load(directory)
