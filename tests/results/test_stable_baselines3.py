"""A run directory that the real stable-baselines3 has written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gridrl.results.reader import find_runs

TRAIN = """
import sys
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.env_util import make_vec_env

out = sys.argv[1]
envs = make_vec_env("CartPole-v1", n_envs=2, seed=0, monitor_dir=out)
model = PPO("MlpPolicy", envs, n_steps=128, seed=0, n_epochs=1)
model.set_logger(configure(out, ["csv", "tensorboard"]))
model.learn(512)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """512 steps of PPO with every logger and a monitor for each of two environments."""
    out = tmp_path_factory.mktemp("sb3") / "ppo_cartpole_s0"
    subprocess.run(
        [sys.executable, "-c", TRAIN, str(out)],
        check=True,
        capture_output=True,
        timeout=200,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    return out


def copied(trained: Path, tmp_path: Path, *patterns: str) -> Path:
    out = tmp_path / trained.name
    out.mkdir(parents=True)
    for pattern in patterns:
        for path in trained.glob(pattern):
            shutil.copy(path, out)
    return out


def test_a_run_counts_once_by_its_progress_file(trained: Path) -> None:
    (run,) = find_runs(trained.parent)
    assert (run.path.name, run.name, run.seed) == ("progress.csv", "ppo_cartpole", 0)
    assert run["TotalEnvInteracts"].tolist() == [256, 512]
    assert np.isnan(run["train/loss"][0])  # a column that came late
    assert np.isfinite(run["train/loss"][1])


def test_monitors_and_event_files_tell_the_same(trained: Path, tmp_path: Path) -> None:
    (by_rows,) = find_runs(trained)
    (by_episodes,) = find_runs(copied(trained, tmp_path, "*.monitor.csv"))
    (by_events,) = find_runs(copied(trained, tmp_path / "with events", "events*"))
    np.testing.assert_allclose(by_events["Performance"], by_rows["Performance"], rtol=1e-6)
    assert by_events["TotalEnvInteracts"].tolist() == by_rows["TotalEnvInteracts"].tolist()
    assert by_rows["Performance"][-1] == pytest.approx(by_episodes["r"].mean(), rel=0.1)
    assert by_episodes["steps"][-1] <= 512
    assert np.all(np.diff(by_episodes["t"]) >= 0)
    assert by_episodes["l"].tolist() == by_episodes["r"].tolist()  # of CartPole
