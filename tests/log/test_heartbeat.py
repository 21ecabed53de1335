"""Counters that go up while something lives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gridrl.log import heartbeat
from gridrl.log.heartbeat import Observer, StillStanding, file_beating, read_beat, run_beating
from gridrl.log.record import Status, derived_state, read_status, write_status


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.01)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


def beats(run_dir: Path) -> int:
    status = read_status(run_dir)
    return -1 if status is None else status.heartbeat


def test_a_run_counts_while_the_block_runs_and_not_behind_it(tmp_path: Path) -> None:
    running = Status("running", attempt=3).with_process()
    write_status(tmp_path, running)
    with run_beating(tmp_path):
        wait_for(lambda: beats(tmp_path) >= 3)
    write_status(tmp_path, replace(running, state="done"))
    time.sleep(0.05)
    assert read_status(tmp_path) == replace(running, state="done")


def test_only_the_runs_own_process_counts(tmp_path: Path) -> None:
    write_status(tmp_path, replace(Status("running").with_process(), pid=os.getppid()))
    with run_beating(tmp_path):
        time.sleep(0.1)
    assert beats(tmp_path) == 0


def test_a_full_disk_stops_the_counter_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_status(tmp_path, Status("running").with_process())
    calls = []

    def full(*_: object) -> None:
        calls.append(1)
        if len(calls) < 3:
            raise OSError(28, "No space left on device")
        write_status(tmp_path, Status("running", heartbeat=9).with_process())

    monkeypatch.setattr(heartbeat, "write_status", full)
    with run_beating(tmp_path):
        wait_for(lambda: beats(tmp_path) == 9)


def test_a_file_counts_and_is_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "beat"
    assert read_beat(path) is None
    with file_beating(path):
        assert (read_beat(path) or 0) >= 1
        wait_for(lambda: (read_beat(path) or 0) >= 3)
    assert list(path.parent.iterdir()) == []


def test_a_counter_stands_by_the_readers_clock(tmp_path: Path) -> None:
    now = [1000.0]
    notes = tmp_path / "seen.json"

    def stood_s(name: str, counter: int | None) -> float:
        """As another process of the reader's sees it."""
        standing = StillStanding(notes, lambda: now[0])
        found = standing.stood_s(name, counter)
        standing.keep()
        return found

    assert stood_s("a", 5) == 0
    now[0] += 400
    assert stood_s("a", 5) == 400
    assert stood_s("b", None) == 0
    now[0] += 400
    assert stood_s("a", 6) == 0
    assert stood_s("b", None) == 400
    notes.write_text("broken")
    assert stood_s("a", 6) == 0


def test_two_readers_keep_what_the_other_one_has_noted(tmp_path: Path) -> None:
    now = [0.0]
    one, other = (StillStanding(tmp_path / "seen.json", lambda: now[0]) for _ in range(2))
    one.stood_s("a", 1)
    other.stood_s("b", 1)
    one.keep()
    other.keep()
    now[0] = 50
    later = StillStanding(tmp_path / "seen.json", lambda: now[0])
    assert (later.stood_s("a", 1), later.stood_s("b", 1)) == (50, 50)
    later.forget("a")
    later.keep()
    assert StillStanding(tmp_path / "seen.json", lambda: now[0]).stood_s("a", 1) == 0


def state(observer: Observer, run_dir: Path) -> str:
    return observer.state(run_dir, read_status(run_dir))


def test_a_run_of_another_host_is_lost_when_its_counter_stands(tmp_path: Path) -> None:
    now = [0.0]
    here = Status("running").with_process()
    away = replace(here, host="elsewhere", boot_id="another boot")
    write_status(tmp_path, away)
    observer = Observer(lost_after_s=600, clock=lambda: now[0])
    assert state(observer, tmp_path) == "running"
    now[0] = 599
    assert state(observer, tmp_path) == "running"
    write_status(tmp_path, replace(away, heartbeat=1))
    now[0] = 650
    assert state(observer, tmp_path) == "running"
    now[0] = 1249
    assert state(observer, tmp_path) == "running"
    now[0] = 1250
    assert state(observer, tmp_path) == "lost"
    assert derived_state(tmp_path) == "running"  # one look cannot tell
    write_status(tmp_path, replace(away, attempt=2, heartbeat=1))
    assert state(observer, tmp_path) == "running"
    write_status(tmp_path, replace(away, state="done"))
    assert state(observer, tmp_path) == "done"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["status.json"]


def test_a_run_of_this_machine_needs_no_counter(tmp_path: Path) -> None:
    now = [0.0]
    write_status(tmp_path, Status("running").with_process())
    observer = Observer(clock=lambda: now[0])
    assert state(observer, tmp_path) == "running"
    now[0] = 1e6
    assert state(observer, tmp_path) == "running"
    write_status(tmp_path, replace(Status("running").with_process(), pid_start=-1.0))
    assert state(observer, tmp_path) == "lost"
