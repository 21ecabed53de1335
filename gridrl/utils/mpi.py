"""What the ranks of a run tell each other: sums, averages, statistics, broadcasts.

Every function is the identity where there is one rank, and mpi4py is imported only in a process that an MPI launcher
started with more than one: nothing here needs MPI to be installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, MPIError

# The variable with a rank's number, and the one with the number of ranks, by who sets them.
_RANK_MARKS = (
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI, srun --mpi=pmi2
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI
    ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),  # srun --mpi=pmix
)
# Set by the rank's keeper: the process that is the rank. Its children inherit all of these, but are no ranks.
RANK_PID = "GRIDRL_RANK_PID"
# What only an MPI launcher sets for the processes that it starts ...
_LAUNCHED = (RANK_PID, "PMI_", "PMI2_", "PMIX_", "HYDI_", "MPI_LOCAL", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_SIZE")
# ... and prefixes that it shares with settings of the user's.
_SHARED = ("MPI_", "MPIR_", "MPICH_", "MPIEXEC_", "HYDRA_", "I_MPI_", "OMPI_", "PRTE_", "ORTE_", "OPAL_")
_OPS = ("sum", "prod", "min", "max")


def rank_in_environment(environ: Mapping[str, str] | None = None) -> int | None:
    """The MPI rank that a launcher gave this process by its environment, None where none did."""
    environ = os.environ if environ is None else environ
    for rank, _ in _RANK_MARKS:
        if environ.get(rank, "").isdecimal():
            return int(environ[rank])
    return None


def in_mpi(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process is one of several MPI ranks, told by its environment alone.

    A child process of a rank inherits the rank's environment without being one, and cannot use MPI.
    """
    environ = os.environ if environ is None else environ
    if environ.get(RANK_PID, str(os.getpid())) != str(os.getpid()):
        return False
    return next((environ.get(size) != "1" for rank, size in _RANK_MARKS if rank in environ), False)


def without_mpi(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy of an environment without the variables of an MPI launch around it, for a process that is no part of it.

    Left in, they make an `mpiexec` or an MPI process started from a rank fail. In a rank, settings such as `OMPI_MCA_*`
    cannot be told from the launcher's own and go too; outside they stay, and `MPI4PY_*` always does.
    """
    in_rank = rank_in_environment(environ) is not None
    surrounding = _LAUNCHED + _SHARED if in_rank else _LAUNCHED
    return {name: value for name, value in environ.items() if not name.startswith(surrounding)}


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
    if _is_tensor(x):
        tensor = x.detach().cpu()
        return np.asarray(tensor.double().numpy() if dtype == np.float64 else tensor.numpy(), dtype=dtype)
    return np.asarray(x, dtype=dtype)


def _reduced(array: npt.NDArray[Any], op: Any) -> npt.NDArray[Any]:
    """A new array, contiguous, of the same shape and dtype."""
    result = np.array(array, order="C", copy=True)
    if in_mpi():
        _mpi().COMM_WORLD.Allreduce(_mpi().IN_PLACE, result, op=_handle(op))
    return result


def allreduce(x: Any, out: npt.NDArray[Any] | None = None, op: Any = "sum") -> Any:
    """Reduces a value over the ranks; every rank gets the result.

    Args:
        x: a number, a numpy array or a torch tensor, of one shape and dtype on all ranks.
        out: a contiguous array for the result, as in mpi4py's `Allreduce`; None: a new one.
        op: "sum", "prod", "min", "max", or an operation of mpi4py's.

    Returns:
        A Python number for a number; else an array or tensor with the shape and dtype of `x`, or `out`.
    """
    array = _as_array(x)
    result = _reduced(array.astype(np.int64) if array.dtype == bool else array, op)
    if out is not None:
        out[...] = result
        return out
    if _is_tensor(x):
        import torch

        return torch.from_numpy(result).to(dtype=x.dtype, device=x.device)
    return result.item() if np.isscalar(x) else result


def mpi_op(x: Any, op: Any) -> Any:
    """Reduces a number or an array over the ranks in float64: a float for a number, a float64 array for an array."""
    result = _reduced(_as_array(x, np.float64), op)
    return float(result) if np.isscalar(x) else result


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


def gather_objects(x: Any, root: int | None = None) -> list[Any] | None:
    """Collects a picklable object of each rank, in the order of the ranks.

    Args:
        x: this rank's object.
        root: the only rank that gets them; None: all do.

    Returns:
        The list; None on the ranks that get nothing.
    """
    if not in_mpi():
        return [x]
    world = _mpi().COMM_WORLD
    found: list[Any] | None = world.allgather(x) if root is None else world.gather(x, root=root)
    return found


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
