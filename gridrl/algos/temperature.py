"""The temperature of soft actor-critic: fixed, or learned so that the policy keeps a target entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.nn.continuous import evaluate
from gridrl.nn.flat import FlatParameters
from gridrl.nn.optimizers import FlatAdam
from gridrl.schedules import ConstantSchedule, Schedule
from gridrl.train.loss import LossCallback


class Temperature(nn.Module):
    """The weight of the entropy, kept as its logarithm.

    Attributes:
        ln_alpha: natural logarithm of the temperature, float32 [1].
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.ln_alpha = nn.Parameter(torch.tensor([math.log(alpha)]))

    def value(self) -> float:
        """The temperature."""
        return math.exp(self.ln_alpha.item())


class AlphaLoss(LossCallback):
    """Tunes the temperature so that the policy keeps a target entropy: `-ln_alpha * mean(log pi(a|s) + target)`."""

    def __init__(
        self,
        *,
        pi: nn.Module,
        ln_alpha: Tensor,
        opt: Any,
        lr_schedule: Any = None,
        n_actions: int,
        max_grad_norm: float | None = 10.0,
        max_alpha: float = 0.2,
        name: str = "alpha",
        data_group: str = "default",
        t_entropy: float | Schedule | None = None,
    ) -> None:
        """Takes the policy and its temperature.

        Args:
            pi: gives actions and their log-probabilities.
            ln_alpha: natural logarithm of the temperature, one number that requires a gradient.
            opt: of `ln_alpha`.
            lr_schedule: of `opt`.
            n_actions: dimensions of an action.
            max_grad_norm: see `LossCallback`.
            max_alpha: the temperature is cut off there after each update.
            name: what logs and checkpoints call it.
            data_group: the batch that is read.
            t_entropy: the target in nats, or a schedule, which is stepped after each update; None: `-n_actions`.

        Raises:
            TypeError: `t_entropy` is something else.
        """
        super().__init__(lr_schedule, name=name, optimizer=opt, max_grad_norm=max_grad_norm, data_group=data_group)
        target = -float(n_actions) if t_entropy is None else t_entropy
        if isinstance(target, bool) or not isinstance(target, (int, float, Schedule)):
            raise TypeError("t_entropy must be a number or an instance of Schedule")
        self.t_entropy: Schedule = target if isinstance(target, Schedule) else ConstantSchedule(float(target))
        self.pi, self.ln_alpha = pi, ln_alpha
        self._ln_max = math.log(max_alpha) if max_alpha < math.inf else math.inf

    def loss(self, observation: Any) -> Tensor:
        """The loss on a batch of observations, for which actions are drawn."""
        with torch.no_grad():
            _, logp = evaluate(self.pi, observation)
        return self.objective(logp)

    def objective(self, logp: Tensor) -> Tensor:
        """The loss of log-probabilities without graph."""
        return -(self.ln_alpha * (logp.mean() + self.t_entropy.value)).sum()

    def end_batch(self) -> None:
        """Cuts the temperature off, and steps the schedule of the target."""
        self.t_entropy.step()
        if self._ln_max < math.inf:
            with torch.no_grad():
                self.ln_alpha.clamp_(max=self._ln_max)

    def state_dict(self) -> dict[str, Any]:
        """The temperature, its optimiser, and how far the schedules are."""
        return {
            **super().state_dict(),
            "ln_alpha": self.ln_alpha.detach(),
            "t_entropy": self.t_entropy.state_dict(),
        }

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave; the temperature stays the tensor that it is."""
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)
        if load_network:
            with torch.no_grad():
                self.ln_alpha.copy_(state_dict["ln_alpha"])
        if load_hparams:
            self.t_entropy.load_state_dict(state_dict["t_entropy"])


class TemperatureLoss(AlphaLoss):
    """An `AlphaLoss` of the actions that the policy's update has drawn already; it comes after that one."""

    def __init__(
        self, temperature: Temperature, newest_logp: Callable[[], Tensor], *, lr: float, **kwargs: Any
    ) -> None:
        """Makes the optimiser.

        Args:
            temperature: what is learned, without a limit.
            newest_logp: gives the log-probabilities [B] of those actions.
            lr: learning rate.
            kwargs: for `AlphaLoss`.
        """
        adam = FlatAdam(FlatParameters([temperature]).segments[0], lr)
        super().__init__(ln_alpha=temperature.ln_alpha, opt=adam, max_alpha=math.inf, **kwargs)
        self._newest_logp = newest_logp

    def loss(self, obs: Tensor) -> Tensor:
        """The loss on the batch that the policy has just learned from."""
        return self.objective(self._newest_logp())
