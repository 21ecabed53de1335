"""Runs a plain script as one rank of `mpi_fork`, its end marked and its failure made the end of all ranks.

`python -m mpi4py -m gridrl.utils.rank_script RUN_DIRECTORY {SCRIPT | -m MODULE} ARGUMENTS...`
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from gridrl.utils.files import RunPaths
from gridrl.utils.ranks import rank_guard


def main(argv: list[str]) -> None:
    """Runs the script or module that `argv` names as `__main__`, with the rest of it as its `sys.argv`."""
    root, *words = argv
    is_module = words[0] == "-m"
    sys.argv = words[1:] if is_module else words
    with rank_guard(RunPaths(Path(root)), exit_is_failure=False):
        if is_module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
            return
        if not sys.flags.safe_path:  # what python puts first for a script; here it still stands for `-m`
            sys.path[0] = words[0] if os.path.isdir(words[0]) else os.path.dirname(os.path.realpath(words[0]))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
