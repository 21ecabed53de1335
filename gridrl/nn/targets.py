"""Target networks: copies that follow the networks that learn."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from gridrl.errors import ShapeError
from gridrl.nn.flat import FlatParameters

Module = TypeVar("Module", bound=nn.Module)


def target_of(*modules: Module) -> tuple[Module, ...]:
    """Copies of networks, without gradients, whose parameters lie in one flat buffer."""
    copies = tuple(copy.deepcopy(module) for module in modules)
    FlatParameters(copies)
    for module in copies:
        module.requires_grad_(False)
    return copies


class Following:
    """Moves target networks towards those that learn: `target <- (1 - tau) target + tau source`.

    Parameters and floating buffers are averaged, whole-numbered buffers copied. Where the parameters of a network lie
    behind each other in one buffer (`gridrl.nn.flat`), it is one operation for all of them.

    >>> source, target = nn.Linear(1, 1), nn.Linear(1, 1)
    >>> Following(source, target).move(1.0)
    >>> bool((source.weight == target.weight).all())
    True
    """

    def __init__(self, source: nn.Module, target: nn.Module) -> None:
        """Takes two networks of one kind.

        Raises:
            ShapeError: their parameters differ in number or shape.
        """
        sources, targets = _moving(source), _moving(target)
        if [tensor.shape for tensor in sources] != [tensor.shape for tensor in targets]:
            raise ShapeError("the network and its target differ in the number or shapes of their parameters.")
        one, other = _as_one(sources), _as_one(targets)
        if one is not None and other is not None and len(one) == len(other):
            sources, targets = [one], [other]
        self._sources, self._targets = sources, targets
        self._copied = list(zip(_whole(source), _whole(target), strict=True))

    def move(self, tau: float) -> None:
        """Moves the target by `tau`: 0 leaves it, 1 makes it a copy."""
        with torch.no_grad():
            if len(self._sources) == 1:
                self._targets[0].lerp_(self._sources[0], tau)
            elif self._sources:
                torch._foreach_lerp_(self._targets, self._sources, tau)
            for source, target in self._copied:
                target.copy_(source)


def soft_update_from_to(source: nn.Module, target: nn.Module, tau: float) -> None:
    """Moves a network once: `target <- (1 - tau) target + tau source`; `Following` does it often, and faster."""
    Following(source, target).move(tau)


def _moving(module: nn.Module) -> list[Tensor]:
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    return [tensor.detach() for tensor in (*module.parameters(), *buffers)]


def _whole(module: nn.Module) -> Iterable[Tensor]:
    return (buffer for buffer in module.buffers() if not buffer.is_floating_point())


def _as_one(tensors: Sequence[Tensor]) -> Tensor | None:
    """The part of a flat buffer [P] that these tensors are, one behind the other; None where they lie otherwise."""
    if not tensors:
        return None
    first, size = tensors[0], sum(tensor.numel() for tensor in tensors)
    offset = first.storage_offset()
    for tensor in tensors:
        same = tensor.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        if not (same and tensor.is_contiguous() and tensor.storage_offset() == offset):
            return None
        offset += tensor.numel()
    return first.as_strided((size,), (1,), first.storage_offset())
