"""Whole runs of the off-policy algorithms: their rows, that a seed is all they depend on, that they learn and go on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from gridrl.algos.off_policy import OffPolicyRun
from gridrl.algos.replay import Replay
from gridrl.errors import BadValue, CheckpointError, NotFinite, ShapeError
from gridrl.log import current
from gridrl.log.current import CurrentRun, current_run
from gridrl.log.progress import read_progress
from gridrl.nn.continuous import SquashedActorCritic
from gridrl.signature import read_signature
from tests.algos.off_policy_runs import CONTINUOUS, TARGET, train
from tests.algos.short_runs import rows

EPISODES = [
    *("Epoch", "AverageEpRet", "StdEpRet", "MaxEpRet", "MinEpRet"),
    *("AverageTestEpRet", "StdTestEpRet", "MaxTestEpRet", "MinTestEpRet", "EpLen", "TestEpLen", "TotalEnvInteracts"),
]


def statistics(name: str) -> list[str]:
    """The columns of a value with its greatest and least."""
    return [f"{kind}{name}" for kind in ("Average", "Std", "Max", "Min")]


TWINS = [*statistics("Q1Vals"), *statistics("Q2Vals")]


@pytest.mark.parametrize(
    ("algorithm", "given", "more"),
    [
        ("sac", {}, [*TWINS, *statistics("LogPi"), "LossPi", "LossQ"]),
        (
            "sac",
            {"adaptive_temperature": True},
            [*TWINS, *statistics("LogPi"), "LossPi", "LossQ", "LossAlpha", "Alpha"],
        ),
        ("td3", {}, [*TWINS, "LossPi", "LossQ"]),
        ("ddpg", {}, [*statistics("QVals"), "LossPi", "LossQ"]),
    ],
)
def test_a_row_has_the_documented_columns(
    tmp_path: Path, algorithm: str, given: dict[str, Any], more: list[str]
) -> None:
    columns = read_progress(train(tmp_path, algorithm, **given) / "progress.txt")
    assert list(columns) == [*EPISODES, *more, "Time"]
    assert columns["TotalEnvInteracts"].tolist() == [60, 120]
    assert columns["EpLen"].tolist() == columns["TestEpLen"].tolist() == [10, 10]
    assert all(np.isfinite(column).all() for column in columns.values())


def test_before_the_first_update_and_without_test_episodes_cells_are_empty(tmp_path: Path) -> None:
    directory = train(tmp_path, update_after=60, num_test_episodes=0)
    columns = read_progress(directory / "progress.txt")
    assert np.isnan(columns["LossQ"]).tolist() == [True, False]
    assert np.isnan(columns["AverageTestEpRet"]).all()


@pytest.mark.parametrize("algorithm", CONTINUOUS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, algorithm: str) -> None:
    first, second = (train(tmp_path / name, algorithm) for name in ("first", "second"))
    assert rows(first) == rows(second)
    assert rows(first) != rows(train(tmp_path / "other", algorithm, seed=1))


RESUMED: dict[str, dict[str, Any]] = {
    "sac": {"adaptive_temperature": True},
    "sac, several, memory that overflows": {"num_envs": 3, "replay_size": 40, "update_every": 7},
    "sac, an update at each step": {"update_every": 1, "steps_per_epoch": 53},
    "td3": {"algorithm": "td3", "policy_delay": 3, "max_grad_norm": 0.1},
    "ddpg on Pendulum": {"algorithm": "ddpg", "env": "Pendulum-v1", "max_ep_len": 30, "num_envs": 2},
}


@pytest.mark.parametrize("kwargs", RESUMED.values(), ids=RESUMED)
def test_two_epochs_continued_to_four_equal_four(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    undisturbed = train(tmp_path / "undisturbed", **{"epochs": 4, **kwargs})
    train(tmp_path / "continued", **{"epochs": 2, **kwargs})
    continued = train(tmp_path / "continued", **{"epochs": 4, **kwargs})
    assert rows(continued) == rows(undisturbed)
    one, other = (
        torch.load(run / "model" / "model.pt", weights_only=True)["actor_critic"] for run in (undisturbed, continued)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


class Secret(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper whose state nobody knows."""


def make_secret() -> Any:
    """The tiny world, wrapped."""
    return Secret(gym.make(TARGET))


@pytest.mark.parametrize("num_envs", [1, 2])
def test_with_exact_resume_an_environment_of_unknown_state_resumes_exactly(tmp_path: Path, num_envs: int) -> None:
    given: dict[str, Any] = {"env_fn": make_secret, "exact_resume": True, "num_envs": num_envs, "steps_per_epoch": 54}
    undisturbed = train(tmp_path / "undisturbed", epochs=4, **given)
    for epochs in (2, 4):
        train(tmp_path / "continued", epochs=epochs, **given)
    assert rows(tmp_path / "continued") == rows(undisturbed)


