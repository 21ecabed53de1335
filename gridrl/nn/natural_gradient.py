"""The natural gradient of a flat buffer of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gridrl.nn.flat import Segment
from gridrl.ops.curvature import Product
from gridrl.ops.trust_region import conjugate_gradient, step_to_border


class NaturalGradient:
    """The steepest way in the space of policies rather than of parameters (Kakade 2001), to a KL divergence of delta.

    A step is `-sqrt(2 delta / (x^T A x)) x` with `A x = g` and `A = F + damping_coeff I`, F being the Fisher
    information: by the quadratic model of the divergence it ends at delta. Nothing is kept from one step to the next.

    Attributes:
        segment: the parameters and gradients.
        param_groups: one dict, whose `lr` is delta, in nats; read at every step.
        fisher: v [P] -> F v [P] where the parameters stand; to be set before each step, the same on all ranks.
        found: the last step, [P], which was subtracted from the parameters; zeros where there was no gradient.
    """

    def __init__(self, segment: Segment, delta: float, damping_coeff: float = 0.1, cg_iters: int = 10) -> None:
        """Says how far to go, and how carefully.

        Args:
            segment: from `FlatParameters.segments`.
            delta: size of the trust region, a KL divergence in nats.
            damping_coeff: what is added to the diagonal of the Fisher information.
            cg_iters: conjugate gradient iterations that are spent on the direction.
        """
        self.segment = segment
        self.param_groups: list[dict[str, Any]] = [{"params": [segment.param], "lr": delta}]
        self.damping_coeff, self.cg_iters = damping_coeff, cg_iters
        self.fisher: Product | None = None
        self.found: Tensor = torch.zeros_like(segment.param)

    @property
    def delta(self) -> float:
        """Size of the trust region, in nats."""
        return float(self.param_groups[0]["lr"])

    def zero_grad(self) -> None:
        """Sets the gradients to zero, in place."""
        self.segment.grad.zero_()

    def step(self) -> None:
        """Moves the parameters by the whole step."""
        direction = conjugate_gradient(self._damped, self.segment.grad, self.cg_iters)
        self.found = step_to_border(direction, self._damped, self.delta)
        self.segment.param.sub_(self.found)

    def _damped(self, v: Tensor) -> Tensor:
        assert self.fisher is not None, "the Fisher information is set before a step"
        return self.fisher(v) + self.damping_coeff * v

    def state_dict(self) -> dict[str, Any]:
        """The size of the trust region."""
        return {"lr": self.delta}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up the size that `state_dict` gave."""
        self.param_groups[0]["lr"] = state_dict["lr"]
