"""What a rank notes about itself, outside MPI: the guard records every way of leaving, and the first failure wins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gridrl.utils import rank_keeper
from gridrl.utils.files import RunPaths
from gridrl.utils.ranks import (
    RankFailure,
    begin_rank,
    end_rank,
    first_failure,
    rank_guard,
    rank_processes,
    unfinished_ranks,
)


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / 'a run\nwith "odd" name')


def leave_guard_by(paths: RunPaths, error: BaseException, exit_is_failure: bool = True) -> object:
    """The exit status that a rank leaves with after `error`."""
    with pytest.raises(SystemExit) as caught, rank_guard(paths, exit_is_failure=exit_is_failure):
        raise error
    return caught.value.code


def test_work_that_returns_is_marked_as_done(paths: RunPaths) -> None:
    with rank_guard(paths):
        assert unfinished_ranks(paths, 2) == [0, 1]
        assert rank_processes(paths) == {os.getpid(): 0}
    assert unfinished_ranks(paths, 2) == [1]
    assert first_failure(paths) is None
    assert not paths.error.exists()


def test_a_rank_is_the_one_that_the_environment_says(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_RANK", "3")
    begin_rank(paths)
    end_rank(paths, "early")
    assert json.loads((paths.ranks / "3.end.json").read_text()) == {"rank": 3, "how": "early"}
    assert rank_processes(paths) == {os.getpid(): 3}
    assert unfinished_ranks(paths, 4) == [0, 1, 2]


def test_an_exception_is_recorded_and_printed(paths: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave_guard_by(paths, ValueError("boom\nsecond line")) == 1
    failure = first_failure(paths)
    assert failure is not None
    assert (failure.rank, failure.reason, failure.exit_code) == (0, "raised ValueError: boom", 1)
    assert paths.error.read_text() == failure.traceback == capsys.readouterr().err
    assert failure.traceback.endswith("ValueError: boom\nsecond line\n")
    assert "utils/ranks.py" not in failure.traceback, "the guard's own frames say nothing"
    assert unfinished_ranks(paths, 1) == [0]


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (SystemExit(0), "called sys.exit(0)", 1),
        (SystemExit(), "called sys.exit()", 1),
        (SystemExit(3), "called sys.exit(3)", 3),
        (SystemExit(256), "called sys.exit(256)", 1),
        (SystemExit("no data"), "called sys.exit('no data')", 1),
        (KeyboardInterrupt(), "raised KeyboardInterrupt", 1),
        (KeyError("x"), "raised KeyError: 'x'", 1),
        (ValueError("y" * 1000), f"raised ValueError: {'y' * 1000}"[:300], 1),
    ],
)
def test_every_way_of_leaving_is_a_failure_with_a_status_that_says_so(
    paths: RunPaths, error: BaseException, reason: str, code: int
) -> None:
    assert leave_guard_by(paths, error) == code
    failure = first_failure(paths)
    assert failure is not None
    assert (failure.reason, failure.exit_code) == (reason, code)


def test_a_program_may_leave_by_exit_where_that_is_allowed(paths: RunPaths) -> None:
    assert leave_guard_by(paths, SystemExit(0), exit_is_failure=False) == 0
    assert unfinished_ranks(paths, 1) == []
    assert first_failure(paths) is None


def test_an_exit_with_a_status_is_a_failure_everywhere(paths: RunPaths) -> None:
    assert leave_guard_by(paths, SystemExit(4), exit_is_failure=False) == 4
    failure = first_failure(paths)
    assert failure is not None
    assert failure.reason == "called sys.exit(4)"


def test_an_exception_that_cannot_be_printed_is_recorded_all_the_same(paths: RunPaths) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert leave_guard_by(paths, Mute()) == 1
    failure = first_failure(paths)
    assert failure is not None
    assert failure.reason == "raised Mute: (its message cannot be printed)"


def test_a_record_that_cannot_be_written_hides_no_failure(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gridrl.utils.ranks.write_failure", full_disk)
    assert leave_guard_by(paths, ValueError("boom")) == 1


def test_the_first_failure_wins(paths: RunPaths) -> None:
    paths.ranks.mkdir(parents=True)
    assert rank_keeper.write_failure(str(paths.ranks), 2, -9, "killed by signal 9 (SIGKILL)")
    assert not rank_keeper.write_failure(str(paths.ranks), 0, 1, "raised OSError")
    assert leave_guard_by(paths, ValueError("boom")) == 1
    assert first_failure(paths) == RankFailure(2, "killed by signal 9 (SIGKILL)", -9)
    assert not paths.error.exists()
    assert not list(paths.ranks.glob("*.tmp"))


def test_the_first_failure_wins_where_the_file_system_has_no_links(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    test_the_first_failure_wins(paths)


def test_a_mark_that_is_half_written_or_missing_is_no_mark(paths: RunPaths) -> None:
    assert first_failure(paths) is None
    assert rank_processes(paths) == {}
    paths.ranks.mkdir(parents=True)
    (paths.ranks / "failed.json").write_text('{"rank": 1')
    (paths.ranks / "0.begin.json").write_text("")
    assert first_failure(paths) is None
    assert rank_processes(paths) == {}
