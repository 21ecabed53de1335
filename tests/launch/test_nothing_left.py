"""Nothing of a grid is left running, however its launcher ends and whatever its runs do about that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl.launch.guard import Guard, extend, living, processes
from gridrl.log.record import read_status
from gridrl.utils.processes import process_identity
from tests.launch.helpers import run

WAYS = {
    "ignores SIGTERM": "signal.signal(15, signal.SIG_IGN)",
    "is stopped": "os.kill(os.getpid(), 19)",
    "has a child in another process group": "child(process_group=0)",
    "has a child in another session": "child(start_new_session=True)",
    "floods its output": "threading.Thread(target=flood, daemon=True).start()",
    "has closed its output": "os.close(1); os.close(2)",
}

LAUNCHER = """
import json, sys
from gridrl import ExperimentGrid

def train(way, logger_kwargs):
    import os, signal, subprocess, sys, threading, time
    how, code = way
    here = logger_kwargs["output_dir"]

    def note(pid):
        with open(here + "/pids", "a") as file:
            file.write(f"{pid}\\n")

    def child(**how):
        nap = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", nap], stdout=subprocess.PIPE, **how)
        process.stdout.readline()
        note(process.pid)

    def flood():
        while True:
            os.write(1, b"x" * 1023 + b"\\n")
            time.sleep(0.001)

    note(os.getpid())
    if how == "is stopped":
        open(here + "/up", "w").close()
    exec(code, {"os": os, "signal": signal, "threading": threading, "child": child, "flood": flood})
    open(here + "/up", "w").close()
    time.sleep(60)

ways = sorted(json.loads(sys.argv[2]).items())
grid = ExperimentGrid("g")
grid.add("way", ways)
grid.run(train, data_dir=sys.argv[1], jobs=len(ways))
"""


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def pids_of(data_dir: Path) -> list[int]:
    return [int(line) for path in data_dir.glob("*/*/pids") for line in path.read_text().split()]


@pytest.fixture
def launcher(script: Callable[..., Path], data_dir: Path) -> Any:
    """A launcher whose runs are all up, each in a way of its own; nothing of it is left after the test."""
    path = script(LAUNCHER)
    process = subprocess.Popen(
        [sys.executable, str(path), str(data_dir), json.dumps(WAYS)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(list(data_dir.glob("*/*/up"))) == len(WAYS) or process.poll() is not None)
        assert len(list(data_dir.glob("*/*/up"))) == len(WAYS)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        for pid in pids_of(data_dir):
            if process_identity(pid) is not None:
                os.kill(pid, signal.SIGKILL)


def test_five_seconds_after_a_sigkill_of_the_launcher_nothing_is_left(launcher: Any, data_dir: Path) -> None:
    pids = pids_of(data_dir)
    assert len(pids) == len(WAYS) + 2
    assert all(process_identity(pid) is not None for pid in pids)
    launcher.kill()
    wait_for(lambda: not any(process_identity(pid) for pid in pids), timeout_s=5.0)


def test_a_ctrl_c_leaves_nothing_either(launcher: Any, data_dir: Path) -> None:
    pids = pids_of(data_dir)
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=60)
    assert [process_identity(pid) for pid in pids] == [None] * len(pids)
    states = [read_status(path.parent) for path in data_dir.glob("*/*/status.json")]
    assert [status.state for status in states if status is not None] == ["killed"] * len(WAYS)


def test_an_abort_is_one_runs_failure(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        if lr == 1:
            os.abort()

    aborted, other = run(thunk, data_dir, keys={"lr": [1, 2]})
    assert (aborted.state, aborted.exit_code, other.state) == ("killed", -signal.SIGABRT, "done")
    assert aborted.error == "killed by SIGABRT"
    assert "Fatal Python error: Aborted" in (aborted.run_dir / "stdout.log").read_text()


def test_the_guard_goes_with_a_launcher_that_needs_it_no_more() -> None:
    guard = Guard()
    nap = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        guard.watch(nap.pid)
        guard.watch(None)
        guard.close()
        assert nap.poll() is None
    finally:
        nap.kill()
        nap.wait()


def test_a_family_is_found_over_sessions_and_parents_that_have_gone() -> None:
    orphan = "import os, time; os.fork() or (print(os.getpid(), flush=True), time.sleep(60))"
    far = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {orphan!r}], start_new_session=True)"
    root = subprocess.Popen([sys.executable, "-c", far], stdout=subprocess.PIPE, start_new_session=True, text=True)
    assert root.stdout is not None
    pid = int(root.stdout.readline())
    leader = os.getsid(pid)
    try:
        wait_for(lambda: leader not in processes())
        family = {leader: 0}
        extend(family)
        assert living(family) == [pid]
        family = {pid: family[pid] - 1}  # somebody else had this pid before
        extend(family)
        assert living(family) == []
    finally:
        os.kill(pid, signal.SIGKILL)
        root.wait()
        root.stdout.close()
