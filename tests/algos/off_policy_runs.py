"""Short runs of the off-policy algorithms in the tiny world of the shown number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridrl.algos import ALGOS
from gridrl.envs.making import env_fn

CONTINUOUS = ("sac", "td3", "ddpg")
TARGET = "gridrl.envs.toy:GridrlTarget-v0"


def train(directory: Path, algorithm: str = "sac", env: str = TARGET, **kwargs: Any) -> Path:
    """Trains a little in a directory, quietly, and gives it back."""
    small: dict[str, Any] = {
        "epochs": 2,
        "steps_per_epoch": 60,
        "ac_kwargs": {"hidden_sizes": (8,)},
        "batch_size": 8,
        "start_steps": 20,
        "update_after": 20,
        "update_every": 10,
        "num_test_episodes": 2,
    }
    given = {"env_fn": env_fn(env), **small, "logger_kwargs": {"output_dir": str(directory), "quiet": True}, **kwargs}
    ALGOS.load(algorithm)(**given)
    return directory
