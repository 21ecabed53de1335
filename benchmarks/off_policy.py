"""Off-policy algorithms against stable-baselines3: environment steps per CPU-second, one thread, our logging on.

    python benchmarks/off_policy.py [--rounds 3] [--only sac]

Both sides learn with the same hyperparameters, each measurement in a process of its own, the sides in turn. Start-up
and the first steps are not counted: a clock in the environment notes the CPU time when it has done so many steps, and
again at its last one. CPU time is what counts, so that a busy machine changes the numbers little; a machine's speed
may change from minute to minute, so that a ratio is that of two measurements in a row, and the median of the rounds is
taken. Prints a Markdown table; the exit status is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import stable_baselines3
import torch
from pages import machine, write_section

from gridrl.algos import ALGOS

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Workload:
    """A setting that both sides train in, and how many times faster than theirs ours has to be.

    Attributes:
        title: its row in the table.
        algorithm: our name; theirs is the same in capitals.
        env: the environment.
        ours: our hyperparameters.
        theirs: theirs, which mean the same.
        warm: steps before the clock starts.
        steps: steps that are timed.
        target: the ratio that is wanted.
    """

    title: str
    algorithm: str
    env: str
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    warm: int
    steps: int
    target: float


LARGE = {"ac_kwargs": {"hidden_sizes": (256, 256)}, "batch_size": 256, "update_every": 1, "max_ep_len": None}
THEIRS = {"batch_size": 256, "learning_starts": 100, "policy_kwargs": {"net_arch": [256, 256]}}
WORKLOADS = (
    Workload(
        "SAC, HalfCheetah-v5, learned temperature, an update per step",
        "sac",
        "HalfCheetah-v5",
        {**LARGE, "lr": 3e-4, "alpha": 1.0, "adaptive_temperature": True, "start_steps": 100, "update_after": 100},
        {**THEIRS, "learning_rate": 3e-4},
        warm=200,
        steps=1000,
        target=1.15,
    ),
    Workload(
        "TD3, HalfCheetah-v5, an update per step",
        "td3",
        "HalfCheetah-v5",
        {**LARGE, "act_noise": 0.0, "start_steps": 100, "update_after": 100},
        {**THEIRS, "learning_rate": 1e-3},
        warm=200,
        steps=1000,
        target=1.1,
    ),
    Workload(
        "DQN, CartPole-v1, hidden layers 120, 84, batches of 128, an update every 10 steps",
        "dqn",
        "CartPole-v1",
        {
            "ac_kwargs": {"hidden_sizes": (120, 84)},
            "replay_size": 10_000,
            "lr": 2.5e-4,
            "batch_size": 128,
            "start_steps": 1000,
            "update_after": 1000,
            "update_every": 10,
            "updates_per_cycle": 1,
            "polyak": 0.0,
            "target_update_every": 50,
            "double": False,
            "dueling": False,
            "n_step": 1,
            "lr_schedule": None,
            "epsilon_steps": 0.5,
            "max_ep_len": None,
        },
        {
            "batch_size": 128,
            "buffer_size": 10_000,
            "learning_rate": 2.5e-4,
            "learning_starts": 1000,
            "train_freq": 10,
            "target_update_interval": 500,
            "exploration_fraction": 0.5,
            "policy_kwargs": {"net_arch": [120, 84]},
        },
        warm=2000,
        steps=20_000,
        target=3.0,
    ),
)


class Clock(gym.Wrapper[Any, Any, Any, Any]):
    """Notes the CPU time of the step after which it starts, and of the newest one."""

    def __init__(self, env: gym.Env[Any, Any], start: int) -> None:
        super().__init__(env)
        self.start, self.count = start, 0
        self.begun = self.newest = 0.0

    def step(self, action: Any) -> Any:
        """A step of the environment."""
        outcome = self.env.step(action)
        self.count += 1
        self.newest = time.process_time()
        if self.count == self.start:
            self.begun = self.newest
        return outcome

    @property
    def rate(self) -> float:
        """Steps per CPU-second since the start."""
        return (self.count - self.start) / (self.newest - self.begun)


def ours(workload: Workload, seed: int) -> float:
    """Steps per CPU-second of gridrl, with rows, models and checkpoints written as always; no test episodes."""
    clocks: list[Clock] = []

    def make() -> Clock:
        clocks.append(Clock(gym.make(workload.env), workload.warm))
        return clocks[-1]

    with tempfile.TemporaryDirectory() as directory:
        ALGOS.load(workload.algorithm)(
            make,
            seed=seed,
            steps_per_epoch=(workload.warm + workload.steps) // 2,
            epochs=2,
            num_test_episodes=0,
            logger_kwargs={"output_dir": directory, "quiet": True},
            **workload.ours,
        )
    return clocks[0].rate


def theirs(workload: Workload, seed: int) -> float:
    """Steps per CPU-second of stable-baselines3, which writes nothing."""
    clock = Clock(gym.make(workload.env), workload.warm)
    algorithm = getattr(stable_baselines3, workload.algorithm.upper())
    model = algorithm("MlpPolicy", clock, device="cpu", seed=seed, **workload.theirs)
    model.learn(workload.warm + workload.steps)
    return clock.rate


@dataclass(frozen=True)
class Result:
    """Steps per CPU-second of both sides, theirs first, in each round."""

    workload: Workload
    rounds: Sequence[tuple[float, float]]

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours is, in each round, the least first."""
        return sorted(fast / slow for slow, fast in self.rounds)

    @property
    def ratio(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.ratios)

    def __str__(self) -> str:
        slow, fast = (statistics.median(rates) for rates in zip(*self.rounds, strict=True))
        spread = f"{self.ratios[0]:.2f} - {self.ratios[-1]:.2f}"
        cells = (self.workload.title, f"{slow:,.0f}", f"{fast:,.0f}", f"{self.ratio:.2f}", spread, self.workload.target)
        return f"| {' | '.join(map(str, cells))} |"


