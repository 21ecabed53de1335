"""One flat buffer for the parameters of several networks, and one for their gradients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gridrl.errors import BadValue

# Segments begin at multiples of so many floats: a cache line, which vector instructions like.
_LINE = 16


@dataclass(frozen=True)
class Segment:
    """The part of a flat buffer that belongs to one network.

    Attributes:
        param: its parameters, float32 [P], a view.
        grad: their gradients, float32 [P], a view.
        message: the gradients and one number behind them, float32 [P + 1], a view: what ranks average at once.
    """

    param: Tensor
    grad: Tensor
    message: Tensor


class FlatParameters:
    """Moves the parameters of networks into one float32 buffer, of which they become views.

    The networks stay ordinary torch modules: `state_dict`, `forward` and autograd work as before, and `p.grad` of each
    parameter is a view of one flat gradient. On the CPU numpy arrays share the memory too, so that an optimiser step,
    a clip or an average over ranks is one call, and numpy acts with the newest weights without a copy. Moving a module
    to another device or type afterwards breaks the views, and so does setting a `grad` to None.

    Attributes:
        param: all parameters, float32 [P]: module after module, each one's in `parameters()` order, padded with at
            least one zero.
        grad: all gradients, float32 [P], laid out alike; the paddings are free for use.
        segments: one per module, in the order given.

    >>> net = nn.Linear(2, 1)
    >>> flat = FlatParameters([net])
    >>> _ = flat.param.zero_()
    >>> net(torch.ones(1, 2)).item()
    0.0
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        """Rearranges the parameters that require a gradient; frozen ones stay where they are.

        Args:
            modules: networks on one device; no two of them share a parameter.

        Raises:
            BadValue: for parameters that are shared, not float32, or on several devices.
        """
        trained = [[p for p in module.parameters() if p.requires_grad] for module in modules]
        everything = [p for parameters in trained for p in parameters]
        _check(everything)
        sizes = [sum(p.numel() for p in parameters) for parameters in trained]
        total = sum(_padded(size) for size in sizes)
        device = everything[0].device if everything else torch.device("cpu")
        self.param, self.grad = torch.zeros(total, device=device), torch.zeros(total, device=device)
        self.segments: list[Segment] = []
        begin = 0
        for parameters, size in zip(trained, sizes, strict=True):
            end = begin + size
            segment = Segment(self.param[begin:end], self.grad[begin:end], self.grad[begin : end + 1])
            _move(parameters, segment)
            self.segments.append(segment)
            begin += _padded(size)


def _padded(size: int) -> int:
    return (size // _LINE + 1) * _LINE


def _check(parameters: list[nn.Parameter]) -> None:
    if len({id(p) for p in parameters}) < len(parameters):
        raise BadValue(
            "the policy and the value function share parameters; each needs a network of its own, since each has an "
            "optimiser of its own."
        )
    kinds = {str(p.dtype) for p in parameters if p.dtype != torch.float32}
    if kinds:
        raise BadValue(f"parameters of type {', '.join(sorted(kinds))}: a flat buffer holds float32 only.")
    devices = {str(p.device) for p in parameters}
    if len(devices) > 1:
        raise BadValue(f"parameters on several devices ({', '.join(sorted(devices))}): move them to one first.")


def _move(parameters: list[nn.Parameter], segment: Segment) -> None:
    begin = 0
    for parameter in parameters:
        end = begin + parameter.numel()
        view = segment.param[begin:end].view(parameter.shape)
        view.copy_(parameter.detach())
        parameter.data = view
        parameter.grad = segment.grad[begin:end].view(parameter.shape)
        begin = end


def offset_in(buffer: Tensor, view: Tensor) -> int | None:
    """Where `view` begins in `buffer`, in elements; None if it is no view of it."""
    if view.untyped_storage().data_ptr() != buffer.untyped_storage().data_ptr():
        return None
    return int(view.storage_offset()) - int(buffer.storage_offset())
