"""The command `status`."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gridrl.commands.status import _Runs
from gridrl.log.heartbeat import Observer
from gridrl.log.launchers import Launcher
from gridrl.log.record import Status, write_status
from gridrl.run import main
from gridrl.utils.files import GridPaths
from gridrl.utils.processes import boot_id
from tests.commands.made_runs import GONE, claimed_by, make_run

DONE = Status("done", started=1000.0, ended=1060.0, peak_memory_mb=200.0)
FAILED = Status("failed", started=1000.0, ended=1001.5, error="ValueError: nan")
ELSEWHERE = Status("running", host="far", boot_id="another", pid=1, pid_start=1.0, started=time.time())


NOBODY = "No launcher is left: the command that started the grid goes on with it."


def status(*words: str) -> int:
    return main(["status", *words])


def test_every_run_below_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "a", 10, DONE, rows=9)
    make_run(tmp_path, "a", 2, FAILED, rows=1)
    make_run(tmp_path / "deep" / "er", "b", 0, Status("queued"))
    assert status(str(tmp_path)) == 1
    assert capsys.readouterr().out.splitlines() == [
        "run    state   epoch     time  score  memory",
        "a s2   failed    1/9    1.5 s      0",
        "    ValueError: nan",
        "a s10  done      9/9  0:01:00      4  200 MB",
        "b s0   queued    0/9",
        "3 runs: 1 done, 1 failed, 1 queued.",
        NOBODY,
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([DONE], 0),
        ([DONE, Status("queued")], 3),
        ([DONE, ELSEWHERE], 3),
        ([DONE, FAILED], 1),
        ([FAILED, ELSEWHERE], 1),
        ([Status("killed"), DONE], 1),
        ([Status("timeout")], 1),
        ([Status("running", boot_id=boot_id(), **GONE)], 1),
    ],
)
def test_the_exit_status_tells(tmp_path: Path, states: list[Status], expected: int) -> None:
    for seed, state in enumerate(states):
        make_run(tmp_path, "a", seed, state)
    assert status(str(tmp_path)) == expected


def test_a_run_whose_process_is_gone_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "a", 0, Status("running", boot_id=boot_id(), **GONE))
    status(str(tmp_path))
    assert "a s0  lost" in capsys.readouterr().out


def test_the_launcher_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = make_run(tmp_path, "a", 0, Status("queued"))
    launcher = Launcher.this_process()
    claimed_by(launcher, run_dir)
    status(str(tmp_path))
    out = capsys.readouterr().out
    assert f"Launcher: process {launcher.pid} on {launcher.host} (alive, since " in out
    assert NOBODY not in out
    claimed_by(replace(launcher, pid_start=1.0, log="/x/log"), run_dir)
    assert status(str(tmp_path)) == 3
    out = capsys.readouterr().out
    assert f"Launcher: process {launcher.pid} on {launcher.host} (gone, since " in out
    assert "), log /x/log." in out
    assert NOBODY in out
    claimed_by(replace(launcher, boot_id="another", host="far"), run_dir)
    status(str(tmp_path))
    out = capsys.readouterr().out
    assert "on far (cannot be seen from here, since " in out
    assert NOBODY not in out
    claimed_by(launcher, run_dir).release()
    status(str(tmp_path))
    out = capsys.readouterr().out
    assert "Launcher:" not in out
    assert NOBODY in out


def test_a_wrong_directory_is_told_with_a_near_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "cartpole", 0, DONE, rows=1)
    assert status(str(tmp_path / "cartpool")) == 2
    assert "Did you mean 'cartpole'?" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert status(str(tmp_path / "empty")) == 2
    assert f"there is no run. Runs near it:\n  {tmp_path}/cartpole/cartpole_s0" in capsys.readouterr().err
    assert status(str(tmp_path / "cart")) == 0  # the beginning of a name


def test_a_narrow_terminal_gets_narrow_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, "hidden-sizes64-64_learning-rate0-001", 0, replace(FAILED, error="E: " + "x" * 300), rows=2)
    monkeypatch.setenv("COLUMNS", "40")
    status(str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 40
    assert "…" in lines[1]


@pytest.mark.parametrize("moves", [False, True])
def test_a_run_of_another_host_is_lost_when_its_counter_stands_from_one_look_to_the_next(
    tmp_path: Path, moves: bool
) -> None:
    """Each look is that of another process, as when the command is typed again."""
    GridPaths.of_grid(tmp_path, "g").root.mkdir(parents=True)
    run_dir = make_run(tmp_path, "a", 0, ELSEWHERE, grid="g")
    now = [0.0]

    def look() -> str:
        (standing,) = _Runs([str(tmp_path)], Observer(keeps=True, clock=lambda: now[0])).look()
        return standing.state

    assert look() == "running"
    now[0] = 599
    assert look() == "running"
    if moves:
        write_status(run_dir, replace(ELSEWHERE, heartbeat=1))
    now[0] = 600
    assert look() == ("running" if moves else "lost")
    write_status(run_dir, replace(ELSEWHERE, attempt=2))  # it was taken up again
    assert look() == "running"


def test_watching_ends_with_a_run_of_another_host_that_shows_no_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path, "a", 0, ELSEWHERE)  # of no grid that could keep notes
    monkeypatch.setattr("gridrl.commands.status.LOST_AFTER_S", 0.2)
    assert status(str(tmp_path), "--watch", "--every", "0.05") == 1
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["1 run: 1 running", "1 run: 1 lost"]


def test_watching_ends_when_all_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = make_run(tmp_path, "a", 0, Status("running", started=time.time()).with_process(), rows=3)
    threading.Timer(0.3, write_status, [run_dir, DONE]).start()
    assert status(str(tmp_path), "--watch", "--every", "0.05") == 0
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["1 run: 1 running", "1 run: 1 done"]


def test_watching_does_not_wait_for_a_launcher_that_is_gone(tmp_path: Path) -> None:
    claimed_by(replace(Launcher.this_process(), pid_start=1.0), make_run(tmp_path, "a", 0, Status("queued")))
    assert status(str(tmp_path), "--watch") == 3


def test_what_is_typed_wrong_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status() == 2
    assert "DIR is missing." in capsys.readouterr().err
    assert status(str(tmp_path), "--wacth") == 2
    assert "Did you mean `--watch`?" in capsys.readouterr().err
    assert status(str(tmp_path), "--every", "0") == 2
    assert "`--every`: wants a number of seconds above 0, got 0." in capsys.readouterr().err


def test_variants_that_mix_code_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, "a", 0, DONE, code={"hash": "one"})
    make_run(tmp_path, "b", 0, DONE, code={"hash": "one"})
    make_run(tmp_path, "b", 1, Status("queued"), code={"hash": "two"})
    assert status(str(tmp_path)) == 3
    assert "code" not in capsys.readouterr().out
    make_run(tmp_path, "a", 1, DONE, code={"hash": "two"})
    status(str(tmp_path))
    assert "Mixes code (its seeds were made by different code): a." in capsys.readouterr().out.splitlines()
