"""Runs of several MPI ranks that are asked to make room: all stop together, rank 0 writes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gridrl.launch.backend import Resources
from gridrl.launch.local import start
from gridrl.launch.payload import Payload, write_payload
from gridrl.utils.files import RunPaths
from tests.launch.disturbing import row_count
from tests.launch.helpers import run


def counted(epochs: int, seed: int = 0) -> None:
    """Counts on every rank; each rank draws from a generator of its own."""
    import random
    import time

    import torch  # noqa: F401 (what saves needs it)

    from gridrl import current_run
    from gridrl.utils.mpi import gather_objects, proc_id

    this = current_run()
    total, first = this.load() or (0, 0)
    for epoch in range(first, epochs):
        if this.should_stop():
            this.save(total, step=epoch)
            return
        total += epoch
        this.log(Epoch=epoch, Total=total, Drawn=sum(gather_objects(random.random())))
        if epoch == 0:
            this.save(total if proc_id() == 0 else "not what is saved", step=1)
        time.sleep(0.01)


def when_rows(rows: int, run_dir: Path, action: Callable[[], None]) -> threading.Thread:
    def watch() -> None:
        deadline = time.monotonic() + 60
        while row_count(run_dir / "progress.txt") < rows:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_a_signal_to_one_rank_stops_all_and_the_run_goes_on(data_dir: Path) -> None:
    undisturbed = run(counted, data_dir / "undisturbed", keys={"epochs": 60}, num_cpu=2)[0]
    assert undisturbed.ok
    run_dir = data_dir / "stopped" / "g" / "g_s0"

    def stop() -> None:
        os.kill(json.loads((run_dir / "ranks" / "1.begin.json").read_text())["pid"], signal.SIGUSR1)

    watching = when_rows(4, run_dir, stop)
    result = run(counted, data_dir / "stopped", keys={"epochs": 60}, num_cpu=2)[0]
    watching.join(timeout=60)
    assert (result.state, result.exit_code, result.rank) == ("preempted", 75, None)
    status = json.loads((run_dir / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("preempted", 75)
    (checkpoint,) = (run_dir / "checkpoints").iterdir()
    assert checkpoint.name == f"state_{row_count(run_dir / 'progress.txt'):06d}.pt"
    assert run(counted, data_dir / "stopped", keys={"epochs": 60}, num_cpu=2)[0].ok
    assert (run_dir / "progress.txt").read_bytes() == (undisturbed.run_dir / "progress.txt").read_bytes()


def test_ranks_that_are_ended_by_their_launcher_save_themselves(data_dir: Path) -> None:
    paths = RunPaths(data_dir)
    data_dir.mkdir()
    write_payload(paths.payload, Payload(counted, {"epochs": 3000}, seed=0, logger_kwargs={"quiet": True}))
    running = start(paths, Resources(num_cpu=2))
    when_rows(3, data_dir, lambda: running.end(30.0))
    ending = running.wait()
    assert (ending.state, ending.exit_code) == ("preempted", 75)
    assert list((data_dir / "checkpoints").iterdir()) != []
