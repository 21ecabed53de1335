"""What a run's own code knows of its run: rows, checkpoints, and when to stop."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, CheckpointError, ColumnError
from gridrl.log import current
from gridrl.log.current import CurrentRun, current_run
from gridrl.log.logger import Logger

_OPEN: list[CurrentRun] = []


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(current, "_current", None)
    yield
    while _OPEN:
        _OPEN.pop().close()


def run_in(directory: Path) -> CurrentRun:
    _OPEN.append(CurrentRun(directory, logger_kwargs={"quiet": True}))
    return _OPEN[-1]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_rows_behind_the_checkpoint_are_cut_and_written_again(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    for step in range(5):
        run.log(Step=step, Note=None if step else "first")
        if step == 2:
            run.save({}, step=3)
    again = run_in(tmp_path)
    assert again.load() == ({}, 3)
    assert lines(tmp_path / "progress.txt") == ["Step\tNote", "0\tfirst", "1\t", "2\t"]
    assert [line.split("\t")[0] for line in lines(tmp_path / "progress.cut.txt")] == ["Step", "3", "4"]
    again.log(Step=3, Note="again")
    assert lines(tmp_path / "progress.txt")[-1] == "3\tagain"


def test_a_state_comes_back_as_it_was_given_and_loads_without_pickled_code(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    torch_rng = torch.Generator().manual_seed(7)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], lr=0.5)
    state: dict[str, Any] = {
        "plain": [1, 2.5, "text", None, True, (1, "a")],
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "tensor": torch.ones(2, 2),
        "numpy generator": rng.bit_generator.state,
        "torch generator": torch_rng.get_state(),
        "optimizer": adam.state_dict(),
    }
    expected = rng.random(), torch.rand(1, generator=torch_rng).item()
    run_in(tmp_path).save(state, step=np.int64(4))
    found = run_in(tmp_path).load()
    assert found is not None
    loaded, step = found
    assert step == 4
    assert loaded["plain"] == state["plain"]
    assert loaded["array"].dtype == np.int16
    assert loaded["array"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(loaded["tensor"], state["tensor"])
    assert loaded["optimizer"] == state["optimizer"]
    rng.bit_generator.state = loaded["numpy generator"]
    torch_rng.set_state(loaded["torch generator"])
    assert (rng.random(), torch.rand(1, generator=torch_rng).item()) == expected
    (path,) = (tmp_path / "checkpoints").iterdir()
    assert path.name == "state_000004.pt"
    assert torch.load(path, weights_only=True)["number"] == 4


def test_global_generators_go_on_where_they_were_saved(tmp_path: Path) -> None:
    run_in(tmp_path).save(None, step=0)
    drawn = random.random(), np.random.random(), torch.rand(1).item()
    assert run_in(tmp_path).load() == (None, 0)
    assert (random.random(), np.random.random(), torch.rand(1).item()) == drawn


def test_the_newest_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    assert run.load() is None
    run.save({"at": 1}, step=1)
    run.save({"at": 2}, step=2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["state_000002.pt"]
    assert run.load() == ({"at": 2}, 2)


@pytest.mark.parametrize("step", [-1, 1.5, True, "3"])
def test_a_step_is_a_whole_number(tmp_path: Path, step: Any) -> None:
    with pytest.raises(BadValue, match=r"save\(step=.*\): how far the run is, is a whole number from 0 on"):
        run_in(tmp_path).save({}, step=step)


def test_what_needs_pickled_code_is_named_and_the_old_checkpoint_stands(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.save({"at": 1}, step=1)
    with pytest.raises(CheckpointError, match=r"state\['state'\]\['net'\] is of type Linear"):
        run.save({"net": torch.nn.Linear(1, 1)}, step=2)
    assert run.load() == ({"at": 1}, 1)


def test_a_row_holds_numbers_and_not_arrays(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="Loss"):
        run_in(tmp_path).log(Loss=np.zeros(3))


def test_a_logger_of_ones_own_takes_the_place_of_the_default(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.logger = Logger(tmp_path, "rows.csv", quiet=True)
    run.log(Step=0)
    assert lines(tmp_path / "rows.csv") == ["Step", "0"]
    assert not (tmp_path / "progress.txt").exists()


def test_outside_a_launch_there_is_a_fresh_directory_once_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = current_run()
    assert (run.seed, run.attempt, run.should_stop(), run.load()) == (0, 1, False, None)
    assert list(tmp_path.iterdir()) == []
    assert run.dir.is_dir()
    assert run.dir.parent == tmp_path / "data" / "experiments"
    assert current_run() is run


def test_a_signal_is_heard_by_those_who_ask(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    assert not run.ask_to_stop(signal.SIGTERM)  # it has never asked: the signal has to end it
    assert not run.should_stop()
    assert run.ask_to_stop(signal.SIGUSR1)
    assert run.ask_to_stop(signal.SIGTERM)
    assert not run.ask_to_stop(signal.SIGTERM)  # the second one means it
    assert not run.was_told_to_stop
    assert run.should_stop()
    assert run.should_stop()
    assert run.was_told_to_stop
    assert run.stop_signal == signal.SIGTERM


FOREIGN = """
import os, signal, time
from gridrl import current_run

run = current_run()
print(run.dir, run.seed, run.attempt, run.should_stop())
os.kill(os.getpid(), signal.SIGUSR1)
deadline = time.monotonic() + 30  # the signal may be delivered to another thread first
while not run.should_stop() and time.monotonic() < deadline:
    time.sleep(0.01)
print(run.should_stop(), flush=True)
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_foreign_program_is_told_by_the_environment_and_hears_signals(tmp_path: Path) -> None:
    told = {"GRIDRL_RUN_DIR": str(tmp_path), "GRIDRL_SEED": "7", "GRIDRL_ATTEMPT": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", FOREIGN],
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout.splitlines() == [f"{tmp_path} 7 2 False", "True"], ended.stderr
    assert ended.returncode == -signal.SIGUSR1


def test_neither_numpy_nor_torch_is_loaded_by_asking(tmp_path: Path) -> None:
    asking = "from gridrl import current_run; current_run().should_stop()"
    code = f"import sys; {asking}; print({{'numpy', 'torch'}} & {{*sys.modules}})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "set()\n"