class Growing(gym.Env[Any, Any]):
    """Pays more in each episode, whatever the seed of its reset, and says what its state is."""

    observation_space = spaces.Box(0.0, 1.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))
    episodes = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episodes, self.steps = self.episodes + 1, 0
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.ones(1, np.float32), float(self.episodes), self.steps == 7, False, {}

    def __gridrl_state__(self) -> dict[str, Any]:
        return {"episodes": self.episodes, "steps": self.steps}

    def __gridrl_set_state__(self, state: dict[str, Any]) -> None:
        self.episodes, self.steps = state["episodes"], state["steps"]


def test_what_outlives_a_reset_goes_on_in_test_episodes_too(tmp_path: Path) -> None:
    undisturbed = train(tmp_path / "undisturbed", env_fn=Growing, epochs=4)
    for epochs in (2, 4):
        continued = train(tmp_path / "continued", env_fn=Growing, epochs=epochs)
    assert read_progress(undisturbed / "progress.txt")["AverageTestEpRet"][-1] > 7 * 8
    assert rows(continued) == rows(undisturbed)


def test_without_a_saved_replay_a_resumed_run_fills_it_anew_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "_current", CurrentRun())
    train(tmp_path, save_replay=False)
    assert current_run().resume == "inexact"
    assert not (tmp_path / "checkpoints" / "replay").exists()
    held: list[int] = []
    sample = Replay.sample
    monkeypatch.setattr(Replay, "sample", lambda *given: (held.append(len(given[0])), sample(*given))[1])
    train(tmp_path, save_replay=False, epochs=3, logger_kwargs={"output_dir": str(tmp_path)})
    assert "resume: inexact. The replay was not saved" in capsys.readouterr().out
    assert held[0] == 30, "updates wait for more than update_after=20 new steps, and a cycle's end"
    assert len(rows(tmp_path)) == 4


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a run be asked to make room in the midst of an epoch."""
    collect = OffPolicyRun._collect

    def asked(run: OffPolicyRun, count: int) -> None:
        collect(run, count)
        if run.steps >= steps:
            current_run().ask_to_stop(signal.SIGTERM)

    monkeypatch.setattr(OffPolicyRun, "_collect", asked)


def test_a_run_that_is_asked_to_make_room_goes_on_in_the_midst_of_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = {"steps_per_epoch": 100, "adaptive_temperature": True}
    undisturbed = train(tmp_path / "undisturbed", **given)
    with monkeypatch.context() as patch:
        patch.setattr(current, "_current", CurrentRun())
        stop_after(130, patch)
        stopped = train(tmp_path / "stopped", **{**given, "logger_kwargs": {"output_dir": str(tmp_path / "stopped")}})
    assert "Asked to stop after 170 steps; the same command goes on after step 170." in capsys.readouterr().out
    assert len(rows(stopped)) == 2
    assert rows(train(stopped, **given)) == rows(undisturbed)


@pytest.mark.parametrize(
    ("algorithm", "given"),
    [
        ("sac", {"lr": 0.02, "alpha": 0.01}),
        ("td3", {"pi_lr": 0.02, "q_lr": 0.02}),
        ("ddpg", {"pi_lr": 0.02, "q_lr": 0.02}),
    ],
)
def test_the_tiny_world_is_learned(tmp_path: Path, algorithm: str, given: dict[str, Any]) -> None:
    """Answering 0 always costs 2.1; the best is 0."""
    directory = train(
        tmp_path,
        algorithm,
        **given,
        gamma=0.0,
        epochs=1,
        steps_per_epoch=400,
        batch_size=32,
        start_steps=100,
        update_after=100,
        num_test_episodes=10,
        ac_kwargs={"hidden_sizes": (16,)},
    )
    assert read_progress(directory / "progress.txt")["AverageTestEpRet"][-1] > -0.7


class Living(gym.Env[Any, Any]):
    """Pays 1 a step for ever."""

    observation_space = spaces.Box(0.0, 1.0, (1,))
    action_space = spaces.Box(-1.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), 1.0, False, False, {}


class Dying(Living):
    """Pays 1 and ends."""

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.ones(1, np.float32), 1.0, True, False, {}


@pytest.mark.parametrize(("world", "num_envs", "value"), [(Living, 1, 2.0), (Living, 2, 2.0), (Dying, 1, 1.0)])
def test_a_time_limit_is_no_death(tmp_path: Path, world: Callable[[], Any], num_envs: int, value: float) -> None:
    """Of a reward of 1 for ever the value is 1 / (1 - gamma), cut into episodes or not; of one reward it is 1."""
    given: dict[str, Any] = {"gamma": 0.5, "polyak": 0.9, "q_lr": 0.02, "max_ep_len": 3, "update_every": 1, "epochs": 5}
    columns = read_progress(train(tmp_path, "ddpg", env_fn=world, num_envs=num_envs, **given) / "progress.txt")
    assert columns["AverageQVals"][-1] == pytest.approx(value, abs=0.1)


@pytest.mark.parametrize("algorithm", CONTINUOUS)
def test_an_action_space_that_cannot_be_served_is_told_before_anything_is_written(
    tmp_path: Path, algorithm: str
) -> None:
    with pytest.raises(BadValue, match=rf"^{algorithm} needs continuous actions, a Box with bounds; .* Discrete\(2\)"):
        train(tmp_path / "run", algorithm, env="CartPole-v1")

    greatest = float(np.finfo(np.float32).max)  # how some worlds say that there is no bound
    for low, high in ((-np.inf, np.inf), (0.0, np.inf), (-greatest, greatest)):

        class Unbounded(Living):
            action_space = spaces.Box(low, high, (1,))

        with pytest.raises(BadValue, match=f"^{algorithm} needs bounds for its actions"):
            train(tmp_path / "run", algorithm, env_fn=Unbounded)
    assert not (tmp_path / "run").exists()


BEFORE = {"seed": 0, "steps_per_epoch": 4000, "epochs": 100, "replay_size": 1_000_000, "gamma": 0.99, "polyak": 0.995}
SHARED = {"batch_size": 100, "start_steps": 10_000, "update_after": 1000, "update_every": 50}
BEHIND: dict[str, Any] = {"num_test_episodes": 10, "max_ep_len": 1000, "logger_kwargs": {}, "save_freq": 1}
# https://spinningup.openai.com/en/latest/algorithms/{ddpg,td3,sac}.html
SPINNING_UP: dict[str, dict[str, Any]] = {
    "ddpg": {"pi_lr": 1e-3, "q_lr": 1e-3, **SHARED, "act_noise": 0.1},
    "sac": {"lr": 1e-3, "alpha": 0.2, **SHARED},
}
SPINNING_UP["td3"] = {**SPINNING_UP["ddpg"], "target_noise": 0.2, "noise_clip": 0.5, "policy_delay": 2}


@pytest.mark.parametrize("algorithm", SPINNING_UP)
def test_the_documented_defaults_in_the_documented_order(algorithm: str) -> None:
    given = read_signature(f"gridrl.algos.{algorithm}:{algorithm}").params
    documented = {**BEFORE, **SPINNING_UP[algorithm], **BEHIND}
    assert [p.name for p in given[:3]] == ["env_fn", "actor_critic", "ac_kwargs"]
    assert [(p.name, p.default) for p in given[3 : 3 + len(documented)]] == list(documented.items())


def test_values_out_of_range_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(BadValue) as caught:
        train(tmp_path / "run", polyak=1.5, replay_size=0, alpha=0.0, update_every=0, batch_size=2.5)
    assert str(caught.value).count("is needed") == 5
    assert not (tmp_path / "run").exists()


def test_networks_that_do_not_fit_are_told_before_anything_is_written(tmp_path: Path) -> None:
    class Mute(SquashedActorCritic):
        def __init__(self, *spaces: Any, **kwargs: Any) -> None:
            super().__init__(*spaces, **kwargs)
            self.pi = self.pi.net

    with pytest.raises(ShapeError, match=r"pi gave \[\[2, 2\]\] for two observations: actions and their log-prob"):
        train(tmp_path / "run", actor_critic=Mute)
    with pytest.raises(BadValue, match="actor_critic=empty: it has no module 'pi'"):
        train(tmp_path / "run", actor_critic=empty, ac_kwargs={})
    assert not (tmp_path / "run").exists()


def empty(*_: Any) -> torch.nn.Module:
    """Networks that are none."""
    return torch.nn.Linear(1, 1)


class Broken(Living):
    """Pays NaN from the 70th step on."""

    steps = 0

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return np.ones(1, np.float32), float("nan") if self.steps > 70 else 1.0, False, False, {}


def test_a_loss_that_is_not_finite_ends_the_run_and_the_last_checkpoint_stands(tmp_path: Path) -> None:
    with pytest.raises(NotFinite, match=r"loss .q. is nan .* at its update") as caught:
        train(tmp_path, env_fn=Broken, num_test_episodes=0, max_ep_len=20, epochs=5)
    assert caught.value.name == "q"
    assert len(rows(tmp_path)) == 2
    assert [path.name for path in (tmp_path / "checkpoints").glob("*.pt")] == ["checkpoint_000001.pt"]
    weights = torch.load(tmp_path / "model" / "model.pt", weights_only=True)["actor_critic"]
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(CheckpointError, match="batch_size: 8 there, 9 now"):
        train(tmp_path, epochs=3, batch_size=9)
