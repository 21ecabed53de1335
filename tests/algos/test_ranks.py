"""Real MPI ranks: two with half the batch each take the step of one with all of it, and write one row for both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.log.progress import read_progress
from tests.algos.off_policy_runs import train as train_off_policy
from tests.algos.ranks_program import OFF_POLICY, RUNS, off_policy_steps, steps
from tests.algos.short_runs import rows, train

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which two ranks have run `ranks_program`."""
    directory = tmp_path_factory.mktemp("two ranks")
    train(directory / "one rank", "vpg", epochs=2)
    mpiexec = str(Path(sys.executable).with_name("mpiexec"))
    ended = subprocess.run(
        [
            mpiexec,
            "-n",
            "2",
            sys.executable,
            "-W",
            "error",
            "-m",
            "mpi4py",
            "-m",
            "tests.algos.ranks_program",
            directory,
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return directory


@pytest.fixture(scope="module")
def found(two_ranks: Path) -> list[dict[str, Any]]:
    """What each of the two ranks has found."""
    return [json.loads((two_ranks / f"found{rank}.json").read_text()) for rank in (0, 1)]


def test_two_ranks_with_half_the_batch_take_the_step_of_one_with_all_of_it(found: list[dict[str, Any]]) -> None:
    alone = steps()
    for way in ("apart", "together", "torch"):
        assert found[0][way] == found[1][way], "all ranks have one network, whatever their seeds"
        assert np.abs(np.subtract(alone[way], found[0][way])).max() < 1e-6
        assert found[0][way + " norms"] == pytest.approx(alone[way + " norms"], rel=1e-4)


def test_two_ranks_find_the_natural_gradient_of_one(found: list[dict[str, Any]]) -> None:
    alone = steps()
    assert found[0]["region"] == found[1]["region"]
    assert (found[0]["way"], found[1]["way"]) == (alone["way"], alone["way"])
    assert np.abs(np.subtract(alone["region"], found[0]["region"])).max() < 1e-5
    assert found[0]["region norms"] == pytest.approx(alone["region norms"], rel=1e-4)


def test_two_ranks_with_half_the_replayed_batch_take_the_step_of_one_with_all_of_it(
    found: list[dict[str, Any]],
) -> None:
    alone = off_policy_steps()["off policy"]
    assert found[0]["off policy"] == found[1]["off policy"], "all ranks have one network, whatever their seeds"
    assert np.abs(np.subtract(alone, found[0]["off policy"])).max() < 1e-6


@pytest.mark.parametrize("name", OFF_POLICY)
def test_off_policy_ranks_write_one_row_for_all_and_go_on_from_their_checkpoint(
    two_ranks: Path, tmp_path: Path, name: str
) -> None:
    undisturbed = two_ranks / f"{name} undisturbed"
    assert rows(two_ranks / f"{name} continued") == rows(undisturbed)
    steps = OFF_POLICY[name].get("steps_per_epoch", 60)
    columns = read_progress(undisturbed / "progress.txt")
    assert columns["TotalEnvInteracts"].tolist() == [steps, 2 * steps]
    assert [path.name for path in sorted((undisturbed / "checkpoints" / "replay").iterdir())] == ["rank0", "rank1"]
    assert np.isfinite(columns["AverageTestEpRet"]).all()
    alone = train_off_policy(tmp_path, **OFF_POLICY[name])
    assert columns["AverageEpRet"][0] != read_progress(alone / "progress.txt")["AverageEpRet"][0]


@pytest.mark.parametrize("name", RUNS)
def test_ranks_write_one_row_for_all_and_go_on_from_their_checkpoint(two_ranks: Path, name: str) -> None:
    assert rows(two_ranks / f"{name} continued") == rows(two_ranks / f"{name} undisturbed")
    columns = read_progress(two_ranks / f"{name} undisturbed" / "progress.txt")
    assert columns["TotalEnvInteracts"].tolist() == [400, 800, 1200]
    assert columns["DeltaLossV"][0] < 0
    assert np.isfinite(columns["AverageEpRet"]).all()


def test_ranks_do_not_repeat_one_another(two_ranks: Path, tmp_path: Path) -> None:
    """With the same seed everywhere the second rank would add nothing, and episodes would come in equal pairs."""
    alone = train(tmp_path / "alone", epochs=1, **{**RUNS["vpg"], "steps_per_epoch": 200})
    returns = [
        read_progress(directory / "progress.txt")["AverageEpRet"][0]
        for directory in (alone, two_ranks / "vpg undisturbed")
    ]
    assert returns[0] != returns[1]


def test_an_epoch_in_which_no_rank_finishes_an_episode_is_logged(two_ranks: Path) -> None:
    assert np.isnan(read_progress(two_ranks / "no episode" / "progress.txt")["AverageEpRet"]).all()


def test_a_checkpoint_of_another_number_of_ranks_is_refused_on_all(found: list[dict[str, Any]]) -> None:
    assert ["ranks: 1 there, 2 now" in one["refused"] for one in found] == [True, True]
