"""Losses that more than one algorithm learns by."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import Tensor

from gridrl.nn.evaluation import Evaluation
from gridrl.ops.losses import mean_squared
from gridrl.train.loss import LossCallback

Loss: TypeAlias = LossCallback
"""What AllenAct calls a loss: here each is a callback."""


class ValueLoss(LossCallback):
    """Fits a value function to returns by their mean squared distance."""

    def __init__(self, networks: Evaluation, **kwargs: Any) -> None:
        """Takes what evaluates the value function, and the keyword arguments of `LossCallback`."""
        super().__init__(**kwargs)
        self.networks = networks

    def loss(self, obs: Tensor, ret: Tensor) -> Tensor:
        """Mean of `(V(obs) - ret)^2`.

        Args:
            obs: float32 [B, D].
            ret: what the values should be, float32 [B].
        """
        return mean_squared(self.networks.value(obs), ret)
