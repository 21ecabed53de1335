"""Going on from a checkpoint equals never having stopped, to the last digit; the time column alone differs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from gridrl.algos.on_policy import OnPolicyRun
from gridrl.errors import CheckpointError, NotFinite, TrainingShutdownException
from gridrl.log import current
from gridrl.log.current import CurrentRun, current_run
from gridrl.log.progress import read_progress
from gridrl.ops.updates import clip_norm_there
from tests.algos.short_runs import Separate, Short, rows

ROOT = Path(__file__).parent.parent.parent
RUNS: dict[str, dict[str, Any]] = {
    "CartPole, full batch": {},
    "CartPole, vector, minibatches": {"num_envs": 4, "minibatch_size": 32, "steps_per_epoch": 240},
    "Pendulum, normalised": {
        "env": "Pendulum-v1",
        "normalize_obs": True,
        "normalize_reward": True,
        "minibatch_size": 50,
        "ac_kwargs": {"hidden_sizes": (8,)},
    },
    "Pendulum, several": {"env": "Pendulum-v1", "num_envs": 2, "max_grad_norm": 0.5},
    "vpg": {"algorithm": "vpg", "num_envs": 2},
    "trpo": {"algorithm": "trpo", "num_envs": 2, "minibatch_size": 50},
    "trpo, own networks": {"algorithm": "trpo", "actor_critic": Separate, "ac_kwargs": {}},
    "own networks": {"actor_critic": Separate, "ac_kwargs": {}},
    "Dict observations": {"env": "gridrl.envs.toy:GridrlSignpost-v0"},
}


@pytest.mark.parametrize("kwargs", RUNS.values(), ids=RUNS)
def test_two_epochs_continued_to_four_equal_four(short: Short, kwargs: dict[str, Any]) -> None:
    undisturbed = short("undisturbed", epochs=4, **kwargs)
    short("continued", epochs=2, **kwargs)
    continued = short("continued", epochs=4, **kwargs)
    assert rows(continued) == rows(undisturbed)
    times = read_progress(continued / "progress.txt")["Time"]
    assert (times[1:] > times[:-1]).all()
    models = [torch.load(run / "model" / "model.pt", weights_only=True) for run in (undisturbed, continued)]
    for name, weights in models[0]["actor_critic"].items():
        assert torch.equal(weights, models[1]["actor_critic"][name])


def stop_before(epoch: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every run end with `error` when it comes to `epoch`."""
    collect = OnPolicyRun.collect
    monkeypatch.setattr(OnPolicyRun, "epochs_begun", 0, raising=False)

    def counted(run: Any) -> None:
        if run.epochs_begun == epoch:
            raise error
        run.epochs_begun += 1
        collect(run)

    monkeypatch.setattr(OnPolicyRun, "collect", counted)


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_interrupted_run_keeps_its_checkpoint_and_goes_on_from_it(
    short: Short, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    undisturbed = short("undisturbed", epochs=7, save_freq=3)
    with monkeypatch.context() as patch:
        stop_before(6, error, patch)
        with pytest.raises(type(error)):
            short("interrupted", epochs=7, save_freq=3)
    interrupted = undisturbed.with_name("interrupted")
    assert len(rows(interrupted)) == 7
    assert [path.name for path in (interrupted / "checkpoints").iterdir()] == ["checkpoint_000004.pt"]
    short("interrupted", epochs=7, save_freq=3)
    assert rows(interrupted) == rows(undisturbed)
    cut = (interrupted / "progress.cut.txt").read_text().splitlines()
    assert [line.partition("\t")[0] for line in cut if line] == ["Epoch", "4", "5"]


class NoNumber(gym.Wrapper[Any, Any, Any, Any]):
    """Pays NaN from the 250th step on."""

    steps = 0

    def step(self, action: Any) -> Any:
        self.steps += 1
        obs, reward, *rest = self.env.step(action)
        return obs, float("nan") if self.steps > 250 else reward, *rest


@pytest.mark.parametrize("kwargs", [{"algorithm": "vpg"}, {"minibatch_size": 50}], ids=["vpg", "ppo"])
def test_a_loss_that_is_no_number_leaves_checkpoint_and_model_though_nobody_looked_at_each(
    short: Short, monkeypatch: pytest.MonkeyPatch, kwargs: dict[str, Any]
) -> None:
    # as on a GPU, where looking at each gradient would wait
    monkeypatch.setattr("gridrl.train.loss.clip_norm", clip_norm_there)
    with pytest.raises(NotFinite, match=r"loss .(policy|value). is nan"):
        short(env_fn=lambda: NoNumber(gym.make("CartPole-v1")), epochs=4, save_freq=1, **kwargs)
    directory = short("unbroken", epochs=1, **kwargs).with_name("run")
    assert [path.name for path in (directory / "checkpoints").iterdir()] == ["checkpoint_000001.pt"]
    one, other = (
        torch.load(path / "model" / "model.pt", weights_only=True)["actor_critic"]
        for path in (directory, directory.with_name("unbroken"))
    )
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_shutdown_ends_the_run_in_order(short: Short, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_before(1, TrainingShutdownException("enough"), monkeypatch)
    directory = short(epochs=3)
    assert len(rows(directory)) == 2
    assert (directory / "checkpoints" / "checkpoint_000001.pt").exists()


@pytest.mark.parametrize("algorithm", ["ppo", "vpg"])
def test_a_run_that_is_asked_to_stop_saves_itself_after_its_epoch(
    short: Short, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    undisturbed = short("undisturbed", algorithm, epochs=4)
    with monkeypatch.context() as patch:
        patch.setattr(current, "_current", CurrentRun())
        collect = OnPolicyRun.collect

        def asked(run: Any) -> None:
            current_run().ask_to_stop(signal.SIGTERM)
            collect(run)

        patch.setattr(OnPolicyRun, "collect", asked)
        directory = short("stopped", algorithm, epochs=4)
        short("not begun", algorithm)  # whoever comes after it in the same process does not begin
    assert len(rows(directory)) == 2
    assert not (directory.with_name("not begun") / "progress.txt").exists()
    short("stopped", algorithm, epochs=4)
    assert rows(directory) == rows(undisturbed)
    assert not (directory / "progress.cut.txt").exists()


PROGRAM = """
import sys
from pathlib import Path
from tests.algos.short_runs import train

train(Path(sys.argv[1]), sys.argv[2], epochs=100_000, save_freq=3)
"""


@pytest.mark.parametrize("algorithm", ["ppo", "trpo"])
def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path: Path, short: Short, algorithm: str) -> None:
    directory = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(directory), algorithm], cwd=ROOT)
    try:
        deadline = time.monotonic() + 100
        # killed between two checkpoints (after epochs 1, 4, 7, ...), with rows behind the last one
        progress = directory / "progress.txt"
        while not progress.exists() or not progress.stat().st_size or (len(rows(directory)) - 1) < 12:
            assert time.monotonic() < deadline, "the run has written no rows"
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(timeout=60)
    written = len(rows(directory)) - 1
    short("killed", algorithm, epochs=written + 2, save_freq=3)
    undisturbed = short("undisturbed", algorithm, epochs=written + 2, save_freq=3)
    assert rows(directory) == rows(undisturbed)
    cut = directory / "progress.cut.txt"
    if (written - 1) % 3:  # rows stood behind the checkpoint
        assert cut.read_text().startswith("Epoch\t")


