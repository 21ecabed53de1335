"""What a `BaseLearner` is told, and how it counts."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

from gridrl.build import recursive_update
from gridrl.errors import GridRLWarning, did_you_mean

CONFIG: Mapping[str, Any] = {
    "train_iterations": 10**9,
    "dataloader": {"num_workers": 0},
    "log_policy": True,
    "is_multitask_pipeline": False,
    "only_monitor_rank0": True,
    "hook": {
        "load_ckpt_before_run": "",
        "log_show_after_iter": 100,
        "save_ckpt_after_iter": 10_000,
        "save_ckpt_after_run": True,
    },
}
"""What a learner's configuration is where it says nothing else."""


class CountVar:
    """A number that counts on.

    Attributes:
        val: where it is.
    """

    def __init__(self, init_val: int = 0) -> None:
        self.val = init_val

    def update(self, val: int) -> None:
        """Puts it somewhere else."""
        self.val = val

    def add(self, add_num: int) -> None:
        """Counts on by some."""
        self.val += add_num


def settings_of(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """`CONFIG` with what `cfg` says in its place; what looks like a misspelt name of an option is warned about."""
    for key in cfg:
        hint = "" if key in CONFIG else did_you_mean(key, CONFIG)
        if hint:
            warnings.warn(f"{key!r} is no option of a learner.{hint}", GridRLWarning, stacklevel=3)
    return dict(recursive_update(copy.deepcopy(dict(CONFIG)), cfg))