def table(results: Sequence[Result]) -> str:
    """The results in Markdown."""
    lines = ["| | stable-baselines3 | gridrl | ratio | of the rounds | target |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *map(str, results)])


def section(results: Sequence[Result], rounds: int) -> list[str]:
    """What stands on the page: what was measured, how, and on what."""
    method = (
        f"Environment steps per CPU-second, the medians of {rounds} rounds, in each of which the sides take turns in "
        "processes of their own, and of their ratios; the same hyperparameters on both sides (SAC, TD3: hidden layers "
        "256, 256, batches of 256). Start-up and the "
        "first steps are not counted; our logging, models and checkpoints with the replay are, the other side writes "
        "none."
    )
    versions = machine("torch", "numpy", "gymnasium", "mujoco", "stable-baselines3")
    return [method, table(results), f"One thread; {versions}."]


SIDES = {"ours": ours, "theirs": theirs}


def measured(side: str, workload: Workload, seed: int) -> float:
    """One measurement, in a process of its own."""
    command = [sys.executable, __file__, "--measure", side, str(WORKLOADS.index(workload)), str(seed)]
    ended = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, timeout=900, check=True
    )
    return float(ended.stdout.split()[-1])


def main() -> int:
    """Measures, prints, and says by its result whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured (default 3)")
    parser.add_argument("--only", help="the workloads of one algorithm; the page is left alone")
    parser.add_argument("--measure", nargs=3, metavar=("SIDE", "WORKLOAD", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, workload, seed = options.measure
        torch.set_num_threads(1)
        print(SIDES[side](WORKLOADS[int(workload)], int(seed)))
        return 0
    results = []
    for workload in WORKLOADS:
        if options.only in (None, workload.algorithm):
            pairs = [
                (measured("theirs", workload, seed), measured("ours", workload, seed)) for seed in range(options.rounds)
            ]
            results.append(Result(workload, pairs))
    if options.only is None:
        print(write_section("Off-policy algorithms against stable-baselines3", section(results, options.rounds)))
    else:
        print(table(results))
    return 0 if all(result.ratio >= result.workload.target for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
