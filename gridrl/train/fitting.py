"""What fits together: saved state with a network and an optimiser, parameters with the optimiser that moves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.errors import CheckpointError
from gridrl.schedules import Schedule

_TOLD = 3
# optimisers' tensors that have the shape of their parameter
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg", "sum")


def check_state(name: str, saved: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Raises where saved state is not that of a loss with these parts; nothing is loaded.

    Args:
        name: the loss's, for the error.
        saved: its `state_dict`, of a checkpoint.
        parts: `network`, `optimizer` and `lr_schedule`; None for what is to stay as it is.

    Raises:
        CheckpointError: a part is missing, or is that of another network or optimiser.
    """
    missing = [part for part, target in parts.items() if target is not None and part not in saved]
    if missing:
        raise CheckpointError(
            f"{name}: the state holds no {missing[0]!r}, but {', '.join(map(repr, saved)) or 'nothing'}: it was saved "
            "by a loss that had none. Build the loss that was saved, or leave the part where it is (`load_weights`, "
            "`load_optimizers`, `load_hparams`); nothing was loaded."
        )
    if parts["network"] is not None:
        check_network(name, parts["network"], saved["network"])
    if parts["optimizer"] is not None:
        check_optimizer(name, parts["optimizer"], saved["optimizer"])


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
        CheckpointError: it is of another kind of optimiser, or the number or the shapes of the parameters differ.
    """
    if not hasattr(optimizer, "param_groups"):
        return  # it checks for itself
    if _is_of_another_kind(optimizer, saved):
        raise CheckpointError(
            f"{name}: this is not the state of an optimiser of the kind {type(optimizer).__name__}. Build the one that "
            "was saved, or leave its state where it is (`load_optimizers=False`); nothing was loaded."
        )
    if "param_groups" not in saved:
        return  # none of torch's: it checks the rest for itself
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


def _is_of_another_kind(optimizer: Any, saved: Mapping[str, Any]) -> bool:
    """An Adam that takes up an SGD's state has groups without `betas`: torch finds that out in the next update."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        return hasattr(optimizer, "segment") and "param_groups" in saved
    there = {key for group in saved.get("param_groups", ()) for key in group} - {"params", "initial_lr"}
    # one that only lacks settings is of an older torch, one that only has more had a schedule that notes some
    return not there or bool(optimizer.defaults.keys() - there and there - optimizer.defaults.keys())


def take_learning_rate(optimizer: Any, schedule: Any) -> None:
    """Gives an optimiser the learning rates of its schedule, one of ours or of torch's; of others it keeps its own."""
    rates: list[Any]
    if isinstance(schedule, Schedule):
        rates = [schedule.value] * len(optimizer.param_groups)
    elif isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
        rates = schedule.get_last_lr()
    else:
        return
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


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
