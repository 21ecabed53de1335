"""The table that is shown while several runs go."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gridrl.launch import live
from gridrl.launch.backend import Ending
from gridrl.launch.live import LiveProgress
from gridrl.launch.overview import Line
from gridrl.log.record import Status, write_status
from gridrl.utils.files import write_json


class MadeView:
    """Remembers what it was to show."""

    size = (80, 10)

    def __init__(self) -> None:
        self.shown: list[list[str]] = []
        self.told: list[str] = []
        self.is_closed = False

    def show(self, lines: Sequence[Line]) -> None:
        assert not self.is_closed
        self.shown.append([text for text, _ in lines])

    def tell(self, line: Line) -> None:
        self.told.append(line[0])

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> MadeView:
    made = MadeView()
    monkeypatch.setattr(live, "make_view", lambda: made)
    monkeypatch.setattr(live, "_EVERY_S", 0.02)
    return made


def planned(data: Path, count: int) -> list[Any]:
    """Runs as the scheduler knows them, each with ten planned epochs and two rows."""
    runs = []
    for number in range(count):
        root = data / f"r{number}"
        write_json(root / "config.json", {"exp_name": f"r{number}", "seed": 0, "epochs": 10})
        write_status(root, Status("running", started=time.time() - 4).with_process())
        (root / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t1\n1\t2.5\n")
        runs.append(
            SimpleNamespace(place=SimpleNamespace(run_dir=root, name=f"r{number}"), spec=SimpleNamespace(seed=0))
        )
    return runs


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_running_runs_are_shown_with_counts(tmp_path: Path, view: MadeView) -> None:
    with LiveProgress(planned(tmp_path, 4), jobs=2) as progress:
        progress.started(1)
        progress.started(0)
        wait_for(lambda: bool(view.shown) and len(view.shown[-1]) == 4)
        header, first, second, counts = view.shown[-1]
        assert header.split() == ["run", "epoch", "time", "left", "score", "memory"]
        assert re.fullmatch(r"r0 s0 +2/10 +\d\.\d s +1\d\.\d s +2\.5 +\d+ MB", first)
        assert second.startswith("r1 s0")
        assert re.fullmatch(r"4 runs: 2 running, 2 queued; \d\.\d s, about \S+ s left", counts)
        progress.ended(0, Ending("done", 0), 20.0)
        progress.ended(1, Ending("failed", 1, "ValueError: nan"), 1.0)
        progress.started(2)
        wait_for(lambda: len(view.shown[-1]) == 3 and "r2" in view.shown[-1][1])
        assert view.shown[-1][-1].startswith("4 runs: 1 done, 1 failed, 1 running, 1 queued;")
    assert view.told == ["failed  r1 s0 [2/4] after 1.0 s: ValueError: nan"]
    assert view.is_closed
    assert sorted(progress.endings) == [0, 1]
    assert not [thread for thread in threading.enumerate() if thread.name == "gridrl-live"]


def test_of_many_running_ones_as_many_are_shown_as_fit(tmp_path: Path, view: MadeView) -> None:
    runs = planned(tmp_path, 30)
    with LiveProgress(runs, jobs=30) as progress:
        for index in range(30):
            progress.started(index)
        wait_for(lambda: bool(view.shown) and "30 running" in view.shown[-1][-1])
        assert len(view.shown[-1]) == view.size[1] - 1
        assert view.shown[-1][-2] == "... and 24 more that run"


def test_one_run_speaks_for_itself(tmp_path: Path, view: MadeView, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveProgress(planned(tmp_path, 1), jobs=1) as progress:
        progress.started(0)
        progress.ended(0, Ending("failed", 1, "ValueError"), 1.0)
    assert (view.shown, view.told, capsys.readouterr().out) == ([], [], "")


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveProgress(planned(tmp_path, 2), jobs=1) as progress:
        progress.started(0)
        progress.ended(0, Ending("done", 0), 1.0)
    assert capsys.readouterr().out == "started r0 s0\ndone    r0 s0 [1/2] after 1.0 s\n"


SCRIPT = """
import sys, time
from gridrl import ExperimentGrid

def train(lr, epochs=6, logger_kwargs=None):
    from gridrl import EpochLogger
    with EpochLogger(**logger_kwargs) as logger:
        for epoch in range(epochs):
            time.sleep(0.25)
            if lr == 2 and epoch == 1:
                raise ValueError("the loss is nan")
            logger.log_tabular("Epoch", epoch)
            logger.log_tabular("AverageEpRet", 41.5)
            logger.dump_tabular()

grid = ExperimentGrid("g")
grid.add("lr", [1, 2, 3])
grid.run(train, data_dir=sys.argv[1], jobs=2)
"""


def on_a_terminal(path: Path, data_dir: Path, width: int, **variables: str) -> str:
    """What a script writes to a terminal."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    unwanted = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    environ = {key: value for key, value in os.environ.items() if key not in unwanted} | {"TERM": "xterm", **variables}
    process = subprocess.Popen(
        [sys.executable, str(path), str(data_dir)], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    written, deadline = b"", time.monotonic() + 60
    try:
        while select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
            written += os.read(ours, 65536)
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
        if time.monotonic() >= deadline:
            process.kill()
        assert process.wait(timeout=10) == 0, written.decode()
    return written.decode()


def test_a_real_terminal_shows_the_table_and_each_failure(script: Callable[..., Path], data_dir: Path) -> None:
    written = on_a_terminal(script(SCRIPT), data_dir, 80)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert re.search(r"g_lr1 s0 +[1-5]/6 .* 41\.5 +\d+ MB", plain)
    assert re.search(r"3 runs: 2 running, 1 queued; \d\.\d s", plain)
    assert "failed  g_lr2 s0 [1/3] after" in plain
    assert plain.index("ValueError: the loss is nan") < plain.index("g_lr3 s0")
    assert "started" not in plain
    assert "\x1b[31m" in written
    assert all(len(row) <= 80 for row in re.findall(r"g_lr1 s0 [^\r\n]* MB", plain))


def test_no_color_means_no_color_and_a_dumb_terminal_gets_lines(script: Callable[..., Path], data_dir: Path) -> None:
    written = on_a_terminal(script(SCRIPT), data_dir / "a", 50, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", written)
    assert "3 runs: 2 running, 1 queued" in written
    written = on_a_terminal(script(SCRIPT), data_dir / "b", 80, TERM="dumb")
    assert "\x1b" not in written
    assert "started g_lr1 s0" in written
