"""stable-baselines3 as a training function that gridrl launches: its runs are directories like ours.

    python -m gridrl.run benchmarks/rival.py:sb3 --algorithm sac --env HalfCheetah-v5 --epochs 20 --seed 0 1 2

The rows have the columns that our algorithms write, from the same kind of evaluation: `TestEpRet` is the return of
episodes without exploration in an environment of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import stable_baselines3
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from gridrl.log.logger import EpochLogger

# Test episodes begin with other states than those of training.
TEST_SEED = 10_000


def sb3(
    env_fn: Callable[[], gym.Env[Any, Any]],
    algorithm: str = "sac",
    seed: int = 0,
    steps_per_epoch: int = 5000,
    epochs: int = 20,
    num_test_episodes: int = 10,
    logger_kwargs: dict[str, Any] = {},
    hyperparameters: dict[str, Any] = {},
) -> None:
    """Trains a model of stable-baselines3 with its defaults.

    Args:
        env_fn: makes an environment.
        algorithm: the name of its class, in small letters: ppo, sac, td3, dqn.
        seed: of the model and its environment.
        steps_per_epoch: environment steps between two rows.
        epochs: rows.
        num_test_episodes: episodes that a row's TestEpRet is the mean of; 0 for none.
        logger_kwargs: keyword arguments of EpochLogger.
        hyperparameters: keyword arguments of the model's class that differ from its defaults.
    """
    torch.set_num_threads(1)
    model = getattr(stable_baselines3, algorithm.upper())(
        "MlpPolicy", Monitor(env_fn()), seed=seed, device="cpu", **hyperparameters
    )
    test_env = Monitor(env_fn())
    test_env.reset(seed=TEST_SEED + seed)
    with EpochLogger(**logger_kwargs) as logger:
        rows = Rows(logger, test_env, steps_per_epoch, num_test_episodes)
        model.learn(steps_per_epoch * epochs, callback=rows)


class Rows(BaseCallback):
    """Writes a row after every so many steps."""

    def __init__(self, logger: EpochLogger, test_env: Monitor, steps_per_epoch: int, episodes: int) -> None:
        super().__init__()
        self.rows, self.test_env, self.steps_per_epoch, self.episodes = logger, test_env, steps_per_epoch, episodes
        self.began = time.perf_counter()

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.rows.store(EpRet=info["episode"]["r"], EpLen=info["episode"]["l"])
        if self.num_timesteps % self.steps_per_epoch == 0:
            self._write(self.model)
        return True

    def _write(self, model: BaseAlgorithm) -> None:
        log = self.rows.log_tabular
        log("Epoch", self.num_timesteps // self.steps_per_epoch - 1)
        log("EpRet", with_min_and_max=True)
        log("EpLen", average_only=True)
        if self.episodes:
            returns, lengths = evaluate_policy(
                model, self.test_env, self.episodes, deterministic=True, return_episode_rewards=True
            )
            for ret, length in zip(returns, lengths, strict=True):
                self.rows.store(TestEpRet=ret, TestEpLen=length)
            log("TestEpRet", with_min_and_max=True)
            log("TestEpLen", average_only=True)
        log("TotalEnvInteracts", self.num_timesteps)
        log("Time", time.perf_counter() - self.began)
        self.rows.dump_tabular()
