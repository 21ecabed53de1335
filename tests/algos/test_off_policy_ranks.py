"""Real MPI ranks learn one network of experience of their own, and go on from their checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gridrl.log.progress import read_progress
from tests.algos.short_runs import rows

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which two ranks have run `off_policy_ranks`."""
    directory = tmp_path_factory.mktemp("two ranks")
    mpiexec = str(Path(sys.executable).with_name("mpiexec"))
    program = ["-W", "error", "-m", "mpi4py", "-m", "tests.algos.off_policy_ranks"]
    ended = subprocess.run(
        [mpiexec, "-n", "2", sys.executable, *program, directory],
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


def test_ranks_collect_their_own_experience_and_learn_one_network(two_ranks: Path) -> None:
    one, other = (json.loads((two_ranks / f"found{rank}.json").read_text()) for rank in (0, 1))
    assert one["parameters"] == other["parameters"]
    assert len(one["targets"]) == len(other["targets"])
    assert one["targets"] != other["targets"]


def test_steps_are_counted_over_all_ranks(two_ranks: Path) -> None:
    columns = read_progress(two_ranks / "undisturbed" / "progress.txt")
    assert columns["TotalEnvInteracts"].tolist() == [120, 240, 360]
    # epsilon falls over 200 steps of all ranks together
    assert columns["Epsilon"].tolist() == pytest.approx([1 - 0.95 * 0.6, 0.05, 0.05])
    assert np.isfinite(columns["AverageEpRet"]).all()


def test_ranks_that_go_on_from_their_checkpoint_write_the_rows_of_undisturbed_ones(two_ranks: Path) -> None:
    assert rows(two_ranks / "continued") == rows(two_ranks / "undisturbed")


def test_ranks_that_make_room_in_the_midst_of_an_epoch_keep_what_each_has_noted_for_its_row(two_ranks: Path) -> None:
    assert (two_ranks / "when stopped").read_text() == "checkpoint_000000.pt"
    assert rows(two_ranks / "stopped") == rows(two_ranks / "whole")
