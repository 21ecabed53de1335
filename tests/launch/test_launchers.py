"""Who launches a run."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gridrl.launch.launchers import Launcher, launchers_of, note_launcher, read_launcher
from gridrl.utils.files import RunPaths
from tests.launch.helpers import recorder, run


def test_a_launcher_is_noted_in_every_run_that_it_queues(data_dir: Path) -> None:
    result = run(recorder(), data_dir, keys={"lr": [1, 2]})
    ((launcher, run_dirs),) = launchers_of(r.run_dir for r in result).items()
    assert (launcher.pid, launcher.runs, launcher.is_here) == (os.getpid(), 2, True)
    assert not launcher.is_alive  # this process lives on, and launches nothing any more
    assert run_dirs == [r.run_dir for r in result]


def test_what_is_read_back_is_what_was_noted(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    launcher = replace(Launcher.this_process(7), door="/d", log="/l")
    note_launcher(paths, launcher)
    assert read_launcher(tmp_path) == launcher


@pytest.mark.parametrize("change", [{"pid": "1"}, {"pid": 1}, {"pid": -5}, {"runs": None}, {"boot_id": 3}])
def test_what_is_none_of_ours_is_nobody(tmp_path: Path, change: dict[str, object]) -> None:
    noted = {**dataclasses.asdict(Launcher.this_process(1)), **change}
    (tmp_path / "launcher.json").write_text(json.dumps(noted))
    assert read_launcher(tmp_path) is None
    (tmp_path / "launcher.json").write_text("[]")
    assert read_launcher(tmp_path) is None
    assert read_launcher(tmp_path / "gone") is None


def test_a_reused_pid_is_another_process() -> None:
    launcher = replace(Launcher.this_process(1), pid_start=1.0)
    assert (launcher.is_alive, launcher.may_live) == (False, False)


def test_a_boot_that_is_over_has_no_processes() -> None:
    before = replace(Launcher.this_process(1), boot_id="earlier/pid:[1]")
    assert (before.is_here, before.is_alive, before.may_live) == (False, False, False)
    assert replace(before, host="far").may_live
