"""torch modules over MPI ranks: averaged gradients and equal parameters, each with one exchange; tensors as arrays.

Nothing happens where there is one rank. torch is imported only by a caller that has it already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from gridrl.utils.mpi import allreduce, allreduce_in_place, broadcast, num_procs

if TYPE_CHECKING:
    import torch

Flat = TypeVar("Flat", "npt.NDArray[Any]", "torch.Tensor")


def setup_pytorch_for_mpi() -> None:
    """Shares torch's threads among the ranks, at least 1 each: ranks with all cores each would slow one another.

    Where OMP_NUM_THREADS says how many threads a rank has, as it does in all that gridrl starts, that holds.
    """
    import torch

    if num_procs() > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // num_procs()))


def to_numpy(x: torch.Tensor) -> npt.NDArray[Any]:
    """A tensor's numbers as an array: a view of its memory where it lies on the CPU, a copy elsewhere.

    bfloat16, which numpy does not have, becomes float32.
    """
    import torch

    plain = x.detach().cpu().resolve_conj().resolve_neg()
    array: npt.NDArray[Any] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def average_flat(x: Flat) -> Flat:
    """Averages floating numbers over the ranks, in place and in their own dtype, with one Allreduce.

    Args:
        x: an array or tensor of one shape and dtype on all ranks; contiguous memory of the CPU is exchanged as it is.

    Returns:
        `x` itself.
    """
    if num_procs() == 1:
        return x
    memory = _memory(x)
    if memory is not None:
        allreduce_in_place(memory)
        memory /= num_procs()
    elif isinstance(x, np.ndarray):
        x[...] = allreduce(x) / num_procs()
    else:
        x.detach().copy_(allreduce(x) / num_procs())
    return x


def _memory(x: npt.NDArray[Any] | torch.Tensor) -> npt.NDArray[Any] | None:
    """The array that MPI may work on directly, None where `x` is scattered, elsewhere, or of half precision."""
    if x.dtype.itemsize < 4:
        return None
    if isinstance(x, np.ndarray):
        return x if x.flags.c_contiguous else None
    return x.detach().numpy() if x.device.type == "cpu" and x.is_contiguous() else None


def mpi_avg_grads(module: torch.nn.Module) -> None:
    """Averages a module's gradients over the ranks with one Allreduce of one flat buffer.

    A gradient that is None counts as zeros where another rank has one, and is then set; one that is None on every rank
    stays None, as an optimiser treats the two differently. Frozen parameters are left out, on all ranks alike.
    """
    if num_procs() == 1:
        return
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    flat = _flat_grads(parameters)
    average_flat(flat)
    how_many_have_one = flat[len(flat) - len(parameters) :]
    start = 0
    for parameter, share in zip(parameters, how_many_have_one, strict=True):
        if share > 0:
            _set_grad(parameter, flat[start : start + parameter.numel()])
        start += parameter.numel()


def _flat_grads(parameters: Sequence[torch.Tensor]) -> npt.NDArray[Any]:
    """All gradients one behind the other, then for each parameter 1 if it has one, else 0."""
    import torch

    is_double = any(parameter.dtype == torch.float64 for parameter in parameters)
    sizes = [parameter.numel() for parameter in parameters]
    flat = np.zeros(sum(sizes) + len(sizes), np.float64 if is_double else np.float32)
    start = 0
    for index, (parameter, size) in enumerate(zip(parameters, sizes, strict=True)):
        if parameter.grad is not None:
            gradient = parameter.grad.detach().to_dense() if parameter.grad.is_sparse else parameter.grad.detach()
            torch.from_numpy(flat[start : start + size]).copy_(gradient.reshape(-1))
            flat[len(flat) - len(sizes) + index] = 1
        start += size
    return flat


def _set_grad(parameter: torch.Tensor, values: npt.NDArray[Any]) -> None:
    import torch

    average = torch.from_numpy(values).view(parameter.shape)
    if parameter.grad is None or parameter.grad.is_sparse:
        parameter.grad = average.to(dtype=parameter.dtype, device=parameter.device, copy=True)
    else:
        parameter.grad.detach().copy_(average)


def sync_params(module: torch.nn.Module, root: int = 0) -> None:
    """Gives every rank the parameters and buffers of rank `root`, bit by bit, with one broadcast."""
    if num_procs() == 1:
        return
    tensors = [tensor.detach() for tensor in _state(module)]
    content = _bytes_of(tensors)
    broadcast(content, root)
    start = 0
    for tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        tensor.copy_(_from_bytes(content[start : start + size], tensor))
        start += size


def _state(module: torch.nn.Module) -> Iterable[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _bytes_of(tensors: Sequence[torch.Tensor]) -> npt.NDArray[np.uint8]:
    import torch

    chunks = [tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy() for tensor in tensors]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.uint8)


def _from_bytes(content: npt.NDArray[np.uint8], like: torch.Tensor) -> torch.Tensor:
    import torch

    # The copy starts at an address that suits any dtype; a slice of the whole need not.
    return torch.from_numpy(content.copy()).view(like.dtype).reshape(like.shape)
