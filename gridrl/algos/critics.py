"""What the losses of all off-policy algorithms for continuous actions do with their critics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.nn.continuous import critic_values
from gridrl.train.loss import LossCallback


class QLoss(LossCallback):
    """Fits critics to `q_target`, which another callback gives: mean squared distance, summed over the critics.

    Attributes:
        values: what the critics said in the last update, [K, B], without graph.
    """

    def __init__(
        self,
        *,
        name: str,
        q: nn.Module,
        opt: Any,
        lr_schedule: Any = None,
        max_grad_norm: float | None = 10.0,
        data_group: str = "default",
        log_per_param_weights: bool = False,
        log_per_param_grads: bool = False,
    ) -> None:
        """Takes the critics.

        Args:
            name: what logs and checkpoints call it.
            q: gives the values of actions: `q(action, obs)`, of a dict of observations `q(action, **obs)`; [B], [B, 1]
                or, of K critics at once, [K, B].
            opt: of `q`.
            lr_schedule: of `opt`.
            max_grad_norm: see `LossCallback`, as what follows.
        """
        super().__init__(
            lr_schedule,
            name=name,
            network=q,
            optimizer=opt,
            max_grad_norm=max_grad_norm,
            data_group=data_group,
            log_per_param_weights=log_per_param_weights,
            log_per_param_grads=log_per_param_grads,
        )
        self.q = q
        self.values = torch.zeros(0)

    def loss(self, observation: Any, actions: Tensor, q_target: Tensor) -> Tensor:
        """The loss on a batch.

        Args:
            observation: [B, D], or a dict of tensors.
            actions: what was done, [B, A].
            q_target: what the critics should say, [B] or [B, 1].
        """
        values = critic_values(self.q, actions, observation)
        self.values = values.detach()
        error = values - q_target.reshape(-1)
        return (error * error).sum() / error.shape[1]

    def by_critic(self, names: Sequence[str]) -> dict[str, Callable[[], Tensor]]:
        """For each critic, by these names, what gives its newest values [B]."""
        return {name: partial(self._values_of, critic) for critic, name in enumerate(names)}

    def _values_of(self, critic: int) -> Tensor:
        return self.values[critic]
