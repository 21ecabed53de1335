"""Losses as callbacks: evaluate, differentiate, average over ranks, clip, step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.errors import ShapeError
from gridrl.nn.flat import FlatParameters, Segment
from gridrl.ops.updates import clip_norm
from gridrl.train.callback import Callback
from gridrl.utils.mpi import num_procs
from gridrl.utils.torch_mpi import average_flat


class LossCallback(Callback):
    """Learns from each batch by one loss: a subclass overrides `loss` with the names of the tensors it needs.

    `backward` computes the loss and its gradient, averages the gradient over the MPI ranks in one message (each rank
    counts by its rows, so that ranks with half a batch each take the step of one with all of it), shortens it to
    `max_grad_norm` by the L2 norm, and steps the optimiser and its schedule.

    Attributes:
        loss_value: the last loss, a scalar tensor without graph; None before the first.
        grad_norm: the length of the last gradient before it was clipped; NaN before the first.

    >>> net = nn.Linear(3, 1)
    >>> class Regression(LossCallback):
    ...     def loss(self, obs, ret):
    ...         return (net(obs).squeeze(-1) - ret).pow(2)
    >>> optimizer = torch.optim.SGD(net.parameters(), 0.1)
    >>> fit = Regression(name="fit", network=net, optimizer=optimizer, max_grad_norm=1.0, data_group="default")
    """

    def __init__(
        self,
        lr_schedule: Any = None,
        *,
        name: str,
        network: nn.Module | None = None,
        optimizer: Any,
        max_grad_norm: float | None = None,
        data_group: str | None = "default",
    ) -> None:
        """Names what is learned and how.

        Args:
            lr_schedule: stepped after each update (a scheduler of `torch.optim`, or any object with `step`,
                `state_dict` and `load_state_dict`); None for a constant learning rate.
            name: what logs and checkpoints call it; one trainer's losses have different names.
            network: what is saved in checkpoints; None where another callback saves it.
            optimizer: a `gridrl.nn.optimizers.FlatAdam`, or an optimiser of torch's.
            max_grad_norm: longest gradient that is left as it is, None for no limit.
            data_group: the named batch that `loss` reads.
        """
        super().__init__()
        self.name = name
        self.network = network
        self.optimizer = optimizer
        self.lr_schedule = lr_schedule
        self.max_grad_norm = max_grad_norm
        self.data_group = data_group
        self.loss_value: Tensor | None = None
        self.grad_norm = float("nan")
        self._segment: Segment | None = getattr(optimizer, "segment", None)
        self._num_procs = num_procs()

    @Callback.extend
    def loss(self, *args: Any, **kwargs: Any) -> Tensor | None:
        """Overridden with the tensors that it needs, by their names in the batch.

        Returns:
            A scalar, or shape (batch,), which is averaged; None to leave this batch out.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define loss()")

    @Callback.takes_from("loss")
    def backward(self, *args: Any, **kwargs: Any) -> None:
        """Does one update with what `loss` gives."""
        loss = self.loss(*args, **kwargs)
        if loss is None:
            return
        if loss.ndim:
            loss = _averaged(loss, self.name)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.loss_value = loss.detach()
        if self._num_procs > 1:
            self._average_over_ranks(_rows(args))
        self.apply_gradient()

    def apply_gradient(self) -> None:
        """Clips the gradient that is there, and steps."""
        if self._segment is not None:
            self.grad_norm = self._clip_segment(self._segment)
        else:
            limit = math.inf if self.max_grad_norm is None else self.max_grad_norm
            self.grad_norm = float(nn.utils.clip_grad_norm_(self._parameters(), limit))
        self.optimizer.step()
        if self.lr_schedule is not None:
            self.lr_schedule.step()

    def _clip_segment(self, segment: Segment) -> float:
        return clip_norm(segment.grad, math.inf if self.max_grad_norm is None else self.max_grad_norm)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _average_over_ranks(self, rows: int) -> None:
        if self._segment is not None:
            average_gradient(self._segment.message, rows)
            return
        gradients = [parameter.grad for parameter in self._parameters() if parameter.grad is not None]
        message = torch.cat([*(gradient.reshape(-1) for gradient in gradients), gradients[0].new_zeros(1)])
        average_gradient(message, rows)
        begin = 0
        for gradient in gradients:
            gradient.copy_(message[begin : begin + gradient.numel()].view(gradient.shape))
            begin += gradient.numel()

    def state_dict(self) -> dict[str, Any]:
        """The network's, the optimiser's and the schedule's state."""
        state = {"optimizer": self.optimizer.state_dict()}
        if self.network is not None:
            state["network"] = self.network.state_dict()
        if self.lr_schedule is not None:
            state["lr_schedule"] = self.lr_schedule.state_dict()
        return state

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave; the schedule counts as a hyperparameter."""
        if load_network and self.network is not None:
            self.network.load_state_dict(state_dict["network"])
        if load_optimizer:
            self.optimizer.load_state_dict(state_dict["optimizer"])
        if load_hparams and self.lr_schedule is not None:
            self.lr_schedule.load_state_dict(state_dict["lr_schedule"])


class JointLoss(Callback):
    """Learns from each batch by several losses at once, whose networks are evaluated together.

    One backward pass gives the gradients of all, one message averages them over ranks; then each loss clips its own
    and steps its own optimiser. A subclass overrides `losses` with the names of the tensors that it needs.

    Attributes:
        parts: the losses; their own `backward` is not called.
    """

    def __init__(self, parts: Sequence[LossCallback], flat: FlatParameters, data_group: str | None = "default") -> None:
        """Joins losses.

        Args:
            parts: each with a `FlatAdam` on a segment of `flat`.
            flat: the parameters of all of them.
            data_group: the named batch that `losses` reads.
        """
        super().__init__()
        self.parts = list(parts)
        self.data_group = data_group
        self._flat = flat
        self._num_procs = num_procs()

    @Callback.extend
    def losses(self, *args: Any, **kwargs: Any) -> Sequence[Tensor]:
        """Overridden with the tensors that it needs, by their names in the batch; gives one scalar for each part."""
        raise NotImplementedError(f"{type(self).__name__} does not define losses()")

    @Callback.takes_from("losses")
    def backward(self, *args: Any, **kwargs: Any) -> None:
        """Does one update of every part."""
        losses = self.losses(*args, **kwargs)
        flat = self._flat
        flat.grad.zero_()
        torch.autograd.backward(losses)
        if self._num_procs > 1:
            average_gradient(flat.grad, _rows(args))
        for part, loss in zip(self.parts, losses, strict=True):
            part.loss_value = loss.detach()
            part.apply_gradient()


def average_gradient(message: Tensor, rows: int) -> None:
    """Averages gradients of mean losses over the ranks, in place, each rank counting by its rows.

    Args:
        message: float32 [P + 1]; the last number is free for the rank's weight.
        rows: how many rows the rank's mean was taken over.
    """
    message[-1] = 1.0
    message *= float(rows)
    average_flat(message)
    message /= float(message[-1])


def _rows(args: Sequence[Any]) -> int:
    """The number of rows of a batch: of the first tensor that a loss was given."""
    return next((len(value) for value in args if isinstance(value, Tensor) and value.ndim), 1)


def _averaged(loss: Tensor, name: str) -> Tensor:
    if loss.ndim > 1:
        raise ShapeError(f"loss {name!r} has shape {list(loss.shape)}: a scalar or [batch] is needed.")
    return loss.mean()
