"""Programs as several MPI ranks: `mpi_fork` for plain scripts, and what the launcher uses from the modules below."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path
from types import FrameType

from gridrl.errors import MPIError
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi_environment import in_mpi
from gridrl.utils.mpiexec import Mpiexec, check_mpi, find_mpiexec, implementation_of, resolve_num_cpu
from gridrl.utils.rank_run import RankOutcome, RunningRanks, run_ranks, start_ranks

__all__ = [
    "Mpiexec",
    "RankOutcome",
    "RunningRanks",
    "check_mpi",
    "find_mpiexec",
    "implementation_of",
    "mpi_fork",
    "resolve_num_cpu",
    "run_ranks",
    "start_ranks",
]

_WORKER = "gridrl.launch.worker"


def mpi_fork(n: int | str, bind_to_core: bool = False) -> None:
    """Makes a plain script run as `n` MPI ranks: starts it again under `mpiexec` and leaves with its exit status.

    Returns only in the ranks, and where `n` is 1 or less. What the script did before this call, every rank does again.
    A rank that fails (an exception, `sys.exit` with a status that is not 0, `os._exit`, a signal) ends all of them.

    ```python
    mpi_fork(4)                       # from here on four processes
    print(proc_id(), num_procs())
    ```

    Args:
        n: how many ranks, or "auto": as many as there are physical cores.
        bind_to_core: whether each rank is bound to a core.

    Raises:
        MPIError: MPI is missing or mixed up, or this process is no script: a notebook, `python -c`, a run of a grid.
        BadValue: `n` is no number of ranks.
        SystemExit: with the ranks' exit status, when they have ended.
    """
    if in_mpi() or (isinstance(n, int) and n <= 1):
        return
    num_ranks = resolve_num_cpu(n, "n")
    mpiexec = check_mpi(num_ranks)
    if mpiexec is None:
        return
    program = _own_program()
    with tempfile.TemporaryDirectory(prefix="gridrl-ranks-") as root:
        argv = [sys.executable, *_interpreter_options(), "-m", "mpi4py", "-m", "gridrl.utils.rank_script", root]
        running = start_ranks(
            [*argv, *program],
            num_ranks,
            RunPaths(Path(root)),
            _environment(),
            bind_to_core=bind_to_core,
            logs=False,
            mpiexec=mpiexec,
        )
        outcome = _wait(running)
    if not outcome.ok:
        print(f"mpi_fork: {outcome}", file=sys.stderr, flush=True)
    sys.exit(outcome.exit_code if outcome.exit_code >= 0 else 128 - outcome.exit_code)


def _wait(running: RunningRanks) -> RankOutcome:
    """The outcome; whatever makes this process leave first, a SIGTERM too, ends the ranks before."""

    def leave(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, leave) if in_main_thread else None
    try:
        while (outcome := running.wait()) is None:
            pass
        return outcome
    except BaseException:
        running.end()
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


def _own_program() -> list[str]:
    """How this program was started: [script, arguments...] or ["-m", module, arguments...]."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name == _WORKER:
        raise MPIError(
            "mpi_fork: this process is a run of an experiment, whose ranks its launcher starts: give num_cpu there "
            "(`--cpu 4`, `grid.run(thunk, num_cpu=4)`) and leave mpi_fork out."
        )
    if spec is not None and spec.name not in ("__main__", "__mp_main__"):
        return ["-m", spec.name.removesuffix(".__main__"), *sys.argv[1:]]
    if not hasattr(main, "__file__") or not sys.argv or not os.path.exists(sys.argv[0]):
        raise MPIError("mpi_fork starts the program again: it needs a script or `python -m module`, no prompt, no -c.")
    return list(sys.argv)


def _interpreter_options() -> list[str]:
    """The options that this interpreter was started with, such as `-W error` and `-X dev`."""
    options: list[str] = []
    words = iter(sys.orig_argv[1:])
    for word in words:
        if not word.startswith("-") or word == "-":
            break
        is_long = word.startswith(("--", "-W", "-X"))
        if not is_long and set(word) & {"c", "m"}:  # what follows is the program
            break
        options.append(word)
        if word in ("-W", "-X", "--check-hash-based-pycs"):
            options.append(next(words, ""))
    return options


def _environment() -> dict[str, str]:
    """This process's, with gridrl importable for the ranks however this script has found it."""
    package_root = str(Path(__file__).resolve().parents[2])
    if package_root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return dict(os.environ)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, package_root])}
