"""Runs of several MPI ranks, and which rank is told to have failed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentFailed, ExperimentGrid, call_experiment
from gridrl.log.record import read_status


def test_every_rank_calls_the_thunk_and_rank_0_is_shown(data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def thunk(lr: float, seed: int) -> None:
        import os
        import random

        from gridrl.utils.mpi import mpi_sum, num_procs, proc_id

        print(f"rank {proc_id()} of {num_procs()}, {lr} {seed} {random.random()} {os.environ['OMP_NUM_THREADS']}")
        print("sum", mpi_sum(proc_id() + 1))

    result = call_experiment("two", thunk, seed=3, num_cpu=2, data_dir=data_dir, lr=0.5)
    assert (result.state, result.rank, result.exit_code) == ("done", None, 0)
    import random

    draws = [random.Random(seed).random() for seed in (3, 10_003)]
    logs = [(result.run_dir / name).read_text() for name in ("stdout.log", "stdout.rank1.log")]
    assert logs == [f"rank {rank} of 2, 0.5 3 {draws[rank]} 1\nsum 3.0\n" for rank in (0, 1)]
    out = capfd.readouterr().out
    assert "1 run; 1 at once (jobs), 2 ranks each (num_cpu)\n" + logs[0] in out
    status = read_status(result.run_dir)
    assert status is not None
    assert (status.state, status.attempt) == ("done", 1)
    assert status.pid is not None
    assert status.cpu_s is not None
    assert status.cpu_s > 0
    assert call_experiment("two", thunk, seed=3, num_cpu=2, data_dir=data_dir, lr=0.5).skipped


@pytest.mark.parametrize(
    ("how", "state", "exit_code", "reason"),
    [
        ("raise ValueError('boom')", "failed", 1, "rank 1 raised ValueError: boom"),
        ("sys.exit(0)", "failed", 1, "rank 1 called sys.exit(0)"),
        ("os._exit(0)", "failed", 1, "rank 1 left with exit code 0 before its work was done (os._exit(0)?)"),
        ("os.kill(os.getpid(), 9)", "failed", -9, "rank 1 killed by signal 9 (SIGKILL)"),
    ],
)
@pytest.mark.timeout(60)
def test_a_rank_that_breaks_off_ends_the_run_and_is_named(
    data_dir: Path, how: str, state: str, exit_code: int, reason: str
) -> None:
    def thunk(how: str) -> None:
        import os
        import sys
        import time

        from gridrl.utils.mpi import barrier, proc_id

        barrier()
        if proc_id() == 1:
            exec(how, {"os": os, "sys": sys})
        print("rank 0 waits", flush=True)
        barrier()
        time.sleep(600)

    with pytest.raises(ExperimentFailed) as error:
        call_experiment("bad", thunk, num_cpu=2, data_dir=data_dir, how=how)
    failed = error.value
    assert (failed.rank, failed.exit_code) == (1, exit_code)
    assert f"bad with seed 0 {state} (exit status {exit_code}): {reason}\n" in str(failed)
    assert "stdout.rank1.log" in str(failed)
    status = read_status(data_dir / "bad" / "bad_s0")
    assert status is not None
    assert (status.state, status.rank, status.error) == (state, 1, reason)


def test_a_rank_that_returns_early_is_no_failure(data_dir: Path) -> None:
    def thunk() -> None:
        import time

        from gridrl.utils.mpi import proc_id

        time.sleep(0.0 if proc_id() else 0.5)

    assert call_experiment("early", thunk, num_cpu=2, data_dir=data_dir).ok


INTERRUPTED = """
import sys, time
from gridrl import call_experiment

def thunk(logger_kwargs):
    import os
    from gridrl.utils.mpi import proc_id
    with open(os.path.join(logger_kwargs["output_dir"], f"up{proc_id()}"), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)

call_experiment("g", thunk, num_cpu=2, data_dir=sys.argv[1])
"""


def test_ctrl_c_ends_all_ranks(script: Callable[..., Path], data_dir: Path) -> None:
    import subprocess
    import sys

    from gridrl.utils.processes import process_identity

    process = subprocess.Popen(
        [sys.executable, str(script(INTERRUPTED)), str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    run_dir = data_dir / "g" / "g_s0"
    deadline = time.monotonic() + 30
    while not all(path.exists() and path.read_text() for path in (run_dir / "up0", run_dir / "up1")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pids = [int((run_dir / name).read_text()) for name in ("up0", "up1")]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert "1 killed." in out
    assert [process_identity(pid) for pid in pids] == [None, None]
    status = read_status(run_dir)
    assert status is not None
    assert (status.state, status.error) == ("killed", "interrupted")


def test_several_runs_of_several_ranks_go_side_by_side(data_dir: Path) -> None:
    def thunk(lr: int, seed: Any = None) -> None:
        from gridrl.utils.mpi import proc_id

        if lr == 2 and proc_id() == 1:
            raise ValueError("boom")

    grid = ExperimentGrid("g")
    grid.add("lr", [1, 2, 3])
    result = grid.run(thunk, num_cpu=2, data_dir=data_dir, jobs=3)
    assert [(r.state, r.rank) for r in result] == [("done", None), ("failed", 1), ("done", None)]
    again = grid.run(thunk, num_cpu=2, data_dir=data_dir, jobs=3)
    assert [r.skipped for r in again] == [True, False, True]
    (alone, *_) = grid.run(thunk, data_dir=data_dir, jobs=3)
    assert alone.run_dir != result[0].run_dir, "another number of ranks gives other digits: it is another run"
