"""How well our algorithms learn beside stable-baselines3's, with its preset on both sides.

    python benchmarks/rivals.py [NAME ...] [--side gridrl|sb3] [--jobs 2] [--draw]

Trains through the launcher into data/rivals/, where finished runs are recognised: to come back after an interruption
is the same command again. Then draws a figure for each algorithm into docs/images/ and writes the section of
docs/benchmarks.md with the tables of `python -m gridrl.run table`. Names (`sac-halfcheetah`) choose comparisons,
`--list` tells them; `--draw` trains nothing. All of it takes half a day on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gallery import shrink
from pages import chosen, machine, write_section

from gridrl import ExperimentGrid
from gridrl.algos.presets import preset
from gridrl.commands.table import formatted
from gridrl.results.reader import find_runs
from gridrl.results.table import table
from gridrl.run import main as run
from gridrl.utils.files import RunPaths

ROOT = Path(__file__).parent.parent
DATA = Path("data") / "rivals"
SIDES = {"gridrl": "gridrl", "sb3": "stable-baselines3"}
KEPT = ("config.json", "progress.txt", "status.json")


@dataclass(frozen=True)
class Comparison:
    """An algorithm in an environment.

    Attributes:
        algorithm: its name.
        env: the environment's id.
        steps_per_epoch: environment steps a row.
        epochs: rows.
        seeds: how many, from 0 on.
    """

    algorithm: str
    env: str
    steps_per_epoch: int
    epochs: int
    seeds: int = 5

    @property
    def name(self) -> str:
        """Chooses it on the command line."""
        return f"{self.algorithm}-{self.env.partition('-')[0].lower()}"

    @property
    def steps(self) -> int:
        """Environment steps of a run."""
        return self.steps_per_epoch * self.epochs

    @property
    def last(self) -> int:
        """Rows of a final score: the last fifth."""
        return self.epochs // 5

    @property
    def column(self) -> str:
        """What is compared: the return without exploration, where the algorithm plays test episodes."""
        return "AverageEpRet" if self.algorithm == "ppo" else "AverageTestEpRet"

    def values(self, side: str) -> dict[str, Any]:
        """The hyperparameters of one side."""
        length = {"env_name": self.env, "steps_per_epoch": self.steps_per_epoch, "epochs": self.epochs}
        if side == "sb3":
            return {"algorithm": self.algorithm, **length, "num_test_episodes": 0 if self.algorithm == "ppo" else 10}
        return {**preset(self.algorithm, "sb3"), **length}

    def train(self, side: str, jobs: int | None) -> bool:
        """Runs what has not been run; whether all of it is done."""
        grid = ExperimentGrid(name=f"{side}-{self.name}")
        for key, value in self.values(side).items():
            grid.add(key, [value])
        grid.add("seed", list(range(self.seeds)))
        thunk = "rival:sb3" if side == "sb3" else f"gridrl.algos.{self.algorithm}:{self.algorithm}"
        return grid.run(thunk, data_dir=DATA, jobs=jobs).ok


COMPARISONS = (
    Comparison("sac", "Pendulum-v1", 1000, 10),
    *(Comparison("dqn", env, 5000, 20) for env in ("CartPole-v1", "Acrobot-v1", "LunarLander-v3")),
    *(Comparison("ppo", env, 2048, 24) for env in ("CartPole-v1", "Acrobot-v1", "Pendulum-v1")),
    *(Comparison("ppo", env, 2048, 48) for env in ("LunarLander-v3", "HalfCheetah-v5")),
    Comparison("sac", "HalfCheetah-v5", 5000, 20, seeds=3),
)


def figure(comparisons: list[Comparison]) -> str:
    """Draws both sides of comparisons of one algorithm and length, a plot for each; gives the picture's name."""
    first = comparisons[0]
    picture = ROOT / "docs" / "images" / f"rivals-{first.algorithm}-{first.steps // 1000}k.png"
    curves = [(str(DATA / f"{side}-{entry.name}"), title) for entry in comparisons for side, title in SIDES.items()]
    dirs, legend = zip(*curves, strict=True)
    words = ["plot", *dirs, "--legend", *legend, "-y", first.column, "--by", "env_name"]
    if run([*words, "--save", str(picture)]):
        raise SystemExit(f"{picture.stem}: no figure")
    shrink(picture)
    return picture.name


