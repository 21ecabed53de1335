"""The command `stop`, on real launchers and runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gridrl.log.launchers import Launcher
from gridrl.log.record import Status, read_status, write_status
from gridrl.run import main
from gridrl.utils.processes import boot_id, process_identity
from tests.commands.made_runs import GONE, claimed_by, make_run

TRAIN = """
import time
def train(lr: float, logger_kwargs: dict):
    open(logger_kwargs["output_dir"] + "/up", "w")
    time.sleep(60)
"""


@contextmanager
def launcher(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Three runs, two at a time; both are up."""
    (tmp_path / "long.py").write_text(TRAIN)
    command = [sys.executable, "-m", "gridrl.run", "long.py:train", "--lr", "1", "2", "3", "--jobs", "2"]
    process = subprocess.Popen(
        [*command, "--exp_name", "g", "--data_dir", "data"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: all((run_dir(tmp_path, lr) / "up").exists() for lr in (1, 2)))
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def run_dir(tmp_path: Path, lr: int) -> Path:
    return tmp_path / "data" / f"g_lr{lr}" / f"g_lr{lr}_s0"


def state_of(run_dir: Path) -> str:
    status = read_status(run_dir)
    assert status is not None
    return status.state


def pid_of(run_dir: Path) -> int:
    status = read_status(run_dir)
    assert status is not None
    assert status.pid is not None
    return status.pid


def test_the_launcher_ends_like_after_a_ctrl_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with launcher(tmp_path) as process:
        pids = [pid_of(run_dir(tmp_path, lr)) for lr in (1, 2)]
        assert main(["stop", str(tmp_path / "data")]) == 0
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "2 killed, 1 queued." in out
    assert [process_identity(pid) for pid in pids] == [None, None]
    assert [state_of(run_dir(tmp_path, lr)) for lr in (1, 2, 3)] == ["killed", "killed", "queued"]
    assert capsys.readouterr().out.splitlines() == [
        f"Launcher {process.pid} is asked to stop, as by a Ctrl-C.",
        f"Ended: launcher {process.pid}.",
        "1 run had not been started: the same command as before goes on with them.",
    ]
    assert main(["stop", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.startswith("Nothing was running.\n")


def test_a_part_of_a_grid_is_ended_without_its_launcher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with launcher(tmp_path) as process:
        pid = pid_of(run_dir(tmp_path, 1))
        assert main(["stop", str(tmp_path / "data" / "g_lr1")]) == 0
        assert process_identity(pid) is None
        assert f"Launcher {process.pid} has 2 other runs and goes on with them" in capsys.readouterr().out
        wait_for(lambda: (run_dir(tmp_path, 3) / "up").exists())
        assert process.poll() is None
        assert state_of(run_dir(tmp_path, 2)) == "running"
        assert main(["stop", str(tmp_path / "data")]) == 0


def test_runs_of_a_launcher_that_does_not_answer_are_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridrl.launch.door._ANSWER_S", 0.3)
    with launcher(tmp_path) as process:
        pids = [pid_of(run_dir(tmp_path, lr)) for lr in (1, 2)]
        os.kill(process.pid, signal.SIGSTOP)
        assert main(["stop", str(tmp_path / "data"), "--grace", "3"]) == 1
        assert [process_identity(pid) for pid in pids] == [None, None]
    told = capsys.readouterr()
    assert "it does not answer; its runs are ended one by one." in told.err
    assert f"Ended: {run_dir(tmp_path, 1)} (process {pids[0]})." in told.out


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_run_without_a_launcher_is_ended_and_noted(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    status = Status("running", started=time.time()).with_process(sleeper.pid)
    alone = make_run(tmp_path, "a", 0, status)
    assert main(["stop", str(tmp_path)]) == 0
    assert sleeper.wait(timeout=10) == -signal.SIGTERM
    ended = read_status(alone)
    assert ended is not None
    assert (ended.state, ended.error) == ("killed", "ended by `stop`")
    assert ended.ended is not None


@pytest.mark.parametrize(
    "strange", [{"pid_start": 1.0}, {"boot_id": "another"}, {"pid_start": None}, {"boot_id": None}, {"pid": None}]
)
def test_nobody_elses_process_is_touched(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], strange: dict[str, object]
) -> None:
    status = replace(Status("running").with_process(sleeper.pid), **strange)  # type: ignore[arg-type]
    make_run(tmp_path, "a", 0, status)
    main(["stop", str(tmp_path), "--grace", "0"])
    assert sleeper.poll() is None


def test_a_process_that_launched_once_and_goes_on_is_not_touched(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    identity = process_identity(sleeper.pid)
    assert identity is not None
    was = replace(Launcher.this_process(), pid=sleeper.pid, pid_start=identity.started)
    claimed_by(was, make_run(tmp_path, "a", 0, Status("queued"))).release()
    assert main(["stop", str(tmp_path)]) == 0
    assert sleeper.poll() is None


def test_a_launcher_without_a_door_gets_a_signal(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    identity = process_identity(sleeper.pid)
    assert identity is not None
    launcher = replace(Launcher.this_process(), pid=sleeper.pid, pid_start=identity.started)
    claimed_by(launcher, make_run(tmp_path, "a", 0, Status("queued")))
    assert main(["stop", str(tmp_path)]) == 0
    assert sleeper.wait(timeout=10) == -signal.SIGTERM


def test_what_runs_elsewhere_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    far = make_run(tmp_path, "a", 0, Status("running", host="far", boot_id="another", pid=1, pid_start=1.0))
    claimed_by(replace(Launcher.this_process(), host="far", boot_id="another"), far)
    assert main(["stop", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert " on far (cannot be seen from here, since " in err
    assert "): give the same command on that machine." in err
    assert f"{far}: runs on far: give the same command on that machine." in err


def test_a_lost_run_is_nothing_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "a", 0, Status("running", boot_id=boot_id(), **GONE))
    assert main(["stop", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "Nothing was running.\n"


def test_what_is_typed_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_status(make_run(tmp_path, "a", 0, Status("done")), Status("done"))
    assert main(["stop", str(tmp_path), "--grace", "-1"]) == 2
    assert "`--grace`: wants 0 seconds or more, got -1." in capsys.readouterr().err
    assert main(["stop", str(tmp_path / "b")]) == 2
    assert "has no directory that starts with 'b'" in capsys.readouterr().err
