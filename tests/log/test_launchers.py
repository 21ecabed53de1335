"""Who launches a run."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gridrl.log.launchers import LOG_VARIABLE, Launcher, read_launcher, write_launcher

OURS = Launcher.this_process()


def test_what_is_read_back_is_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_VARIABLE, "/l")
    launcher = replace(Launcher.this_process(tmp_path / "beat", "@d"), runs=7)
    write_launcher(tmp_path / "it", launcher)
    assert read_launcher(tmp_path / "it") == launcher
    assert (launcher.log, launcher.door, launcher.beat) == ("/l", "@d", str(tmp_path / "beat"))


@pytest.mark.parametrize("change", [{"pid": "1"}, {"pid": 1}, {"pid": -5}, {"pid": True}, {"boot_id": 3}])
def test_what_is_none_of_ours_is_nobody(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "it"
    path.write_text(json.dumps({**dataclasses.asdict(OURS), **change}))
    assert read_launcher(path) is None
    path.write_text("[]")
    assert read_launcher(path) is None
    assert read_launcher(tmp_path / "gone") is None


def test_what_another_version_says_in_other_words_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text(json.dumps({**dataclasses.asdict(OURS), "runs": None, "colour": "red"}))
    assert read_launcher(path) == replace(OURS, runs=1)


def test_it_lives_and_dies_with_its_process() -> None:
    assert not OURS.is_gone
    assert replace(OURS, pid_start=1.0).is_gone  # a pid that was used again
    before = replace(OURS, boot_id="an older boot/pid:[1]")
    assert (before.is_here, before.is_gone) == (False, True)
    assert not replace(before, host="far").is_gone  # nobody can tell from here


def test_it_is_told_in_the_same_words_everywhere() -> None:
    moment = replace(OURS, since=0.0)
    assert str(moment).startswith(f"process {os.getpid()} on {OURS.host} (alive, since 19")
    assert "(gone, since " in str(replace(moment, pid_start=1.0))
    assert " on far (cannot be seen from here, since " in str(replace(moment, host="far", boot_id="another"))
    assert str(replace(moment, log="/x/log")).endswith("), log /x/log")
