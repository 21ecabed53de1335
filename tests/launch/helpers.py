"""What several tests of whole runs need."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gridrl import ExperimentGrid
from gridrl.launch.result import GridResult


def run(thunk: Any, data_dir: Path, name: str = "g", keys: dict[str, Any] | None = None, **options: Any) -> GridResult:
    grid = ExperimentGrid(name)
    for key, values in (keys or {"seed": 0}).items():
        grid.add(key, values)
    return grid.run(thunk, data_dir=data_dir, **options)


def config_of(run_dir: Path) -> Any:
    return json.loads((run_dir / "config.json").read_text())


def recorder() -> Callable[..., None]:
    """A thunk that travels by value, so that its process need not import the tests."""

    def thunk(lr: Any = None, seed: int = 0, logger_kwargs: Any = None) -> None:
        with open(f"{logger_kwargs['output_dir']}/calls.txt", "a") as file:
            file.write(f"{lr!r} {seed}\n")

    return thunk
