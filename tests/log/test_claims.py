"""Claims: one owner at a time, whoever tries, and writers that stop when the run is not theirs any more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gridrl import EpochLogger
from gridrl.errors import RunDirectoryInUse
from gridrl.log import claims
from gridrl.log.claims import (
    Claim,
    check_claim,
    latest_claim,
    launchers_of,
    may_write,
    take_claim,
)
from gridrl.log.launchers import Launcher
from gridrl.log.record import Status, read_status, write_status

OURS = Launcher.this_process()


@pytest.fixture(autouse=True)
def _no_claims_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_held", {})


def taken(run_dir: Path, owner: Launcher = OURS) -> Claim:
    claim = take_claim(run_dir, owner, latest_claim(run_dir))
    assert claim is not None
    return claim


def test_the_highest_claim_owns_the_run(tmp_path: Path) -> None:
    assert latest_claim(tmp_path / "none") is None
    first = taken(tmp_path / "run")
    assert (first.number, first.holds(), latest_claim(tmp_path / "run")) == (1, True, first)
    second = taken(tmp_path / "run")
    assert (second.number, second.holds(), first.holds()) == (2, True, False)
    assert latest_claim(tmp_path / "run") == second
    assert sorted(os.listdir(tmp_path / "run")) == ["claim.2"]


def test_ten_comes_behind_nine(tmp_path: Path) -> None:
    for number in range(1, 12):
        assert taken(tmp_path).number == number


def test_a_claim_is_released_by_its_owner_alone(tmp_path: Path) -> None:
    first = taken(tmp_path)
    second = taken(tmp_path)
    first.release()
    assert not second.is_released
    second.release()
    assert second.is_released
    assert taken(tmp_path).number == 3


RACER = """
import sys, time
from pathlib import Path
from gridrl.log.claims import take_claim
from gridrl.log.launchers import Launcher
run_dir, start, owner = Path(sys.argv[1]), float(sys.argv[2]), Launcher.this_process()
time.sleep(max(0, start - time.time()))
print(*(number for number in range(200) if take_claim(run_dir / str(number), owner, None)))
"""


def test_of_several_processes_one_gets_each_run(tmp_path: Path) -> None:
    start = str(time.time() + 1.0)
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), start], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        won = [racer.communicate(timeout=60)[0].split() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
    assert sorted(int(number) for numbers in won for number in numbers) == list(range(200))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_claim_that_was_not_looked_at_is_not_taken_over(tmp_path: Path) -> None:
    first = taken(tmp_path)
    assert take_claim(tmp_path, OURS, None) is None
    second = taken(tmp_path)
    assert take_claim(tmp_path, OURS, first) is None
    assert take_claim(tmp_path, OURS, None) is None
    assert latest_claim(tmp_path) == second
    assert sorted(os.listdir(tmp_path)) == ["claim.2"]


def test_a_launcher_has_the_runs_that_it_has_claimed_and_not_let_go_of(tmp_path: Path) -> None:
    other = replace(OURS, pid=OURS.pid + 1)
    for name, owner in (("a", OURS), ("b", other), ("c", OURS), ("d", OURS)):
        taken(tmp_path / name, owner)
    taken(tmp_path / "d").release()
    run_dirs = [tmp_path / name for name in "abcde"]
    assert launchers_of(run_dirs) == {OURS: [tmp_path / "a", tmp_path / "c"], other: [tmp_path / "b"]}


def test_a_claim_that_a_power_cut_has_emptied_is_nobodys(tmp_path: Path) -> None:
    claim = taken(tmp_path)
    (claim.path / "launcher.json").write_text("")
    assert launchers_of([tmp_path]) == {}
    assert taken(tmp_path).number == 2


def test_who_has_lost_its_claim_writes_nothing_more(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    taken(run_dir)
    claims.follow_claim(run_dir)
    with EpochLogger(run_dir, quiet=True) as logger:
        logger.log_tabular("Epoch", 0)
        logger.dump_tabular()
        write_status(run_dir, Status("running"))
        logger.save_state({"step": 1})
        other = taken(run_dir, replace(OURS, host="elsewhere", pid=7))
        before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
        assert not may_write(run_dir / "progress.txt")
        told = f"this run has been taken over by {other.owner}. Nothing more is written here."
        with pytest.raises(RunDirectoryInUse) as refused:
            check_claim(run_dir)
        assert str(refused.value) == f"{run_dir}: {told}"
        logger.log_tabular("Epoch", 1)
        with pytest.raises(RunDirectoryInUse, match="taken over"):
            logger.dump_tabular()
        with pytest.raises(RunDirectoryInUse, match="taken over"):
            logger.save_state({"step": 2})
        with pytest.raises(RunDirectoryInUse, match="taken over"):
            write_status(run_dir, Status("done"))
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before
    claims.forget_claim(run_dir)
    assert may_write(run_dir)
    status = read_status(run_dir)
    assert status is not None
    assert status.state == "running"


def test_other_files_are_nobodys_business(tmp_path: Path) -> None:
    taken(tmp_path / "run")
    claims.follow_claim(tmp_path / "run")
    taken(tmp_path / "run")
    assert may_write(tmp_path / "run2" / "progress.txt")
    assert may_write(tmp_path)
