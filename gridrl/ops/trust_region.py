"""The arithmetic of a step within a trust region: solve `A x = b`, go to the region's border, come back if need be."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gridrl.ops.shapes import same_shape


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, iters: int, tolerance: float = 1e-10) -> Tensor:
    """Solves `A x = b` approximately (Hestenes & Stiefel 1952), knowing of A only its products with vectors.

    After k steps, `x` is the best solution in the space of `b, A b, ..., A^(k-1) b`; after [P] steps it would be exact
    but for rounding.

    Args:
        product: v [P] -> A v [P], with A symmetric and positive definite.
        b: [P].
        iters: products to take at most.
        tolerance: it is enough when the squared length of `b - A x` is this part of that of `b`.

    Returns:
        x, [P]. Where A turns out not to be positive definite, or not a number, what was reached before.

    >>> conjugate_gradient(lambda v: 2.0 * v, torch.tensor([2.0, 4.0]), iters=10).tolist()
    [1.0, 2.0]
    """
    x = torch.zeros_like(b)
    residual, direction = b.clone(), b.clone()
    squared = first = float(residual.dot(residual))
    for _ in range(iters):
        if not squared > tolerance * first:
            break
        bent = product(direction)
        same_shape("b, product(b)", b, bent)
        curvature = float(direction.dot(bent))
        if not curvature > 0.0:
            break
        length = squared / curvature
        x += length * direction
        residual -= length * bent
        before, squared = squared, float(residual.dot(residual))
        direction = residual + (squared / before) * direction
    return x


def step_to_border(direction: Tensor, product: Callable[[Tensor], Tensor], delta: float) -> Tensor:
    """The multiple of a direction at which the quadratic model of the divergence reaches delta.

    `sqrt(2 delta / (x^T A x)) x`, so that `x^T A x / 2 = delta` for the result (Schulman et al. 2015, appendix C).

    Args:
        direction: x, [P].
        product: v [P] -> A v [P].
        delta: the size of the region, above 0.

    Returns:
        [P]; zeros where the model has no curvature in this direction, as for a direction of zeros.
    """
    curvature = float(direction.dot(product(direction)))
    if not 0.0 < curvature < math.inf:
        return torch.zeros_like(direction)
    return math.sqrt(2.0 * delta / curvature) * direction


def backtrack(is_good: Callable[[float], bool], coefficient: float, iters: int) -> tuple[float, int]:
    """Shortens a step until it is good: the first of `1, c, c^2, ..., c^(iters - 1)` that is.

    Args:
        is_good: asked of each share of the step, the longest first.
        coefficient: c, above 0 and below 1.
        iters: how many shares to try.

    Returns:
        The share, and how many times it was shortened; 0.0 and `iters` where none is good.

    >>> backtrack(lambda share: share < 0.3, coefficient=0.5, iters=10)
    (0.25, 2)
    """
    for shortened in range(iters):
        share: float = coefficient**shortened
        if is_good(share):
            return share, shortened
    return 0.0, iters
