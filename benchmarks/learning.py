"""The learning gates: PPO must solve CartPole-v1 on 5 of 5 seeds and learn Pendulum-v1 on 3 of 3.

    python benchmarks/learning.py [--jobs 2] [--keep DIR]

Trains through the launcher, loads each policy back from its run directory, and lets it play 20 episodes without
chance. Draws the curves into docs/images/, writes docs/learning.md, prints its table; the exit status is 1 where a
policy stays below its gate. Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridrl import ExperimentGrid, load, plot
from gridrl.algos.presets import preset
from gridrl.envs.making import env_fn
from gridrl.launch.result import RunResult

DOCS = Path(__file__).parent.parent / "docs"
EPISODES = 20
FIRST_EPISODE_SEED = 10_000  # not among those that the environments were trained with


@dataclass(frozen=True)
class Gate:
    """An environment, how it is trained, and the greedy return that every seed has to reach."""

    title: str
    env: str
    seeds: int
    gate: float
    hyperparameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the grid and the picture."""
        return f"learning-{self.env.partition('-')[0].lower()}"


GATES = (
    Gate(
        "CartPole-v1, one environment",
        "CartPole-v1",
        seeds=5,
        gate=475.0,
        hyperparameters={**preset("ppo", "sb3"), "steps_per_epoch": 4096, "epochs": 20},
    ),
    Gate(
        "Pendulum-v1, eight environments",
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
    ),
)


def greedy_return(run_dir: Path) -> float:
    """The mean return of a saved policy that takes the likeliest action."""
    policy = load(run_dir)
    return mean_return(policy.make_env(), policy.act)


def chance_return(env_id: str) -> float:
    """The mean return of actions drawn uniformly."""
    env = env_fn(env_id)()
    env.action_space.seed(0)
    return mean_return(env, lambda obs: env.action_space.sample())


def mean_return(env: Any, act: Callable[[Any], Any]) -> float:
    """The mean return of 20 episodes."""
    total = 0.0
    for episode in range(EPISODES):
        obs, _ = env.reset(seed=FIRST_EPISODE_SEED + episode)
        done = False
        while not done:
            obs, reward, terminated, truncated, _ = env.step(act(obs))
            total += float(reward)
            done = terminated or truncated
    env.close()
    return total / EPISODES


def train(gate: Gate, data_dir: Path, jobs: int | None) -> list[RunResult]:
    """Runs every seed and draws the curves."""
    grid = ExperimentGrid(name=gate.name)
    grid.add("env_name", gate.env)
    for key, value in gate.hyperparameters.items():
        grid.add(key, [value])
    grid.add("seed", list(range(gate.seeds)))
    result = grid.run("gridrl.algos.ppo:ppo", data_dir=data_dir, jobs=jobs)
    if not result.ok:
        raise SystemExit(f"{gate.title}: {result}")
    plot([run.run_dir for run in result], legend=gate.title, save=DOCS / "images" / f"{gate.name}.png")
    return list(result)


def page(results: list[tuple[Gate, list[float]]]) -> str:
    """What stands in docs/learning.md."""
    table = ["| | seeds | gate | greedy returns | chance |", "|---|---|---|---|---|"]
    table += [
        f"| {gate.title}, {gate.hyperparameters['steps_per_epoch'] * gate.hyperparameters['epochs']:,} steps "
        f"| {gate.seeds} | {gate.gate:g} | {', '.join(f'{value:.0f}' for value in returns)} "
        f"| {chance_return(gate.env):.0f} |"
        for gate, returns in results
    ]
    pictures = [f"![{gate.title}](images/{gate.name}.png)" for gate, _ in results]
    settings = [
        f"{gate.title}: " + ", ".join(f"`{key}={value}`" for key, value in gate.hyperparameters.items()) + "."
        for gate, _ in results
    ]
    text = (
        "# Learning\n\nWritten by `make learning`, which fails where a policy stays below its gate. A greedy return is "
        f"the mean of {EPISODES} episodes of the saved policy, loaded from its run directory, taking its likeliest "
        "action; chance draws actions uniformly."
    )
    return "\n\n".join([text, "\n".join(table), *pictures, "## Hyperparameters", *settings]) + "\n"


def main() -> int:
    """Trains, draws, writes, and says by its result whether every gate was passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, help="runs at once (default: one for each core)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the runs are kept (default: they are not)")
    options = parser.parse_args()
    (DOCS / "images").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = options.keep or Path(temporary)
        results = []
        for gate in GATES:
            runs = train(gate, data_dir, options.jobs)
            results.append((gate, [greedy_return(run.run_dir) for run in runs]))
    (DOCS / "learning.md").write_text(page(results))
    print(page(results))
    missed = [gate.title for gate, returns in results if min(returns) < gate.gate]
    for title in missed:
        print(f"Below its gate: {title}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
