"""Short runs of the algorithms, what they leave behind, and networks as users write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from gridrl.algos import ALGOS
from gridrl.envs.making import env_fn

Short: TypeAlias = Callable[..., Path]


def train(directory: Path, algorithm: str = "ppo", env: str = "CartPole-v1", **kwargs: Any) -> Path:
    """Trains a little in a directory, quietly, and gives it back."""
    small: dict[str, Any] = {"epochs": 2, "steps_per_epoch": 200, "ac_kwargs": {"hidden_sizes": (8, 8)}}
    if algorithm == "ppo":
        small["train_pi_iters"] = 4
    if "minibatch_size" not in kwargs:
        small["train_v_iters"] = 4
    logger_kwargs = {"output_dir": str(directory), "quiet": True}
    given = {"env_fn": env_fn(env), **small, "logger_kwargs": logger_kwargs, **kwargs}
    ALGOS.load(algorithm)(**given)
    return directory


def rows(directory: Path) -> list[str]:
    """The lines of progress.txt without their last column, the time."""
    lines = (directory / "progress.txt").read_text().splitlines()
    assert lines[0].endswith("\tTime")
    return [line.rpartition("\t")[0] for line in lines]


class Separate(nn.Module):
    """Networks as users write them, with torch's distributions and generator."""

    def __init__(self, observation_space: Any, action_space: Any, width: int = 8) -> None:
        super().__init__()
        self.pi = Choice(observation_space.shape[0], action_space.n, width)
        self.v = nn.Sequential(
            nn.Linear(observation_space.shape[0], width), nn.Tanh(), nn.Linear(width, 1), nn.Flatten(0)
        )

    def act(self, obs: torch.Tensor) -> Any:
        return self.pi(obs)[0].sample().numpy()


class Choice(nn.Module):
    def __init__(self, inputs: int, choices: int, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, choices))

    def forward(self, obs: torch.Tensor, act: torch.Tensor | None = None) -> Any:
        distribution = torch.distributions.Categorical(logits=self.net(obs))
        return distribution, None if act is None else distribution.log_prob(act)
