"""Run directories in any state, as launchers leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridrl.log.claims import Claim, latest_claim, take_claim
from gridrl.log.launchers import Launcher
from gridrl.log.record import Status, write_status
from gridrl.utils.files import write_json

GONE = {"host": "h", "pid": 2**22 + 5, "pid_start": 1.0}


def make_run(data: Path, name: str, seed: int, status: Status, rows: int = 0, **config: Any) -> Path:
    """Writes `name/name_s<seed>` with its configuration, status and rows."""
    root = data / name / f"{name}_s{seed}"
    write_json(root / "config.json", {"exp_name": name, "seed": seed, "run_id": f"{name}{seed}", "epochs": 9, **config})
    write_status(root, status)
    if rows:
        lines = ["Epoch\tAverageEpRet", *(f"{row}\t{row / 2}" for row in range(rows))]
        (root / "progress.txt").write_text("\n".join(lines) + "\n")
    return root


def claimed_by(launcher: Launcher, run_dir: Path) -> Claim:
    """Lets a launcher have a run."""
    claim = take_claim(run_dir, launcher, latest_claim(run_dir))
    assert claim is not None
    return claim
