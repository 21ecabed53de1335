"""Columns that are kept: used while the file stands as it was, ignored in every other case."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from gridrl.log.tables import Table, read_table
from gridrl.results import cache
from gridrl.results.reader import find_runs
from tests.results.made_runs import MakeRun

OLD = time.time() - 3600


@pytest.fixture(autouse=True)
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("GRIDRL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str] | None]:
    """The columns that were read from files, reading by reading."""
    seen: list[list[str] | None] = []

    def read(kind: str, files: list[Path], wanted: list[str] | None) -> Table:
        seen.append(wanted)
        return read_table(files[0], wanted)

    monkeypatch.setattr("gridrl.results.sources.read_source", read)
    return seen


@pytest.fixture
def run_dir(make_run: MakeRun) -> Path:
    """A run whose file has not been touched for an hour."""
    path = make_run("a", 0, {"Epoch": [0, 1], "Loss": [4, "nan"], "Note": ["x", 3]})
    os.utime(path / "progress.txt", (OLD, OLD))
    return path


def loss(run_dir: Path) -> list[float]:
    return find_runs(run_dir)[0]["Loss"].tolist()


def test_a_second_reading_is_from_the_cache(run_dir: Path, reads: list[list[str] | None]) -> None:
    for _ in range(2):
        (run,) = find_runs(run_dir)
        np.testing.assert_array_equal(run["Loss"], [4, np.nan])
        run["Loss"][0] = 7  # of the reader's own
        assert (run.num_rows, run.column_names) == (2, ("Epoch", "Loss", "Note"))
    assert reads == [["Loss"]]


def test_only_what_is_new_is_read(run_dir: Path, reads: list[list[str] | None]) -> None:
    for names in (["Loss"], ["Epoch", "Loss"], ["Epoch"], None, None):
        find_runs(run_dir)[0].columns(names)
    assert reads == [["Loss"], ["Epoch"], ["Note"]]
    (run,) = find_runs(run_dir)
    assert run.num_rows == 2
    assert run.notes == ("`Note`: text in 1 of 2 rows counts as missing",)


def test_a_file_that_has_changed_is_read_again(run_dir: Path) -> None:
    progress = run_dir / "progress.txt"
    assert loss(run_dir)[0] == 4
    progress.write_text(progress.read_text().replace("4", "5"))
    assert loss(run_dir)[0] == 5
    os.utime(progress, (OLD + 60, OLD + 60))
    assert loss(run_dir)[0] == 5
    os.utime(progress, (OLD + 60, OLD + 60))
    progress.write_text("Loss\n6\n")
    os.utime(progress, (OLD + 60, OLD + 60))  # another size at the same time
    assert loss(run_dir) == [6]


def test_a_file_that_may_still_change_is_not_kept(run_dir: Path, where: Path) -> None:
    os.utime(run_dir / "progress.txt")
    loss(run_dir)
    assert not where.exists()


def test_a_run_that_grows_while_it_is_looked_at_is_read_wholly(run_dir: Path) -> None:
    (run,) = find_runs(run_dir)
    assert run["Epoch"].size == 2
    with open(run_dir / "progress.txt", "a") as file:
        file.write("2\t1\ty\n")
    assert {name: column.size for name, column in run.columns(["Loss", "Epoch"]).items()} == {"Loss": 3, "Epoch": 3}


@pytest.mark.parametrize("damage", [b"", b"gridrl columns 1\n", b"gridrl columns 1\n{}\n", b"\n[]\n", b"junk" * 99])
def test_a_damaged_entry_is_ignored_and_replaced(
    run_dir: Path, where: Path, damage: bytes, reads: list[list[str] | None]
) -> None:
    loss(run_dir)
    (entry,) = where.iterdir()
    good = entry.read_bytes()
    for content in (damage, good[:-1], good[:-1] + b"\0", good + b"\0", b"gridrl columns 0" + good[16:]):
        entry.write_bytes(content)
        assert loss(run_dir)[0] == 4
        assert entry.read_bytes() == good
    assert len(reads) == 6


def test_without_a_place_to_keep_them_columns_are_read_all_the_same(
    run_dir: Path, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where.write_text("a file stands where the directory should be")
    assert loss(run_dir)[0] == 4
    monkeypatch.setenv("GRIDRL_CACHE", "off")
    assert (cache.directory(), loss(run_dir)[0]) == (None, 4)
    monkeypatch.setenv("GRIDRL_CACHE", "/proc/nowhere")  # where nobody can write, not even root
    assert loss(run_dir)[0] == 4


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GRIDRL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "gridrl" / "columns"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.directory() == Path("/home/me/.cache/gridrl/columns")


def test_many_writers_leave_one_whole_entry(run_dir: Path, where: Path) -> None:
    table = Table(("a",), {"a": np.arange(3.0)}, 3)
    files, marks = [run_dir / "progress.txt"], cache.marks_of([run_dir / "progress.txt"])
    for _ in range(3):
        cache.store("progress", files, marks, table)
    assert len(list(where.iterdir())) == 1
    found = cache.load("progress", files, marks)
    assert found is not None
    assert found.columns["a"].tolist() == [0, 1, 2]
    assert cache.load("monitor", files, marks) is None


def test_a_cache_that_is_too_big_loses_its_oldest_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_BYTES", 100)
    files = [tmp_path / f"{age}" for age in range(4)]
    for file in files:
        file.write_bytes(b"x" * 30)
    cache.cut([(9 - age, 30, str(file)) for age, file in enumerate(files)])
    assert [file.exists() for file in files] == [True, False, False, False]
    cache.cut([(0, 100, str(files[0]))])
    assert files[0].exists()
