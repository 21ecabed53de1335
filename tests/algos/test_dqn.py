"""Whole runs of DQN: their rows, that they learn with every option, and that they go on exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl import load
from gridrl.algos.dqn import QTarget, dqn
from gridrl.algos.presets import preset
from gridrl.errors import BadValue, NotFinite
from gridrl.log.progress import read_progress
from gridrl.nn.optimizers import FlatAdam
from gridrl.signature import read_signature
from tests.algos.off_policy_runs import train
from tests.algos.short_runs import rows

SIGNPOST = "gridrl.envs.toy:GridrlSignpost-v0"
CHAIN = "gridrl.envs.toy:GridrlChain-v0"
ENDLESS = "gridrl.envs.toy:GridrlEndless-v0"
# every option at once
EVERYTHING: dict[str, Any] = {"dueling": True, "prioritised": True, "polyak": 0.9, "target_update_every": 2}


def short(directory: Path, env: str = SIGNPOST, **kwargs: Any) -> Path:
    """A little training."""
    return train(directory, "dqn", env, **{"updates_per_cycle": 2, **kwargs})


def test_a_row_has_the_documented_columns(tmp_path: Path) -> None:
    columns = read_progress(short(tmp_path, epsilon_steps=100, epsilon_end=0.2) / "progress.txt")
    assert list(columns) == [
        *("Epoch", "AverageEpRet", "StdEpRet", "MaxEpRet", "MinEpRet"),
        *("AverageTestEpRet", "StdTestEpRet", "MaxTestEpRet", "MinTestEpRet", "EpLen", "TestEpLen"),
        *("TotalEnvInteracts", "AverageQVals", "StdQVals", "MaxQVals", "MinQVals", "LossQ", "Epsilon", "Time"),
    ]
    assert columns["TotalEnvInteracts"].tolist() == [60, 120]
    assert columns["Epsilon"].tolist() == pytest.approx([1 - 0.8 * 0.6, 0.2])
    assert all(np.isfinite(column).all() for column in columns.values())


def test_a_number_of_steps_up_to_1_is_a_share_of_all(tmp_path: Path) -> None:
    for steps, expected in ((0.5, [0.05, 0.05]), (1.0, [0.525, 0.05]), (0, [0.05, 0.05]), (240, [0.7625, 0.525])):
        columns = read_progress(short(tmp_path / str(steps), epsilon_steps=steps) / "progress.txt")
        assert columns["Epsilon"].tolist() == pytest.approx(expected)


LEARNING: dict[str, dict[str, Any]] = {
    "as it is": {},
    "plain, squared error, soft target": {
        "double": False,
        "huber_delta": None,
        "polyak": 0.9,
        "target_update_every": 1,
    },
    "dueling, prioritised, three steps": {"dueling": True, "prioritised": True, "n_step": 3},
    "several environments": {"num_envs": 4},
}


@pytest.mark.parametrize("kwargs", LEARNING.values(), ids=LEARNING)
def test_the_chain_is_walked_and_its_values_are_powers_of_gamma(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    given: dict[str, Any] = {
        "gamma": 0.8,
        "n_step": 3,
        "lr": 0.01,
        "steps_per_epoch": 500,
        "batch_size": 32,
        "start_steps": 200,
        "update_every": 4,
        "updates_per_cycle": 1,
        "polyak": 0.9,
        "epsilon_steps": 500,
        "ac_kwargs": {"hidden_sizes": (32,)},
    }
    directory = short(tmp_path, CHAIN, **{**given, **kwargs})
    assert read_progress(directory / "progress.txt")["TestEpLen"][-1] == 4
    net = load(directory).module
    values = net(torch.eye(5)[:4]).amax(1).tolist()
    assert values == pytest.approx([0.8**3, 0.8**2, 0.8, 1.0], abs=0.12)


@pytest.mark.parametrize(("n_step", "num_envs"), [(1, 1), (5, 1), (3, 2)])
def test_a_time_limit_is_no_death(tmp_path: Path, n_step: int, num_envs: int) -> None:
    """The value of 1 a step for ever is 1 / (1 - gamma), though every episode is cut after 10 steps."""
    given = {"gamma": 0.5, "lr": 0.03, "update_every": 2, "polyak": 0.8, "max_ep_len": 10, "epochs": 4}
    directory = short(tmp_path, ENDLESS, n_step=n_step, num_envs=num_envs, **given)
    assert read_progress(directory / "progress.txt")["AverageQVals"][-1] == pytest.approx(2.0, abs=0.1)


RESUMED: dict[str, dict[str, Any]] = {
    "one environment": {"steps_per_epoch": 53, "target_update_every": 3, "polyak": 0.0, "n_step": 1},
    "everything": EVERYTHING,
    "everything, several environments, memory that overflows": {**EVERYTHING, "num_envs": 3, "replay_size": 40},
}


@pytest.mark.parametrize("kwargs", RESUMED.values(), ids=RESUMED)
def test_two_epochs_continued_to_four_equal_four(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    # what is a share of all steps would be another share of more
    kwargs = {"epsilon_steps": 150, "priority_beta_steps": 150, "lr_schedule": None, **kwargs}
    undisturbed = short(tmp_path / "undisturbed", epochs=4, **kwargs)
    for epochs in (2, 4):
        continued = short(tmp_path / "continued", epochs=epochs, **kwargs)
    assert rows(continued) == rows(undisturbed)
    one, other = (
        torch.load(run / "model" / "model.pt", weights_only=True)["actor_critic"] for run in (undisturbed, continued)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, second = (short(tmp_path / name, **EVERYTHING) for name in ("first", "second"))
    assert rows(first) == rows(second)
    assert rows(first) != rows(short(tmp_path / "other", seed=1, **EVERYTHING))


@pytest.mark.parametrize("dueling", [False, True])
def test_a_trained_policy_is_loaded_back_and_acts(tmp_path: Path, dueling: bool) -> None:
    policy = load(short(tmp_path, dueling=dueling, epsilon_end=0.5))
    env = policy.make_env()
    obs, _ = env.reset(seed=0)
    best = policy.act(obs)
    values = policy.module(torch.as_tensor(np.concatenate([obs["clutter"], np.eye(3)[obs["sign"]]]))[None].float())
    assert best == int(values.argmax())
    rng = np.random.default_rng(0)
    drawn = [policy.act(obs, deterministic=False, rng=rng) for _ in range(300)]
    share = drawn.count(best) / 300  # by chance too, one time of three
    assert share == pytest.approx(0.5 + 0.5 / 3, abs=0.1)


class Image(gym.Env[Any, Any]):
    """Shows a picture, of which the first row tells the action; actions count from 5."""

    observation_space = spaces.Box(0.0, 1.0, (2, 3))
    action_space = spaces.Discrete(2, start=5)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in (5, 6)
        return self.observation_space.sample(), 1.0, bool(self.np_random.random() < 0.2), False, {}


class Own(nn.Module):
    """A network as a user writes it, for pictures."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        assert observation_space.shape == (2, 3)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(6, int(action_space.n)))

    def forward(self, obs: Tensor) -> Tensor:
        assert obs.shape[1:] == (2, 3)
        values: Tensor = self.net(obs)
        return values


