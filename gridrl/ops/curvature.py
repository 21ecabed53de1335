"""Products of curvature matrices with vectors, without the matrices and without making a graph again for each.

Each function walks through its graph once and gives a function `v -> A v`, `v` and `A v` being flat vectors [P] over
all parameters in order. The graph is kept as long as that function is, and holds for the parameters as they were: once
they move, it is to be made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Product: TypeAlias = Callable[[Tensor], Tensor]
Metric: TypeAlias = Callable[[Sequence[Tensor]], Sequence[Tensor]]


def gauss_newton_product(outputs: Sequence[Tensor], parameters: Sequence[Tensor], metric: Metric) -> Product:
    """`v -> J^T M J v`, J being the Jacobian of the outputs (Schulman et al. 2015, appendix C.1).

    With the Fisher information of a distribution as M, of which the network gives the numbers that describe it, this
    is the Fisher information of the network's parameters, and the Hessian of the mean KL divergence from the
    distribution as it is. `J v` is a derivative of a derivative: `J^T u` is linear in `u`, so that differentiating
    `(J^T u) . v` by `u` gives `J v`, whatever `u` is. Neither M nor a divergence is differentiated.

    Args:
        outputs: what the network gives, with its graph; any shapes.
        parameters: leaves of the graph; those that no output depends on get zeros.
        metric: directions in the outputs, of their shapes -> M times them, of their shapes. Linear and symmetric.
    """
    moving = [place for place, output in enumerate(outputs) if output.requires_grad]
    learned = [outputs[place] for place in moving]
    cotangents = [torch.zeros_like(output, requires_grad=True) for output in learned]
    pulled = torch.autograd.grad(learned, parameters, cotangents, create_graph=True, allow_unused=True)
    touched = [place for place, gradient in enumerate(pulled) if gradient is not None]
    transposed = [pulled[place] for place in touched]

    def product(v: Tensor) -> Tensor:
        if not touched:
            return torch.zeros_like(v)
        parts = _parts(v, parameters)
        directions = [torch.zeros_like(output) for output in outputs]
        moved = torch.autograd.grad(transposed, cotangents, [parts[place] for place in touched], retain_graph=True)
        for place, direction in zip(moving, moved, strict=True):
            directions[place] = direction
        curved = metric(directions)
        gradients = torch.autograd.grad(
            learned, parameters, [curved[place] for place in moving], retain_graph=True, materialize_grads=True
        )
        return torch.cat([gradient.reshape(-1) for gradient in gradients])

    return product


def hessian_product(value: Tensor, parameters: Sequence[Tensor]) -> Product:
    """`v -> H v`, H being the Hessian of a scalar (Pearlmutter 1994), by two backward passes through a kept graph.

    Args:
        value: a scalar with its graph.
        parameters: leaves of the graph; those that it does not depend on get zeros.
    """
    gradients = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
    touched = [place for place, gradient in enumerate(gradients) if gradient is not None and gradient.requires_grad]
    first = [gradients[place] for place in touched]

    def product(v: Tensor) -> Tensor:
        if not touched:
            return torch.zeros_like(v)
        parts = _parts(v, parameters)
        seconds = torch.autograd.grad(
            first, parameters, [parts[place] for place in touched], retain_graph=True, materialize_grads=True
        )
        return torch.cat([second.reshape(-1) for second in seconds])

    return product


def _parts(v: Tensor, parameters: Sequence[Tensor]) -> list[Tensor]:
    """A vector over all parameters as pieces of their shapes."""
    pieces = torch.split(v, [parameter.numel() for parameter in parameters])
    return [piece.view_as(parameter) for piece, parameter in zip(pieces, parameters, strict=True)]
