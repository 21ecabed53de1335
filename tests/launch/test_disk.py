"""Full disks: a clear word, and nothing half done."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentFailed, call_experiment
from gridrl.errors import BackendError, DiskFull
from gridrl.launch import configuration, local, payload, scheduler, worker
from gridrl.launch.lifeline import Lifeline, RunEnd
from gridrl.log.record import Status, read_status
from gridrl.utils import files
from gridrl.utils.files import RunPaths


@pytest.fixture
def _signals_as_before() -> Iterator[None]:
    """A run's process changes what SIGTERM does; played in this process, that must not last."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def full(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_launcher_on_a_full_disk_says_so_and_starts_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "write_atomic", full)
    monkeypatch.setattr(local, "start", lambda *args, **kwargs: pytest.fail("something was started"))
    with pytest.raises(DiskFull, match=r"config\.json: the configuration was not written: no space is left"):
        call_experiment("e", lambda: None, data_dir=data_dir)


def test_a_directory_that_cannot_be_made_is_told(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(configuration, "write_json", denied)
    with pytest.raises(BackendError, match=r"e_s0: the run directory cannot be made: Permission denied\."):
        call_experiment("e", lambda: None, data_dir=data_dir)


def test_a_payload_that_finds_no_room_fails_its_run_alone(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(payload, "write_atomic", full)
    with pytest.raises(ExperimentFailed) as error:
        call_experiment("e", lambda: None, data_dir=data_dir)
    assert "e with seed 0 failed: could not be started: " in str(error.value)
    assert "payload.pkl: the payload was not written: no space is left on its file system" in str(error.value)
    status = read_status(data_dir / "e" / "e_s0")
    assert status is not None
    assert (status.state, status.exit_code) == ("failed", None)


@pytest.mark.usefixtures("_signals_as_before")
def test_a_run_that_finds_no_room_for_its_end_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's process, by hand: its launcher hears how it ended although nothing can be written."""
    lifeline = Lifeline()
    monkeypatch.setattr(worker, "_begin", lambda paths: Status("running"))
    monkeypatch.setattr(worker, "call_thunk", lambda paths: None)
    monkeypatch.setattr(worker, "_ignore_signals", lambda: None)  # this process and its children are to hear them
    monkeypatch.setattr(worker, "write_atomic", full)
    monkeypatch.setattr(RunEnd, "from_environment", lambda: RunEnd(os.dup(lifeline.inherited[0])))
    monkeypatch.setattr(RunEnd, "follow", lambda self: None)

    def no_room(run_dir: Path, status: Status) -> None:
        raise DiskFull(f"{run_dir}: the state {status.state!r} was not noted")

    monkeypatch.setattr(worker, "write_status", no_room)
    assert worker.run_alone(RunPaths(tmp_path)) == 1
    said = lifeline.message()
    assert (said["state"], said["error"]) == ("failed", f"DiskFull: {tmp_path}: the state 'done' was not noted")
    lifeline.close()
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_that_cannot_record_an_end_goes_on(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(run_dir: Path, status: Status) -> None:
        raise DiskFull(f"{run_dir}: the state {status.state!r} was not noted")

    monkeypatch.setattr(scheduler, "write_status", no_room)

    def thunk() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ExperimentFailed, match="No space left on device"):
        call_experiment("e", thunk, data_dir=data_dir)
    assert "Warning: " in capsys.readouterr().err
    assert json.loads((data_dir / "e" / "e_s0" / "status.json").read_text())["state"] == "failed"


def test_ranks_on_a_full_disk_say_so(tiny_disk: Path) -> None:
    def thunk(logger_kwargs: Any) -> None:
        from gridrl.utils.mpi import proc_id

        if proc_id() == 0:
            with open(f"{logger_kwargs['output_dir']}/filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(512))

    with pytest.raises(ExperimentFailed, match="e_s0 cannot be written: No space left on device"):
        call_experiment("e", thunk, num_cpu=2, data_dir=tiny_disk)