def test_a_network_of_ones_own_learns_from_observations_in_their_shape(tmp_path: Path) -> None:
    for name, num_envs in (("one", 1), ("several", 2)):
        directory = short(tmp_path / name, env_fn=Image, actor_critic=Own, ac_kwargs={}, num_envs=num_envs)
        assert np.isfinite(read_progress(directory / "progress.txt")["LossQ"][-1])
        assert load(directory, make_env=Image).act(np.zeros((2, 3), np.float32)) in (5, 6)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"n_step": 0}, r"n_step=0: a whole number from 1 on is needed\."),
    ({"target_update_every": 0}, r"target_update_every=0: a whole number from 1 on is needed\."),
    ({"epsilon_end": 1.5}, r"epsilon_end=1.5: a number from 0 to 1 is needed\."),
    ({"priority_alpha": -1}, r"priority_alpha=-1: a number from 0 to 1 is needed\."),
    ({"huber_delta": 0}, r"huber_delta=0: a number above 0 is needed, or None\."),
    ({"env": "Pendulum-v1"}, r"^dqn needs Discrete actions; this environment's are Box.* sac, td3 and ddpg take a Box"),
    (
        {"actor_critic": lambda *_: nn.Linear(5, 4), "ac_kwargs": {}},
        r"<lambda>: it gave \[2, 4\] for two obs.* 3 actions",
    ),
]


