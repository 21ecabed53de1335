"""What is done to a flat vector of gradients between the backward pass and the optimiser's step."""

from __future__ import annotations

import math
from typing import Any

from gridrl.ops.shapes import has_rank


def clip_norm(flat_grad: Any, max_norm: float) -> float:
    """Shortens a gradient, in place, to at most `max_norm` by the L2 norm (Pascanu et al. 2013, algorithm 1).

    Args:
        flat_grad: all gradients of a network in one vector [P], a torch tensor or a numpy array; left alone where it
            is short enough.
        max_norm: the greatest length left alone, positive.

    Returns:
        The length before clipping. NaN or infinity is returned as it is, and nothing is changed: scaling cannot
        mend such a gradient.

    >>> import numpy as np
    >>> gradient = np.array([3.0, 4.0], np.float32)
    >>> clip_norm(gradient, 1.0), gradient.round(3).tolist()
    (5.0, [0.6000000238418579, 0.800000011920929])
    """
    has_rank("flat_grad", 1, flat_grad)
    norm = math.sqrt(float(flat_grad.dot(flat_grad)))
    if max_norm < norm < math.inf:
        flat_grad *= max_norm / norm
    return norm


def clip_norm_there(flat_grad: Any, max_norm: float) -> Any:
    """`clip_norm` for a gradient on a GPU: nothing is read from it, so that nobody waits.

    Args:
        flat_grad: torch tensor [P], changed in place.
        max_norm: the greatest length left alone, positive.

    Returns:
        The length before clipping, a scalar tensor on the same device. Where it is NaN or infinite, so is the gradient.
    """
    has_rank("flat_grad", 1, flat_grad)
    norm = flat_grad.dot(flat_grad).sqrt()
    if max_norm < math.inf:
        flat_grad *= (max_norm / norm).clamp(max=1.0)
    return norm
