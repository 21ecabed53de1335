"""`--detach`: a launcher that needs its terminal no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridrl.log.claims import launchers_of
from gridrl.log.launchers import Launcher
from gridrl.run import main

TRAIN = """
import os, time
def train(lr: float, logger_kwargs: dict):
    print("trains", lr)
    open(logger_kwargs["output_dir"] + "/up", "w")
    while not os.path.exists("go"):
        time.sleep(0.02)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "mine.py").write_text(TRAIN)
    yield tmp_path
    (tmp_path / "go").touch()  # nothing is left running, whatever became of the test


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "gridrl.run", "mine.py:train", "--exp_name", "g", *words, "--detach"]


def run_dir(folder: Path, lr: int) -> Path:
    return folder / "data" / f"g_lr{lr}" / f"g_lr{lr}_s0"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def launcher_of(run_dir: Path) -> Launcher:
    (launcher,) = launchers_of([run_dir])
    return launcher


def test_a_launcher_outlives_its_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal's shell leads a session; when the terminal closes, it and its children get a SIGHUP."""
    ours, theirs = os.openpty()
    shell = (
        "import fcntl, subprocess, sys, termios, time\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", shell, *command("--lr", "1", "2", "--jobs", "1")],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        written = b""
        while b"stop data" not in written:
            written += os.read(ours, 4096)
        launcher = launcher_of(run_dir(folder, 1))
        os.close(ours)  # the terminal is closed
        assert process.wait(timeout=10) == -signal.SIGHUP
    finally:
        process.kill()
        process.wait()
    told = written.decode()
    assert f"2 runs in the background, launched by process {launcher.pid}." in told
    assert "python -m gridrl.run status data --watch" in told
    time.sleep(0.5)
    assert not launcher.is_gone
    assert os.getsid(launcher.pid) == launcher.pid
    (folder / "go").touch()
    assert main(["status", str(folder / "data"), "--watch", "--every", "0.1"]) == 0
    assert launcher.log.startswith(str(folder / "data" / "launcher-logs"))
    wait_for(lambda: "2 done." in Path(launcher.log).read_text())


def test_a_detached_launcher_can_be_stopped(folder: Path) -> None:
    ended = subprocess.run(
        command("--lr", "1", "2"), cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert "2 runs in the background" in ended.stdout
    launcher = launcher_of(run_dir(folder, 1))
    wait_for(lambda: all((run_dir(folder, lr) / "up").exists() for lr in (1, 2)))
    assert main(["stop", str(folder / "data")]) == 0
    wait_for(lambda: launcher.is_gone)
    assert "2 killed." in Path(launcher.log).read_text()


def test_what_is_wrong_is_told_where_it_was_typed(folder: Path) -> None:
    (folder / "data" / "g" / "g_s0").mkdir(parents=True)
    (folder / "data" / "g" / "g_s0" / "thesis.txt").touch()
    ended = subprocess.run(command("--lr", "1"), cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "holds files that are not this run's ('thesis.txt')" in ended.stderr
    assert list((folder / "data" / "launcher-logs").iterdir()) == []


def test_a_grid_that_is_done_needs_no_launcher(folder: Path) -> None:
    (folder / "go").touch()
    attached = command("--lr", "1")[:-1]
    subprocess.run(attached, cwd=folder, capture_output=True, timeout=60, check=True)
    ended = subprocess.run(command("--lr", "1"), cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert "1 run, 1 done already" in ended.stdout
    assert "background" not in ended.stdout


def test_a_dry_run_stays_where_it_is(folder: Path) -> None:
    ended = subprocess.run(
        command("--lr", "1", "--dry_run"), cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert "new" in ended.stdout
    assert not (folder / "data").exists()
