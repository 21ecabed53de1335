"""Whole runs of the on-policy algorithms: their rows, that a seed is all they depend on, and that they learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from gridrl.algos import assembly
from gridrl.algos.ppo import ppo
from gridrl.algos.trpo import trpo
from gridrl.algos.vpg import vpg
from gridrl.envs.making import env_fn
from gridrl.errors import BadValue
from gridrl.log.progress import read_progress
from gridrl.nn.acting import CopiedActor
from gridrl.signature import read_signature
from tests.algos.short_runs import Separate, Short, rows

ON_POLICY = [
    *("Epoch", "AverageEpRet", "StdEpRet", "MaxEpRet", "MinEpRet", "EpLen"),
    *("AverageVVals", "StdVVals", "MaxVVals", "MinVVals", "TotalEnvInteracts"),
    *("LossPi", "LossV", "DeltaLossPi", "DeltaLossV", "Entropy", "KL"),
]


@pytest.mark.parametrize(
    ("algorithm", "more"), [("vpg", []), ("ppo", ["ClipFrac", "StopIter"]), ("trpo", ["BacktrackIters"])]
)
def test_a_row_has_the_documented_columns_and_epochs_count_from_0(
    short: Short, algorithm: str, more: list[str]
) -> None:
    directory = short(algorithm=algorithm)
    columns = read_progress(directory / "progress.txt")
    assert list(columns) == [*ON_POLICY, *more, "Time"]
    assert columns["Epoch"].tolist() == [0, 1]
    assert columns["TotalEnvInteracts"].tolist() == [200, 400]
    assert all(np.isfinite(column).all() for column in columns.values())
    assert np.diff(columns["Time"]).item() > 0


def test_an_epoch_without_a_finished_episode_leaves_its_cells_empty(short: Short) -> None:
    columns = read_progress(short(env="Pendulum-v1", steps_per_epoch=150, epochs=2) / "progress.txt")
    assert np.isnan(columns["AverageEpRet"]).tolist() == [True, False]
    assert columns["EpLen"][1] == 200
    assert np.isfinite(columns["AverageVVals"]).all()


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"num_envs": 3, "minibatch_size": 32},
        {"env": "Pendulum-v1", "normalize_obs": True, "normalize_reward": True, "ent_coef": 0.01, "max_grad_norm": 0.5},
        {"algorithm": "vpg", "num_envs": 2, "lr_schedule": "linear"},
        {"algorithm": "trpo", "env": "Pendulum-v1", "num_envs": 2, "minibatch_size": 50, "ent_coef": 0.01},
    ],
    ids=["full batch", "vector", "normalised", "vpg", "trpo"],
)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(short: Short, kwargs: dict[str, Any]) -> None:
    first, second, other = short("first", **kwargs), short("second", **kwargs), short("other", seed=1, **kwargs)
    assert rows(first) == rows(second)
    assert rows(first) != rows(other)
    weights = [torch.load(run / "model" / "model.pt", weights_only=True)["actor_critic"] for run in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_what_was_drawn_before_a_run_does_not_change_it(short: Short) -> None:
    first = short("first")
    np.random.rand(3)
    torch.rand(3)
    assert rows(first) == rows(short("second"))


@pytest.mark.parametrize(
    ("env", "gamma", "column", "bad", "good"),
    [
        ("Bandit", 0.0, "AverageEpRet", 0.6, 0.95),
        ("Signpost", 0.0, "AverageEpRet", 3.5, 7.5),
        ("Target", 0.0, "AverageEpRet", -5.0, -1.5),
        ("Chain", 0.9, "EpLen", 10.0, 4.2),
    ],
)
def test_the_tiny_worlds_are_learned(
    short: Short, env: str, gamma: float, column: str, bad: float, good: float
) -> None:
    directory = short(
        env=f"gridrl.envs.toy:Gridrl{env}-v0",
        epochs=15,
        steps_per_epoch=512,
        num_envs=4,
        minibatch_size=64,
        train_pi_iters=8,
        target_kl=None,
        pi_lr=0.01,
        vf_lr=0.01,
        gamma=gamma,
        ac_kwargs={"hidden_sizes": (16,), "log_std": -1.5},
    )
    reached = read_progress(directory / "progress.txt")[column]
    sign = np.sign(good - bad)
    assert sign * reached[0] < sign * bad
    assert sign * reached[-1] > sign * good


def test_vpg_learns_the_bandit(short: Short) -> None:
    directory = short(algorithm="vpg", env="gridrl.envs.toy:GridrlBandit-v0", epochs=30, pi_lr=0.05)
    returns = read_progress(directory / "progress.txt")["AverageEpRet"]
    assert returns[0] < 0.6
    assert returns[-1] > 0.95


def test_a_time_limit_is_no_death_the_value_of_an_endless_world_is_1_over_1_minus_gamma(short: Short) -> None:
    endless = {
        "env": "gridrl.envs.toy:GridrlEndless-v0",
        "gamma": 0.9,
        "lam": 0.95,
        "epochs": 30,
        "train_v_iters": 40,
        "vf_lr": 0.01,
        "max_ep_len": 10,
        "steps_per_epoch": 100,
        "algorithm": "vpg",
    }
    for name, num_envs in (("one", 1), ("several", 5)):
        columns = read_progress(short(name, num_envs=num_envs, **endless) / "progress.txt")
        assert columns["AverageVVals"][-1] == pytest.approx(10.0, abs=0.3)


def test_the_theorem_fails_where_a_time_limit_is_taken_for_a_death(short: Short) -> None:
    class Deadly(gym.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> Any:
            obs, reward, terminated, truncated, info = super().step(action)
            return obs, reward, terminated or truncated, False, info

    def make() -> Any:
        return Deadly(env_fn("gridrl.envs.toy:GridrlEndless-v0", max_episode_steps=10)())

    columns = read_progress(
        short(algorithm="vpg", env_fn=make, gamma=0.9, epochs=30, train_v_iters=40, vf_lr=0.01, steps_per_epoch=100)
        / "progress.txt"
    )
    # the mean over a life of 10 steps of (1 - 0.9^k) / 0.1
    expected = np.mean([(1 - 0.9**k) / 0.1 for k in range(1, 11)])
    assert columns["AverageVVals"][-1] == pytest.approx(expected, abs=0.4)


def test_a_policy_that_has_moved_too_far_is_left_alone(short: Short) -> None:
    fast = {"pi_lr": 0.05, "target_kl": 0.01, "epochs": 1}
    full = read_progress(short("full", train_pi_iters=50, **fast) / "progress.txt")
    assert 0 < full["StopIter"][0] < 49
    passes = read_progress(short("passes", train_pi_iters=50, minibatch_size=50, **fast) / "progress.txt")
    assert 0 <= passes["StopIter"][0] < 49
    never = read_progress(short("never", train_pi_iters=5, **{**fast, "target_kl": None}) / "progress.txt")
    assert never["StopIter"][0] == 4


def test_minibatches_and_the_whole_rollout_agree_where_there_is_one_minibatch(short: Short) -> None:
    """One pass over one minibatch is one policy step and one value step, whatever the order of its rows."""
    common = {"epochs": 1, "train_pi_iters": 1, "target_kl": None}
    whole = read_progress(short("whole", train_v_iters=1, **common) / "progress.txt")
    one = read_progress(short("one", minibatch_size=200, **common) / "progress.txt")
    for name in ("LossPi", "LossV", "DeltaLossPi", "DeltaLossV", "KL", "Entropy"):
        assert one[name][0] == pytest.approx(whole[name][0], rel=1e-4, abs=1e-6)


def test_a_linear_schedule_ends_the_learning(short: Short) -> None:
    factors = []
    columns = read_progress(
        short(epochs=3, lr_schedule=lambda epoch: factors.append(epoch) or [1.0, 0.5, 0.0][epoch]) / "progress.txt"
    )
    assert factors == [0, 1, 2]
    assert columns["DeltaLossV"][1] != 0
    assert columns["DeltaLossV"][2] == pytest.approx(0.0, abs=1e-4)


def test_the_directory_holds_the_model_the_checkpoint_and_the_arguments(short: Short) -> None:
    directory = short(save_freq=1, epochs=3)
    assert sorted(path.name for path in (directory / "checkpoints").iterdir()) == ["checkpoint_000003.pt"]
    saved = torch.load(directory / "model" / "model.pt", weights_only=True)
    assert set(saved) == {"actor_critic"}
    assert torch.load(directory / "model" / "vars.pt", weights_only=True) == {"epoch": 2}
    config = json.loads((directory / "config.json").read_text())["algorithm"]
    assert config["env_fn"] == "env_fn('CartPole-v1')"
    assert (config["gamma"], config["ac_kwargs"]) == (0.99, {"hidden_sizes": [8, 8]})


@pytest.mark.parametrize("num_envs", [1, 3])
def test_networks_of_ones_own_are_trained_and_follow_the_seed(short: Short, num_envs: int) -> None:
    own = {"actor_critic": Separate, "ac_kwargs": {"width": 4}, "num_envs": num_envs, "ent_coef": 0.01}
    first, second = short("first", **own), short("second", **own)
    assert rows(first) == rows(second)
    assert read_progress(first / "progress.txt")["DeltaLossV"][0] < 0


def test_every_kind_of_observation_and_a_shifted_action_are_taken(short: Short) -> None:
    class Odd(gym.Env[Any, Any]):
        observation_space = spaces.Tuple((spaces.Discrete(3), spaces.Box(-1.0, 1.0, (2, 2))))
        action_space = spaces.Discrete(2, start=5)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            return self.observation_space.sample(), {}

        def step(self, action: Any) -> Any:
            assert action in (5, 6)
            return self.observation_space.sample(), 1.0, bool(self.np_random.random() < 0.1), False, {}

    for num_envs in (1, 2):
        assert len(rows(short(f"odd{num_envs}", env_fn=Odd, num_envs=num_envs))) == 3


BAD = [
    ({"gamma": 1.5}, r"gamma=1.5: a number from 0 to 1 is needed\."),
    ({"steps_per_epoch": 0}, r"steps_per_epoch=0: a whole number from 1 on is needed\."),
    ({"minibatch_size": 0.5}, r"minibatch_size=0.5: a whole number from 1 on is needed, or None\."),
    ({"num_envs": True}, r"num_envs=True: a whole number from 1 on is needed\."),
    ({"max_grad_norm": 0}, r"max_grad_norm=0: a number above 0 is needed, or None\."),
    ({"pi_lr": "fast"}, r"pi_lr='fast': a number from 0 on is needed\."),
    ({"num_envs": 500}, r"1 rank\(s\) with 500 environment\(s\) each need at least 1000, two steps"),
    ({"num_envs": 101}, r"steps_per_epoch=200: 1 rank\(s\) .* each need at least 202, two steps"),
    ({"lr_schedule": "liner"}, r"lr_schedule='liner': None, 'linear' or a function .* Did you mean 'linear'\?"),
    ({"minibatch_size": 50, "train_v_iters": 5}, "train_v_iters has no meaning with minibatch_size"),
    ({"device": "tpu"}, "device='tpu': no such device; 'cpu', 'cuda' or 'cuda:1' is meant"),
    ({"device": "meta"}, "device='meta': no such device; 'cpu', 'cuda' or 'cuda:1' is meant"),
    ({"device": None}, "device=None: no such device; 'cpu', 'cuda' or 'cuda:1' is meant"),
    ({"seed": -1}, "seed: a whole number from 0 to 4294967295 is needed, not -1"),
    ({"actor_critic": lambda o, a, **k: nn.Linear(1, 1)}, "<lambda>: it has no module 'pi'"),
    ({"ac_kwargs": {"init": "orthogonl"}}, "no initialisation 'orthogonl'"),
]


@pytest.mark.parametrize(("kwargs", "message"), BAD, ids=[str(next(iter(kwargs))) for kwargs, _ in BAD])
def test_bad_values_are_told_before_anything_is_written(
    short: Short, tmp_path: Path, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadValue, match=message):
        short(**kwargs)
    assert list(tmp_path.iterdir()) == []


def test_all_bad_values_are_told_at_once(short: Short) -> None:
    with pytest.raises(BadValue, match=r"epochs=-1: .*\ngamma=2: .*\nlam=-0.1: "):
        short(epochs=-1, gamma=2, lam=-0.1)


@pytest.mark.parametrize("function", [ppo, trpo, vpg])
def test_every_parameter_has_a_type_and_a_meaning_that_help_can_show(function: Any) -> None:
    from_source = read_signature(f"{function.__module__}:{function.__name__}")
    assert from_source.grows == {"epochs"}
    for parameter in from_source.params:
        assert parameter.annotation, parameter.name
        assert len(parameter.doc) > 10, parameter.name
    assert [parameter.name for parameter in from_source.params] == [
        parameter.name for parameter in read_signature(function).params
    ]


def test_the_documented_defaults() -> None:
    documented = {
        "seed": 0,
        "steps_per_epoch": 4000,
        "epochs": 50,
        "gamma": 0.99,
        "pi_lr": 3e-4,
        "vf_lr": 1e-3,
        "train_v_iters": 80,
        "lam": 0.97,
        "max_ep_len": 1000,
        "save_freq": 10,
        "num_envs": 1,
    }
    ppo_defaults = {parameter.name: parameter.default for parameter in read_signature("gridrl.algos.ppo:ppo").params}
    vpg_defaults = {parameter.name: parameter.default for parameter in read_signature("gridrl.algos.vpg:vpg").params}
    assert documented.items() <= vpg_defaults.items()
    assert {**documented, "clip_ratio": 0.2, "train_pi_iters": 80, "target_kl": 0.01}.items() <= ppo_defaults.items()


def test_an_epoch_is_never_longer_than_asked_and_the_difference_is_told(
    short: Short, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    directory = short(num_envs=3, logger_kwargs={"output_dir": str(tmp_path / "run")})
    assert read_progress(directory / "progress.txt")["TotalEnvInteracts"].tolist() == [198, 396]
    assert "steps_per_epoch=200 is no multiple of 1 rank(s) x 3 environment(s): an epoch has 198 steps." in (
        capsys.readouterr().out
    )


def test_the_shortest_rollouts_of_several_environments_always_hold_a_transition(short: Short) -> None:
    # episodes of one step: every second row of each environment only starts the next episode
    run = {"num_envs": 3, "steps_per_epoch": 6, "epochs": 3, "env_fn": env_fn("Pendulum-v1", max_episode_steps=1)}
    for name, more in (("whole", {}), ("parts", {"minibatch_size": 1})):
        columns = read_progress(short(name, **run, **more) / "progress.txt")
        assert np.isfinite(columns["LossV"]).all(), name


@pytest.mark.parametrize("minibatch_size", [None, 50])
def test_a_copy_that_acts_for_another_device_sees_the_updates(
    short: Short, monkeypatch: pytest.MonkeyPatch, minibatch_size: int | None
) -> None:
    kwargs = {"minibatch_size": minibatch_size, "epochs": 3, "pi_lr": 0.03, "target_kl": 0.01, "train_pi_iters": 20}
    direct = rows(short("direct", **kwargs))
    monkeypatch.setattr(assembly, "make_actor", lambda net, flat, shape: CopiedActor(net, flat))
    assert rows(short("copied", **kwargs)) == direct
    assert read_progress(short("copied", **kwargs) / "progress.txt")["StopIter"].min() < 19


def test_a_gpu_is_used_where_there_is_one_and_missed_aloud_where_there_is_none(short: Short) -> None:
    if torch.cuda.is_available():
        own = {"actor_critic": SeparateOnGPU, "ac_kwargs": {}}
        for name, more in (("plain", {}), ("own", own), ("trpo", {"algorithm": "trpo"})):
            short(name, device="cuda", epochs=1, **more)
            continued = read_progress(short(name, device="cuda", **more) / "progress.txt")
            assert continued["DeltaLossV"][1] < 0
    else:
        with pytest.raises(
            BadValue, match=r"device='cuda': this machine has no GPU that torch can use\. Use device='c"
        ):
            short(device="cuda")


class SeparateOnGPU(Separate):
    """Its actions come back to the CPU."""

    def act(self, obs: torch.Tensor) -> Any:
        return self.pi(obs)[0].sample().cpu().numpy()
