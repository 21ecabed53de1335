"""Several launchers and one grid: who has the runs, who leaves, and what is left by one that has gone."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BackendError, RunDirectoryInUse
from gridrl.launch import claiming
from gridrl.launch.claiming import Claims
from gridrl.launch.known import KnownRuns
from gridrl.log.claims import latest_claim, take_claim
from gridrl.log.launchers import Launcher
from gridrl.log.record import Status, read_status, write_status
from gridrl.utils.files import GridPaths
from gridrl.utils.processes import process_identity
from tests.launch.helpers import recorder, run

GRID = """
import sys, time
from gridrl import ExperimentGrid

def train(lr, logger_kwargs):
    with open(logger_kwargs["output_dir"] + "/calls.txt", "a") as file:
        file.write("x")
    time.sleep(float(sys.argv[2]))

grid = ExperimentGrid("g")
grid.add("lr", [int(word) for word in sys.argv[3:]])
result = grid.run(train, data_dir=sys.argv[1], jobs=2)
print(result)
sys.exit(0 if result.ok else 1)
"""


@contextmanager
def launchers(
    path: Path, data_dir: Path, seconds: float | Path, count: int = 1, lrs: str = "123456"
) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, str(path), str(data_dir), str(seconds), *lrs]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def calls(data_dir: Path) -> list[str]:
    return [(data_dir / f"g_lr{lr}" / f"g_lr{lr}_s0" / "calls.txt").read_text() for lr in range(1, 7)]


WAITING_GRID = """
import os, sys, time
from gridrl import ExperimentGrid

def train(lr, logger_kwargs):
    with open(logger_kwargs["output_dir"] + "/calls.txt", "a") as file:
        file.write("x")
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)

grid = ExperimentGrid("g")
grid.add("lr", [1, 2, 3, 4, 5, 6])
result = grid.run(train, data_dir=sys.argv[1], jobs=2)
print(result)
"""


def test_a_launcher_started_twice_at_once_runs_nothing_twice_and_names_the_first(
    script: Any, data_dir: Path, tmp_path: Path
) -> None:
    """However far the first one is when the second one looks: before, within or behind making its directories."""
    go = tmp_path / "go"
    with launchers(script(WAITING_GRID), data_dir, go, count=2, lrs="") as processes:
        deadline = time.monotonic() + 60
        while all(process.poll() is None for process in processes):
            assert time.monotonic() < deadline, "nobody leaves"
            time.sleep(0.02)
        go.touch()
        second, first = sorted(processes, key=lambda process: process.poll() is None)
        out, first_err = first.communicate(timeout=60)
        _, err = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 1), (first_err, err)
    assert calls(data_dir) == ["x"] * 6
    assert "6 runs: 6 done" in out
    assert f"Another launcher has 6 of these runs: process {first.pid} on {socket.gethostname()}" in err, err


def a_living_one() -> Launcher:
    """A launcher of this machine that is not this process."""
    identity = process_identity(os.getppid())
    assert identity is not None
    return replace(Launcher.this_process(), pid=identity.pid, pid_start=identity.started)


def search_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher finds no run, by the index or otherwise, until it looks into a directory that it wants to make."""
    monkeypatch.setattr(KnownRuns, "below", lambda self, directory: iter(()))
    monkeypatch.setattr(KnownRuns, "finished", lambda self, wanted: {})


