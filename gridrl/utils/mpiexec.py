"""Which `mpiexec` starts the ranks, which flags and variables its implementation needs, and whether mpi4py fits it."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridrl.errors import BadValue, MPIError
from gridrl.utils.mpi_environment import without_mpi
from gridrl.utils.processes import physical_cores, usable_cores

# Implementation -> what its version texts say: those of its mpiexec and those of its library.
_SIGNS = {
    "Intel MPI": ("Intel(R) MPI",),  # before MPICH: its mpiexec is a Hydra too
    "Open MPI": ("Open MPI", "OpenRTE", "PRRTE"),
    "MPICH": ("HYDRA", "MPICH", "MVAPICH"),
}
UNKNOWN = "unknown"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_LIBRARY_VERSION = """\
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(MPI.Get_library_version())
"""
_ANSWER_S = 60  # for a program that answers at once, on a machine where everything else is slow
_RANKS_PER_CORE = 8
_INSTALL = "`pip install mpi4py mpich` brings an MPI of its own into this environment; num_cpu=1 needs none."


@dataclass(frozen=True)
class Mpiexec:
    """The program that starts MPI ranks.

    Attributes:
        program: its path, and options that the setting MPIEXEC gives it.
        implementation: "MPICH", "Open MPI", "Intel MPI" or "unknown".
    """

    program: tuple[str, ...]
    implementation: str

    def command(self, num_ranks: int, argv: Sequence[str], bind_to_core: bool = False) -> list[str]:
        """The command line that runs `argv` as `num_ranks` ranks, on a core each if asked."""
        binding = {"MPICH": ["-bind-to", "core"], "Open MPI": ["--bind-to", "core"]}.get(self.implementation, [])
        return [*self.program, "-n", str(num_ranks), *(binding if bind_to_core else []), *argv]

    def environment(self, base: Mapping[str, str], threads: int = 1, bind_to_core: bool = False) -> dict[str, str]:
        """The variables for `command`: those of a surrounding MPI stripped, those that this implementation needs added.

        Args:
            base: the variables to start from; what the user has set for the implementation is kept.
            threads: of each rank, for OpenMP, MKL and OpenBLAS.
            bind_to_core: whether ranks are to be bound to cores; if not, those that bind unasked are told not to, as
                several runs at once would share the same cores.
        """
        needed = {}
        if self.implementation == "Open MPI":
            needed = _open_mpi_variables(bind_to_core)
        elif self.implementation == "Intel MPI" and not bind_to_core:
            needed = {"I_MPI_PIN": "0"}
        return needed | without_mpi(base) | dict.fromkeys(_THREADS, str(threads))


def _open_mpi_variables(bind_to_core: bool) -> dict[str, str]:
    # OMPI_MCA_* is read by Open MPI 4, PRTE_MCA_* by 5, whose launcher ignores the former.
    needed = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    if not bind_to_core:
        needed |= {"OMPI_MCA_hwloc_base_binding_policy": "none", "PRTE_MCA_hwloc_default_binding_policy": "none"}
    if os.geteuid() == 0:
        needed |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return needed


def implementation_of(version_text: str) -> str:
    """The MPI implementation that a version text comes from: of `mpiexec --version` or of the library."""
    for implementation, signs in _SIGNS.items():
        if any(sign in version_text for sign in signs):
            return implementation
    return UNKNOWN


def find_mpiexec() -> Mpiexec:
    """The `mpiexec` to use: the setting MPIEXEC, else the one beside this interpreter, else the one on PATH.

    PATH comes last: it often holds another implementation than the one that this environment's mpi4py is made for.

    Raises:
        MPIError: there is none, or it does not answer `--version`.
    """
    from gridrl.utils.settings import settings

    setting = settings().MPIEXEC
    program = _from_setting(setting) if setting else _from_surroundings()
    return Mpiexec(program, implementation_of(_version_text(program)))


def _from_setting(setting: str) -> tuple[str, ...]:
    words = [setting] if Path(setting).expanduser().is_file() else shlex.split(setting)
    found = shutil.which(Path(words[0]).expanduser()) if words else None
    if found is None:
        raise MPIError(f"MPIEXEC = {setting!r} in user_config.py: there is no such program. Correct or remove it.")
    return (str(found), *words[1:])


def _from_surroundings() -> tuple[str, ...]:
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if found is None:
        raise MPIError(
            f"several ranks need mpiexec, and there is none beside {sys.executable}, none on PATH and no MPIEXEC in "
            f"user_config.py. {_INSTALL}"
        )
    return (found,)


@functools.cache
def _version_text(program: tuple[str, ...]) -> str:
    try:
        answer = _ask([*program, "--version"])
    except (OSError, subprocess.SubprocessError) as error:
        raise MPIError(f"{program[0]} does not answer `--version`: {error}. {_INSTALL}") from error
    return answer.stdout + answer.stderr


def _ask(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_ANSWER_S,
        env=without_mpi(os.environ),
        check=False,
    )


@functools.cache
def _library_text(python: str, library: str | None) -> str:
    """What the MPI library of an interpreter's mpi4py calls itself; MPI is not initialised for that."""
    try:
        answer = _ask([python, "-c", _LIBRARY_VERSION])
    except (OSError, subprocess.SubprocessError) as error:
        raise MPIError(f"{python} does not tell mpi4py's library: {error}.") from error
    if answer.returncode != 0:
        last = next(iter(answer.stderr.strip().splitlines()[-1:]), f"exit status {answer.returncode}")
        chosen = f" (MPI4PY_LIBMPI={library})" if library else ""
        raise MPIError(f"several ranks need mpi4py, which {python} cannot import{chosen}: {last}. {_INSTALL}")
    return answer.stdout


