"""A small project whose modules are edited while a grid of it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gridrl.log.record import derived_state
from gridrl.utils.files import GridPaths

TRAIN = '''
import time
from pathlib import Path

from .deep.constants import VALUE


def train(lr=0, seed=0, logger_kwargs={}):
    """Waits for the edit, then tells what it was made of."""
    here = Path(logger_kwargs["output_dir"])
    (here / "attempts.txt").open("a").write("x")
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    from pkg.late import LATE

    data = (Path(__file__).parent / "data.txt").read_text()
    beside = (Path(__file__).parents[1] / "beside.txt").read_text()
    (here / "value.txt").write_text(f"{VALUE}{LATE}{data}{beside}")
    if lr == 1 and not (here / "failed").exists():
        (here / "failed").touch()
        raise ValueError("once")
'''

LAUNCH = """
import json, sys, time
from pathlib import Path
from gridrl import ExperimentGrid

options = json.loads(sys.argv[1])
edits, keys, thunk = options.pop("edits"), options.pop("keys"), options.pop("thunk")
waits = options.pop("waits", False)

def own(seed=0, logger_kwargs={}):
    Path(logger_kwargs["output_dir"], "value.txt").write_text("own 1")
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.01)

grid = ExperimentGrid("g")
for key, values in keys.items():
    grid.add(key, values)
handle = grid.start(globals().get(thunk, thunk), data_dir="data", **options)
while not (waits or Path("started").exists() or handle.is_over):
    time.sleep(0.01)
for file, text in edits.items():
    Path(file).write_text(text)
if not waits:
    Path("go").touch()
handle.wait()
"""

EDITS = {"pkg/deep/constants.py": "VALUE = 2\n", "pkg/late.py": "LATE = 2\n"}
"""What turns the first version of the project into the second one."""

FIRST, SECOND = "11dB", "22dB"
"""What a run of either version writes."""


def make_project(root: Path) -> Path:
    """Writes the first version of the project."""
    project = root / "proj"
    files = {
        "pkg/__init__.py": "",
        "pkg/deep/__init__.py": "",
        "pkg/deep/constants.py": "VALUE = 1\n",
        "pkg/late.py": "LATE = 1\n",
        "pkg/train.py": TRAIN,
        "pkg/data.txt": "d",
        "launch.py": LAUNCH,
        "pyproject.toml": "",
        "beside.txt": "B",
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def launch(
    project: Path, thunk: str = "pkg.train:train", edits: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Runs a grid of the project; the files are edited when its first run has started."""
    keys = options.pop("keys", {"seed": [0, 1, 2]})
    words = json.dumps({"thunk": thunk, "edits": edits or {}, "keys": keys, "jobs": 1, **options})
    return subprocess.run(
        [sys.executable, "launch.py", words],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def values(project: Path) -> list[str]:
    """What the runs have written, in the order of their directories."""
    return [path.read_text() for path in sorted((project / "data").glob("*/*/value.txt"))]


def configs(project: Path) -> list[Any]:
    """Their configurations."""
    return [json.loads(path.read_text()) for path in sorted((project / "data").glob("*/*/config.json"))]


def edit(project: Path, edits: dict[str, str]) -> None:
    """Changes files of the project."""
    for name, text in edits.items():
        (project / name).write_text(text)


def interrupt(project: Path, by: int, thunk: str = "pkg.train:train", **options: Any) -> None:
    """Runs a grid of the project and ends its launcher with a signal when the first run has started.

    Afterwards runs need not wait any more.
    """
    keys = options.pop("keys", {"seed": [0, 1, 2]})
    words = json.dumps({"thunk": thunk, "edits": {}, "keys": keys, "jobs": 1, "waits": True, **options})
    command = options.pop("command", [sys.executable, "launch.py", words])
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as grid:
        try:
            deadline = time.monotonic() + 60
            while not (project / "started").exists():
                assert grid.poll() is None, grid.communicate()[0]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            grid.send_signal(by)
            grid.communicate(timeout=60)
        finally:
            grid.kill()
    await_end(project)
    (project / "go").touch()


def await_end(project: Path) -> None:
    """Waits until no run of the project is alive."""
    deadline = time.monotonic() + 30
    while any(derived_state(path.parent) == "running" for path in (project / "data").glob("*/*/status.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def snapshots(project: Path) -> Path:
    """Where the copies of its sources are."""
    return GridPaths.of_grid(project / "data", "g").snapshots
