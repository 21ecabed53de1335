"""A grid of sixty short runs, for tests that disturb it: half of them PPO, half a loop that gridrl knows nothing of.

    python -m tests.launch.victims DATA_DIR JOBS

It is the launcher, to be started from the root of the repository.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gridrl import ExperimentGrid

OWN_LOOP = f"{Path(__file__).parents[2] / 'examples' / 'own_loop.py'}:train"
PPO = "tests.launch.victims:short_ppo"
EPOCHS = 10
SEEDS = 30


def short_ppo(epochs: int, seed: int, logger_kwargs: dict[str, Any]) -> None:
    """Trains for a moment, with networks that take a moment to write: a checkpoint of 1.6 MB every two epochs."""
    from gridrl.algos.ppo import ppo
    from gridrl.envs.making import env_fn

    ppo(
        env_fn("CartPole-v1"),
        ac_kwargs={"hidden_sizes": (256, 256)},
        seed=seed,
        steps_per_epoch=30,
        epochs=epochs,
        train_pi_iters=2,
        train_v_iters=2,
        save_freq=2,
        logger_kwargs=logger_kwargs | {"quiet": True},
    )


def main(data_dir: str, jobs: str) -> int:
    """Launches the grid; a run that breaks off is started again as often as it takes."""
    grid = ExperimentGrid("g")
    grid.add("thunk", [PPO, OWN_LOOP])
    grid.add("epochs", EPOCHS)
    grid.add("seed", list(range(SEEDS)))
    result = grid.run("thunk", data_dir=data_dir, jobs=int(jobs), retries=1000, max_failures=100_000)
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