def test_a_run_that_is_done_is_left_alone(short: Short, capsys: pytest.CaptureFixture[str]) -> None:
    directory = short(epochs=2)
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*.pt")}
    content = (directory / "progress.txt").read_bytes()
    short(epochs=2, logger_kwargs={"output_dir": str(directory)})
    assert "2 epochs are done, nothing is left to do." in capsys.readouterr().out
    assert (directory / "progress.txt").read_bytes() == content
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*.pt")} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ac_kwargs": {"hidden_sizes": (4,)}}, r"ac_kwargs: {'hidden_sizes': \[8, 8\]} there, .*\[4\]} now"),
        ({"gamma": 0.5}, r"gamma: 0.99 there, 0.5 now"),
        ({"env": "Acrobot-v1"}, r"observations: 4 there, 6 now; actions: 'Discrete\(2\)' there, 'Discrete\(3\)' now"),
        ({"algorithm": "vpg"}, "algorithm: 'ppo' there, 'vpg' now"),
        ({"seed": 3}, "seed: 0 there, 3 now"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(short: Short, change: dict[str, Any], message: str) -> None:
    directory = short()
    content = (directory / "progress.txt").read_bytes()
    with pytest.raises(CheckpointError, match=message):
        short(epochs=4, **change)
    assert (directory / "progress.txt").read_bytes() == content


def test_a_broken_checkpoint_is_told(short: Short) -> None:
    directory = short()
    (directory / "checkpoints" / "checkpoint_000002.pt").write_bytes(b"half a fi")
    with pytest.raises(CheckpointError, match=r"checkpoint_000002.pt cannot be read: .* Remove it to begin from"):
        short(epochs=4)


def test_returns_that_scale_rewards_begin_anew_where_the_episodes_do(
    short: Short, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []
    collect = OnPolicyRun.collect

    def noted(run: Any) -> None:
        found.append(run.state.own["reward_normalizer"].state_dict()["returns"].tolist())
        collect(run)

    monkeypatch.setattr(OnPolicyRun, "collect", noted)
    # a pole cannot fall within 7 steps: the first rollout ends in the midst of an episode
    unknown: dict[str, Any] = {"env_fn": make_secret, "normalize_reward": True, "steps_per_epoch": 7}
    short("continued", epochs=1, **unknown)
    short("continued", **unknown)
    assert found == [[0.0], [0.0]]


class Secret(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper whose state nobody knows."""


def test_an_environment_of_unknown_state_resumes_at_a_reset_and_says_so(
    short: Short, capsys: pytest.CaptureFixture[str]
) -> None:
    secret: dict[str, Any] = {"env_fn": make_secret}
    directory = short("continued", **secret)
    short("continued", epochs=4, logger_kwargs={"output_dir": str(directory)}, **secret)
    assert "resume: inexact." in capsys.readouterr().out
    undisturbed = short("undisturbed", epochs=4, **secret)
    assert rows(directory)[:3] == rows(undisturbed)[:3]
    assert len(rows(directory)) == 5
    assert rows(directory)[3] != rows(undisturbed)[3]


def make_secret() -> Any:
    """CartPole, wrapped."""
    return Secret(gym.make("CartPole-v1"))


@pytest.mark.parametrize("num_envs", [1, 2])
def test_with_exact_resume_an_environment_of_unknown_state_resumes_exactly(short: Short, num_envs: int) -> None:
    given: dict[str, Any] = {"env_fn": make_secret, "exact_resume": True, "save_freq": 2, "num_envs": num_envs}
    undisturbed = short("undisturbed", epochs=6, normalize_reward=True, **given)
    short("continued", epochs=3, normalize_reward=True, **given)  # the last epoch of three is one that is saved anyway
    short("continued", epochs=6, normalize_reward=True, **given)
    assert rows(undisturbed.with_name("continued")) == rows(undisturbed)
    free = short("free", epochs=6, normalize_reward=True, **{**given, "exact_resume": False})
    assert rows(free)[1] == rows(undisturbed)[1]
    assert rows(free)[2] != rows(undisturbed)[2]  # the first checkpoint has begun new episodes


def test_with_exact_resume_the_checkpoints_must_stay_where_they_are(short: Short) -> None:
    short(env_fn=make_secret, exact_resume=True, save_freq=2)
    with pytest.raises(CheckpointError, match="save_freq: 2 there, 3 now"):
        short(epochs=4, env_fn=make_secret, exact_resume=True, save_freq=3)


def test_exact_resume_changes_nothing_where_the_state_is_known(short: Short) -> None:
    assert rows(short("with", exact_resume=True)) == rows(short("without"))


def test_with_exact_resume_a_run_that_is_asked_to_stop_goes_back_to_its_last_checkpoint(
    short: Short, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"env_fn": make_secret, "exact_resume": True, "epochs": 5, "save_freq": 3}
    undisturbed = short("undisturbed", **given)
    with monkeypatch.context() as patch:
        patch.setattr(current, "_current", CurrentRun())
        collect = OnPolicyRun.collect

        def asked(run: Any) -> None:
            if run.logger.rows == 2:
                current_run().ask_to_stop(signal.SIGTERM)
            collect(run)

        patch.setattr(OnPolicyRun, "collect", asked)
        directory = short("stopped", **given)
    assert [path.name for path in (directory / "checkpoints").iterdir()] == ["checkpoint_000001.pt"]
    assert len(rows(directory)) == 4
    short("stopped", **given)
    assert rows(directory) == rows(undisturbed)
