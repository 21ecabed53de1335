"""The event log of a grid."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gridrl.launch.events import EventLog, read_events
from gridrl.run import main
from gridrl.utils.files import GridPaths
from tests.launch.helpers import run


def failing(lr: int, seed: int = 0) -> None:
    if lr == 2:
        raise ValueError("no")


def events(data_dir: Path) -> list[dict[str, Any]]:
    return read_events(GridPaths.of_grid(data_dir, "g").root)


def told(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(event[key] for key in ("event", "run", "state") if key in event) for event in found]


def test_a_launch_notes_what_it_does_with_each_run(data_dir: Path) -> None:
    run(failing, data_dir, keys={"lr": [1, 2]}, jobs=1, retries=1, command="this")
    found = events(data_dir)
    assert told(found) == [
        ("launched",),
        ("started", "g_lr1/g_lr1_s0"),
        ("ended", "g_lr1/g_lr1_s0", "done"),
        ("started", "g_lr2/g_lr2_s0"),
        ("retried", "g_lr2/g_lr2_s0", "failed"),
        ("started", "g_lr2/g_lr2_s0"),
        ("ended", "g_lr2/g_lr2_s0", "failed"),
        ("finished",),
    ]
    assert (found[0]["command"], found[0]["runs"], found[0]["due"]) == ("this", 2, 2)
    assert found[2]["exit_code"] == 0
    assert found[2]["seconds"] > 0 < found[2]["cpu_s"]
    assert found[2]["peak_memory_mb"] > 1
    assert (found[4]["exit_code"], found[4]["error"]) == (1, "ValueError: no")
    assert found[-1]["counts"] == {"done": 1, "failed": 1}
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)


def test_the_next_launch_goes_on_in_the_same_history(data_dir: Path) -> None:
    run(failing, data_dir, keys={"lr": [1]}, jobs=1)
    run(failing, data_dir, keys={"lr": [1, 2]}, jobs=1, max_failures=1)
    assert told(events(data_dir))[4:] == [
        ("launched",),
        ("skipped", "g/g_s0"),
        ("started", "g_lr2/g_lr2_s0"),
        ("ended", "g_lr2/g_lr2_s0", "failed"),
        ("finished",),
    ]


def test_why_a_grid_stopped_is_noted(data_dir: Path) -> None:
    run(failing, data_dir, keys={"lr": [2], "seed": [0, 1]}, jobs=1, fail_fast=True)
    assert [event["message"] for event in events(data_dir) if event["event"] == "stopped"] == [
        "Stopped (fail_fast): g s0 failed: ValueError: no. 1 run not started; the same command again goes on."
    ]


def test_a_launch_that_starts_nothing_notes_nothing(data_dir: Path) -> None:
    run(failing, data_dir, keys={"lr": [1]})
    before = events(data_dir)
    run(failing, data_dir, keys={"lr": [1]})
    run(failing, data_dir, keys={"lr": [1, 2]}, dry_run=True)
    assert events(data_dir) == before


def test_lines_that_are_cut_or_broken_are_left_out(tmp_path: Path) -> None:
    lines = [{"time": 2.0, "event": "b"}, {"time": 1, "event": "a"}, {"time": "x", "event": "c"}, {"event": "d"}, [1]]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "events-here-1.jsonl").write_bytes(text.encode() + b'\xff\n{"time": 3.0, "event": "to')
    (tmp_path / "events-there-2.jsonl").write_text('{"time": 1.5, "event": "e"}\n')
    assert [event["event"] for event in read_events(tmp_path)] == ["a", "e", "b"]
    assert read_events(tmp_path / "nowhere") == []


def test_what_is_appended_behind_a_cut_line_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "events-here-1.jsonl"
    path.write_text('{"time": 1.0, "event": "a"}\n{"time": 2.0, "ev')
    EventLog(path).write({"event": "b"})
    assert [event["event"] for event in read_events(tmp_path)] == ["a", "b"]


def test_a_full_disk_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    log = EventLog(tmp_path / "events-here-1.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        log.write({"event": "a"})
    log.write({"event": "b"})
    told_lines = capsys.readouterr().err.splitlines()
    assert len(told_lines) == 1
    assert "not written any more (No space left on device)" in told_lines[0]


def test_without_its_events_a_grid_loses_nothing(data_dir: Path) -> None:
    run(failing, data_dir, keys={"lr": [1]})
    paths = GridPaths.of_grid(data_dir, "g")
    for path in (paths.grid, *paths.root.glob("events-*")):
        path.unlink()
    assert run(failing, data_dir, keys={"lr": [1]})[0].skipped


def test_the_history_of_one_run_is_shown(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(failing, data_dir, keys={"lr": [1, 2]}, jobs=1, command="this")
    capsys.readouterr()
    assert main(["status", str(data_dir / "g_lr2"), "--events"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[21:34].strip() for line in lines] == ["launched", "started", "ended", "finished"]
    assert lines[0].endswith("2 to run, this")
    assert "g_lr2/g_lr2_s0, failed, after" in lines[2]
    assert lines[2].endswith("exit status 1, ValueError: no")
    assert lines[3].endswith("1 done, 1 failed")


def test_runs_without_a_log_have_no_history(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(failing, data_dir, keys={"lr": [1]})
    for path in GridPaths.of_grid(data_dir, "g").root.glob("events-*"):
        path.unlink()
    capsys.readouterr()
    assert main(["status", str(result[0].run_dir), "--events"]) == 0
    assert capsys.readouterr().out == ""
