"""Gradients of mean losses averaged over MPI ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gridrl.utils.torch_mpi import average_flat


def average_gradient(message: Tensor, rows: int) -> None:
    """Averages gradients of mean losses over the ranks, in place, each rank counting by its rows.

    Args:
        message: float32 [P + 1]; the last number is free for the rank's weight.
        rows: how many rows the rank's mean was taken over.
    """
    message[-1] = 1.0
    message *= float(rows)
    average_flat(message)
    message /= float(message[-1])


def average_gradients(gradients: Sequence[Tensor], rows: int) -> None:
    """`average_gradient` of gradients of any shapes, in place and in one message."""
    message = torch.cat([*(gradient.reshape(-1) for gradient in gradients), gradients[0].new_zeros(1)])
    average_gradient(message, rows)
    begin = 0
    for gradient in gradients:
        gradient.copy_(message[begin : begin + gradient.numel()].view(gradient.shape))
        begin += gradient.numel()


def rows_of(values: Iterable[Any]) -> int:
    """The number of rows of a batch: of the first tensor that a loss was given, alone or in a dict of observations."""
    for value in values:
        tensors = value.values() if isinstance(value, Mapping) else (value,)
        for tensor in tensors:
            if isinstance(tensor, Tensor) and tensor.ndim:
                return len(tensor)
    return 1
