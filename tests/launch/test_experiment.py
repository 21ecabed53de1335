"""`call_experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentFailed, call_experiment
from gridrl.errors import (
    BadValue,
)
from tests.launch.helpers import recorder


def test_call_experiment_runs_and_streams_and_is_not_repeated(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def thunk(lr: float, seed: int, sizes: Any) -> None:
        print("ünïcode", lr, seed, sizes)

    given = {"a": [1]}
    result = call_experiment("one", thunk, seed=3, data_dir=data_dir, lr=0.5, sizes=given)
    assert (result.state, result.name, result.seed, result.skipped) == ("done", "one", 3, False)
    assert result.run_dir == data_dir / "one" / "one_s3"
    out = capfd.readouterr().out
    assert 'Running experiment: one\nwith kwargs:\n{\n    "lr":\t0.5,\n    "seed":\t3,\n    "sizes":' in out
    assert "\nünïcode 0.5 3 {'a': [1]}\n" in out
    assert (result.run_dir / "stdout.log").read_text() == "ünïcode 0.5 3 {'a': [1]}\n"
    assert call_experiment("one", thunk, seed=3, data_dir=data_dir, lr=0.5, sizes=given).skipped


def test_call_experiment_raises_with_all_that_is_known(data_dir: Path) -> None:
    def thunk() -> None:
        print("before the end")
        raise ArithmeticError("boom")

    with pytest.raises(ExperimentFailed) as error:
        call_experiment("bad", thunk, data_dir=data_dir)
    failed = error.value
    assert (failed.name, failed.run_dir, failed.exit_code, failed.rank) == ("bad", data_dir / "bad" / "bad_s0", 1, None)
    assert failed.log_tail.startswith("before the end\nTraceback")
    assert str(failed).startswith(
        "bad with seed 0 failed (exit status 1): ArithmeticError: boom\n"
        f"Its log: {data_dir / 'bad' / 'bad_s0' / 'stdout.log'}\nThe last lines:\nbefore the end\n"
    )


def test_call_experiment_needs_a_name(data_dir: Path) -> None:
    with pytest.raises(BadValue, match="exp_name=''"):
        call_experiment("", recorder(), data_dir=data_dir)
