"""The learning gates: every algorithm must learn what it is known to learn, on every seed.

    python benchmarks/learning.py [NAME ...] [--jobs 2] [--keep DIR]

Trains through the launcher. Draws the curves into docs/images/, writes each gate's section of docs/learning.md and
prints it; the exit status is 1 where a seed stays below its gate. Names (`ppo-cartpole`) choose gates, `--list` tells
them; the sections of the others are left alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gates import GATES, GREEDY, Gate
from pages import chosen, write_section

from gridrl import ExperimentGrid, load, plot
from gridrl.envs.making import env_fn
from gridrl.launch.result import RunResult
from gridrl.log.progress import read_progress

DOCS = Path(__file__).parent.parent / "docs"
EPISODES = 20
FIRST_EPISODE_SEED = 10_000  # not among those that the environments were trained with
HEAD = (
    "# Learning\n\nWritten by `make learning`, which fails where a seed stays below its gate. A greedy return is the "
    f"mean of {EPISODES} episodes of the saved policy, loaded from its run directory, taking its likeliest action; the "
    "last test episodes are the ten without exploration that end the run's last epoch; chance draws actions uniformly."
)


def score(gate: Gate, run: RunResult) -> float:
    """What a finished run is judged by."""
    if gate.measure == GREEDY:
        return greedy_return(run.run_dir)
    column = "AverageTestEpRet"
    return float(read_progress(run.run_dir / "progress.txt", [column])[column][-1])


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
    grid = ExperimentGrid(name=f"learning-{gate.name}")
    grid.add("env_name", gate.env)
    for key, value in gate.hyperparameters.items():
        grid.add(key, [value])
    grid.add("seed", list(range(gate.seeds)))
    result = grid.run(f"gridrl.algos.{gate.algorithm}:{gate.algorithm}", data_dir=data_dir, jobs=jobs)
    if not result.ok:
        raise SystemExit(f"{gate.title}: {result}")
    plot(
        [run.run_dir for run in result],
        legend=gate.title,
        save=DOCS / "images" / f"learning-{gate.name}.png",
    )
    return list(result)


def section(gate: Gate, scores: list[float]) -> list[str]:
    """What stands on the page."""
    told = ", ".join(f"{value:.0f}" for value in scores)
    passed = sum(value >= gate.gate for value in scores)
    steps = gate.hyperparameters["steps_per_epoch"] * gate.hyperparameters["epochs"]
    return [
        f"{gate.measure.capitalize()} after {steps:,} steps, {gate.seeds} seeds: **{told}**; the gate is {gate.gate:g} "
        f"({passed} of {gate.seeds} pass), chance gives {chance_return(gate.env):.0f}.",
        f"![{gate.title}](images/learning-{gate.name}.png)",
        f"```text\n{gate.command}\n```",
    ]


def main() -> int:
    """Trains, draws, writes, and says by its result whether every gate was passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which gates (default: all)")
    parser.add_argument("--list", action="store_true", help="tells the names and does nothing")
    parser.add_argument("--jobs", type=int, help="runs at once (default: one for each core)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the runs are kept (default: they are not)")
    options = parser.parse_args()
    if options.list:
        print("\n".join(gate.name for gate in GATES))
        return 0
    missed = []
    with tempfile.TemporaryDirectory() as temporary:
        for gate in chosen(options.names, GATES, "gate"):
            scores = [score(gate, run) for run in train(gate, options.keep or Path(temporary), options.jobs)]
            print(write_section(gate.title, section(gate, scores), DOCS / "learning.md", HEAD), flush=True)
            if min(scores) < gate.gate:
                missed.append(gate.title)
    for title in missed:
        print(f"Below its gate: {title}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
