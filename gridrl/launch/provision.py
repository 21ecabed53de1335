"""Gives the runs of a plan the sources that they import from: a snapshot of what is there now."""

from __future__ import annotations

from dataclasses import replace

from gridrl.launch.order import Order, Plan, PlannedRun
from gridrl.launch.snapshot import Snapshot, Subject, take_snapshot
from gridrl.utils.console import warn_line
from gridrl.utils.files import GridPaths
from gridrl.utils.texts import one_line


def provide(order: Order, plan: Plan) -> Plan:
    """The plan, with a snapshot for what is to be started; a snapshot that cannot be made is told and done without."""
    due = [run for run in plan.runs if run.is_due and run.snapshot is None]
    if order.live_code or not due:
        return plan
    grid = GridPaths.of_grid(order.data_dir, order.grid)
    try:
        snapshot = take_snapshot(grid, subject(due))
    except OSError as error:
        warn_line(
            f"Your sources could not be copied ({one_line(error)}): runs import them as they are when they start, so "
            "do not edit them while the grid runs."
        )
        return plan
    if snapshot.told:
        warn_line(one_line(snapshot.told))
    wanted = set(due)
    return replace(plan, runs=[_with_snapshot(run, snapshot) if run in wanted else run for run in plan.runs])


def subject(runs: list[PlannedRun]) -> Subject:
    """What a snapshot for these runs is made of."""
    codes = [run.spec.code for run in runs]
    by_value = {run.spec.thunk.identity: run.spec.thunk.target for run in runs if not run.spec.thunk.is_importable}
    environments = ((run.spec.arguments.environment, run.env_spec) for run in runs)
    return Subject(
        files={file for code in codes for file in code.files},
        codes=[code.hash for code in codes],
        thunks=by_value,
        env_specs={found[0]: spec for found, spec in environments if found is not None and spec is not None},
    )


def _with_snapshot(run: PlannedRun, snapshot: Snapshot) -> PlannedRun:
    return replace(run, snapshot=snapshot, config={**run.config, "snapshot": snapshot.name})
