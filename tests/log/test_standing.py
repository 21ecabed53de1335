"""How a run stands, told from its files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from gridrl.log.progress import ProgressFile
from gridrl.log.record import Status, write_status
from gridrl.log.standing import RowsSeen, RunSeen, planned_epochs, resident_mb
from gridrl.utils.files import write_json


def write_rows(path: Path, *rows: dict[str, Any]) -> ProgressFile:
    progress = ProgressFile(path)
    for row in rows:
        progress.append(row)
    return progress


def test_rows_are_counted_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "progress.txt"
    seen = RowsSeen(path)
    seen.look()
    assert (seen.rows, seen.score, seen.time_s, seen.written) == (0, None, None, None)
    progress = write_rows(path, {"Epoch": 0, "AverageEpRet": 1.5, "Time": 2.0})
    seen.look()
    assert (seen.rows, seen.score, seen.time_s) == (1, 1.5, 2.0)
    progress.append({"Epoch": 1, "AverageEpRet": 2.5, "Time": 4.0})
    progress.append({"Epoch": 2, "AverageEpRet": None, "Time": 6.0})
    progress.close()
    seen.look()
    assert (seen.rows, seen.score, seen.time_s) == (3, 2.5, 6.0)  # no episode ended in the last epoch


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.txt"
    progress = write_rows(path, *({"Epoch": epoch, "AverageEpRet": float(epoch)} for epoch in range(500)))
    seen = RowsSeen(path)
    pieces: list[int] = []
    take = seen._take
    monkeypatch.setattr(seen, "_take", lambda content: (pieces.append(len(content)), take(content)))
    seen.look()
    seen.look()
    progress.append({"Epoch": 500, "AverageEpRet": 500.0})
    progress.close()
    seen.look()
    assert pieces == [os.path.getsize(path) - len("500\t500.0\n"), len("500\t500.0\n")]
    assert (seen.rows, seen.score) == (501, 500.0)


def test_half_a_row_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "progress.txt"
    path.write_text('Epoch\tNote\tEpRet\n0\ta\t1\n1\t"two\nli')
    seen = RowsSeen(path)
    seen.look()
    assert seen.rows == 1
    with open(path, "a") as file:
        file.write('nes"\t1\n2\tb')
    seen.look()
    assert seen.rows == 2
    with open(path, "a") as file:
        file.write("\t1\n")
    seen.look()
    assert seen.rows == 3


def test_a_file_that_is_cut_or_rewritten_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "progress.txt"
    progress = write_rows(path, *({"Epoch": epoch, "AverageEpRet": 10.0 * epoch} for epoch in range(6)))
    seen = RowsSeen(path)
    seen.look()
    progress.keep_rows(2)
    seen.look()
    assert (seen.rows, seen.score) == (2, 10.0)
    for epoch in range(2, 9):  # beyond where it was before, with other numbers
        progress.append({"Epoch": epoch, "AverageEpRet": 7.0 * epoch})
    seen.look()
    assert (seen.rows, seen.score) == (9, 56.0)
    progress.append({"Epoch": 9, "AverageEpRet": 1.0, "Late": 5.0})  # a new file of the same name
    progress.close()
    seen.look()
    assert (seen.rows, seen.score) == (10, 1.0)
    path.unlink()
    seen.look()
    assert (seen.rows, seen.score) == (0, None)


@pytest.mark.parametrize(
    ("row", "score"),
    [
        ({"AverageEpRet": 1.0, "AverageTestEpRet": 2.0}, 2.0),
        ({"Performance": 3.0, "AverageTestEpRet": 2.0}, 3.0),
        ({"EpRet": 1.0}, None),
        ({"AverageEpRet": "nan"}, None),
        ({"AverageEpRet": float("inf")}, None),
    ],
)
def test_the_score_is_what_plots_call_performance(tmp_path: Path, row: dict[str, Any], score: float | None) -> None:
    write_rows(tmp_path / "progress.txt", row).close()
    seen = RowsSeen(tmp_path / "progress.txt")
    seen.look()
    assert seen.score == score


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        ({}, None),
        ({"epochs": 50}, 50),
        ({"epochs": None, "algorithm": {"epochs": 7}}, 7),
        ({"variant": {"epochs": 3}, "algorithm": {"epochs": 7}}, 3),
        ({"epochs": True}, None),
        ({"epochs": "many", "variant": "?"}, None),
        ({"epochs": 0}, None),
    ],
)
def test_planned_epochs(config: dict[str, Any], epochs: int | None) -> None:
    assert planned_epochs(config) == epochs


def make_run(root: Path, status: Status | None, num_rows: int = 0, **config: Any) -> Path:
    write_json(root / "config.json", {"exp_name": "ppo", "seed": 3, "epochs": 10, **config})
    if status is not None:
        write_status(root, status)
    rows = ({"AverageEpRet": float(row), "Time": 2.0 * (row + 1)} for row in range(num_rows))
    write_rows(root / "progress.txt", *rows).close()
    return root


def test_a_running_run_tells_its_pace(tmp_path: Path) -> None:
    began = time.time() - 40
    make_run(tmp_path, Status("running", started=began).with_process(), num_rows=4)
    os.utime(tmp_path / "progress.txt", (began + 20, began + 20))  # 5 s a row, the last one 20 s ago
    standing = RunSeen(tmp_path).look()
    assert (standing.label, standing.state, standing.rows, standing.epochs) == ("ppo s3", "running", 4, 10)
    assert standing.elapsed_s == pytest.approx(40, abs=5)
    assert standing.left_s == pytest.approx(6 * 5 - 20, abs=5)
    assert standing.memory_mb is not None
    assert standing.memory_mb > 5  # of this very process


def test_a_later_attempt_takes_its_pace_from_the_column_time(tmp_path: Path) -> None:
    now = time.time()
    make_run(tmp_path, Status("running", attempt=2, started=now - 1).with_process(), num_rows=4)
    assert RunSeen(tmp_path).look().left_s == pytest.approx(6 * 2.0, abs=2)


def test_what_nobody_can_know_is_none(tmp_path: Path) -> None:
    nothing = RunSeen(tmp_path / "gone").look()
    assert (nothing.state, nothing.rows, nothing.epochs, nothing.elapsed_s) == ("unknown", 0, None, None)
    queued = RunSeen(make_run(tmp_path / "q", Status("queued"))).look()
    assert (queued.state, queued.elapsed_s, queued.left_s, queued.memory_mb) == ("queued", None, None, None)
    no_row = RunSeen(make_run(tmp_path / "r", Status("running", started=time.time()).with_process())).look()
    assert no_row.left_s is None


def test_a_run_of_another_machine_is_told_from_its_files(tmp_path: Path) -> None:
    status = Status(
        "running", host="far", boot_id="another", pid=1, pid_start=1.0, started=time.time() - 9, peak_memory_mb=77.0
    )
    standing = RunSeen(make_run(tmp_path, status, num_rows=1)).look()
    assert (standing.state, standing.memory_mb, standing.host) == ("running", 77.0, "far")


def test_a_lost_run_ended_with_its_last_row(tmp_path: Path) -> None:
    gone = Status("running", started=1000.0).with_process()
    status = Status(**{**vars(gone), "pid_start": 1.0})
    make_run(tmp_path, status, num_rows=2)
    os.utime(tmp_path / "progress.txt", (1060.0, 1060.0))
    standing = RunSeen(tmp_path).look()
    assert (standing.state, standing.elapsed_s, standing.left_s) == ("lost", 60.0, None)


def test_the_configuration_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    run = RunSeen(make_run(tmp_path, Status("queued"), epochs=None))
    assert run.look().epochs is None
    config = json.loads((tmp_path / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, "algorithm": {"epochs": 12}})
    assert run.look().epochs == 12


def test_memory_of_processes_that_are_gone_is_unknown() -> None:
    assert resident_mb([]) is None
    assert resident_mb([2**22 + 5]) is None
    assert (resident_mb([os.getpid(), 2**22 + 5]) or 0) > 5
