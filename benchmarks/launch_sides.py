"""What benchmarks/launch.py measures: the work of a run, and the ways of launching many of them.

    python benchmarks/launch_sides.py SIDE WORK RUNS

starts RUNS runs of WORK, two at a time, in the way that SIDE names, and ends when all have ended.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

JOBS = 2
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def imports(seed: int = 0) -> None:
    """Imports torch and gymnasium, and calls a small network once."""
    import gymnasium
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    print(gymnasium.__version__, seed, net(torch.ones(1, 4)).shape)


def optimiser(seed: int = 0) -> None:
    """The start of a real experiment: an environment, a network, an optimiser and one step of it."""
    import gymnasium
    import torch

    env = gymnasium.make("CartPole-v1")
    obs, _ = env.reset(seed=seed)
    net = torch.nn.Sequential(torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2))
    adam = torch.optim.Adam(net.parameters())
    loss = net(torch.as_tensor(obs)).sum()
    loss.backward()
    adam.step()
    print(seed, float(loss.detach()))


def nothing(seed: int = 0) -> None:
    """No work at all."""


def sleep(seed: int = 0) -> None:
    """Waits for ten seconds."""
    import time

    time.sleep(10)


WORK = {"imports": imports, "optimiser": optimiser, "nothing": nothing, "sleep": sleep}


def fresh(work: str, runs: int) -> None:
    """A new interpreter for each run, and nothing else: no directories, no records."""

    def start(seed: int) -> None:
        environ = os.environ | ONE_THREAD
        subprocess.run(
            [sys.executable, __file__, "work", work, str(seed)], env=environ, check=True, capture_output=True
        )

    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(start, range(runs)))


def gridrl(work: str, runs: int) -> None:
    """This package as it comes: directories, configurations, logs, statuses."""
    from gridrl import ExperimentGrid

    grid = ExperimentGrid("launch")
    grid.add("seed", list(range(runs)))
    # It stays until the last measurement: making files is slow for minutes where others have just been deleted (ext4).
    result = grid.run(f"{__file__}:{work}", data_dir=tempfile.mkdtemp(), jobs=JOBS)
    if not result.ok:
        raise SystemExit(str(result))
    own = resource.getrusage(resource.RUSAGE_SELF)
    told = {"launcher_cpu_s": own.ru_utime + own.ru_stime, "launcher_peak_mb": own.ru_maxrss / 1024}
    print(json.dumps(told), file=sys.stderr)


def ray_tune(work: str, runs: int) -> None:
    """Ray Tune: a process for each trial."""
    os.environ |= ONE_THREAD | {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray
    from ray import tune

    def trial(config: dict[str, Any]) -> dict[str, int]:
        WORK[work](config["seed"])
        return {"done": 1}

    ray.init(num_cpus=JOBS, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    with tempfile.TemporaryDirectory() as directory:
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": 1}),
            param_space={"seed": tune.grid_search(list(range(runs)))},
            tune_config=tune.TuneConfig(reuse_actors=False),
            run_config=tune.RunConfig(storage_path=directory, verbose=0),
        )
        results = tuner.fit()
        if results.num_errors or len(results) != runs:
            raise SystemExit(f"Ray Tune: {results.num_errors} of {len(results)} failed")
    ray.shutdown()


def hydra_joblib(work: str, runs: int) -> None:
    """Hydra with its joblib launcher: two processes that carry out one job after the other."""
    os.environ |= ONE_THREAD
    import hydra
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("launch", {"work": work, "seed": 0})
    with tempfile.TemporaryDirectory() as directory:
        sys.argv[1:] = [
            "--multirun",
            "hydra/launcher=joblib",
            f"hydra.launcher.n_jobs={JOBS}",
            f"hydra.sweep.dir={directory}",
            f"seed=range({runs})",
        ]
        hydra.main(version_base=None, config_name="launch")(_hydra_job)()


def _hydra_job(config: Any) -> None:
    WORK[config.work](config.seed)


SIDES = {"fresh": fresh, "gridrl": gridrl, "ray": ray_tune, "hydra": hydra_joblib}


if __name__ == "__main__":
    side, name, number = sys.argv[1:]
    if side == "work":
        WORK[name](int(number))
    else:
        SIDES[side](name, int(number))
