"""What is done about runs that fail, hang or want too much, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gridrl.launch import scheduler
from gridrl.run import main

TRAIN = """
import os, time
from pathlib import Path


def train(how: str = "well", seed: int = 0, logger_kwargs: dict = dict()):
    here = Path(logger_kwargs["output_dir"])
    with open(here / "calls", "a") as file:
        file.write("x")
        calls = file.tell()
    (here / "told").write_text(f"{os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    if how == "once" and calls == 1:
        raise ArithmeticError("it was asked for")
    if how == "hang":
        time.sleep(60)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scheduler, "GRACE_S", 0.5)
    return tmp_path


def test_retries_threads_accelerators_and_memory_reach_the_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    words = "mine.py:train --how once --retries 1 --threads 2 --gpus-per-run 2 --affinity false --max-memory 8G"
    assert main(words.split()) == 0
    run_dir = here / "data" / "train" / "train_s0"
    assert (run_dir / "calls").read_text() == "xx"
    assert (run_dir / "told").read_text() == "2 6,7"
    assert json.loads((run_dir / "config.json").read_text())["threads"] == 2


def test_a_timeout_is_a_failure_for_the_exit_status(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["mine.py:train", "--how", "hang", "--timeout", "1.5"]) == 1
    assert "not done within 1.5 s (timeout)" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--retries -1", "`--retries`: wants at least 0, got -1."),
        ("--timeout soon", "`--timeout`: train wants float, got 'soon'."),
        ("--timeout 0", "timeout=0: the seconds that a run may take are a number above 0."),
        ("--max_failures 0", "`--max_failures`: wants at least 1, got 0."),
        ("--threads 1.5", "`--threads`: train wants int, got 1.5."),
        ("--gpus_per_run 1.5", "gpus_per_run=1.5: a whole number from 0, or a part of one such as 0.5, is wanted."),
        ("--max_memory 4", "max_memory='4': a number with its unit is wanted, such as '4G' or '512M'."),
        ("--fail_fats", "Did you mean `--fail_fast`?"),
    ],
)
def test_what_makes_no_sense_is_told_and_nothing_starts(
    here: Path, capfd: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    assert main(["mine.py:train", *words.split()]) == 2
    assert told in capfd.readouterr().err
    assert not (here / "data").exists()


def test_the_help_says_that_a_part_of_an_accelerator_isolates_nothing(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["mine.py:train", "--help"]) == 0
    page = " ".join(capfd.readouterr().out.split())
    assert "0.5: two runs share one, which is counted but isolates nothing" in page
    for option in ("retries", "timeout", "fail_fast", "max_failures", "threads", "affinity", "max_memory"):
        assert f"--{option} " in page
