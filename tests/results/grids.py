"""Made-up grids for tables and reports, whose scores can be worked out by hand."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

NASTY = '</script><img src=x onerror="window.hacked=1">'
"""A name that would run a program in a page that does not escape it."""

ROWS = 12


def write_run(
    data: Path,
    name: str,
    seed: int,
    *,
    level: float,
    state: str | None = "done",
    rows: int = ROWS,
    variant: dict[str, Any] | None = None,
    env: str = "Toy-v0",
    status: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Writes a run whose return is `level + seed` in all rows but the first, which has 0.

    Args:
        data: the data directory.
        name: of the experiment.
        seed: of the run.
        level: the return of seed 0.
        state: of its status; None: it has none, as if another program had written it.
        rows: how many.
        variant: its hyperparameters.
        env: its environment.
        status: more of its status.
        config: more of its configuration.
    """
    root = data / re.sub(r"[^\w.-]", "-", name) / f"s{seed}"
    root.mkdir(parents=True)
    lines = ["Epoch\tAverageEpRet\tStdEpRet\tTotalEnvInteracts\tLossPi\tTime"]
    for row in range(rows):
        score = 0.0 if row == 0 else level + seed
        lines.append(f"{row}\t{score}\t1.0\t{100 * (row + 1)}\t{-row}\t{2.0 * (row + 1)}")
    if rows:
        (root / "progress.txt").write_text("\n".join(lines) + "\n")
    known = {"exp_name": name, "seed": seed, "variant": {"env_name": env, **(variant or {})}, "env": {"id": env}}
    (root / "config.json").write_text(json.dumps({**known, **config}))
    if state is not None:
        times = {"started": 1000.0, "ended": 1000.0 + 2 * rows, "host": "node7"}
        (root / "status.json").write_text(json.dumps({"state": state, **times, **(status or {})}))
    return root


def write_grid(data: Path) -> None:
    """2 x 3 variants with 3 seeds; one run has failed, another's name and log are hostile."""
    for lr, hid in itertools.product((0.1, 0.01), ([8], [16], [16, 16])):
        name = f"g_lr{lr}_hid{'-'.join(map(str, hid))}"
        level = 100 * len(hid) + hid[0] + 1000 * lr
        variant = {"lr": lr, "ac_kwargs": {"hidden_sizes": hid}}
        for seed in range(3):
            is_bad = (lr, hid, seed) == (0.1, [8], 2)
            root = write_run(
                data,
                name,
                seed,
                level=level,
                state="failed" if is_bad else "done",
                rows=5 if is_bad else ROWS,
                variant=variant,
                status={"error": f"ValueError: {NASTY}"} if is_bad else None,
                command=f"python -m gridrl.run ppo --exp_name '{NASTY}'",
                versions={"gridrl": "0.1.0", "python": "3.11.7"},
                thunk="algo:train",
            )
            if is_bad:
                (root / "error.txt").write_text(f"Traceback (most recent call last):\nValueError: {NASTY}\n")
                (root / "stdout.log").write_text("".join(f"row {row} {NASTY}\n" for row in range(60)))
