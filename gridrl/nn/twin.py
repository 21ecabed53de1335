"""Two MLPs with equal hidden layers evaluated as one: half the calls, each of twice the size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from gridrl.nn.flat import FlatParameters, offset_in
from gridrl.nn.mlp import PlainLayer, TorchActivation


class TwinMLP:
    """A policy's and a value function's network on the same input, hidden layers stacked.

    Parameters of both lie in one flat buffer at one distance from each other, so a stacked weight [2, inputs, outputs]
    is a strided view of it, and its gradient one of the flat gradient: nothing is copied either way.
    """

    def __init__(
        self,
        hidden: Sequence[tuple[Tensor, Tensor, TorchActivation | None]],
        last: tuple[PlainLayer, PlainLayer],
    ) -> None:
        """Use `twin_of`, which finds out whether two networks can be stacked."""
        self._hidden = hidden
        self._last = last

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, inputs] -> ([B, outputs of the first], [B, outputs of the second])."""
        stacked = x.expand(2, *x.shape)
        for weight, bias, activation in self._hidden:
            stacked = torch.baddbmm(bias, stacked, weight)
            if activation is not None:
                stacked = activation(stacked)
        first, second = stacked.unbind(0)
        one, other = (layer.linear for layer in self._last)
        return (
            functional.linear(first, one.weight, one.bias),
            functional.linear(second, other.weight, other.bias),
        )


def twin_of(flat: FlatParameters, first: Sequence[PlainLayer], second: Sequence[PlainLayer]) -> TwinMLP | None:
    """Stacks two plain MLPs whose parameters lie in `flat`; None where their hidden layers differ or are none."""
    if len(first) != len(second) or len(first) < 2 or first[-1].torch_activation or second[-1].torch_activation:
        return None
    _settle_layout_warning()
    hidden = [_stack(flat, one, other) for one, other in zip(first[:-1], second[:-1], strict=True)]
    if any(layer is None for layer in hidden):
        return None
    return TwinMLP([layer for layer in hidden if layer is not None], (first[-1], second[-1]))


def _stack(
    flat: FlatParameters, one: PlainLayer, other: PlainLayer
) -> tuple[Tensor, Tensor, TorchActivation | None] | None:
    same = one.linear.weight.shape == other.linear.weight.shape and one.torch_activation is other.torch_activation
    if not same:
        return None
    weight = _leaf(flat, one.linear.weight, other.linear.weight)
    bias = _leaf(flat, one.linear.bias, other.linear.bias)
    return None if weight is None or bias is None else (weight, bias, one.torch_activation)


def _leaf(flat: FlatParameters, one: Tensor, other: Tensor) -> Tensor | None:
    """A leaf of the graph over the memory of both: [2, inputs, outputs] of weights, [2, 1, outputs] of biases."""
    begin, end = offset_in(flat.param, one.data), offset_in(flat.param, other.data)
    if begin is None or end is None or end <= begin:
        return None
    if one.ndim == 2:
        outputs, inputs = one.shape
        shape, strides = (2, inputs, outputs), (end - begin, 1, inputs)
    else:
        shape, strides = (2, 1, len(one)), (end - begin, len(one), 1)
    leaf = flat.param.as_strided(shape, strides, begin + flat.param.storage_offset()).requires_grad_()
    leaf.grad = flat.grad.as_strided(shape, strides, begin + flat.grad.storage_offset())
    return leaf


@cache
def _settle_layout_warning() -> None:
    """Lets torch give, unseen, its one warning per process that gradients are strided, which here is the point."""
    leaf = torch.zeros(4).as_strided((2, 1), (2, 1)).requires_grad_()
    leaf.grad = torch.zeros(4).as_strided((2, 1), (2, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        leaf.sum().backward()  # type: ignore[no-untyped-call]