@pytest.mark.parametrize("state", ["queued", "running", "done"])
def test_directories_that_are_made_while_another_launcher_looks_are_its_own(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The search comes before the first one makes its directories, the look into them behind it."""
    (first,) = run(recorder(), data_dir)
    search_too_early(monkeypatch)
    if state == "done":
        assert run(recorder(), data_dir)[0].skipped
        return
    owner = a_living_one()
    assert take_claim(first.run_dir, owner, latest_claim(first.run_dir))
    write_status(first.run_dir, Status("queued") if state == "queued" else Status("running").with_process())
    with pytest.raises(RunDirectoryInUse, match=f"Another launcher has 1 of these runs: {re.escape(str(owner))}"):
        run(recorder(), data_dir)


def test_a_directory_that_another_grid_makes_meanwhile_is_not_taken(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = run(recorder(), data_dir, keys={"lr": 1})
    search_too_early(monkeypatch)
    (second,) = run(recorder(), data_dir, keys={"lr": 2})
    assert second.ok
    assert second.run_dir != first.run_dir
    assert (first.run_dir / "calls.txt").read_text() == "1 0\n"


def test_a_second_launcher_is_told_of_runs_that_are_queued(script: Any, data_dir: Path) -> None:
    with launchers(script(GRID), data_dir, 30) as (first,):
        wait_for(data_dir / "g_lr1" / "g_lr1_s0" / "calls.txt")
        with launchers(script(GRID), data_dir, 0, lrs="67") as (second,):
            _, err = second.communicate(timeout=30)
    assert second.returncode == 1
    assert f"Another launcher has 1 of these runs: process {first.pid} on" in err
    assert not (data_dir / "g_lr7").exists()
    claim = latest_claim(data_dir / "g_lr6" / "g_lr6_s0")
    assert claim is not None
    assert claim.number == 1


def test_the_claims_of_a_launcher_that_was_killed_are_taken_over(script: Any, data_dir: Path) -> None:
    path = script(GRID)
    first_run = data_dir / "g_lr1" / "g_lr1_s0"
    with launchers(path, data_dir, 60) as (first,):
        wait_for(first_run / "calls.txt")
        wait_for(data_dir / "g_lr2" / "g_lr2_s0" / "calls.txt")
        status = read_status(first_run)
        assert status is not None
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with launchers(path, data_dir, 0.1) as (second,):  # at once: its runs have hardly noticed
            out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert "6 runs: 6 done" in out
    assert process_identity(status.pid) is None
    assert calls(data_dir) == ["xx", "xx", "x", "x", "x", "x"]
    claim = latest_claim(first_run)
    assert claim is not None
    assert (claim.number, claim.is_released) == (2, True)


def test_runs_that_are_over_are_nobodys(data_dir: Path) -> None:
    (done,) = run(recorder(), data_dir)
    claim = latest_claim(done.run_dir)
    assert claim is not None
    assert claim.is_released
    assert not list(GridPaths.of_grid(data_dir, "g").root.glob("beat*"))


def test_a_grid_that_is_done_can_be_looked_at_where_nothing_can_be_written(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(recorder(), data_dir).ok
    monkeypatch.setattr("gridrl.launch.execution.claiming", lambda *_: pytest.fail("it claims something"))
    assert run(recorder(), data_dir)[0].skipped


def test_a_stopped_run_of_a_launcher_that_has_gone_is_ended_first(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "END_S", 0.1)
    (first,) = run(recorder(), data_dir)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        os.kill(sleeper.pid, signal.SIGSTOP)  # it hears no SIGTERM
        write_status(first.run_dir, Status("running", started=1.0).with_process(sleeper.pid))
        gone = replace(Launcher.this_process(), pid_start=-1.0)
        assert take_claim(first.run_dir, gone, latest_claim(first.run_dir))
        (again,) = run(recorder(), data_dir)
        assert (again.state, again.skipped) == ("done", False)
        assert sleeper.wait(timeout=5) == -signal.SIGKILL
    finally:
        sleeper.kill()


def test_a_run_that_its_launcher_did_not_leave_behind_is_not_ended(data_dir: Path) -> None:
    """The launcher let go of the run and went; whoever runs it now is somebody else's."""
    (first,) = run(recorder(), data_dir)
    gone = take_claim(first.run_dir, replace(Launcher.this_process(), pid_start=-1.0), latest_claim(first.run_dir))
    assert gone is not None
    gone.release()
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        write_status(first.run_dir, Status("running", started=1.0).with_process(sleeper.pid))
        with pytest.raises(RunDirectoryInUse, match=rf"this run is still running \(process {sleeper.pid} on"):
            run(recorder(), data_dir)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def elsewhere(data_dir: Path, run_dir: Path) -> Launcher:
    """A launcher of another host has the run, and has counted to 7."""
    beat = GridPaths.of_grid(data_dir, "g").beat("elsewhere", 1)
    beat.parent.mkdir(parents=True, exist_ok=True)
    beat.write_text("7\n")
    owner = replace(Launcher.this_process(beat), host="elsewhere", boot_id="another boot")
    assert take_claim(run_dir, owner, latest_claim(run_dir))
    write_status(run_dir, Status("queued"))
    return owner


def test_another_hosts_runs_are_taken_when_its_counter_has_stood_long_enough(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = run(recorder(), data_dir)
    owner = elsewhere(data_dir, first.run_dir)
    clock = [time.time()]
    monkeypatch.setattr("gridrl.log.heartbeat.time.time", lambda: clock[0])
    for waited, told in ((0, 600), (400, 200)):
        clock[0] += waited
        with pytest.raises(RunDirectoryInUse, match=rf"{re.escape(str(owner))}.* the same command again in {told} s"):
            run(recorder(), data_dir)
    Path(owner.beat).write_text("8\n")
    clock[0] += 300
    with pytest.raises(RunDirectoryInUse, match="the same command again in 600 s"):
        run(recorder(), data_dir)
    clock[0] += 601
    assert run(recorder(), data_dir)[0].state == "done"


def test_what_another_hosts_launcher_left_running_is_taken_likewise(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = run(recorder(), data_dir)
    owner = elsewhere(data_dir, first.run_dir)
    write_status(first.run_dir, Status("running", host="elsewhere", boot_id="another boot", pid=5, pid_start=1.0))
    clock = [time.time()]
    monkeypatch.setattr("gridrl.log.heartbeat.time.time", lambda: clock[0])
    with pytest.raises(RunDirectoryInUse, match=rf"{re.escape(str(owner))}.* the same command again in 600 s"):
        run(recorder(), data_dir)
    clock[0] += 601
    assert run(recorder(), data_dir)[0].state == "done"


def test_claims_are_all_or_none(data_dir: Path) -> None:
    paths = GridPaths.of_grid(data_dir, "g")
    ours = Launcher.this_process()
    data_dir.mkdir()
    (data_dir / "b").write_text("no directory")
    claims = Claims(paths, ours)
    with pytest.raises(BackendError, match="the directory cannot be made"):
        claims.take([data_dir / "a", data_dir / "b", data_dir / "c"])
    claim = latest_claim(data_dir / "a")
    assert claim is not None
    assert claim.is_released
    assert latest_claim(data_dir / "c") is None


def test_a_directory_with_nothing_but_a_claim_is_free(data_dir: Path) -> None:
    gone = replace(Launcher.this_process(), pid_start=-1.0)
    assert take_claim(data_dir / "g" / "g_s0", gone, None)
    assert run(recorder(), data_dir).ok


def test_a_run_that_was_done_in_the_meantime_is_not_done_again(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the plan and the claims another launcher has come and gone."""
    take = Claims.take
    others: list[Any] = []

    def late(self: Claims, run_dirs: Any, *rest: Any) -> None:
        if not others:
            others.append(None)
            assert run(recorder(), data_dir).ok
        take(self, run_dirs, *rest)

    monkeypatch.setattr(Claims, "take", late)
    (only,) = run(recorder(), data_dir)
    assert (only.state, only.skipped) == ("done", True)
    assert (only.run_dir / "calls.txt").read_text() == "None 0\n"


def test_a_status_that_names_this_program_ends_nothing(data_dir: Path) -> None:
    run_dir = data_dir / "g" / "g_s0"
    run_dir.mkdir(parents=True)
    write_status(run_dir, Status("running").with_process())
    with pytest.raises(RunDirectoryInUse, match="which this program is part of"):
        claiming._end_remains(run_dir)
