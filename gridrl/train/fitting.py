"""What fits together: saved state with a network and an optimiser, parameters with the optimiser that moves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from gridrl.errors import CheckpointError

_TOLD = 3
# optimisers' tensors that have the shape of their parameter
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "sum")


def check_network(name: str, network: nn.Module, saved: Mapping[str, Any]) -> None:
    """Raises where `saved` is no state of this network; nothing is loaded.

    Args:
        name: whose network it is, for the error.
        network: that is to take the state.
        saved: its `state_dict`, of a checkpoint.

    Raises:
        CheckpointError: names of tensors or shapes differ.
    """
    differing = list(_differences({key: _shape(value) for key, value in network.state_dict().items()}, saved))
    if differing:
        more = f", and {len(differing) - _TOLD} more" if len(differing) > _TOLD else ""
        raise CheckpointError(
            f"{name}: this is the state of another network: {'; '.join(differing[:_TOLD])}{more}. Build the network "
            "that was saved; nothing was loaded."
        )


def check_optimizer(name: str, optimizer: Any, saved: Mapping[str, Any]) -> None:
    """Raises where `saved` is no state of this optimiser, which torch would not notice; nothing is loaded.

    Raises:
        CheckpointError: the number or the shapes of the parameters differ.
    """
    if "param_groups" not in saved or not hasattr(optimizer, "param_groups"):
        return  # no optimiser of torch's: it checks for itself
    shapes = [tuple(parameter.shape) for group in optimizer.param_groups for parameter in group["params"]]
    count = sum(len(group["params"]) for group in saved["param_groups"])
    if count != len(shapes):
        raise CheckpointError(
            f"{name}: the optimiser's state is of {count} parameters, the network has {len(shapes)}: it was saved with "
            "another network."
        )
    numbers = (number for group in saved["param_groups"] for number in group["params"])
    for number, shape in zip(numbers, shapes, strict=True):
        for key, value in saved["state"].get(number, {}).items():
            if key in _MOMENTS and isinstance(value, Tensor) and tuple(value.shape) != shape:
                raise CheckpointError(
                    f"{name}: the optimiser's {key} has shape {list(value.shape)} there, its parameter {list(shape)} "
                    "here: it was saved with another network."
                )


def optimized_parameters(network: nn.Module, optimizer: Any) -> list[tuple[str, nn.Parameter]]:
    """The parameters of a network that an optimiser moves, a `FlatAdam` or one of torch's, and their names."""
    named = list(network.named_parameters())
    segment = getattr(optimizer, "segment", None)
    if segment is not None:
        begin = segment.param.data_ptr()
        end = begin + segment.param.numel() * segment.param.element_size()
        return [(name, parameter) for name, parameter in named if begin <= parameter.data_ptr() < end]
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return [(name, parameter) for name, parameter in named if id(parameter) in moved]


def _differences(here: Mapping[str, list[int] | None], saved: Mapping[str, Any]) -> Iterator[str]:
    for key in [*here, *(key for key in saved if key not in here)]:
        if key not in saved:
            yield f"{key} is not there"
        elif key not in here:
            yield f"{key} is there only"
        elif here[key] != _shape(saved[key]):
            yield f"{key} has shape {_shape(saved[key])} there, {here[key]} here"


def _shape(value: Any) -> list[int] | None:
    return list(value.shape) if isinstance(value, Tensor) else None
