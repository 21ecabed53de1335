"""How runs end, and what is told of it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentFailed, call_experiment
from gridrl.log.record import read_status
from gridrl.utils.processes import process_identity
from tests.launch.helpers import run


@pytest.mark.parametrize(
    ("how", "state", "exit_code", "error"),
    [
        ("os.kill(os.getpid(), 9)", "killed", -9, "killed by SIGKILL (the system does this when memory runs out)"),
        ("os.kill(os.getpid(), 15)", "killed", -15, "killed by SIGTERM"),
        ("os.kill(os.getpid(), 11)", "killed", -11, "killed by SIGSEGV"),
        ("sys.exit(0)", "failed", 1, "the thunk called sys.exit(0); a run is done when its thunk returns"),
        ("sys.exit(3)", "failed", 3, "the thunk called sys.exit(3); a run is done when its thunk returns"),
        ("sys.exit('no')", "failed", 1, "the thunk called sys.exit('no'); a run is done when its thunk returns"),
        ("os._exit(0)", "failed", 0, "the process left with exit status 0 before its thunk returned (os._exit(0)?)"),
        ("os._exit(4)", "failed", 4, "the last words"),
        ("os.kill(os.getpid(), 2); time.sleep(9)", "killed", -2, "killed by SIGINT"),
        (
            "raise OSError(28, 'No space left on device')",
            "failed",
            1,
            "OSError: [Errno 28] No space left on device (make room, then give the same command again)",
        ),
        ("1 / 0", "failed", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_how_a_run_ends_is_told(data_dir: Path, how: str, state: str, exit_code: int, error: str) -> None:
    def thunk(how: str) -> None:
        import sys

        print("the last words", flush=True)
        exec(how, {"os": os, "sys": sys, "time": time})

    with pytest.raises(ExperimentFailed) as told:
        call_experiment("end", thunk, data_dir=data_dir, how=how)
    assert told.value.exit_code == exit_code
    assert f"end with seed 0 {state} (exit status {exit_code}): {error}\n" in str(told.value)
    status = read_status(data_dir / "end" / "end_s0")
    assert status is not None
    assert (status.state, status.exit_code, status.error) == (state, exit_code, error)
    assert status.signal == (-exit_code if exit_code < 0 else None)
    assert status.ended is not None
    assert status.cpu_s is not None


def test_what_breaks_while_the_interpreter_ends_takes_nothing_away(data_dir: Path) -> None:
    def thunk() -> None:
        import atexit

        atexit.register(os._exit, 5)

    result = call_experiment("end", thunk, data_dir=data_dir)
    assert (result.state, result.exit_code) == ("done", 5)


def test_finally_blocks_run_when_a_run_is_told_to_end(data_dir: Path) -> None:
    def thunk() -> None:

        try:
            os.kill(os.getpid(), 15)
        finally:
            print("cleaned up")

    with pytest.raises(ExperimentFailed, match="killed by SIGTERM"):
        call_experiment("end", thunk, data_dir=data_dir)
    assert "cleaned up\n" in (data_dir / "end" / "end_s0" / "stdout.log").read_text()


def test_nothing_that_a_run_has_started_outlives_it(data_dir: Path) -> None:
    def thunk() -> None:
        import subprocess

        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        print("child", child.pid)
        child.stdout.close()

    result = call_experiment("parent", thunk, data_dir=data_dir)
    pid = int((result.run_dir / "stdout.log").read_text().split()[1])
    assert process_identity(pid) is None


def test_a_failing_run_stops_nothing_and_runs_again(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def thunk(lr: int, logger_kwargs: Any) -> None:
        print("hello from", lr)
        with open(f"{logger_kwargs['output_dir']}/calls.txt", "a") as file:
            attempt = file.tell()
            file.write("x")
        if lr == 2 and not attempt:
            raise ValueError("two\nlines")

    first = run(thunk, data_dir, keys={"lr": [1, 2, 3]}, jobs=1)
    assert [r.state for r in first] == ["done", "failed", "done"]
    assert not first.ok
    assert [r.exit_code for r in first] == [0, 1, 0]
    assert first[1].error == "ValueError: two lines"
    assert first.failed == [first[1]]
    traceback = (first[1].run_dir / "error.txt").read_text()
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert traceback.endswith("ValueError: two\nlines\n")
    assert "gridrl/launch/worker.py" not in traceback
    assert (first[1].run_dir / "stdout.log").read_text() == "hello from 2\n" + traceback
    out = capsys.readouterr().out
    assert "g_lr2  0     failed" in out
    assert "2 done, 1 failed." in out

    again = run(thunk, data_dir, keys={"lr": [1, 2, 3]})
    assert [(r.state, r.skipped) for r in again] == [("done", True), ("done", False), ("done", True)]
    status = read_status(again[1].run_dir)
    assert status is not None
    assert (status.attempt, status.error) == (2, None)
    assert not (again[1].run_dir / "error.txt").exists()
    log = (again[1].run_dir / "stdout.log").read_text()
    assert log.startswith("hello from 2\nTraceback")
    assert "\n--- attempt 2, " in log
    assert log.endswith("hello from 2\n")


def test_an_error_that_cannot_be_printed_is_told_by_its_kind(data_dir: Path) -> None:
    def thunk() -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        raise Mute

    with pytest.raises(ExperimentFailed, match=r"Mute: \(its message cannot be printed\)"):
        call_experiment("end", thunk, data_dir=data_dir)
