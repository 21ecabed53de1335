"""What the environment tells about MPI: whether this process is a rank, and which; imports neither mpi4py nor numpy."""

from __future__ import annotations

import os
from collections.abc import Mapping

# The variable with the number of ranks, by the one with a rank's own number.
_SIZE_OF = {
    "PMI_RANK": "PMI_SIZE",  # MPICH, Intel MPI, srun --mpi=pmi2
    "OMPI_COMM_WORLD_RANK": "OMPI_COMM_WORLD_SIZE",  # Open MPI
    "PMIX_RANK": "SLURM_STEP_NUM_TASKS",  # srun --mpi=pmix
}
# Set by the rank's keeper: the process that is the rank. Its children inherit all of these, but are no ranks.
RANK_PID = "GRIDRL_RANK_PID"
# What only an MPI launcher sets for the processes that it starts ...
_LAUNCHED = (RANK_PID, "PMI_", "PMI2_", "PMIX_", "HYDI_", "MPI_LOCAL", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_SIZE")
# ... and prefixes that it shares with settings of the user's.
_SHARED = ("MPI_", "MPIR_", "MPICH_", "MPIEXEC_", "HYDRA_", "I_MPI_", "OMPI_", "PRTE_", "ORTE_", "OPAL_")


def rank_in_environment(environ: Mapping[str, str] | None = None) -> int | None:
    """The MPI rank that a launcher gave this process by its environment, None where none did."""
    environ = os.environ if environ is None else environ
    found = (environ[rank] for rank in _SIZE_OF if environ.get(rank, "").isdecimal())
    return next((int(rank) for rank in found), None)


def in_mpi(environ: Mapping[str, str] | None = None) -> bool:
    """Whether this process is one of several MPI ranks, told by its environment alone.

    A child process of a rank inherits the rank's environment without being one, and cannot use MPI.
    """
    environ = os.environ if environ is None else environ
    if environ.get(RANK_PID, str(os.getpid())) != str(os.getpid()):
        return False
    return next((environ.get(size) != "1" for rank, size in _SIZE_OF.items() if rank in environ), False)


def without_mpi(environ: Mapping[str, str]) -> dict[str, str]:
    """A copy of an environment without the variables of an MPI launch around it, for a process that is no part of it.

    Left in, they make an `mpiexec` or an MPI process started from a rank fail. In a rank, settings such as `OMPI_MCA_*`
    cannot be told from the launcher's own and go too; outside they stay, and `MPI4PY_*` always does.
    """
    surrounding = _LAUNCHED if rank_in_environment(environ) is None else _LAUNCHED + _SHARED
    return {name: value for name, value in environ.items() if not name.startswith(surrounding)}
