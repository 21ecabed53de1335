"""What the ranks of a run tell each other: sums, averages, statistics, broadcasts.

Every function is the identity where there is one rank, and mpi4py is imported only in a process that an MPI launcher
started with more than one: nothing here needs MPI to be installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, MPIError
from gridrl.utils.mpi_environment import in_mpi, rank_in_environment, without_mpi

__all__ = [
    "allreduce",
    "allreduce_in_place",
    "barrier",
    "broadcast",
    "gather_objects",
    "in_mpi",
    "mpi_avg",
    "mpi_op",
    "mpi_statistics_scalar",
    "mpi_sum",
    "msg",
    "num_procs",
    "proc_id",
    "rank_in_environment",
    "without_mpi",
]

_OPS = ("sum", "prod", "min", "max")


def _mpi() -> Any:
    """The module mpi4py.MPI, whose import initialises MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise MPIError(
            f"this process was started as one of several MPI ranks, but mpi4py cannot be imported: {error}. "
            "Install it in this environment (`pip install mpi4py mpich`), or run with one rank (num_cpu=1)."
        ) from error
    return MPI


def num_procs() -> int:
    """The number of ranks; 1 outside MPI."""
    return int(_mpi().COMM_WORLD.Get_size()) if in_mpi() else 1


def proc_id() -> int:
    """This rank's number, from 0; 0 outside MPI."""
    return int(_mpi().COMM_WORLD.Get_rank()) if in_mpi() else 0


def msg(m: object, string: str = "") -> None:
    """Prints a message with the number of the rank that it comes from."""
    print(f"Message from {proc_id()}: {string} \t {m}", flush=True)


def barrier() -> None:
    """Returns when every rank has come here."""
    if in_mpi():
        _mpi().COMM_WORLD.Barrier()


def _handle(op: Any) -> Any:
    """An MPI operation by its name; a handle of mpi4py's passes as it is."""
    if not isinstance(op, str):
        return op
    if op not in _OPS:
        raise BadValue(f"op={op!r}: no such reduction. Allowed: {', '.join(_OPS)}, or an operation of mpi4py's.")
    return getattr(_mpi(), op.upper())


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "detach") and hasattr(x, "cpu")


