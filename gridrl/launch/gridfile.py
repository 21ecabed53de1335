"""`grid.json`: what a grid is, for people and programs, and the index of its runs.

It is written once per launch and never the only place of anything: `gridrl.launch.known` checks what the index says
against the runs' own files, and a launch that finds the index missing, broken or wrong writes it anew.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridrl.launch.configuration import command_of
from gridrl.launch.known import read_index
from gridrl.launch.order import Order, Plan
from gridrl.utils.console import warn_line
from gridrl.utils.files import GridPaths, read_json, write_json
from gridrl.utils.serialization import convert_json


def note_grid(order: Order, plan: Plan) -> None:
    """Writes a grid's file; where nothing is to be started, only if its index does not lead to all runs.

    Args:
        order: what was asked for.
        plan: what is done about it.
    """
    path = GridPaths.of_grid(order.data_dir, order.grid).grid
    index = read_index(order.data_dir, order.grid)
    starts = any(run.is_due for run in plan.runs)
    if not starts and all(index.get(run.spec.run_id) == run.place.run_dir for run in plan.runs):
        return
    try:
        write_json(path, {**_described(order, plan), **_dated(path), "runs": _index(order, plan, index)})
    except OSError as error:
        if starts:
            warn_line(f"{path}: not written ({error.strerror or error}). Nothing depends on it.")


def _described(order: Order, plan: Plan) -> dict[str, Any]:
    keys = [
        {
            "key": parameter.key,
            "values": [convert_json(value) for value in parameter.values],
            "shorthand": parameter.shorthand,
            "in_name": parameter.in_name,
        }
        for parameter in order.keys
    ]
    return {
        "name": order.grid,
        "keys": keys,
        "thunk": list(dict.fromkeys(run.spec.thunk.identity for run in plan.runs)),
        "num_cpu": plan.num_cpu,
        "jobs": plan.jobs,
        "isolation": order.isolation,
        "limits": dataclasses.asdict(order.limits),
        "preset": order.preset,
        "log": list(order.log),
        "command": command_of(order),
        "snapshot": next((run.snapshot.name for run in plan.runs if run.snapshot is not None), None),
    }


def _dated(path: Path) -> dict[str, Any]:
    before = read_json(path)
    created = before.get("created") if isinstance(before, dict) else None
    now = time.time()
    return {"created": created if isinstance(created, (int, float)) else now, "updated": now}


def _index(order: Order, plan: Plan, before: Mapping[str, Path]) -> dict[str, str]:
    """Run ids with directories: of this plan, of what was read for it, and of what an earlier index led to."""
    moved = set(plan.moved)
    kept = {run_id: path for run_id, path in before.items() if path not in moved and path.is_dir()}
    read = {
        run.config["run_id"]: run.run_dir
        for run in plan.known
        if run.config.get("grid") == order.grid and run.run_dir not in moved
    }
    planned = {run.spec.run_id: run.place.run_dir for run in plan.runs}
    return {run_id: _below(path, order.data_dir) for run_id, path in sorted({**kept, **read, **planned}.items())}


def _below(path: Path, data_dir: Path) -> str:
    return str(path.relative_to(data_dir) if path.is_relative_to(data_dir) else path)
