"""PPO against stable-baselines3: environment steps per CPU-second, one thread, our logging on.

    python benchmarks/ppo.py [--rounds 3]

Both sides learn CartPole-v1 with the same hyperparameters, each measurement in a process of its own, the sides in
turn. Start-up (imports, making environments and networks, a first epoch) is not counted. CPU time is what counts, so
that a busy machine changes the numbers little and their ratio less; the best round of each side is taken. Then the
part of all this that is the trainer's own is measured: what a batch costs beyond the call of its loss. Prints a
Markdown table; the exit status is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pages import machine, write_section
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import gridrl
from gridrl.envs.making import env_fn
from gridrl.log.progress import read_progress
from gridrl.train.callback import Callback
from gridrl.train.trainer import Trainer

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Workload:
    """A setting that both sides train in, and how many times faster than theirs ours has to be."""

    name: str
    num_envs: int
    steps: int  # per environment and epoch
    minibatch_size: int
    epochs: int  # that are timed
    target: float

    @property
    def steps_per_epoch(self) -> int:
        """Steps of all environments."""
        return self.num_envs * self.steps


PASSES = 10
WORKLOADS = (
    Workload("1 environment x 4096 steps, minibatch 64", 1, 4096, 64, epochs=2, target=3.5),
    Workload("8 environments x 256 steps, minibatch 256", 8, 256, 256, epochs=10, target=2.2),
)


TRAINER_SHARE = 0.03  # at most, of the time of an epoch
BATCHES = 20_000


class Clock:
    """A learning-rate schedule that changes nothing, and notes the CPU time when it is asked: once at each epoch."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def __call__(self, epoch: int) -> float:
        """The factor of every epoch."""
        self.marks.append(time.process_time())
        return 1.0


def ours(workload: Workload, seed: int) -> float:
    """Steps per CPU-second of gridrl, with rows, models and checkpoints written as always."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        gridrl.ppo(
            env_fn("CartPole-v1"),
            seed=seed,
            steps_per_epoch=workload.steps_per_epoch,
            epochs=workload.epochs + 1,
            lam=0.95,
            pi_lr=3e-4,
            vf_lr=3e-4,
            train_pi_iters=PASSES,
            target_kl=None,
            num_envs=workload.num_envs,
            minibatch_size=workload.minibatch_size,
            max_grad_norm=0.5,
            lr_schedule=clock,
            logger_kwargs={"output_dir": directory, "quiet": True},
        )
        seconds = time.process_time() - clock.marks[1]
        steps = transitions(workload, read_progress(f"{directory}/progress.txt", ["EpLen"])["EpLen"][1:])
    return steps / seconds


def transitions(workload: Workload, episode_length: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """The environment steps of these epochs; of a vector, the step that starts an episode again is none."""
    share = episode_length / (episode_length + 1.0) if workload.num_envs > 1 else np.ones_like(episode_length)
    return float(workload.steps_per_epoch * share.sum())


def theirs(workload: Workload, seed: int) -> float:
    """Steps per CPU-second of stable-baselines3, with its usual vector of environments and no logger's output."""
    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=workload.num_envs, seed=seed),
        n_steps=workload.steps,
        batch_size=workload.minibatch_size,
        n_epochs=PASSES,
        gae_lambda=0.95,
        learning_rate=3e-4,
        max_grad_norm=0.5,
        policy_kwargs={"net_arch": [64, 64]},
        device="cpu",
        seed=seed,
    )
    model.learn(workload.steps_per_epoch)
    begin = time.process_time()
    model.learn(workload.steps_per_epoch * workload.epochs, reset_num_timesteps=False)
    return workload.steps_per_epoch * workload.epochs / (time.process_time() - begin)


def table(results: list[tuple[Workload, float, float]]) -> str:
    """The results in Markdown."""
    lines = [
        "| PPO on CartPole-v1, hidden layers 64, 64, 10 passes | stable-baselines3 | gridrl | ratio | target |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {workload.name} | {slow:,.0f} | {fast:,.0f} | {fast / slow:.1f} | {workload.target} |"
        for workload, slow, fast in results
    ]
    return "\n".join(lines)


def section(results: list[tuple[Workload, float, float]], rounds: int, found: list[Share]) -> list[str]:
    """What stands on the page: what was measured, how, and on what."""
    method = (
        f"Environment steps per CPU-second, the best of {rounds} rounds; the same hyperparameters on both sides, which "
        "take turns in processes of their own. Start-up and a first epoch are not counted; our logging, models and "
        "checkpoints are, the other side writes none."
    )
    versions = machine("torch", "numpy", "gymnasium", "stable-baselines3")
    return [method, table(results), told(found), f"One thread; {versions}."]


