"""What the updates of an off-policy algorithm leave for the log, read in blocks so that no update waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gridrl.errors import NotFinite
from gridrl.log.logger import EpochLogger
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback

# Updates whose tensors are kept before they are read: on a GPU, reading waits for all that is under way.
_BLOCK = 64


class Watch(Callback):
    """Notes losses and values of every update for the row of the epoch.

    A loss that was not finite ends the training when it is read, which is before the row and the next checkpoint: its
    gradient may well have been (of an infinite error, a Huber loss has the slope of any large one).

    Attributes:
        columns: the columns that it fills, in order, each with whether it has the greatest and the least too.
    """

    priority = 1000  # when everybody has learned

    def __init__(
        self,
        logger: EpochLogger,
        values: Mapping[str, Callable[[], Tensor]],
        losses: Mapping[str, LossCallback],
        now: Mapping[str, Callable[[], float]] | None = None,
    ) -> None:
        """Says what is noted.

        Args:
            logger: whose rows the numbers are for.
            values: column -> gives a tensor of the newest update [B]; the column gets mean, deviation, maximum and
                minimum of all.
            losses: column -> the loss whose mean it gets.
            now: column -> gives the number that it gets when the row is written.
        """
        super().__init__()
        self._logger, self._values, self._losses, self._now = logger, dict(values), dict(losses), dict(now or {})
        self._kept: dict[str, list[Tensor]] = {name: [] for name in (*values, *losses)}
        self._last: dict[str, Tensor] = {}
        self.columns: Sequence[tuple[str, bool]] = [*((name, True) for name in values), *((n, False) for n in losses)]

    def end_batch(self) -> None:
        """Keeps what the update has left; reads it when there is a block of it."""
        for name, value in self._values.items():
            self._keep(name, value())
        for name, loss in self._losses.items():
            self._keep(name, loss.loss_value)

    def _keep(self, name: str, tensor: Tensor | None) -> None:
        if tensor is None or tensor is self._last.get(name):
            return  # this loss left the batch out
        self._last[name] = tensor
        kept = self._kept[name]
        kept.append(tensor)
        if len(kept) == _BLOCK:
            self._read(name)

    def read(self) -> None:
        """Hands everything that is kept over to the logger.

        Raises:
            NotFinite: a loss is NaN or infinite.
        """
        for name in self._kept:
            self._read(name)

    def _read(self, name: str) -> None:
        kept = self._kept[name]
        if kept:
            self._check(name)
            self._logger.store(**{name: _stacked(kept).cpu().numpy()})
            self._kept[name] = []

    def _check(self, name: str) -> None:
        """Looks at what is kept of a loss."""
        loss, kept = self._losses.get(name), self._kept[name]
        if loss is None or not kept:
            return
        values = _stacked(kept).cpu().numpy()
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            update = loss.updates - len(values) + 1 + int(bad[0])
            raise NotFinite(
                f"loss {loss.name!r} was {values[bad[0]]:.6g} at its update {update}: nothing can be learned from "
                "that. Look for observations or rewards that are not finite.",
                name=loss.name,
                update=update,
            )

    def log(self) -> None:
        """Puts the columns into the epoch's row."""
        self.read()
        for name, with_min_and_max in self.columns:
            self._logger.log_tabular(name, with_min_and_max=with_min_and_max, average_only=not with_min_and_max)
        for name, number in self._now.items():
            self._logger.log_tabular(name, number())

    def state_dict(self) -> dict[str, Any]:
        """What is kept and not read yet; it is read in the same blocks later, so that sums come out the same.

        Raises:
            NotFinite: a loss is NaN or infinite.
        """
        for name in self._losses:
            self._check(name)
        return {"kept": {name: _stacked(kept) if kept else None for name, kept in self._kept.items()}}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        if load_hparams:
            for name, kept in state_dict["kept"].items():
                self._kept[name] = [] if kept is None else list(kept)


def _stacked(kept: Sequence[Tensor]) -> Tensor:
    """Tensors as one, on the device of the newest: those of a checkpoint come from the CPU, wherever they were."""
    device = kept[-1].device
    return torch.stack([tensor.to(device) for tensor in kept])
