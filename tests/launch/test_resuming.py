"""The same grid again, with a wish of what is to run: only what failed, everything once more, all from nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue, RunDirectoryInUse
from gridrl.launch.resuming import Resume, move_away
from gridrl.log.record import Status, read_status, write_status
from tests.launch.helpers import config_of, recorder, run

STAMP = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"


def failing_once() -> Any:
    """A thunk that fails the first time where `lr` is 2."""

    def thunk(lr: int, seed: int = 0, logger_kwargs: Any = None) -> None:
        calls = logger_kwargs["output_dir"] + "/calls.txt"
        with open(calls, "a") as file:
            file.write("x")
        with open(calls) as file:
            if lr == 2 and len(file.read()) == 1:
                raise ArithmeticError("the first time")

    return thunk


def calls(run_dir: Path) -> str:
    path = run_dir / "calls.txt"
    return path.read_text() if path.exists() else ""


def in_trash(data_dir: Path) -> list[str]:
    """The files `calls.txt` in the trash, without the dates."""
    found = sorted(str(path.relative_to(data_dir / ".trash")) for path in (data_dir / ".trash").rglob("calls.txt"))
    assert all(re.match(STAMP, path) for path in found)
    return [re.sub(rf"^{STAMP}(-\d+)?/", "", path) for path in found]


def test_only_failed_leaves_out_what_is_new(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(failing_once(), data_dir, keys={"lr": [1, 2]})
    assert [r.state for r in first] == ["done", "failed"]
    capsys.readouterr()
    keys = {"lr": [1, 2, 3]}
    shown = run(failing_once(), data_dir, keys=keys, only_failed=True, dry_run=True)
    assert [(r.state, r.skipped) for r in shown] == [("done", True), ("failed", False), ("new", False)]
    assert "3 runs, 1 done already, 1 to be started again, 1 left out; 1 at once (jobs)" in capsys.readouterr().out
    again = run(failing_once(), data_dir, keys=keys, only_failed=True)
    assert [(r.state, r.skipped) for r in again] == [("done", True), ("done", False), ("new", False)]
    assert not again.ok
    assert [calls(r.run_dir) for r in again] == ["x", "xx", ""]
    assert not again[2].run_dir.exists()


@pytest.mark.parametrize(("state", "is_wanted"), [("killed", True), ("timeout", True), ("queued", False)])
def test_only_failed_goes_by_how_a_run_ended(data_dir: Path, state: str, is_wanted: bool) -> None:
    (first,) = run(recorder(), data_dir)
    write_status(first.run_dir, Status(state))
    (again,) = run(recorder(), data_dir, only_failed=True)
    assert again.state == ("done" if is_wanted else "queued")


def test_only_failed_runs_a_lost_one(data_dir: Path) -> None:
    (first,) = run(recorder(), data_dir)
    gone = Status("running", started=1.0).with_process()
    write_status(first.run_dir, Status(**{**gone.__dict__, "pid_start": -1.0}))
    assert run(recorder(), data_dir, only_failed=True)[0].state == "done"


def test_force_runs_again_from_nothing_and_keeps_what_was(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(recorder(), data_dir, keys={"lr": [1, 2]})
    capsys.readouterr()
    shown = run(recorder(), data_dir, keys={"lr": [1, 2, 3]}, force=True, dry_run=True)
    assert [(r.state, r.prospect) for r in shown] == [("done", "again"), ("done", "again"), ("new", "")]
    told = capsys.readouterr().out
    assert "3 runs, 2 done, to be run again; " in told
    assert "2 earlier runs to be moved to .trash\n" in told
    assert re.search(r"g_lr1 +0 +done, again +g_lr1/g_lr1_s0", told)
    assert not (data_dir / ".trash").exists()
    again = run(recorder(), data_dir, keys={"lr": [1, 2, 3]}, force=True)
    assert [(r.state, r.skipped, calls(r.run_dir)) for r in again] == [("done", False, f"{lr} 0\n") for lr in (1, 2, 3)]
    assert [read_status(r.run_dir).attempt for r in again] == [1, 1, 1]  # type: ignore[union-attr]
    assert re.search(rf"2 earlier runs moved to {re.escape(str(data_dir))}/\.trash/{STAMP}\n", capsys.readouterr().out)
    assert in_trash(data_dir) == ["g_lr1/g_lr1_s0/calls.txt", "g_lr2/g_lr2_s0/calls.txt"]
    assert all(r.skipped for r in run(recorder(), data_dir, keys={"lr": [1, 2, 3]}))


def test_force_lets_what_is_not_done_go_on(data_dir: Path) -> None:
    first = run(failing_once(), data_dir, keys={"lr": [1, 2]})
    assert not first.ok
    again = run(failing_once(), data_dir, keys={"lr": [1, 2]}, force=True)
    assert [(r.state, calls(r.run_dir)) for r in again] == [("done", "x"), ("done", "xx")]
    assert in_trash(data_dir) == ["g_lr1/g_lr1_s0/calls.txt"]


def test_fresh_moves_all_that_the_grid_has_made_and_nothing_else(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(recorder(), data_dir, keys={"lr": 1})
    run(recorder(), data_dir, keys={"lr": 2})  # takes a directory of its own beside the first
    other = run(recorder(), data_dir, name="other", keys={"lr": 1})
    shown = run(recorder(), data_dir, keys={"lr": 2}, fresh=True, dry_run=True)
    assert [(r.state, str(r.run_dir.relative_to(data_dir))) for r in shown] == [("new", "g/g_s0")]
    assert "2 earlier runs to be moved to .trash\n" in capsys.readouterr().out
    (fresh,) = run(recorder(), data_dir, keys={"lr": 2}, fresh=True)
    assert fresh.run_dir == data_dir / "g" / "g_s0"
    assert calls(fresh.run_dir) == "2 0\n"
    assert config_of(fresh.run_dir)["exp_name"] == "g"
    moved = in_trash(data_dir)
    assert len(moved) == 2
    assert moved[1] == "g/g_s0/calls.txt"
    assert re.fullmatch(r"g-[0-9a-f]{4}/g-[0-9a-f]{4}_s0/calls\.txt", moved[0])
    assert calls(other[0].run_dir) == "1 0\n"
    once_more = run(recorder(), data_dir, keys={"lr": 2}, fresh=True)
    assert once_more.ok
    assert len(in_trash(data_dir)) == 3


def test_fresh_reaches_names_with_slashes_and_directories_that_the_variant_names_itself(
    data_dir: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own place"
    keys = {"lr": 1, "logger_kwargs:output_dir": str(own)}
    run(recorder(), data_dir, name="suite/deep/t", keys={"lr": 1})
    run(recorder(), data_dir, name="own", keys=keys)
    assert run(recorder(), data_dir, name="suite/deep/t", keys={"lr": 1}, fresh=True).ok
    assert run(recorder(), data_dir, name="own", keys=keys, fresh=True).ok
    assert in_trash(data_dir) == ["suite/deep/t/t_s0/calls.txt"]
    assert calls(own) == "1 0\n"
    assert in_trash(tmp_path) == ["own place/calls.txt"]


def test_fresh_touches_nothing_while_a_run_of_the_grid_is_alive(data_dir: Path) -> None:
    done, alive = run(recorder(), data_dir, keys={"lr": [1, 2]})
    write_status(alive.run_dir, Status("running").with_process())
    with pytest.raises(RunDirectoryInUse, match="this run is still running"):
        run(recorder(), data_dir, keys={"lr": 1}, fresh=True)
    assert calls(done.run_dir) == "1 0\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"only_failed": True, "force": True}, "only_failed and force do not go together: choose one of them."),
        ({"force": True, "fresh": True}, "force and fresh do not go together: choose one of them."),
        ({"force": "yes"}, "force='yes': True, False or 'stale' is wanted."),
        ({"fresh": 1}, "fresh=1: True or False is wanted."),
    ],
)
def test_wishes_that_make_no_sense_are_told(data_dir: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue) as told:
        run(recorder(), data_dir, **given)
    assert str(told.value) == message
    assert not data_dir.exists()


def test_what_makes_room_in_the_same_second_is_kept_apart(tmp_path: Path) -> None:
    places = []
    for _ in range(3):
        (tmp_path / "g" / "s0").mkdir(parents=True)
        places += move_away([tmp_path / "g" / "s0", tmp_path / "not there"], tmp_path)
    assert len(set(places)) == 3
    assert all((place / "g" / "s0").is_dir() for place in places)
    assert move_away([tmp_path / "not there"], tmp_path) == []


def test_by_default_everything_that_is_not_done_is_wanted() -> None:
    assert not any(Resume().leaves_out(state) for state in ("new", "queued", "failed", "lost"))
