"""Processes in sessions of their own that outlive their run: ended with it, and nobody else's is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridrl.launch import leftovers
from gridrl.launch.leftovers import VARIABLE, descendants, end_left_behind, marked, told_by_run
from gridrl.utils.processes import process_identity
from tests.launch.helpers import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell who stems from whom")


def forks_twice(seed: int, how: str, logger_kwargs: Any) -> None:
    """A daemon as they are made: its parent is gone, its session is its own, its files are closed."""
    pid_file = Path(logger_kwargs["output_dir"], "pid")
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "is deaf" else signal.SIG_DFL)
            pid_file.write_text(str(os.getpid()))
            os.closerange(0, 3)
            os.write(writer, b"x")
            os.closerange(3, 100)
            signal.pause()
        os._exit(0)
    os.read(reader, 1)
    if how == "fails":
        raise ValueError("no")


@pytest.mark.parametrize("isolation", ["auto", "fresh"])
@pytest.mark.parametrize("how", ["is done", "fails", "is deaf"])
def test_a_daemon_ends_with_its_run(
    data_dir: Path, isolation: str, how: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridrl.launch.run_process.STRAGGLERS_S", 0.2)
    result = run(forks_twice, data_dir, keys={"seed": [0, 1], "how": how}, isolation=isolation)
    assert [r.state for r in result] == (["failed"] if how == "fails" else ["done"]) * 2
    told = capsys.readouterr().err
    for r in result:
        pid = int((r.run_dir / "pid").read_text())
        assert process_identity(pid) is None
        assert pid not in leftovers._children(os.getpid())  # this process has inherited no zombie
        assert f" s{r.seed} left python" in told
        assert f"({pid}) behind: ended." in told


def test_what_a_killed_run_has_started_by_a_command_ends_too(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def thunk(seed: int, logger_kwargs: Any) -> None:
        import subprocess

        sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
        Path(logger_kwargs["output_dir"], "pid").write_text(str(sleeper.pid))
        os.kill(os.getpid(), signal.SIGKILL)

    (only,) = run(thunk, data_dir)
    assert only.state == "killed"
    pid = int((only.run_dir / "pid").read_text())
    assert process_identity(pid) is None
    assert f"left sleep ({pid}) behind: ended." in capsys.readouterr().err


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_the_launchers_own_children_are_not_touched(data_dir: Path, sleeper: subprocess.Popen[bytes]) -> None:
    assert run(forks_twice, data_dir, keys={"seed": [0, 1], "how": "is done"})[0].ok
    assert sleeper.poll() is None


def test_a_pid_that_is_somebody_elses_by_now_is_not_touched(sleeper: subprocess.Popen[bytes]) -> None:
    identity = process_identity(sleeper.pid)
    assert identity is not None
    pid, started = identity.pid, identity.started
    assert (pid, started) in descendants()
    assert end_left_behind(told_by_run([[pid, started - 1]]), 0.1) == ()
    assert sleeper.poll() is None
    assert end_left_behind(told_by_run([[pid, started]]), 5.0) == (f"sleep ({pid})",)


def test_the_variable_names_one_run_directory(tmp_path: Path) -> None:
    environ = {**os.environ, VARIABLE: str(tmp_path / "run")}
    with subprocess.Popen(["sleep", "60"], env=environ) as sleeper:
        try:
            assert [found.pid for found in marked(tmp_path / "run")] == [sleeper.pid]
            assert list(marked(tmp_path / "ru")) == []
        finally:
            sleeper.kill()


def test_a_system_that_lists_no_children_tells_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_children", lambda pid: [])
    assert descendants() == []
