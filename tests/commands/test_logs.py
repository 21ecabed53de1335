"""The command `logs`."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from gridrl.log.record import Status, write_status
from gridrl.run import main
from tests.commands.made_runs import make_run

DONE = Status("done", started=1000.0, ended=1060.0)


def logs(*words: str) -> int:
    return main(["logs", *words])


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A finished run whose log has fifty lines."""
    run_dir = make_run(tmp_path, "a", 0, DONE)
    (run_dir / "stdout.log").write_text("".join(f"line {number}\n" for number in range(50)))
    return run_dir


def test_the_last_lines_are_shown(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs(str(run_dir)) == 0
    assert capsys.readouterr().out.splitlines() == [f"line {number}" for number in range(30, 50)]
    logs(str(run_dir), "-n", "2")
    assert capsys.readouterr().out == "line 48\nline 49\n"
    logs(str(run_dir), "-n", "1000")
    assert capsys.readouterr().out.startswith("line 0\n")
    logs(str(run_dir.parent), "-n", "1")  # the only run below it
    assert capsys.readouterr().out == "line 49\n"


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("length", [1, 70000])
def test_long_lines_and_a_last_line_without_an_end(
    run_dir: Path, capsys: pytest.CaptureFixture[str], length: int, end: str
) -> None:
    lines = [letter * length for letter in "abc"]
    (run_dir / "stdout.log").write_text("\n".join(lines) + end)
    logs(str(run_dir), "-n", "2")
    assert capsys.readouterr().out == "\n".join(lines[1:]) + end


def test_no_lines_may_be_asked_for(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir / "stdout.log").write_text("a\nb")
    logs(str(run_dir), "-n", "0", "-f")
    assert capsys.readouterr().out == ""


def test_a_failed_run_shows_its_error_too(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_status(run_dir, Status("failed", error="ValueError: nan"))
    (run_dir / "error.txt").write_text("Traceback\n" + "  deep\n" * 40 + "ValueError: nan\n")
    logs(str(run_dir), "-n", "1")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["line 49", f"--- {run_dir}/error.txt (failed) ---"]
    assert lines[2:] == ["  deep"] * 19 + ["ValueError: nan"]


def test_an_error_that_stands_in_the_log_is_not_shown_twice(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_status(run_dir, Status("failed", error="ValueError: nan"))
    for name in ("stdout.log", "error.txt"):
        (run_dir / name).write_text("Traceback\nValueError: nan\n")
    logs(str(run_dir))
    assert capsys.readouterr().out == "Traceback\nValueError: nan\n"


def test_each_rank_has_its_log(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_dir / "stdout.rank1.log").write_text("of rank 1\n")
    logs(str(run_dir), "--rank", "1")
    assert capsys.readouterr().out == "of rank 1\n"
    assert logs(str(run_dir), "--rank", "2") == 2
    assert f"`--rank`: {run_dir} has no log of rank 2. There are: 0, 1." in capsys.readouterr().err


def test_of_several_runs_one_is_wanted(tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make_run(tmp_path, "bb", 1, Status("queued"))
    assert logs(str(tmp_path)) == 2
    assert capsys.readouterr().err.splitlines()[:3] == [
        f"{tmp_path}: holds 2 runs; one is wanted. They are:",
        f"  {run_dir}    done",
        f"  {other}  queued",
    ]


def test_a_run_that_has_printed_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = make_run(tmp_path, "a", 0, Status("queued"))
    assert logs(str(run_dir)) == 0
    assert capsys.readouterr().out == f"{run_dir}/stdout.log: nothing was printed yet (queued).\n"


def test_a_wrong_directory_is_told_with_a_near_one(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs(str(run_dir.with_name("b_s0"))) == 2
    assert "has no directory that starts with 'b_s0'. Did you mean 'a_s0'?" in capsys.readouterr().err


def test_following_shows_what_comes_until_the_run_is_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = make_run(tmp_path, "a", 0, Status("queued"))

    def live() -> None:
        time.sleep(0.3)
        write_status(run_dir, Status("running").with_process())
        with open(run_dir / "stdout.log", "wb", buffering=0) as log:
            for piece in ("one\n", "tw", "o\n", "ü"[:1]):
                log.write(piece.encode())
                time.sleep(0.3)
            (run_dir / "error.txt").write_text("ValueError: nan\n")
            log.write(b"end\n")
            write_status(run_dir, Status("failed"))

    thread = threading.Thread(target=live)
    thread.start()
    assert logs(str(run_dir), "-f") == 0
    thread.join()
    assert capsys.readouterr().out == f"one\ntwo\nüend\n--- {run_dir}/error.txt (failed) ---\nValueError: nan\n"


def test_a_log_that_is_begun_anew_is_followed_from_its_start(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_status(run_dir, Status("running").with_process())

    def live() -> None:
        time.sleep(0.4)
        (run_dir / "stdout.log").write_text("anew\n")
        write_status(run_dir, DONE)

    thread = threading.Thread(target=live)
    thread.start()
    logs(str(run_dir), "-f", "-n", "1")
    thread.join()
    assert capsys.readouterr().out == "line 49\nanew\n"


def test_what_is_typed_wrong_is_told(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert logs(str(run_dir), "-n", "-1", "--rank", "-2") == 2
    err = capsys.readouterr().err
    assert "`-n`: wants 0 lines or more, got -1." in err
    assert "`--rank`: wants 0 or more, got -2." in err
