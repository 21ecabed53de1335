"""Losses as callbacks: evaluate, differentiate, average over ranks, clip, step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, NotFinite, ShapeError
from gridrl.log.metrics import LoggingMixin
from gridrl.nn.flat import FlatParameters, Segment
from gridrl.ops.updates import clip_norm, clip_norm_there
from gridrl.schedules import Schedule
from gridrl.train.averaging import average_gradient, average_gradients, rows_of
from gridrl.train.callback import Callback
from gridrl.train.fitting import check_state, optimized_parameters, take_learning_rate
from gridrl.utils.mpi import num_procs

__all__ = ["JointLoss", "LossCallback", "average_gradient"]


class LossCallback(LoggingMixin, Callback):
    """Learns from each batch by one loss: a subclass overrides `loss` with the names of the tensors it needs.

    `backward` computes the loss and its gradient, averages the gradient over the MPI ranks in one message (each rank
    counts by its rows, so that ranks with half a batch each take the step of one with all of it), shortens it to
    `max_grad_norm` by the L2 norm, and steps the optimiser and its schedule. A gradient that is not finite ends the
    training before it reaches the network.

    Loggers find `loss/{name}_loss`, `loss/{name}_lr` and `loss/{name}_gradient_norm`; nothing is done for them until
    they ask.

    Attributes:
        loss_value: the last loss, a scalar tensor without graph; None before the first.
        grad_norm: the length of the last gradient before it was clipped, on a GPU a scalar tensor; NaN before the
            first.
        updates: how many updates were done.

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
        log_per_param_weights: bool = False,
        log_per_param_grads: bool = False,
    ) -> None:
        """Names what is learned and how.

        Args:
            lr_schedule: stepped after each update: a scheduler of `torch.optim`, a `gridrl.schedules.Schedule` whose
                value after n updates is the learning rate, or any object with `step`, `state_dict` and
                `load_state_dict`. None for a constant learning rate.
            name: what logs and checkpoints call it; one trainer's losses have different names.
            network: what is saved in checkpoints; None where another callback saves it.
            optimizer: a `gridrl.nn.optimizers.FlatAdam`, or an optimiser of torch's.
            max_grad_norm: longest gradient that is left as it is, None for no limit.
            data_group: the named batch that `loss` reads.
            log_per_param_weights: whether loggers get a histogram of each parameter of `network`, and its length.
            log_per_param_grads: whether they get the same of its gradient; these are copied at each update.

        Raises:
            BadValue: `max_grad_norm` is not above 0.
        """
        if max_grad_norm is not None and not max_grad_norm > 0.0:
            raise BadValue(f"max_grad_norm={max_grad_norm} of loss {name!r}: a number above 0 is needed, or None.")
        super().__init__()
        self.name = name
        self.network = network
        self.optimizer = optimizer
        self.lr_schedule = lr_schedule
        self.max_grad_norm = max_grad_norm
        self.data_group = data_group
        self.loss_value: Tensor | None = None
        self.grad_norm: float | Tensor = float("nan")
        self.updates = 0
        self._one = torch.ones(())  # the gradient that a loss has with respect to itself
        self._noted: Tensor | None = None  # the loss of the newest update that the log has
        self._log_weights, self._log_grads = log_per_param_weights, log_per_param_grads
        self._gradients: dict[str, Tensor] = {}
        self._segment: Segment | None = getattr(optimizer, "segment", None)
        self._num_procs = num_procs()
        self._take_learning_rate()

    @Callback.extend
    def loss(self, *args: Any, **kwargs: Any) -> Tensor | None:
        """Overridden with the tensors that it needs, by their names in the batch.

        Returns:
            A scalar, or shape (batch,), which is averaged; None to leave this batch out.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define loss()")

    @Callback.takes_from("loss")
    def backward(self, *args: Any, **kwargs: Any) -> None:
        """Does one update with what `loss` gives.

        Raises:
            NotFinite: the gradient is NaN or infinite; the network is left as it is. On a GPU, where looking would
                wait, it is told when the log is read or saved.
        """
        loss = self.loss(*args, **kwargs)
        if loss is None:
            return
        if loss.ndim:
            loss = _averaged(loss, self.name)
        self.optimizer.zero_grad()
        if self._one.dtype != loss.dtype or self._one.device != loss.device:
            self._one = torch.ones((), dtype=loss.dtype, device=loss.device)
        torch.autograd.backward(loss, self._one)  # which would make it anew each time
        self.loss_value = loss.detach()
        if self._num_procs > 1:
            self._average_over_ranks(rows_of((*args, *kwargs.values())))
        self.apply_gradient()

    def apply_gradient(self) -> None:
        """Clips the gradient that is there, and steps.

        Raises:
            NotFinite: see `backward`.
        """
        self.updates += 1
        norm = self.grad_norm = self._clip()
        if type(norm) is float and not math.isfinite(norm):
            raise self._not_finite()
        if self._log_grads:
            self._gradients = {n: p.grad.clone() for n, p in self._optimized() if p.grad is not None}
        self.optimizer.step()
        if self.lr_schedule is not None:
            self.lr_schedule.step()
            self._take_learning_rate()

    def _take_learning_rate(self) -> None:
        if isinstance(self.lr_schedule, Schedule):
            for group in self.optimizer.param_groups:
                group["lr"] = self.lr_schedule.value

    def _clip(self) -> float | Tensor:
        limit = math.inf if self.max_grad_norm is None else self.max_grad_norm
        if self._segment is not None:
            gradient = self._segment.grad
            there: Tensor | float = clip_norm(gradient, limit) if gradient.is_cpu else clip_norm_there(gradient, limit)
            return there
        norm = nn.utils.clip_grad_norm_(self._parameters(), limit)
        return float(norm) if norm.is_cpu else norm

    def check_finite(self) -> None:
        """Looks at the newest loss and gradient, which on a GPU nobody has looked at before.

        Raises:
            NotFinite: one of them is NaN or infinite.
        """
        if self.loss_value is None:
            return
        if not math.isfinite(self.loss_value) or (self.updates and not math.isfinite(self.grad_norm)):
            raise self._not_finite()

    def _not_finite(self) -> NotFinite:
        return NotFinite(
            f"loss {self.name!r} is {float(self.loss_value or 0.0):.6g} and its gradient's length "
            f"{float(self.grad_norm):.6g} at its update {self.updates}: nothing can be learned from that. Look for "
            "observations or rewards that are not finite, or for a learning rate that is too high.",
            name=self.name,
            update=self.updates,
        )

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _optimized(self) -> list[tuple[str, nn.Parameter]]:
        return [] if self.network is None else optimized_parameters(self.network, self.optimizer)

    def _average_over_ranks(self, rows: int) -> None:
        if self._segment is not None:
            average_gradient(self._segment.message, rows)
        else:
            average_gradients([p.grad for p in self._parameters() if p.grad is not None], rows)

    def gather_logs(self) -> None:
        """Notes the newest update, just before the log is read.

        Raises:
            NotFinite: see `check_finite`.
        """
        super().gather_logs()
        if self.loss_value is None or self.loss_value is self._noted:
            return
        self.check_finite()
        self._noted = self.loss_value
        for group in getattr(self.optimizer, "param_groups", ())[:1]:
            self.log_scalar(f"loss/{self.name}_lr", group["lr"])
        self.log_scalar(f"loss/{self.name}_loss", self.loss_value)
        self.log_scalar(f"loss/{self.name}_gradient_norm", self.grad_norm)
        if self._log_weights or self._log_grads:
            self.log_per_param_weights_and_grads()

    def log_per_param_weights_and_grads(self) -> None:
        """Notes a histogram and the L2 norm of each parameter, of its last gradient, or of both.

        Keys are `weight/{name}_{module}_{shape}` (after the parameter's own name), `weight_l2/...`, `weight_grads/...`
        and `weight_grads_l2/...`; a module's dots and a shape's commas are underscores.
        """
        for full_name, parameter in self._optimized():
            *modules, kind = full_name.split(".")
            key = "_".join([self.name, *modules, *map(str, parameter.shape)])
            if self._log_grads and full_name in self._gradients:
                self._log_tensor(f"{kind}_grads", key, self._gradients[full_name])
            if self._log_weights:
                self._log_tensor(kind, key, parameter.detach())

    def _log_tensor(self, kind: str, key: str, value: Tensor) -> None:
        self.log_histogram(f"{kind}/{key}", value)
        self.log_scalar(f"{kind}_l2/{key}", value.norm())

    def state_dict(self) -> dict[str, Any]:
        """The network's, the optimiser's and the schedule's state, the number of updates, and the log.

        Raises:
            NotFinite: see `check_finite`.
        """
        self.check_finite()
        state = {**super().state_dict(), "optimizer": self.optimizer.state_dict(), "updates": self.updates}
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
        """Takes up what `state_dict` gave; schedule, number of updates and log count as hyperparameters.

        With one of optimiser and schedule alone the learning rate is the schedule's.

        Raises:
            CheckpointError: it is of another network or optimiser, or lacks a part; then nothing has changed.
        """
        network = self.network if load_network else None
        optimizer = self.optimizer if load_optimizer else None
        schedule = self.lr_schedule if load_hparams else None
        parts = {"optimizer": optimizer, "network": network, "lr_schedule": schedule}
        check_state(self.name, state_dict, parts)
        for part, target in parts.items():
            if target is not None:
                target.load_state_dict(state_dict[part])
        if load_optimizer != load_hparams:
            take_learning_rate(self.optimizer, self.lr_schedule)
        if load_hparams:
            self.updates = state_dict.get("updates", 0)
        self.loss_value, self.grad_norm = None, float("nan")
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)


class JointLoss(LoggingMixin, Callback):
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
            average_gradient(flat.grad, rows_of((*args, *kwargs.values())))
        for part, loss in zip(self.parts, losses, strict=True):
            part.loss_value = loss.detach()
            part.apply_gradient()

    def gather_logs(self) -> None:
        """Notes the newest numbers of the parts, just before the log is read."""
        super().gather_logs()
        for part in self.parts:
            self._scalars.update(part.scalar_logs)
            self._histograms.update(part.hist_logs)

    def state_dict(self) -> dict[str, Any]:
        """The parts' state by their names, and the log."""
        return {**super().state_dict(), "parts": {part.name: part.state_dict() for part in self.parts}}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave.

        Raises:
            CheckpointError: it is of other networks.
        """
        for part in self.parts:
            part.load_state_dict(state_dict["parts"][part.name], load_network, load_optimizer, load_hparams)
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)


def _averaged(loss: Tensor, name: str) -> Tensor:
    if loss.ndim > 1:
        raise ShapeError(f"loss {name!r} has shape {list(loss.shape)}: a scalar or [batch] is needed.")
    return loss.mean()