def scores(comparison: Comparison) -> list[str]:
    """What is told of one comparison: the table in Markdown, and how far the sides are apart."""
    dirs = {side: DATA / f"{side}-{comparison.name}" for side in SIDES}
    made = table(find_runs(dirs.values()), value=comparison.column, last=comparison.last)
    of_side = {row.label.partition("-")[0]: row.scores for row in made.rows}
    seeds = "; ".join(f"{SIDES[side]} {', '.join(f'{score:.4g}' for score in of_side[side])}" for side in SIDES)
    ours, theirs = (of_side[side] for side in SIDES)
    spread = statistics.stdev(theirs)
    apart = abs(statistics.mean(ours) - statistics.mean(theirs))
    told = f"The means are {apart:.4g} apart; {SIDES['sb3']}'s seeds have a standard deviation of {spread:.4g}."
    return [formatted(made, "markdown").strip(), f"The seeds: {seeds}. {told}"]


def section() -> list[str]:
    """What stands on the page of everything that has been run on both sides."""
    paragraphs = [
        "Both sides have stable-baselines3's defaults (`--preset sb3`), one thread, and the same number of environment "
        "steps. The rows of PPO are of training episodes, those of the others of ten test episodes without "
        "exploration. Other defaults than these learn faster in several of these environments; here the two programs "
        "are compared, not settings.",
        "`python benchmarks/rivals.py` trains and draws all of it; the rows of every run lie in `data/rivals/`.",
    ]
    ready = [entry for entry in COMPARISONS if is_ready(entry)]
    for algorithm, length in dict.fromkeys((entry.algorithm, entry.steps) for entry in ready):
        alike = [entry for entry in ready if (entry.algorithm, entry.steps) == (algorithm, length)]
        name = f"{algorithm.upper()}, {length:,} steps"
        paragraphs += [f"### {name}", f"![{name}, beside stable-baselines3](images/{figure(alike)})"]
        for entry in alike:
            paragraphs += [f"{entry.env}:", *scores(entry)]
    return [*paragraphs, f"{machine('torch', 'numpy', 'gymnasium', 'stable-baselines3', 'mujoco', 'box2d')}."]


def is_ready(comparison: Comparison) -> bool:
    """Whether both sides have been run."""
    return all((ROOT / DATA / f"{side}-{comparison.name}").is_dir() for side in SIDES)


def leave_rows() -> None:
    """Takes out of finished runs what nobody needs to read or draw them."""
    for status in (ROOT / DATA).glob("*/*/status.json"):
        for path in sorted(RunPaths(status.parent).root.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            elif path.name not in KEPT:
                path.unlink()


def main() -> int:
    """Trains, draws, writes; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which comparisons (default: all)")
    parser.add_argument("--list", action="store_true", help="tells the names and does nothing")
    parser.add_argument("--side", choices=SIDES, help="trains one side only, and draws nothing")
    parser.add_argument("--jobs", type=int, help="runs at once (default: one for each core)")
    parser.add_argument("--draw", action="store_true", help="trains nothing")
    options = parser.parse_args()
    os.chdir(ROOT)
    if options.list:
        print("\n".join(entry.name for entry in COMPARISONS))
        return 0
    for entry in chosen(options.names, COMPARISONS, "comparison") if not options.draw else []:
        for side in [options.side] if options.side else SIDES:
            if not entry.train(side, options.jobs):
                return 1
    if options.side is None:
        leave_rows()
        print(write_section("Learning beside stable-baselines3", section()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
