"""Coming back to runs that are not done after the user's code has changed: under which of the two they go on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue, did_you_mean
from gridrl.launch.order import Order, PlannedRun
from gridrl.launch.snapshot import Snapshot, file_digest, open_snapshot, read_manifest
from gridrl.stand_ins import StandIns
from gridrl.utils.files import GridPaths, read_json
from gridrl.utils.texts import one_line

OLD, NEW = "old", "new"
CHOICES = (OLD, NEW)
"""What runs that were queued with other code go on with: the copy of it, or what is there now."""

_MOST_TOLD = 4
_NAME = re.compile(r"[0-9a-f]+")


def check_choice(code: str | None) -> None:
    """Makes sure that `code` is one of `CHOICES`, or not given.

    Raises:
        BadValue: it is neither.
    """
    if code is not None and code not in CHOICES:
        raise BadValue(f"code={code!r}: 'old' or 'new' is wanted.{did_you_mean(str(code), CHOICES)}")


def settle_code(order: Order, runs: Sequence[PlannedRun], notes: list[str]) -> list[PlannedRun]:
    """The runs, with an earlier snapshot where they are to go on with the code that they were queued with.

    Args:
        order: what was asked for.
        runs: all of the grid.
        notes: takes what a dry run says about it.

    Raises:
        BadValue: the code has changed, and nobody has said what to do; or the earlier copy is not there.
    """
    former = {run.spec.run_id: snapshot for run in runs if (snapshot := _former(order, run)) is not None}
    if not former or order.live_code or order.code == NEW:
        return list(runs)
    if order.code is None:
        question = _question(runs, former)
        if not order.dry_run:
            raise BadValue(question)
        notes.append(question)
        return list(runs)
    newest = max(former.values(), key=_created)
    known = {run.spec.run_id: run.place.known.config.get("code") for run in runs if run.place.known is not None}
    codes = {
        (run.spec.code.hash, former[run.spec.run_id]): known[run.spec.run_id]
        for run in runs
        if run.spec.run_id in former
    }
    settled = []
    for run in runs:
        snapshot = former.get(run.spec.run_id, newest)
        code = codes.get((run.spec.code.hash, snapshot))
        settled.append(_going_on(run, snapshot, code) if run.is_due else run)
    return settled


def _former(order: Order, run: PlannedRun) -> Snapshot | None:
    """The snapshot that a run was queued with which is not done, if its code was another one."""
    known = run.place.known
    is_asked = run.is_due and not (run.is_repeated or run.is_accepted)
    if known is None or not is_asked or not run.code_before.is_other(run.spec.code.hash):
        return None
    return snapshot_named(GridPaths.of_grid(order.data_dir, order.grid), known.config.get("snapshot"))


def snapshot_named(grid: GridPaths, name: Any) -> Snapshot | None:
    """The snapshot of this name; None where there is none (any more)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    try:
        return open_snapshot(grid.snapshots / name)
    except OSError:
        return None


def last_stand_ins(order: Order) -> StandIns | None:
    """What references and environments are to be looked up in: the copies of the last launch where `code` is "old"."""
    if order.code != OLD:
        return None
    grid = GridPaths.of_grid(order.data_dir, order.grid)
    found = read_json(grid.grid)
    snapshot = snapshot_named(grid, found.get("snapshot") if isinstance(found, dict) else None)
    return None if snapshot is None else snapshot.stand_ins


def _created(snapshot: Snapshot) -> float:
    found = read_json(snapshot.paths.description)
    created = found.get("created") if isinstance(found, dict) else None
    return float(created) if isinstance(created, (int, float)) else 0.0


def _going_on(run: PlannedRun, snapshot: Snapshot, code: Any) -> PlannedRun:
    """A run that imports from an earlier snapshot, and is noted as made by the code of then."""
    config: Mapping[str, Any] = {**run.config, "snapshot": snapshot.name, "code": code}
    return replace(run, snapshot=replace(snapshot, is_old=True), config=config)


def _question(runs: Sequence[PlannedRun], former: Mapping[str, Snapshot]) -> str:
    asked = [run for run in runs if run.spec.run_id in former]
    changed = sorted({name for run in asked for name in changed_files(run.spec.code.files, former[run.spec.run_id])})
    more = f" and {len(changed) - _MOST_TOLD} more" if len(changed) > _MOST_TOLD else ""
    told = f"{', '.join(changed[:_MOST_TOLD])}{more}" if changed else f"what {asked[0].spec.thunk.label} does"
    queued = "1 of these runs was" if len(asked) == 1 else f"{len(asked)} of these runs were"
    return one_line(
        f"Your code has changed since {queued} queued: {told}. Add `--code old` (code='old') to go on with "
        "the code of then, of which there is a copy, or `--code new` (code='new') to go on with the code of now."
    )


def changed_files(files: Iterable[Path], snapshot: Snapshot) -> list[str]:
    """The files that are not as a snapshot has them, as they are called from here."""
    manifest = read_manifest(snapshot.paths)
    changed = []
    for path in files:
        real = os.path.join(os.path.realpath(path.parent), path.name)
        entry = manifest.get(real)
        digest = entry[2] if isinstance(entry, list) and len(entry) == 3 else None
        if digest != file_digest(real):
            changed.append(os.path.relpath(real) if path.is_relative_to(Path.cwd()) else real)
    return changed
