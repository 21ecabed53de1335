"""Real MPI ranks for the tests of what runs on them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl.utils.files import RunPaths
from gridrl.utils.mpirun import run_ranks

GUARDED = """
import json, sys
from pathlib import Path
from gridrl.utils.files import RunPaths
from gridrl.utils.ranks import rank_guard

paths = RunPaths(Path(sys.argv[1]))

{definitions}

with rank_guard(paths):
    answer = work()
    from gridrl.utils.mpi import proc_id
    (paths.root / f"answer{{proc_id()}}.json").write_text(json.dumps(answer))
"""


@pytest.fixture
def answers_of_ranks(tmp_path: Path) -> Callable[[str, int], list[Any]]:
    """Runs a source text that defines `work()` as some ranks, and gives what each rank's `work` returned."""

    def run(definitions: str, num_ranks: int) -> list[Any]:
        paths = RunPaths(tmp_path / "run")
        program = tmp_path / "program.py"
        program.write_text(GUARDED.format(definitions=definitions))
        argv = [sys.executable, "-W", "error", "-m", "mpi4py", str(program), str(paths.root)]
        outcome = run_ranks(argv, num_ranks, paths, os.environ, timeout_s=100)
        assert outcome.ok, f"{outcome}\n{paths.error.read_text()}"
        return [json.loads((paths.root / f"answer{rank}.json").read_text()) for rank in range(num_ranks)]

    return run