@pytest.mark.parametrize(("kwargs", "message"), BAD, ids=[next(iter(kwargs)) for kwargs, _ in BAD])
def test_bad_values_are_told_before_anything_is_written(tmp_path: Path, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        short(tmp_path / "run", **kwargs)
    assert not (tmp_path / "run").exists()


class Jackpot(Image):
    """Pays infinitely much from the 70th step on, and never ends."""

    steps = 0

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation_space.sample(), float("inf") if self.steps >= 70 else 1.0, False, False, {}


@pytest.mark.parametrize("prioritised", [False, True])
def test_an_infinite_loss_ends_the_run_though_huber_s_slope_is_finite(tmp_path: Path, prioritised: bool) -> None:
    given: dict[str, Any] = {"max_ep_len": None, "num_test_episodes": 0, "epochs": 9, "prioritised": prioritised}
    with pytest.raises(
        NotFinite, match=r"^loss 'q' (was inf|is inf and its gradient's length \S+) at its update \d+: "
    ):
        short(tmp_path, env_fn=Jackpot, n_step=1, **given)
    done = len(rows(tmp_path)) - 1
    assert 1 <= done < 9
    assert [path.name for path in (tmp_path / "checkpoints").glob("*.pt")] == [f"checkpoint_{done:06d}.pt"]


def test_every_parameter_has_a_type_and_a_meaning_that_help_can_show() -> None:
    from_source = read_signature("gridrl.algos.dqn:dqn")
    assert from_source.grows == {"epochs"}
    for parameter in from_source.params:
        assert parameter.annotation, parameter.name
        assert len(parameter.doc) > 10, parameter.name
    assert [p.name for p in from_source.params] == [p.name for p in read_signature(dqn).params]


def test_the_presets_are_the_original_algorithm_with_published_values(tmp_path: Path) -> None:
    for name, width, updates in (("sb3", 64, 2500), ("cleanrl", 120, 50)):
        values = preset("dqn", name)
        assert (values["double"], values["n_step"], values["polyak"], values["lr_schedule"]) == (False, 1, 0.0, None)
        assert (values["ac_kwargs:hidden_sizes"][0], values["target_update_every"]) == (width, updates)
        networks = {"hidden_sizes": values.pop("ac_kwargs:hidden_sizes")}
        short(tmp_path / name, **values, ac_kwargs=networks)


def test_a_linear_schedule_falls_to_0_from_epoch_to_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = FlatAdam.step

    def noted(self: FlatAdam) -> None:
        rates.append(self.param_groups[0]["lr"])
        step(self)

    monkeypatch.setattr(FlatAdam, "step", noted)
    short(tmp_path, epochs=4, lr=0.1)
    assert sorted(set(rates), reverse=True) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert rates == sorted(rates, reverse=True)


def test_double_and_plain_runs_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    make = QTarget.__init__

    def noted(self: QTarget, **kwargs: Any) -> None:
        asked.append(kwargs["double"])
        make(self, **kwargs)

    monkeypatch.setattr(QTarget, "__init__", noted)
    hard = {"target_update_every": 20, "polyak": 0.0, "lr": 0.05, "updates_per_cycle": 20}
    plain, double = (short(tmp_path / str(flag), double=flag, **hard) for flag in (False, True))
    assert asked == [False, True]
    assert rows(plain) != rows(double)
