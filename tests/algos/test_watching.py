"""What is noted of updates for the log's rows."""

from __future__ import annotations

from pathlib import Path

import torch

from gridrl.algos.watching import Watch
from gridrl.log.logger import EpochLogger


def test_what_a_checkpoint_holds_is_joined_with_what_another_device_gives(tmp_path: Path) -> None:
    """A checkpoint's tensors come to the CPU; the device "meta" stands for the GPU on which the run goes on."""
    with EpochLogger(tmp_path, quiet=True) as logger:
        here = Watch(logger, {"QVals": lambda: torch.ones(2)}, {})
        here.end_batch()
        there = Watch(logger, {"QVals": lambda: torch.ones(2, device="meta")}, {})
        there.load_state_dict(here.state_dict())
        there.end_batch()
        kept = there.state_dict()["kept"]["QVals"]
    assert (kept.device.type, list(kept.shape)) == ("meta", [2, 2])
