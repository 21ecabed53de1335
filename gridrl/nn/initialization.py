"""First parameters, drawn from numpy Generators in the order of the layers: the same seed, the same network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, did_you_mean


class Layer(Protocol):
    """A linear layer: an `nn.Linear`, or one member of a stacked one."""

    @property
    def weight(self) -> Tensor:
        """[outputs, inputs]."""
        ...

    @property
    def bias(self) -> Tensor | None:
        """[outputs]."""
        ...


class Affine(NamedTuple):
    """The parameters of one linear layer, as views of where they lie."""

    weight: Tensor
    bias: Tensor | None


# fills one layer; the gain is the one of the activation that follows
Initialize: TypeAlias = Callable[[Layer, np.random.Generator, float], None]


def as_generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """The generator that `rng` is, or one with this seed; None takes a seed from torch's own generator."""
    if rng is None:
        rng = int(torch.randint(2**63 - 1, ()).item())
    return np.random.default_rng(rng)


def uniform(layer: Layer, rng: np.random.Generator, gain: float = 1.0) -> None:
    """Weights and biases uniform in +-1/sqrt(inputs), which is what torch does by default; `gain` has no part in it."""
    bound = 1.0 / math.sqrt(layer.weight.shape[1])
    _fill(layer.weight, rng.uniform(-bound, bound, tuple(layer.weight.shape)))
    if layer.bias is not None:
        _fill(layer.bias, rng.uniform(-bound, bound, tuple(layer.bias.shape)))


def orthogonal(layer: Layer, rng: np.random.Generator, gain: float = 1.0) -> None:
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
        net: linear layers and activations; where the layers are stacked (`gridrl.nn.ensemble`), all of one number of
            members, whose parameters are drawn one member after the other.
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
    layers = [parts for module in net if (parts := _parts(module))]
    for member in zip(*layers, strict=True):
        for layer in member:
            INITIALIZATIONS[how](layer, rng, last_gain if layer is member[-1] else math.sqrt(2.0))


def _parts(module: nn.Module) -> list[Affine]:
    """The linear layers that a module is: one, as many as it has members, or none."""
    if isinstance(module, nn.Linear):
        return [Affine(module.weight, module.bias)]
    members = getattr(module, "members", None)
    return members() if callable(members) else []


def _fill(parameter: Tensor, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
