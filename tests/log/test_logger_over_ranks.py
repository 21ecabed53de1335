"""The logger on two real MPI ranks against one rank that has everything."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.log.progress import read_progress
from gridrl.utils.files import RunPaths

SCRIPT = """
import json, sys
from pathlib import Path
from gridrl.errors import ColumnError
from gridrl.log.logger import EpochLogger
from gridrl.utils.mpi import num_procs, proc_id

rank, ranks = proc_id(), num_procs()
EPOCHS = [[1e8, 1e8 + 1, 3.5, -2.0], [7.0], [], [0.1, 0.2, 0.3]]
seen = []
with EpochLogger(sys.argv[1], exp_name="ranks") as logger:
    for epoch, numbers in enumerate(EPOCHS):
        for number in numbers[rank::ranks]:
            logger.store(EpRet=number)
        seen.append(logger.get_stats("EpRet", with_min_and_max=True))
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        if rank == ranks - 1:
            logger.log_tabular("OnlyTheLast", f"rank says\\t{epoch}")
        logger.log_tabular("Rank", rank)
        row = logger.dump_tabular()
    logger.save_config({"ranks": ranks})
    try:
        logger.dump_tabular()
    except ColumnError as error:
        seen.append(str(error))
Path(sys.argv[1], f"seen{rank}.json").write_text(json.dumps([seen, row, logger.rows]))
"""

INTERRUPTED = """
import json, sys
from pathlib import Path
from gridrl.log.current import CurrentRun
from gridrl.utils.mpi import proc_id

first, second = (CurrentRun(Path(sys.argv[1]), logger_kwargs={"quiet": True}) for _ in range(2))
first.logger.store(EpRet=10.0 + proc_id())
first.save({"steps": 5}, step=5)
first.close()
assert second.load() == ({"steps": 5}, 5)
second.logger.store(EpRet=20.0 + proc_id())
second.logger.log_tabular("EpRet", with_min_and_max=True)
row = second.logger.dump_tabular()
second.close()
Path(sys.argv[1], f"seen{proc_id()}.json").write_text(json.dumps(row))
"""


def run(directory: Path, ranks: int, script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    directory.mkdir()
    command = [sys.executable, "-m", "mpi4py", "-c", script, str(directory)]
    if ranks > 1:
        command = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks), *command]
    else:
        command = [sys.executable, "-c", script, str(directory)]
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def seen_by(directory: Path, rank: int) -> Any:
    return json.loads((directory / f"seen{rank}.json").read_text())


def test_two_ranks_write_what_one_rank_with_everything_writes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, 1)
    printed = run(two, 2).stdout
    alone, together = read_progress(one / "progress.txt"), read_progress(two / "progress.txt")
    assert list(together) == [name for name in alone if name != "OnlyTheLast"] + ["OnlyTheLast"]
    for name in set(alone) - {"OnlyTheLast"}:
        np.testing.assert_allclose(alone[name], together[name], rtol=1e-14, err_msg=name)
    for exact in ("Epoch", "MaxEpRet", "MinEpRet", "Rank", "OnlyTheLast"):
        np.testing.assert_array_equal(alone[exact], together[exact])

    assert together["OnlyTheLast"].tolist() == [f"rank says\t{epoch}" for epoch in range(4)]
    assert together["Rank"].tolist() == [0.0] * 4
    assert together["AverageEpRet"][1] == 7.0
    assert math.isnan(together["AverageEpRet"][2])
    assert json.loads(RunPaths(two).config.read_text()) == {"exp_name": "ranks", "algorithm": {"ranks": 2}}
    assert printed.count("Logging data to") == 1
    assert printed.count("AverageEpRet") == 4

    (seen, row, rows), (seen_elsewhere, same_row, same_rows) = seen_by(two, 0), seen_by(two, 1)
    assert row == same_row
    assert rows == same_rows == 4
    np.testing.assert_array_equal(seen[:4], seen_elsewhere[:4])
    assert seen[1] == [7.0, 0.0, 7.0, 7.0]
    assert seen[4].startswith("dump_tabular(): nothing was logged")
    assert seen_elsewhere[4] == seen[4]
    numbers = [1e8, 1e8 + 1, 3.5, -2.0]
    assert seen[0] == pytest.approx([statistics.mean(numbers), statistics.pstdev(numbers), -2.0, 1e8 + 1], rel=1e-14)


def test_what_each_rank_has_stored_is_in_a_run_s_checkpoint(tmp_path: Path) -> None:
    run(tmp_path / "two", 2, INTERRUPTED)
    assert seen_by(tmp_path / "two", 0) == {
        "AverageEpRet": (10 + 11 + 20 + 21) / 4,
        "StdEpRet": pytest.approx(statistics.pstdev([10, 11, 20, 21])),
        "MaxEpRet": 21.0,
        "MinEpRet": 10.0,
    }