def check_mpi(num_ranks: int) -> Mpiexec | None:
    """Makes sure that a run of `num_ranks` ranks can start, before anything does.

    Asks `mpiexec` and, in a process of its own, mpi4py for their implementation, once per process (0.1 s).

    Returns:
        The program that will start the ranks, None for one rank, which needs no MPI.

    Raises:
        MPIError: no mpiexec, no mpi4py, or the two of different implementations.
    """
    if num_ranks <= 1:
        return None
    if not _has_mpi4py():
        raise MPIError(f"num_cpu={num_ranks} needs mpi4py, which {sys.executable} does not have. {_INSTALL}")
    mpiexec = find_mpiexec()
    text = _library_text(sys.executable, os.environ.get("MPI4PY_LIBMPI"))
    library = implementation_of(text)
    if UNKNOWN not in (library, mpiexec.implementation) and library != mpiexec.implementation:
        raise MPIError(
            f"num_cpu={num_ranks}: {mpiexec.program[0]} is of {mpiexec.implementation}, but mpi4py uses the library of "
            f"{library} ({text.splitlines()[0].strip()}); the ranks would not find each other. Set MPIEXEC in "
            f"user_config.py to the mpiexec of {library}, or MPI4PY_LIBMPI to the library of {mpiexec.implementation}."
        )
    return mpiexec


def _has_mpi4py() -> bool:
    try:
        return importlib.util.find_spec("mpi4py") is not None
    except (ImportError, ValueError):
        return False


def resolve_num_cpu(value: object, name: str = "num_cpu") -> int:
    """The number of ranks that `num_cpu` stands for.

    Args:
        value: a whole number from 1, or "auto": the physical cores that this process may use.
        name: what the value is called in a message.

    Raises:
        BadValue: anything else, and more ranks than make sense (8 per usable core of every host of the allocation).
    """
    if isinstance(value, str) and value == "auto":
        return physical_cores()
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BadValue(f"{name}={value!r}: a whole number of ranks from 1 is wanted, or 'auto' (physical cores).")
    ranks: int = value.__index__()
    if ranks < 1:
        raise BadValue(f"{name}={ranks}: a run has at least 1 rank. Write 1, or 'auto' (physical cores).")
    most = most_ranks()
    if ranks > most:
        raise BadValue(
            f"{name}={ranks}: more ranks than make sense on {usable_cores()} usable cores; at most {most} "
            f"({_RANKS_PER_CORE} per core) are allowed. Many runs at once are `jobs`, not ranks."
        )
    return ranks


def most_ranks() -> int:
    """How many ranks a run may have at most."""
    hosts = os.environ.get("SLURM_JOB_NUM_NODES", "1")
    return _RANKS_PER_CORE * usable_cores() * max(1, int(hosts) if hosts.isdecimal() else 1)
