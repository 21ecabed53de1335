"""The cores that a run's process is bound to."""

from __future__ import annotations

import os
from collections.abc import Sequence

VARIABLE = "GRIDRL_CORES"
"""The environment variable with the cores of a run, and how many ranks share them: `2,3,6,7/2`."""


def told_cores(cores: Sequence[int], num_ranks: int) -> str:
    """The text that tells the ranks of a run about its cores."""
    return f"{','.join(map(str, cores))}/{num_ranks}"


def cores_of_rank(told: str, rank: int) -> list[int]:
    """A rank's part of its run's cores: equally many each, all of them where there are fewer cores than ranks.

    >>> cores_of_rank("2,3,6,7/2", rank=1)
    [6, 7]
    """
    listed, _, num_ranks = told.partition("/")
    cores = [int(core) for core in listed.split(",")]
    each = len(cores) // int(num_ranks)
    return cores[rank * each : (rank + 1) * each] if each else cores


def take_cores(rank: int = 0) -> None:
    """Binds this process, and all that it starts, to the cores that the launcher has set aside; to none if it has not.

    To be called before libraries start threads. The variable is taken out: children inherit the binding anyway.
    """
    told = os.environ.pop(VARIABLE, "")
    if told and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_of_rank(told, rank))
