"""First parameters, drawn from numpy Generators in the order of the layers: the same seed, the same network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from gridrl.errors import BadValue, did_you_mean

# fills one layer; the gain is the one of the activation that follows
Initialize: TypeAlias = Callable[[nn.Linear, np.random.Generator, float], None]


def uniform(layer: nn.Linear, rng: np.random.Generator, gain: float = 1.0) -> None:
    """Weights and biases uniform in +-1/sqrt(inputs), which is what torch does by default; `gain` has no part in it."""
    bound = 1.0 / math.sqrt(layer.in_features)
    _fill(layer.weight, rng.uniform(-bound, bound, tuple(layer.weight.shape)))
    if layer.bias is not None:
        _fill(layer.bias, rng.uniform(-bound, bound, tuple(layer.bias.shape)))


def orthogonal(layer: nn.Linear, rng: np.random.Generator, gain: float = 1.0) -> None:
    """Orthonormal rows or columns times `gain` (Saxe et al. 2014, https://arxiv.org/abs/1312.6120); biases zero."""
    rows, columns = layer.weight.shape
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the decomposition unique, and so the draw uniform
    _fill(layer.weight, gain * (q if rows >= columns else q.T))
    if layer.bias is not None:
        _fill(layer.bias, np.zeros(layer.bias.shape))


INITIALIZATIONS: Mapping[str, Initialize] = {"uniform": uniform, "orthogonal": orthogonal}


def initialize(net: nn.Sequential, how: str, rng: np.random.Generator, last_gain: float) -> None:
    """Draws the parameters of every linear layer of an MLP, first layer first.

    Args:
        net: linear layers and activations.
        how: a name in `INITIALIZATIONS`.
        rng: what is drawn from.
        last_gain: gain of the last layer (0.01 makes a policy that starts near uniform); hidden ones have sqrt(2).

    Raises:
        BadValue: for an unknown name.
    """
    if how not in INITIALIZATIONS:
        raise BadValue(
            f"there is no initialisation {how!r}: {', '.join(INITIALIZATIONS)}.{did_you_mean(how, INITIALIZATIONS)}"
        )
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    for layer in layers:
        INITIALIZATIONS[how](layer, rng, last_gain if layer is layers[-1] else math.sqrt(2.0))


def _fill(parameter: torch.Tensor, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
