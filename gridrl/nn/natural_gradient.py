"""The natural gradient of a flat buffer of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from gridrl.nn.flat import Segment
from gridrl.ops.trust_region import conjugate_gradient, step_to_border


class NaturalGradient:
    """Finds the steepest way in the space of policies rather than of parameters (Kakade 2001).

    It stands where other losses have an optimiser, but moves nothing by itself: how much of the step is gone is for
    the caller to say. It keeps nothing from one step to the next.

    Attributes:
        segment: the parameters and gradients.
        param_groups: as a torch optimiser has them.
        delta: size of the trust region, a KL divergence in nats.
        damping_coeff: what is added to the diagonal of the Fisher information.
        cg_iters: products that are spent on the direction.
    """

    def __init__(self, segment: Segment, delta: float, damping_coeff: float = 0.1, cg_iters: int = 10) -> None:
        """Takes a segment of `FlatParameters`, and how far and how carefully to go."""
        self.segment = segment
        self.param_groups: list[dict[str, Any]] = [{"params": [segment.param]}]
        self.delta, self.damping_coeff, self.cg_iters = delta, damping_coeff, cg_iters

    def zero_grad(self) -> None:
        """Sets the gradients to zero, in place."""
        self.segment.grad.zero_()

    def find_step(self, fisher: Callable[[Tensor], Tensor]) -> Tensor:
        """The step whose KL divergence is delta by the quadratic model, to be subtracted from the parameters.

        `sqrt(2 delta / (x^T A x)) x` with `A x = g` and `A = F + damping_coeff I`.

        Args:
            fisher: v [P] -> F v [P] where the parameters stand, the same on all ranks.

        Returns:
            [P]; zeros where there is no gradient.
        """

        def damped(v: Tensor) -> Tensor:
            return fisher(v) + self.damping_coeff * v

        direction = conjugate_gradient(damped, self.segment.grad, self.cg_iters)
        return step_to_border(direction, damped, self.delta)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the next step does not depend on earlier ones."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up nothing."""