def _as_array(x: Any, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """The numbers of `x`; half precision, which MPI does not know, becomes single, and truth values become 0 and 1."""
    if _is_tensor(x):
        tensor = x.detach().cpu()
        x = (tensor.double() if dtype == np.float64 else _at_least_single(tensor)).numpy()
    array = np.asarray(x, dtype=dtype)
    if array.dtype == bool:
        return array.astype(np.int64)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _at_least_single(tensor: Any) -> Any:
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 4 else tensor


def _in_kind(result: npt.NDArray[Any], x: Any, dtype: Any = None) -> Any:
    """The result as what `x` is: a Python number, an array, or a tensor of `dtype` on the same device."""
    if _is_tensor(x):
        import torch

        return torch.from_numpy(result).to(dtype=dtype, device=x.device)
    return result.item() if np.isscalar(x) else result


def allreduce_in_place(array: npt.NDArray[Any], op: Any = "sum") -> None:
    """Reduces a contiguous array over the ranks, into itself and in its own dtype."""
    if in_mpi():
        _mpi().COMM_WORLD.Allreduce(_mpi().IN_PLACE, array, op=_handle(op))


def _reduced(array: npt.NDArray[Any], op: Any) -> npt.NDArray[Any]:
    """A new array, contiguous, of the same shape and dtype."""
    result = np.array(array, order="C", copy=True)
    allreduce_in_place(result, op)
    return result


def allreduce(x: Any, out: npt.NDArray[Any] | None = None, op: Any = "sum") -> Any:
    """Reduces a value over the ranks, in its own dtype; every rank gets the result.

    Args:
        x: a number, a numpy array or a torch tensor, of one shape and dtype on all ranks.
        out: an array for the result, as in mpi4py's `Allreduce`; None: a new one.
        op: "sum", "prod", "min", "max", or an operation of mpi4py's.

    Returns:
        A Python number for a number; else an array or tensor with the shape and dtype of `x`, or `out`.
    """
    result = _reduced(_as_array(x), op)
    if out is not None:
        out[...] = result
        return out
    return _in_kind(result, x, x.dtype if _is_tensor(x) and x.is_floating_point() else None)


def mpi_op(x: Any, op: Any) -> Any:
    """Reduces a number, an array or a tensor over the ranks, computed in float64.

    Returns:
        A float for a number, a float64 array for an array; for a tensor one of its own floating dtype, else of float64.
    """
    result = _reduced(_as_array(x, np.float64), op)
    return _in_kind(result, x, x.dtype if _is_tensor(x) and x.is_floating_point() else None)


def mpi_sum(x: Any) -> Any:
    """The sum over the ranks of a number or an array, in float64."""
    return mpi_op(x, "sum")


def mpi_avg(x: Any) -> Any:
    """The average over the ranks of a number or an array, in float64."""
    return mpi_sum(x) / num_procs()


def broadcast(x: Any, root: int = 0) -> Any:
    """Gives every rank the value of one.

    Args:
        x: an array or tensor, which is overwritten in place on the other ranks and must have the same shape and dtype
            everywhere; or any picklable object, which the others' own values do not touch.
        root: the rank whose value counts.

    Returns:
        The value of `root`: `x` itself for an array or tensor.
    """
    if not in_mpi():
        return x
    world = _mpi().COMM_WORLD
    if _is_tensor(x):
        _broadcast_tensor(x, root)
        return x
    if not isinstance(x, np.ndarray):
        return world.bcast(x, root=root)
    buffer = np.ascontiguousarray(x)
    world.Bcast(buffer, root=root)
    if buffer is not x:
        x[...] = buffer.reshape(x.shape)
    return x


def _broadcast_tensor(x: Any, root: int) -> None:
    import torch

    with torch.no_grad():
        buffer = x.detach().cpu().contiguous()
        _mpi().COMM_WORLD.Bcast(buffer.numpy(), root=root)
        x.copy_(buffer)


def gather_objects(x: Any) -> list[Any]:
    """A picklable object of each rank, in the order of the ranks; every rank gets them all."""
    return list(_mpi().COMM_WORLD.allgather(x)) if in_mpi() else [x]


def mpi_statistics_scalar(x: Any, with_min_and_max: bool = False) -> tuple[float, ...]:
    """Mean and population standard deviation of the numbers of all ranks, in float64, with one exchange.

    The ranks' moments are merged by Chan, Golub and LeVeque (1983): M2 = sum_r M2_r + n_r (mean_r - mean)^2.

    Args:
        x: this rank's numbers, of any shape; there may be none.
        with_min_and_max: whether the least and the largest are wanted too.

    Returns:
        (mean, std) or (mean, std, min, max); nan where no rank has a number.
    """
    numbers = _as_array(x, np.float64).ravel()
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite number makes the deviation nan, silently
        moments = _gather_rows(_moments(numbers))
        moments = moments[moments[:, 0] > 0]
        if not len(moments):
            return (np.nan,) * (4 if with_min_and_max else 2)
        count, means, squares = moments[:, 0], moments[:, 1], moments[:, 2]
        mean = means[0] if len(means) == 1 else np.sum(count * means) / np.sum(count)
        std = np.sqrt(np.sum(squares + count * (means - mean) ** 2) / np.sum(count))
    statistics = (float(mean), float(std))
    return (*statistics, float(moments[:, 3].min()), float(moments[:, 4].max())) if with_min_and_max else statistics


def _moments(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[5]: count, mean, sum of squared deviations, min, max."""
    if not numbers.size:
        return np.zeros(5)
    mean = numbers.mean()
    return np.array([numbers.size, mean, np.sum((numbers - mean) ** 2), numbers.min(), numbers.max()])


def _gather_rows(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[ranks, len(row)]: the row of every rank."""
    if not in_mpi():
        return row[None]
    rows = np.empty((num_procs(), row.size))
    _mpi().COMM_WORLD.Allgather(row, rows)
    return rows
