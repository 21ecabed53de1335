"""Run directories as gridrl and other programs leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MakeRun:
    """Writes `name/name_s<seed>` with `progress.txt` and `config.json` below a directory, and gives its path."""

    data: Path

    def __call__(self, name: str, seed: int, columns: Mapping[str, Sequence[Any]] | None = None, **config: Any) -> Path:
        path = self.data / name / f"{name}_s{seed}"
        path.mkdir(parents=True)
        columns = {"TotalEnvInteracts": [100, 200], "AverageEpRet": [1.0, 2.0]} if columns is None else columns
        rows = [columns, *zip(*columns.values(), strict=True)]
        (path / "progress.txt").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
        (path / "config.json").write_text(json.dumps({"exp_name": name, "seed": seed, **config}))
        return path
