"""Monitor files: episodes of several environments in the order of their ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridrl.log.tables import Unreadable
from gridrl.results.monitor import read_monitors
from gridrl.results.reader import find_runs


def write(path: Path, start: float, rows: list[tuple[float, int, float]]) -> Path:
    lines = [f'#{{"t_start": {start}, "env_id": "E-v0"}}', "r,l,t", *(f"{r},{length},{t}" for r, length, t in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_one_environment_is_a_run_of_episodes(tmp_path: Path) -> None:
    write(tmp_path / "monitor.csv", 100, [(1.5, 10, 0.1), (2.5, 20, 0.3)])
    (run,) = find_runs(tmp_path)
    assert run.column_names == ("r", "l", "t", "steps")
    assert (run["Performance"].tolist(), run["TotalEnvInteracts"].tolist()) == ([1.5, 2.5], [10, 30])
    assert (run["EpLen"].tolist(), run["Time"].tolist()) == ([10, 20], [0.1, 0.3])


def test_several_environments_are_one_run(tmp_path: Path) -> None:
    write(tmp_path / "0.monitor.csv", 100.0, [(1, 10, 1.0), (3, 10, 3.0)])
    write(tmp_path / "1.monitor.csv", 100.5, [(2, 5, 1.0), (4, 5, 3.5)])
    (run,) = find_runs(tmp_path)
    assert run["r"].tolist() == [1, 2, 3, 4]
    assert run["steps"].tolist() == [10, 15, 25, 30]
    assert run["t"].tolist() == [1.0, 1.5, 3.0, 4.0]


def test_a_program_that_was_started_again_goes_on(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "0.monitor.csv", 0, [(1, 1, 5), (3, 1, 1)]),
        write(tmp_path / "1.monitor.csv", 0, [(2, 1, 5.5)]),
    ]
    assert read_monitors(files).columns["r"].tolist() == [1, 2, 3]


def test_more_columns_and_broken_heads_are_tolerated(tmp_path: Path) -> None:
    (tmp_path / "0.monitor.csv").write_text("#{\nr,l,t,is_success\n1,2,3,1\n")
    (tmp_path / "1.monitor.csv").write_text("r,l,t\n4,,6\n7,8,9\n")
    table = read_monitors(sorted(tmp_path.iterdir()))
    assert table.names == ("r", "l", "t", "is_success", "steps")
    np.testing.assert_array_equal(table.columns["is_success"], [1, np.nan, np.nan])
    assert table.columns["steps"].tolist() == [2, 2, 10]


def test_without_lengths_there_are_no_steps(tmp_path: Path) -> None:
    (tmp_path / "monitor.csv").write_text("r,t\n1,2\n")
    with pytest.raises(Unreadable, match="has no column `l`"):
        read_monitors([tmp_path / "monitor.csv"])
    found = find_runs(tmp_path)
    assert found.with_rows() == []
    assert [skipped.reason for skipped in found.skipped] == ["has no column `l`, the lengths of the episodes"]
