"""Runs a trained policy in its environment: a table of episodes, in a window or as videos if asked."""

from __future__ import annotations

import argparse
import os
import statistics
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gridrl.commands.display import has_display
from gridrl.commands.parser import CommandParser, whole_number
from gridrl.errors import BadValue, Problems
from gridrl.results.reader import find_runs, runs_near
from gridrl.utils.console import say
from gridrl.utils.files import RunPaths
from gridrl.utils.optional import is_installed
from gridrl.utils.seeding import generator

if TYPE_CHECKING:
    import gymnasium

    from gridrl.algos.loading import LoadedPolicy


def main(words: Sequence[str]) -> int:
    """Prints a row for each episode, and what they come to."""
    options = _read(words)
    run_dir = find_run(Path(options.run_dir))
    from gridrl.algos.loading import load

    policy = load(run_dir, itr=None if options.itr == -1 else options.itr)
    how = "sampled" if options.sample else "deterministic"
    count = "1 episode" if options.episodes == 1 else f"{options.episodes} episodes"
    say(f"{run_dir}: {count}, {how} actions, seed {options.seed}")
    say(f"{'episode':>9}{'return':>12}{'length':>9}")
    episodes = []
    for index, (total, length) in enumerate(run_episodes(policy, options)):
        say(f"{index:>9}{total:>12.2f}{length:>9}")
        episodes.append((total, length))
    for line in summary(episodes):
        say(line)
    if options.record:
        say(f"Videos: {options.record}")
    return 0


def _read(words: Sequence[str]) -> argparse.Namespace:
    options = _parser().read(words)
    problems = Problems()
    if options.sample and options.deterministic:
        problems.add("`--sample` and `--deterministic` exclude each other.")
    if options.episodes < 1:
        problems.add(f"`--episodes`: wants at least 1, got {options.episodes}.")
    if options.seed < 0:
        problems.add(f"`--seed`: wants a whole number from 0 on, got {options.seed}.")
    if options.len < 0:
        problems.add(f"`--len`: wants at least 1 step, or 0 for no limit, got {options.len}.")
    if options.render and options.record:
        problems.add("`--render` and `--record` exclude each other: one opens a window, the other writes videos.")
    elif options.render and not has_display():
        problems.add("`--render`: there is no display to open a window on. `--record DIR` writes videos instead.")
    if options.record and not is_installed("moviepy"):
        problems.add("`--record` needs moviepy, which is not installed: pip install 'gridrl[video]'.")
    problems.raise_if_any(BadValue)
    return options


def find_run(directory: Path) -> Path:
    """The run directory that is meant: the directory itself, or the only run below it.

    Raises:
        BadValue: there is no such directory, several runs are below it, or it holds no policy; runs near are told.
    """
    if not directory.is_dir():
        raise BadValue(f"{directory}: there is no such directory.{_told(runs_near(directory))}")
    found = [run.dir for run in find_runs([directory]).runs]
    is_run = directory in found or RunPaths(directory).config.is_file()  # one that has no row yet is a run too
    if not found and not is_run:
        raise BadValue(f"{directory}: holds no run.{_told(runs_near(directory.absolute().parent))}")
    if not is_run and len(found) > 1:
        shown = found[:8]
        more = f"\n  ... and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
        raise BadValue(f"{directory}: holds {len(found)} runs; one is wanted.{_told(shown)}{more}")
    run_dir = directory if is_run else found[0]
    if not RunPaths(run_dir).model.is_dir():
        raise BadValue(
            f"{run_dir}: no policy was saved there. A run saves one every `save_freq` epochs, and at its end."
        )
    return run_dir


def _told(run_dirs: Sequence[Path]) -> str:
    return "".join([" Runs there are:", *(f"\n  {run_dir}" for run_dir in run_dirs)]) if run_dirs else ""


def run_episodes(policy: LoadedPolicy, options: argparse.Namespace) -> Iterator[tuple[float, int]]:
    """Return and length of one episode after the other; each begins with a seed of its own."""
    env = _make_env(policy, options)
    try:
        for seed in range(options.seed, options.seed + options.episodes):
            yield _episode(policy, env, options, seed)
    finally:
        env.close()


def _episode(
    policy: LoadedPolicy, env: gymnasium.Env[Any, Any], options: argparse.Namespace, seed: int
) -> tuple[float, int]:
    rng = generator(seed, "actions")
    observation, _ = env.reset(seed=seed)
    total, length, is_over = 0.0, 0, False
    while not is_over:
        action = policy.act(observation, deterministic=not options.sample, rng=rng)
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        length += 1
        is_over = terminated or truncated or length == options.len
    return total, length


def _make_env(policy: LoadedPolicy, options: argparse.Namespace) -> gymnasium.Env[Any, Any]:
    mode = "human" if options.render else "rgb_array" if options.record else None
    env = policy.make_env() if mode is None else policy.make_env(render_mode=mode)
    if not options.record:
        return env
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame's, which would look for a screen
    from gymnasium.wrappers import RecordVideo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a folder that is there already
        return RecordVideo(env, options.record, episode_trigger=lambda _: True)


def summary(episodes: Sequence[tuple[float, int]]) -> list[str]:
    """Mean, standard deviation, least and greatest of returns and lengths, as lines of a table.

    >>> print("\\n".join(summary([(1.0, 10), (3.0, 20)])))
    <BLANKLINE>
                     mean         std         min         max
       return        2.00        1.00        1.00        3.00
       length       15.00        5.00       10.00       20.00
    """
    lines = ["", f"{'':9}" + "".join(f"{name:>12}" for name in ("mean", "std", "min", "max"))]
    for name, values in zip(("return", "length"), zip(*episodes, strict=True), strict=True):
        numbers = (statistics.fmean(values), statistics.pstdev(values), min(values), max(values))
        lines.append(f"{name:>9}" + "".join(f"{number:>12.2f}" for number in numbers))
    return lines


def _parser() -> CommandParser:
    parser = CommandParser(
        "test_policy",
        "RUN_DIR [options]",
        "Runs the trained policy of a run and prints the return and length of each episode.",
        ["data/ppo/ppo_s0 --episodes 20", "data/ppo/ppo_s0 --sample --record videos"],
    )
    add = parser.add_argument
    add("run_dir", metavar="RUN_DIR", help="the directory of one run")
    add(
        "-l",
        "--len",
        type=whole_number,
        default=0,
        metavar="N",
        help="end an episode after N steps; 0: where it ends itself",
    )
    add("-n", "--episodes", type=whole_number, default=10, metavar="N", help="how many; default: %(default)s")
    add(
        "-i",
        "--itr",
        type=whole_number,
        default=-1,
        metavar="N",
        help="the policy that was saved at epoch N; default: the last",
    )
    add("-d", "--deterministic", action="store_true", help="the likeliest action at each step (this is the default)")
    add("--sample", action="store_true", help="draw the actions, as in training")
    add(
        "--seed",
        type=whole_number,
        default=0,
        metavar="N",
        help="of the first episode, the next has N+1; default: %(default)s",
    )
    add("-r", "--render", action="store_true", help="show it in a window")
    add("-nr", "--norender", action="store_true", help="show nothing (this is the default)")
    add("--record", metavar="DIR", help="write a video of each episode into DIR (needs the extra `video`)")
    return parser
