"""What is noted of updates for the log's rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gridrl.algos.watching import Watch
from gridrl.errors import NotFinite
from gridrl.log.logger import EpochLogger
from gridrl.train.loss import LossCallback


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


def test_a_loss_that_was_infinite_once_is_told_by_its_update_before_a_row_or_a_checkpoint(tmp_path: Path) -> None:
    loss = LossCallback(name="q", optimizer=None)
    with EpochLogger(tmp_path, quiet=True) as logger:
        watch = Watch(logger, {}, {"LossQ": loss})
        for update, value in enumerate([1.0, 2.0, float("inf"), 3.0], 6):
            loss.loss_value, loss.updates = torch.tensor(value), update
            watch.end_batch()
        for ask in (watch.state_dict, watch.log):
            with pytest.raises(NotFinite, match=r"^loss 'q' was inf at its update 8: ") as told:
                ask()
            assert (told.value.name, told.value.update) == ("q", 8)
