"""What every algorithm must learn: environments, hyperparameters, and the returns that every seed has to reach."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gridrl.algos.presets import preset

GREEDY = "greedy return"
LAST_TESTS = "mean of the last test episodes"


@dataclass(frozen=True)
class Gate:
    """What is trained, and the return that every seed has to reach.

    Attributes:
        title: of its section, the algorithm first.
        algorithm: its name.
        env: the environment's id.
        seeds: how many, from 0 on.
        gate: the return that is asked for.
        hyperparameters: beside the defaults; `steps_per_epoch` and `epochs` among them.
        measure: what is compared with the gate, `GREEDY` or `LAST_TESTS`.
        preset: whose values stand among the hyperparameters, for the command.
    """

    title: str
    algorithm: str
    env: str
    seeds: int
    gate: float
    hyperparameters: Mapping[str, Any]
    measure: str = GREEDY
    preset: str | None = None

    @property
    def name(self) -> str:
        """Chooses it on the command line; its grid and its picture have it too."""
        return f"{self.algorithm}-{self.env.partition('-')[0].lower()}"

    @property
    def command(self) -> str:
        """What a user types for the same runs."""
        known = preset(self.algorithm, self.preset) if self.preset else {}
        words = ["python", "-m", "gridrl.run", self.algorithm, "--env", self.env, "--seeds", str(self.seeds)]
        words += ["--preset", self.preset] if self.preset else []
        for key, value in self.hyperparameters.items():
            if key not in known or known[key] != value:
                words += [f"--{key}", str(value)]
        return shlex.join(words)


GATES = (
    Gate(
        "PPO on CartPole-v1",
        "ppo",
        "CartPole-v1",
        seeds=5,
        gate=475.0,
        hyperparameters={**preset("ppo", "sb3"), "steps_per_epoch": 4096, "epochs": 20},
        preset="sb3",
    ),
    Gate(
        "PPO on Pendulum-v1, eight environments",
        "ppo",
        "Pendulum-v1",
        seeds=3,
        gate=-250.0,
        hyperparameters={
            **preset("ppo", "sb3"),
            "steps_per_epoch": 4096,
            "epochs": 30,
            "num_envs": 8,
            "minibatch_size": 128,
            "gamma": 0.9,
            "pi_lr": 1e-3,
            "vf_lr": 1e-3,
            "normalize_reward": True,
        },
        preset="sb3",
    ),
    Gate(
        "VPG on CartPole-v1",
        "vpg",
        "CartPole-v1",
        seeds=3,
        gate=475.0,
        hyperparameters={"pi_lr": 0.01, "steps_per_epoch": 1000, "epochs": 100},
    ),
    Gate(
        "TRPO on CartPole-v1",
        "trpo",
        "CartPole-v1",
        seeds=3,
        gate=475.0,
        hyperparameters={"steps_per_epoch": 4000, "epochs": 25},
    ),
    Gate(
        "DQN on CartPole-v1",
        "dqn",
        "CartPole-v1",
        seeds=5,
        gate=475.0,
        hyperparameters={"steps_per_epoch": 4000, "epochs": 15},
    ),
    Gate(
        "SAC on Pendulum-v1",
        "sac",
        "Pendulum-v1",
        seeds=5,
        gate=-200.0,
        hyperparameters={
            **preset("sac", "sb3"),
            "ac_kwargs:hidden_sizes": [64, 64],
            "lr": 1e-3,
            "steps_per_epoch": 1000,
            "epochs": 8,
        },
        measure=LAST_TESTS,
        preset="sb3",
    ),
    *(
        Gate(
            f"{algorithm.upper()} on Pendulum-v1",
            algorithm,
            "Pendulum-v1",
            seeds=3,
            gate=-250.0,
            hyperparameters={
                **preset(algorithm, "sb3"),
                "ac_kwargs:hidden_sizes": [64, 64],
                "act_noise": 0.1,
                "start_steps": 1000,
                "update_after": 1000,
                "steps_per_epoch": 1000,
                "epochs": 20,
            },
            measure=LAST_TESTS,
            preset="sb3",
        )
        for algorithm in ("td3", "ddpg")
    ),
)
