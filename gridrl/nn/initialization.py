"""First parameters, drawn from numpy Generators in the order of the layers: the same seed, the same network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, did_you_mean


class Layer(Protocol):
    """A linear layer: an `nn.Linear`, one member of a stacked one, or a convolution."""

    @property
    def weight(self) -> Tensor:
        """[outputs, inputs]; the inputs of a convolution, what its kernel sees, have several axes."""
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
    bound = 1.0 / math.sqrt(_sizes(layer)[1])
    _fill(layer.weight, rng.uniform(-bound, bound, tuple(layer.weight.shape)))
    if layer.bias is not None:
        _fill(layer.bias, rng.uniform(-bound, bound, tuple(layer.bias.shape)))


def orthogonal(layer: Layer, rng: np.random.Generator, gain: float = 1.0) -> None:
    """Orthonormal rows or columns times `gain` (Saxe et al. 2014, https://arxiv.org/abs/1312.6120); biases zero."""
    rows, columns = _sizes(layer)
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # makes the decomposition unique, and so the draw uniform
    _fill(layer.weight, gain * (q if rows >= columns else q.T))
    _zero_bias(layer)


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
    layers = [parts for module in net if (parts := layers_of(module))]
    for member in zip(*layers, strict=True):
        for layer in member:
            INITIALIZATIONS[how](layer, rng, last_gain if layer is member[-1] else math.sqrt(2.0))


def _sizes(layer: Layer) -> tuple[int, int]:
    """How many numbers a layer gives and reads (at one place, if it is a convolution)."""
    outputs = layer.weight.shape[0]
    return outputs, layer.weight.numel() // outputs


def _fill(parameter: Tensor, values: npt.NDArray[np.float64]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)).reshape(parameter.shape))


def layers_of(module: nn.Module) -> list[Affine]:
    """The layers that a module is itself, as views of its parameters.

    A Linear and a convolution are one, a stacked layer is as many as it has members, anything else is none.
    """
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        bias = None if module.bias is None else module.bias.detach()
        return [Affine(module.weight.detach(), bias)]
    members = getattr(module, "members", None)
    return members() if callable(members) else []


def ortho_init_(m: nn.Module, gain: float = math.sqrt(2.0), *, rng: np.random.Generator | int | None = None) -> None:
    """Gives a module's own layer orthogonal weights and zero biases; one without a layer is left alone.

    Meant for `net.apply(ortho_init_)`, which calls it with every module of a network.

    Args:
        m: a Linear, a convolution or a stacked layer (any other module too).
        gain: what the orthonormal weights are multiplied by.
        rng: what is drawn from, or a seed for it; None takes a seed from torch's generator at each call.
    """
    _each(m, rng, lambda layer, generator: orthogonal(layer, generator, gain))


def xavier_uniform_init_(m: nn.Module, gain: float = 1.0, *, rng: np.random.Generator | int | None = None) -> None:
    """Gives a module's own layer weights uniform in `+-gain sqrt(6 / (inputs + outputs))`, and zero biases.

    Glorot & Bengio 2010, equation 16. The outputs of a convolution are counted once for every place of its kernel.

    Args:
        m: as in `ortho_init_`.
        gain: what the bound is multiplied by.
        rng: as in `ortho_init_`.
    """
    places = m.weight[0, 0].numel() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d) else 1

    def fill(layer: Affine, generator: np.random.Generator) -> None:
        outputs, inputs = _sizes(layer)
        bound = gain * math.sqrt(6.0 / (inputs + outputs * places))
        _fill(layer.weight, generator.uniform(-bound, bound, (outputs, inputs)))
        _zero_bias(layer)

    _each(m, rng, fill)


def normal_init_(m: nn.Module, *, rng: np.random.Generator | int | None = None) -> None:
    """Gives a module's own layer small normal weights and zero biases.

    Their deviation is 0.001, of a one-dimensional convolution's 0.01; a BatchNorm1d gets scale 1 and shift 0.

    Args:
        m: as in `ortho_init_`.
        rng: as in `ortho_init_`.
    """
    if isinstance(m, nn.BatchNorm1d) and m.affine:
        nn.init.ones_(m.weight)
        nn.init.zeros_(m.bias)
    std = 0.01 if isinstance(m, nn.Conv1d) else 0.001

    def fill(layer: Affine, generator: np.random.Generator) -> None:
        _fill(layer.weight, std * generator.standard_normal(tuple(layer.weight.shape)))
        _zero_bias(layer)

    _each(m, rng, fill)


normal_init = normal_init_
"""The name that `emote.utils.model` has for it."""


def truncated_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator | int | None = None
) -> Tensor:
    """Fills a tensor with normal numbers that lie within two deviations of their mean.

    Args:
        tensor: any shape; filled in place.
        mean: of the numbers.
        std: their deviation before those farther out are drawn again, not negative.
        rng: as in `ortho_init_`.

    Returns:
        `tensor` itself.
    """
    generator = as_generator(rng)
    numbers = generator.standard_normal(tuple(tensor.shape))
    while (outside := np.abs(numbers) > 2.0).any():
        numbers[outside] = generator.standard_normal(int(outside.sum()))
    _fill(tensor, mean + std * numbers)
    return tensor


def truncated_normal_init(m: nn.Module, *, rng: np.random.Generator | int | None = None) -> None:
    """Gives a module's own layer truncated normal weights of deviation `1 / (2 sqrt(inputs))`, and zero biases.

    Args:
        m: as in `ortho_init_`; the members of a stacked layer are drawn one after the other.
        rng: as in `ortho_init_`.
    """

    def fill(layer: Affine, generator: np.random.Generator) -> None:
        truncated_normal_(layer.weight, std=0.5 / math.sqrt(_sizes(layer)[1]), rng=generator)
        _zero_bias(layer)

    _each(m, rng, fill)


def _each(
    module: nn.Module,
    rng: np.random.Generator | int | None,
    fill: Callable[[Affine, np.random.Generator], None],
) -> None:
    layers = layers_of(module)
    if layers:  # nothing is drawn, not even a seed, for modules without a layer
        generator = as_generator(rng)
        for layer in layers:
            fill(layer, generator)


def _zero_bias(layer: Layer) -> None:
    if layer.bias is not None:
        _fill(layer.bias, np.zeros(layer.bias.shape))
