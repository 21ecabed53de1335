"""What befalls runs, their launcher and its fork server: each time nothing is lost, done twice or left running."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from gridrl.launch import scheduler
from gridrl.log.record import read_status
from tests.launch.befallen import AT, EVERY, FILLER, MOST_MEMORY, rows
from tests.launch.disturbing import FAMILY, Witness, assert_nothing_left, assert_nothing_lost, launching, rows_of
from tests.launch.helpers import run

COUNT = "tests.launch.befallen:count"


def killed_by(signum: signal.Signals) -> tuple[str, str]:
    return "killed", f"killed by {signum.name}"


FATES = {
    "nothing": ("done", ""),
    "silent": ("done", ""),
    "flood": ("done", ""),
    "SIGKILL": killed_by(signal.SIGKILL),
    "abort": killed_by(signal.SIGABRT),
    "grandchildren": killed_by(signal.SIGKILL),
    "SIGSTOP": ("timeout", "not done within"),
    "deaf": ("timeout", "not done within"),
    "memory": ("failed", "more than max_memory"),
}
"""What comes of a run that is befallen by this: its state and a part of its error."""

LIMITS: dict[str, Any] = {"timeout": 10.0, "max_memory": MOST_MEMORY}


@pytest.fixture
def witness(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Witness:
    """Of grids in the data directory, whether they are launched by this process or by one of its own."""
    data_dir.mkdir()
    return witness_of(data_dir, monkeypatch)


def witness_of(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Witness:
    monkeypatch.setenv(FAMILY, str(data_dir))
    return Witness(data_dir)


def assert_broken_off(run_dir: Path) -> None:
    """The checkpoint and all rows stand that a run had when it was befallen."""
    assert rows_of(run_dir) == rows()[: AT + 2]
    assert [path.name for path in (run_dir / "checkpoints").glob("*")] == [f"state_{EVERY:06d}.pt"]


def assert_all_done_once(witness: Witness, run_dirs: list[Path]) -> None:
    assert_nothing_lost(witness, run_dirs)
    assert [rows_of(run_dir) for run_dir in run_dirs] == [rows()] * len(run_dirs)
    assert [(run_dir / "ends.txt").read_text() for run_dir in run_dirs] == ["x"] * len(run_dirs)


def attempts(run_dirs: list[Path]) -> list[int]:
    return [status.attempt for run_dir in run_dirs if (status := read_status(run_dir)) is not None]


@pytest.mark.parametrize("isolation", ["auto", "fresh"])
def test_whatever_befalls_a_run_it_goes_on_and_its_neighbours_too(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.setattr(scheduler, "GRACE_S", 0.5)
    monkeypatch.setattr(scheduler, "LOOK_S", 0.2)
    fates, limits = FATES, LIMITS
    if isolation == "fresh":  # of which all is slow, and only this is different
        fates, limits = {fault: FATES[fault] for fault in ("nothing", "grandchildren")}, {}
    keys, options = {"fault": list(fates)}, {"jobs": 3, "isolation": isolation, "max_failures": 100, **limits}
    first = run(COUNT, witness.data_dir, keys=keys, **options)
    assert {r.variant["fault"]: r.state for r in first} == {fault: state for fault, (state, _) in fates.items()}
    assert all(error in (r.error or "") for r, (_, error) in zip(first, fates.values(), strict=True))
    assert_nothing_lost(witness, [r.run_dir for r in first if r.ok])
    for r in first.failed:
        assert_broken_off(r.run_dir)
    again = run(COUNT, witness.data_dir, keys=keys, **options)
    assert [r.skipped for r in again] == [r.ok for r in first]
    assert_all_done_once(witness, [r.run_dir for r in again])
    assert attempts([r.run_dir for r in again]) == [1 if r.ok else 2 for r in first]


def test_a_run_outlives_its_fork_server(witness: Witness) -> None:
    result = run(COUNT, witness.data_dir, keys={"fault": ["nothing", "server"]}, jobs=1)
    assert_all_done_once(witness, [r.run_dir for r in result])
    assert attempts([r.run_dir for r in result]) == [1, 1]


def test_a_grid_goes_on_when_its_launcher_was_killed(witness: Witness, data_dir: Path) -> None:
    command = [sys.executable, "-m", "tests.launch.befallen", str(data_dir), "nothing", "launcher", "silent"]
    with launching() as launch:
        assert launch(data_dir, command).wait(timeout=120) == -signal.SIGKILL
        assert_nothing_left(data_dir)
        assert_nothing_lost(witness)
        assert launch(data_dir, command).wait(timeout=120) == 0
    assert_all_done_once(witness, [path.parent for path in data_dir.glob("*/*/config.json")])


def test_a_rank_that_is_killed_costs_its_run_no_checkpoint(witness: Witness) -> None:
    (first,) = run(COUNT, witness.data_dir, keys={"fault": "rank"}, num_cpu=2)
    assert (first.state, first.rank, first.error) == ("failed", 1, "rank 1 killed by signal 9 (SIGKILL)")
    assert_nothing_lost(witness)
    assert_broken_off(first.run_dir)
    (again,) = run(COUNT, witness.data_dir, keys={"fault": "rank"}, num_cpu=2)
    assert_all_done_once(witness, [again.run_dir])
    assert attempts([again.run_dir]) == [2]


def test_a_full_disk_costs_nothing_but_time(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = witness_of(small_disk, monkeypatch)
    keys = {"fault": ["nothing", "disk"]}
    done, full = run(COUNT, small_disk, keys=keys, jobs=1)
    assert (done.state, full.state) == ("done", "failed")
    assert full.error is not None
    assert "no space is left on its file system" in full.error
    assert_nothing_lost(witness, [done.run_dir])
    assert rows_of(full.run_dir)[: EVERY + 1] == rows()[: EVERY + 1]
    (small_disk / FILLER).unlink()
    again = run(COUNT, small_disk, keys=keys)
    assert_all_done_once(witness, [r.run_dir for r in again])
    assert attempts([r.run_dir for r in again]) == [1, 2]


def test_two_launchers_of_one_grid_do_nothing_twice(witness: Witness, data_dir: Path) -> None:
    command = [sys.executable, "-m", "tests.launch.befallen", str(data_dir), "nothing", "silent", "flood"]
    with launching() as launch:
        both = [launch(data_dir, command), launch(data_dir, command)]
        codes = sorted(launcher.wait(timeout=120) for launcher in both)
    assert codes in ([0, 1], [0, 0])  # one leaves, unless it comes so late that all is done
    assert codes == [0, 0] or "RunDirectoryInUse: " in Path(f"{data_dir}.log").read_text()
    run_dirs = [path.parent for path in data_dir.glob("*/*/config.json")]
    assert_all_done_once(witness, run_dirs)
    assert attempts(run_dirs) == [1, 1, 1]