def vpg(workload: Workload, seed: int) -> float:
    """Steps per CPU-second of the plain policy gradient by its documented defaults."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        logger_kwargs = {"output_dir": directory, "quiet": True}
        gridrl.vpg(env_fn("CartPole-v1"), seed=seed, epochs=3, lr_schedule=clock, logger_kwargs=logger_kwargs)
        return 2 * 4000 / (time.process_time() - clock.marks[1])


class Nothing(Callback):
    """Takes what the loss of a minibatch takes, and does nothing with it."""

    data_group = "minibatch"

    def backward(self, obs: Any, action: Any, logp: Any, adv: Any, ret: Any) -> None:
        """Called by a trainer, or by hand."""


def trainer_cost(rounds: int) -> float:
    """CPU seconds that a batch costs in a trainer beyond the call of its loss, the best round of each side."""
    loss, tensor = Nothing(), torch.zeros(64)
    names = ("obs", "action", "logp", "adv", "ret")
    batch = {"minibatch": dict.fromkeys(names, tensor), "batch_size": 64}
    in_trainer, by_hand = [], []
    for _ in range(rounds):
        begin = time.process_time()
        Trainer([loss], itertools.repeat(batch, BATCHES)).train()
        between = time.process_time()
        for given in itertools.repeat(batch, BATCHES):
            loss.backward(*[given["minibatch"][name] for name in names])
        in_trainer.append(between - begin)
        by_hand.append(time.process_time() - between)
    return (min(in_trainer) - min(by_hand)) / BATCHES


@dataclass(frozen=True)
class Share:
    """How much of the time of an epoch is the trainer's.

    Attributes:
        name: of the algorithm and its setting.
        updates: in an epoch.
        epoch_s: CPU seconds of an epoch.
        cost_s: what the trainer costs for an update.
    """

    name: str
    updates: int
    epoch_s: float
    cost_s: float

    @property
    def part(self) -> float:
        """Of an epoch's time."""
        return self.updates * self.cost_s / self.epoch_s

    def __str__(self) -> str:
        return f"{100 * self.part:.2f} % of `{self.name}` ({self.updates} updates per epoch)"


def shares(results: list[tuple[Workload, float, float]], vpg_speed: float, cost_s: float) -> list[Share]:
    """The trainer's part of each workload, and of the plain policy gradient."""
    found = [
        Share(
            f"ppo, {workload.name}",
            PASSES * math.ceil(workload.steps_per_epoch / workload.minibatch_size),
            workload.steps_per_epoch / fast,
            cost_s,
        )
        for workload, _, fast in results
    ]
    return [*found, Share("vpg, the documented defaults", 81, 4000 / vpg_speed, cost_s)]


def told(found: list[Share]) -> str:
    """A sentence for the page."""
    return (
        f"The trainer itself costs {1e6 * found[0].cost_s:.1f} µs of CPU for each update, measured with a loss that "
        f"does nothing against calling it by hand: {'; '.join(map(str, found))}. The target is "
        f"{100 * TRAINER_SHARE:.0f} % at most."
    )


SIDES = {"ours": ours, "theirs": theirs, "vpg": vpg}


def measured(side: str, workload: Workload, seed: int) -> float:
    """One measurement, in a process of its own."""
    command = [sys.executable, __file__, "--measure", side, str(WORKLOADS.index(workload)), str(seed)]
    ended = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return float(ended.stdout.split()[-1])


def main() -> int:
    """Measures, prints, and says by its result whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is measured (default 3)")
    parser.add_argument("--measure", nargs=3, metavar=("SIDE", "WORKLOAD", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, workload, seed = options.measure
        torch.set_num_threads(1)
        print(SIDES[side](WORKLOADS[int(workload)], int(seed)))
        return 0
    results = []
    for workload in WORKLOADS:
        pairs = [
            (measured("theirs", workload, seed), measured("ours", workload, seed)) for seed in range(options.rounds)
        ]
        results.append((workload, max(slow for slow, _ in pairs), max(fast for _, fast in pairs)))
    vpg_speed = max(measured("vpg", WORKLOADS[0], seed) for seed in range(options.rounds))
    found = shares(results, vpg_speed, trainer_cost(max(3, options.rounds)))
    print(write_section("PPO against stable-baselines3", section(results, options.rounds, found)))
    reached = all(fast / slow >= workload.target for workload, slow, fast in results)
    return 0 if reached and all(share.part <= TRAINER_SHARE for share in found) else 1


if __name__ == "__main__":
    sys.exit(main())
