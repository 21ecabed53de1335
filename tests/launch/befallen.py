"""Runs that a fault befalls in the midst of their work, on their first attempt: behind a checkpoint and two more rows.

    python -m tests.launch.befallen DATA_DIR FAULT...

launches a grid of them, from the root of the repository.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

EPOCHS, EVERY, AT = 12, 5, 6
"""The rows of a run, those between two checkpoints, and the one behind which the fault comes."""

MOST_MEMORY = "700M"

FILLER = "filler"
"""The file in the data directory that takes up all the room that its disk has."""


def count(fault: str) -> None:
    """Adds numbers up; its rows are the same however often it is broken off."""
    import torch  # noqa: F401 (what saves needs it)

    from gridrl import current_run
    from gridrl.utils.mpi_environment import rank_in_environment

    this = current_run()
    total, first = this.load() or (0, 0)
    for epoch in range(first, EPOCHS):
        total += epoch
        this.log(Epoch=epoch, Total=total)
        if epoch % EVERY == EVERY - 1:
            this.save(total, step=epoch + 1)
        if epoch == AT and this.attempt == 1:
            FAULTS[fault](this)
    if not rank_in_environment():
        with open(this.dir / "ends.txt", "a") as file:
            file.write("x")


def rows() -> list[str]:
    """The lines of a finished run's `progress.txt`."""
    return ["Epoch\tTotal", *(f"{epoch}\t{epoch * (epoch + 1) // 2}" for epoch in range(EPOCHS))]


def _sleep(_: Any) -> None:
    time.sleep(60)


def _kill(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)


def _take_memory(_: Any) -> None:
    block = bytearray(b"x") * (900 * 2**20)
    time.sleep(60)
    print(len(block))


def _ignore_sigterm(_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def _fork_grandchildren(_: Any) -> None:
    """A child in the same session, one in a session of its own, and a child of that whose parent has gone."""
    nap = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    orphan = f"import os; os.fork() or exec({nap!r})"
    for code, is_far in ((nap, False), (nap, True), (orphan, True)):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=is_far)
        assert child.stdout is not None
        child.stdout.readline()
    _kill(None)


def _close_output(_: Any) -> None:
    os.close(1)
    os.close(2)


def _flood_output(_: Any) -> None:
    for _line in range(20_000):
        os.write(1, b"x" * 1023 + b"\n")


def _fill_disk(this: Any) -> None:
    with open(this.dir.parents[1] / FILLER, "wb", buffering=0) as filler, contextlib.suppress(OSError):
        for count in (2**16, 2**9):
            while filler.write(bytes(count)) == count:
                continue


def _kill_server(this: Any) -> None:
    with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
        assert b"gridrl.launch.forkserver" in file.read()
    os.kill(os.getppid(), signal.SIGKILL)


def _kill_launcher(this: Any) -> None:
    from gridrl.log.claims import latest_claim

    claim = latest_claim(this.dir)
    assert claim is not None
    assert claim.owner is not None
    os.kill(claim.owner.pid, signal.SIGKILL)
    time.sleep(60)


def _kill_rank(_: Any) -> None:
    from gridrl.utils.mpi import barrier, proc_id

    barrier()
    if proc_id() == 1:
        _kill(None)
    time.sleep(60)


FAULTS: dict[str, Callable[[Any], None]] = {
    "nothing": lambda this: None,
    "SIGKILL": _kill,
    "abort": lambda this: os.abort(),
    "SIGSTOP": _stop,
    "memory": _take_memory,
    "deaf": _ignore_sigterm,
    "grandchildren": _fork_grandchildren,
    "silent": _close_output,
    "flood": _flood_output,
    "disk": _fill_disk,
    "server": _kill_server,
    "launcher": _kill_launcher,
    "rank": _kill_rank,
}


def main(data_dir: str, *faults: str) -> int:
    """Launches runs that these faults befall, one after the other: each is done, or not yet begun, when one is hit."""
    from gridrl import ExperimentGrid

    grid = ExperimentGrid("g")
    grid.add("fault", list(faults))
    return 0 if grid.run("tests.launch.befallen:count", data_dir=data_dir, jobs=1).ok else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
