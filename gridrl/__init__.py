"""gridrl launches grids of reinforcement-learning experiments, and brings the algorithms to fill them.

The public names are loaded when they are first used: importing the package costs no torch, no matplotlib, no MPI.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridrl.algos import ALGOS
    from gridrl.algos.ddpg import ddpg
    from gridrl.algos.dqn import dqn
    from gridrl.algos.loading import load
    from gridrl.algos.ppo import ppo
    from gridrl.algos.sac import sac
    from gridrl.algos.td3 import td3
    from gridrl.algos.trpo import trpo
    from gridrl.algos.vpg import vpg
    from gridrl.build import Builder
    from gridrl.errors import ExperimentFailed, GridRLError
    from gridrl.launch.experiment import call_experiment
    from gridrl.launch.grid import ExperimentGrid
    from gridrl.log.current import current_run
    from gridrl.log.logger import EpochLogger, Logger, setup_logger_kwargs
    from gridrl.results.figure import plot
    from gridrl.utils.mpirun import mpi_fork

__version__ = "0.1.0"

# name -> the module that defines it
_PUBLIC = {
    "ALGOS": "gridrl.algos",
    "Builder": "gridrl.build",
    "EpochLogger": "gridrl.log.logger",
    "ExperimentFailed": "gridrl.errors",
    "ExperimentGrid": "gridrl.launch.grid",
    "GridRLError": "gridrl.errors",
    "Logger": "gridrl.log.logger",
    "call_experiment": "gridrl.launch.experiment",
    "current_run": "gridrl.log.current",
    "ddpg": "gridrl.algos.ddpg",
    "dqn": "gridrl.algos.dqn",
    "load": "gridrl.algos.loading",
    "mpi_fork": "gridrl.utils.mpirun",
    "plot": "gridrl.results.figure",
    "ppo": "gridrl.algos.ppo",
    "sac": "gridrl.algos.sac",
    "setup_logger_kwargs": "gridrl.log.logger",
    "td3": "gridrl.algos.td3",
    "trpo": "gridrl.algos.trpo",
    "vpg": "gridrl.algos.vpg",
}

__all__ = [
    "ALGOS",
    "Builder",
    "EpochLogger",
    "ExperimentFailed",
    "ExperimentGrid",
    "GridRLError",
    "Logger",
    "call_experiment",
    "current_run",
    "ddpg",
    "dqn",
    "load",
    "mpi_fork",
    "plot",
    "ppo",
    "sac",
    "setup_logger_kwargs",
    "td3",
    "trpo",
    "vpg",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'gridrl' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
