"""A run of several ranks whose launcher was killed: nobody starts it again before its last rank has gone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gridrl.log.claims import latest_claim
from gridrl.utils.processes import process_identity

GRID = """
import sys
from gridrl import ExperimentGrid

def train(logger_kwargs):
    import os, signal, time
    from pathlib import Path
    from gridrl import current_run
    from gridrl.utils.mpi import proc_id
    from gridrl.utils.processes import process_identity

    run_dir = Path(logger_kwargs["output_dir"])
    if current_run().attempt == 1:
        if proc_id() == 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (run_dir / f"up.{proc_id()}").write_text(str(os.getpid()))
        time.sleep(120)
    before = [int(path.read_text()) for path in run_dir.glob("up.*")]
    (run_dir / f"again.{proc_id()}").write_text(str([pid for pid in before if process_identity(pid)]))

grid = ExperimentGrid("g")
grid.add("seed", 0)
sys.exit(0 if grid.run(train, data_dir=sys.argv[1], num_cpu=2).ok else 1)
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing but mpiexec ends ranks")
def test_a_launcher_waits_for_ranks_that_outlive_theirs(script: Callable[[str], Path], data_dir: Path) -> None:
    """What would end the ranks is killed with their launcher: the guard, mpiexec and its proxy; one keeper stands."""
    run_dir = data_dir / "g" / "g_s0"
    command = [sys.executable, str(script(GRID)), str(data_dir)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    second = None
    ours: list[int] = [first.pid]
    try:
        wait_for(lambda: all((run_dir / f"up.{rank}").exists() for rank in (0, 1)))
        marks = [json.loads((run_dir / "ranks" / f"{rank}.begin.json").read_text()) for rank in (0, 1)]
        ranks = {mark[who] for mark in marks for who in ("pid", "keeper")}
        family = psutil.Process(first.pid).children(recursive=True)
        ours += [member.pid for member in family]
        keeper, last = marks[1]["keeper"], marks[1]["pid"]
        enders = [first.pid, *(member.pid for member in family if member.pid not in ranks)]
        for signum in (signal.SIGSTOP, signal.SIGKILL):  # none of them lives to see another one's end, and acts
            for pid in enders:
                kill(pid, signum)
        first.wait()
        wait_for(lambda: not any(process_identity(pid) for pid in enders))
        os.kill(keeper, signal.SIGSTOP)  # before that, the system would let it go on when its parent went
        second = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: process_identity(marks[0]["pid"]) is None)
        time.sleep(1.5)  # in which it would start, if it did not wait
        assert process_identity(last) is not None
        claim = latest_claim(run_dir)
        assert claim is not None
        assert (claim.number, second.poll()) == (1, None)
        os.kill(keeper, signal.SIGCONT)
        _, told = second.communicate(timeout=60)
        assert second.returncode == 0, told
        assert [(run_dir / f"again.{rank}").read_text() for rank in (0, 1)] == ["[]", "[]"]
    finally:
        for pid in ours:
            kill(pid)
        first.wait()
        if second is not None:
            second.kill()
            second.communicate()
