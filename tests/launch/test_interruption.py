"""Launchers that are interrupted or killed, as real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gridrl.log.record import derived_state
from gridrl.utils.processes import process_identity

LAUNCHER = """
import sys, time
from gridrl import ExperimentGrid
from gridrl.launch import scheduler

scheduler.GRACE_S = 300.0  # longer than any test waits

def train(how, lr, logger_kwargs):
    import os, signal
    if how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with open(os.path.join(logger_kwargs["output_dir"], "up"), "w") as file:
            file.write(str(os.getpid()))
        if lr != 9:
            time.sleep(60)
    finally:
        print("cleaned up")

grid = ExperimentGrid("g")
grid.add("how", sys.argv[2] if len(sys.argv) > 2 else "gentle")
grid.add("lr", [9, 1, 2, 3])
grid.run(train, data_dir=sys.argv[1], jobs=2)
"""


@contextmanager
def launcher(path: Path, data_dir: Path, how: str = "gentle") -> Iterator[subprocess.Popen[str]]:
    """A launcher whose runs 1 and 2 are up; whatever is left of it at the end is killed."""
    process = subprocess.Popen(
        [sys.executable, str(path), str(data_dir), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: all(pid_of(data_dir, lr) for lr in (1, 2)))
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def run_dir(data_dir: Path, lr: int) -> Path:
    return data_dir / f"g_lr{lr}" / f"g_lr{lr}_s0"


def pid_of(data_dir: Path, lr: int) -> int:
    try:
        return int((run_dir(data_dir, lr) / "up").read_text() or 0)
    except OSError:
        return 0


def status_of(data_dir: Path, lr: int) -> Any:
    return json.loads((run_dir(data_dir, lr) / "status.json").read_text())


@pytest.fixture
def path(script: Callable[..., Path]) -> Path:
    return script(LAUNCHER)


def test_ctrl_c_ends_the_running_ones_and_starts_no_more(path: Path, data_dir: Path) -> None:
    with launcher(path, data_dir) as process:
        pids = [pid_of(data_dir, lr) for lr in (1, 2)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT  # how Python leaves after a KeyboardInterrupt that nobody caught
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert [process_identity(pid) for pid in pids] == [None, None]
    assert [status_of(data_dir, lr)["state"] for lr in (9, 1, 2, 3)] == ["done", "killed", "killed", "queued"]
    assert status_of(data_dir, 1)["error"] == "interrupted"
    assert status_of(data_dir, 1)["signal"] == signal.SIGTERM
    assert (run_dir(data_dir, 1) / "stdout.log").read_text().startswith("cleaned up\n")
    assert "1 done, 2 killed, 1 queued." in out
    assert not (run_dir(data_dir, 3) / "payload.pkl").exists()


def test_a_second_ctrl_c_does_not_wait(path: Path, data_dir: Path) -> None:
    with launcher(path, data_dir, "stubborn") as process:
        pids = [pid_of(data_dir, lr) for lr in (1, 2)]
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert [process_identity(pid) for pid in pids] == [None, None]
    assert status_of(data_dir, 2)["signal"] == signal.SIGKILL
    assert status_of(data_dir, 2)["state"] == "killed"


def test_sigterm_to_the_launcher_leaves_nothing_running(path: Path, data_dir: Path) -> None:
    with launcher(path, data_dir) as process:
        pids = [pid_of(data_dir, lr) for lr in (1, 2)]
        process.terminate()
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert [process_identity(pid) for pid in pids] == [None, None]
    assert "1 done, 2 killed, 1 queued." in out


def test_runs_do_not_outlive_a_killed_launcher_and_run_again(path: Path, data_dir: Path) -> None:
    with launcher(path, data_dir) as process:
        pids = [pid_of(data_dir, lr) for lr in (1, 2)]
        process.kill()
        process.communicate()
        wait_for(lambda: not any(process_identity(pid) for pid in pids), timeout_s=5)
        assert [derived_state(run_dir(data_dir, lr)) for lr in (9, 1, 2, 3)] == ["done", "killed", "killed", "queued"]
        for lr in (1, 2):
            (run_dir(data_dir, lr) / "up").unlink()
    with launcher(path, data_dir) as process:
        assert status_of(data_dir, 1)["attempt"] == 2
        assert status_of(data_dir, 9)["attempt"] == 1
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_a_killed_run_stops_nobody(path: Path, data_dir: Path) -> None:
    with launcher(path, data_dir) as process:
        os.kill(pid_of(data_dir, 1), signal.SIGKILL)
        wait_for(lambda: pid_of(data_dir, 3))
        assert status_of(data_dir, 1)["state"] == "killed"
        assert status_of(data_dir, 1)["signal"] == signal.SIGKILL
        assert status_of(data_dir, 2)["state"] == "running"
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert "killed by SIGKILL" in out


def test_a_second_launcher_keeps_away_from_runs_that_are_alive(path: Path, data_dir: Path) -> None:
    with launcher(path, data_dir) as first:
        second = subprocess.run(
            [sys.executable, str(path), str(data_dir), "gentle"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert second.returncode == 1
        assert f"Another launcher has 3 of these runs: process {first.pid} on" in second.stderr
        assert status_of(data_dir, 1)["state"] == "running"
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)


HEEDLESS = """
import sys
from gridrl import call_experiment

def train(how, logger_kwargs):
    import os, signal, subprocess, time
    from gridrl.launch import lifeline
    lifeline.GRACE_S = 0.5
    child = subprocess.Popen(["sleep", "60"])
    if how == "ignores":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(os.path.join(logger_kwargs["output_dir"], "up.tmp"), "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(file.name, file.name.removesuffix(".tmp"))
    while True:
        try:
            time.sleep(60)
        except BaseException:
            if how != "swallows":
                raise

call_experiment("g", train, how=sys.argv[2], data_dir=sys.argv[1])
"""


@pytest.mark.parametrize("how", ["heeds", "ignores", "swallows"])
def test_nothing_of_a_run_outlives_a_killed_launcher(how: str, script: Callable[..., Path], data_dir: Path) -> None:
    up = data_dir / "g" / "g_s0" / "up"
    command = [sys.executable, str(script(HEEDLESS)), str(data_dir), how]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for(up.exists)
        pids = [int(word) for word in up.read_text().split()]
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not any(process_identity(pid) for pid in pids), timeout_s=5)
    assert derived_state(up.parent) == ("killed" if how == "heeds" else "lost")
