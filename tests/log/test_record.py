from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue, DiskFull
from gridrl.log import record
from gridrl.log.record import Status, derived_state, read_status, write_status


def test_a_status_reads_back_as_it_was_written(tmp_path: Path) -> None:
    status = Status("failed", 2, "host", "boot", 17, 123.0, 1.5, 2.5, -9, 9, 0.25, 64.0, 'ValueError: "x"\nis bad', 1)
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status
    assert json.loads((tmp_path / "status.json").read_text())["exit_code"] == -9


def test_a_state_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadValue) as caught:
        Status("runing")
    assert str(caught.value) == (
        "'runing' is no state of a run. Did you mean 'running'? "
        "There are: queued, running, done, failed, killed, timeout, preempted."
    )


@pytest.mark.parametrize("content", ["", "{", '{"state": "run', "[]", "7", '{"state": "odd"}', '{"state": []}', "\xff"])
def test_half_written_and_foreign_files_are_no_status(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content, encoding="latin-1")
    assert read_status(tmp_path) is None
    assert derived_state(tmp_path) == "unknown"


def test_a_directory_without_a_status_is_unknown(tmp_path: Path) -> None:
    assert derived_state(tmp_path / "nothing") == "unknown"


def test_fields_of_another_version_are_passed_over(tmp_path: Path) -> None:
    found: dict[str, Any] = {
        "state": "done",
        "attempt": "two",
        "pid": 1.5,
        "started": 3,
        "rank": True,
        "temperature": 9,
    }
    (tmp_path / "status.json").write_text(json.dumps(found))
    assert read_status(tmp_path) == Status("done", started=3)


@pytest.mark.parametrize("state", record.STATES)
def test_a_living_process_has_the_state_that_it_wrote(tmp_path: Path, state: str) -> None:
    write_status(tmp_path, Status(state).with_process())
    assert derived_state(tmp_path) == state


def test_a_running_run_without_its_process_is_lost(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        status = Status("running").with_process(process.pid)
        write_status(tmp_path, status)
        assert derived_state(tmp_path) == "running"
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert derived_state(tmp_path) == "lost"
    with pytest.raises(BadValue, match="there is no process"):
        Status("running").with_process(process.pid)


@pytest.mark.parametrize("state", ["queued", "done", "failed", "killed", "timeout"])
def test_only_a_running_run_can_be_lost(tmp_path: Path, state: str) -> None:
    status = Status(state).with_process()
    assert status.pid_start is not None
    write_status(tmp_path, replaced(status, pid_start=status.pid_start - 1))
    assert derived_state(tmp_path) == state


def replaced(status: Status, **changes: Any) -> Status:
    return Status(**{**vars(status), **changes})


def test_a_pid_that_another_process_has_now_is_no_living_run(tmp_path: Path) -> None:
    status = Status("running").with_process()
    assert status.pid_start is not None
    write_status(tmp_path, replaced(status, pid_start=status.pid_start - 1))
    assert derived_state(tmp_path) == "lost"


def test_a_run_of_this_host_before_its_last_boot_is_lost(tmp_path: Path) -> None:
    write_status(tmp_path, replaced(Status("running").with_process(), boot_id="another-boot/pid:[1]"))
    assert derived_state(tmp_path) == "lost"


@pytest.mark.parametrize(
    "changes",
    [
        {"boot_id": "another-boot/pid:[1]", "host": "elsewhere"},
        {"pid": None},
        {"pid_start": None},
        {"boot_id": None},
    ],
)
def test_what_cannot_be_told_from_here_stays_running(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_status(tmp_path, replaced(Status("running").with_process(), **changes))
    assert derived_state(tmp_path) == "running"


def test_a_container_beside_this_one_is_not_judged(tmp_path: Path) -> None:
    status = Status("running").with_process()
    boot = str(status.boot_id).partition("/")[0]
    write_status(tmp_path, replaced(status, boot_id=f"{boot}/pid:[1]", pid_start=1.0))
    assert derived_state(tmp_path) == "running"


def test_a_full_disk_leaves_the_old_status(tiny_disk: Path, fill: Any) -> None:
    write_status(tiny_disk, Status("running"))
    fill(tiny_disk, 0)
    with pytest.raises(DiskFull, match=r"status\.json: the state 'done' was not noted: no space is left"):
        write_status(tiny_disk, Status("done"))
    assert read_status(tiny_disk) == Status("running")
