"""`grid.json`: what a grid is, and an index that is checked against the runs' own files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl import call_experiment
from gridrl.launch.known import KnownRuns, read_index
from gridrl.log.record import Status, write_status
from gridrl.utils.files import GridPaths
from tests.launch.helpers import config_of, recorder, run

KEYS = {"lr": [1, 2], "seed": [0, 1]}


def grid_file(data_dir: Path, grid: str = "g") -> Path:
    return GridPaths.of_grid(data_dir, grid).grid


def index(data_dir: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(grid_file(data_dir).read_text())["runs"]
    return found


def by_config(data_dir: Path) -> dict[str, str]:
    """The same, told by the runs' own files."""
    return {
        config_of(path.parent)["run_id"]: str(path.parent.relative_to(data_dir))
        for path in data_dir.glob("*/*/config.json")
    }


def test_the_file_tells_what_was_asked_for_and_where_the_runs_are(data_dir: Path) -> None:
    keys = {**KEYS, "lr": [(1, 2), 2]}
    run(recorder(), data_dir, keys=keys, isolation="fresh", retries=2, command="typed like this", jobs=2)
    found = json.loads(grid_file(data_dir).read_text())
    assert [(key["key"], key["values"]) for key in found["keys"]] == [("lr", [[1, 2], 2]), ("seed", [0, 1])]
    assert (found["name"], found["num_cpu"], found["jobs"], found["isolation"]) == ("g", 1, 2, "fresh")
    assert found["limits"]["retries"] == 2
    assert found["command"] == "typed like this"
    assert found["thunk"] == [config_of(next(data_dir.glob("g*/*")))["thunk"]]
    assert found["runs"] == by_config(data_dir)
    assert len(found["runs"]) == 4


def test_a_later_launch_keeps_when_the_grid_was_made(data_dir: Path) -> None:
    run(recorder(), data_dir)
    before = json.loads(grid_file(data_dir).read_text())
    run(recorder(), data_dir, keys={"seed": [0, 1]})
    after = json.loads(grid_file(data_dir).read_text())
    assert after["created"] == before["created"]
    assert after["updated"] > before["updated"]
    assert before["runs"].items() < after["runs"].items()


def test_one_experiment_has_a_file_too(data_dir: Path) -> None:
    call_experiment("one", recorder(), seed=3, data_dir=data_dir, lr=0.5)
    found = json.loads(grid_file(data_dir, "one").read_text())
    assert [(key["key"], key["values"]) for key in found["keys"]] == [("lr", [0.5]), ("seed", [3])]


def test_a_dry_run_writes_none(data_dir: Path) -> None:
    run(recorder(), data_dir, dry_run=True)
    assert not data_dir.exists()


def others_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where the launcher looks for runs without being led there."""
    seen: list[Path] = []
    below = KnownRuns.below
    monkeypatch.setattr(KnownRuns, "below", lambda self, place: seen.append(place) or below(self, place))
    return seen


def test_a_grid_that_is_done_is_found_without_a_search(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(recorder(), data_dir, keys=KEYS)
    seen = others_read(monkeypatch)
    result = run(recorder(), data_dir, keys=KEYS)
    assert [one.skipped for one in result] == [True] * 4
    assert seen == []


def test_a_run_that_is_not_done_brings_the_search_back(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of it that is done may be anywhere."""
    run_dirs = [one.run_dir for one in run(recorder(), data_dir, keys=KEYS)]
    shutil.copytree(run_dirs[3].parent, data_dir / "z")
    write_status(run_dirs[3], Status("failed"))
    seen = others_read(monkeypatch)
    result = run(recorder(), data_dir, keys=KEYS)
    assert [one.skipped for one in result] == [True] * 4
    assert result[3].run_dir == data_dir / "z" / run_dirs[3].name
    assert seen == [data_dir]


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_text(path.read_text()[:-40])


def make_other(path: Path) -> None:
    path.write_text('{"runs": [1, 2]}')


def swap(path: Path) -> None:
    """Each entry leads to another run."""
    found = json.loads(path.read_text())
    found["runs"] = dict(zip(found["runs"], reversed(found["runs"].values()), strict=True))
    path.write_text(json.dumps(found))


def lead_astray(path: Path) -> None:
    found = json.loads(path.read_text())
    found["runs"] = dict(zip(found["runs"], ["\0", "/nowhere", "../..", 3], strict=True))
    path.write_text(json.dumps(found))


@pytest.mark.parametrize("harm", [delete, cut, make_other, swap, lead_astray])
def test_whatever_becomes_of_the_index_no_run_is_repeated_and_it_is_written_anew(
    data_dir: Path, harm: Callable[[Path], None]
) -> None:
    run(recorder(), data_dir, keys=KEYS)
    harm(grid_file(data_dir))
    result = run(recorder(), data_dir, keys=KEYS)
    assert [one.skipped for one in result] == [True] * 4
    assert index(data_dir) == by_config(data_dir)


def test_a_directory_that_was_moved_is_found_and_noted(data_dir: Path) -> None:
    run(recorder(), data_dir, keys=KEYS)
    (data_dir / "g_lr1").rename(data_dir / "mine")
    result = run(recorder(), data_dir, keys=KEYS)
    assert [one.skipped for one in result] == [True] * 4
    assert index(data_dir) == by_config(data_dir)


def test_a_directory_that_was_deleted_is_run_again(data_dir: Path) -> None:
    shutil.rmtree(run(recorder(), data_dir, keys=KEYS)[1].run_dir)
    result = run(recorder(), data_dir, keys=KEYS)
    assert [one.skipped for one in result] == [True, False, True, True]


def test_a_directory_that_another_run_has_taken_is_not_this_ones(data_dir: Path) -> None:
    first, second = run(recorder(), data_dir, keys={"seed": [0, 1]})
    shutil.copy(second.run_dir / "config.json", first.run_dir / "config.json")
    assert read_index(data_dir, "g")[first.run_id] == first.run_dir
    result = run(recorder(), data_dir, keys={"seed": [1]})
    assert result[0].skipped
    assert KnownRuns(data_dir).finished([("g", first.run_id)]) == {}


def test_what_stands_in_the_trash_is_no_run(data_dir: Path) -> None:
    run(recorder(), data_dir, keys=KEYS)
    run(recorder(), data_dir, keys=KEYS, fresh=True)
    found: dict[str, Any] = json.loads(grid_file(data_dir).read_text())
    (old,) = (data_dir / ".trash").iterdir()
    assert found["runs"] == by_config(data_dir)
    found["runs"] = {run_id: f".trash/{old.name}/{path}" for run_id, path in found["runs"].items()}
    grid_file(data_dir).write_text(json.dumps(found))
    assert read_index(data_dir, "g") == {}


def test_a_file_that_cannot_be_written_keeps_no_run_from_going(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid_file(data_dir).mkdir(parents=True)  # a rename over it fails
    (grid_file(data_dir) / "x").touch()
    assert run(recorder(), data_dir, keys=KEYS).ok
    assert f"{grid_file(data_dir)}: not written" in capsys.readouterr().err
    assert all(one.skipped for one in run(recorder(), data_dir, keys=KEYS))
    assert capsys.readouterr().err == ""
