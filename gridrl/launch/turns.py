"""In which order runs are started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gridrl.launch.order import PlannedRun


def seeds_slowest(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs in the order in which they start: every variant's first seed before any variant's second.

    So a grid that is looked at early stands complete with few seeds, and not in part with many. Otherwise the grid's
    order is kept.

    Args:
        runs: all of a grid, those that are done too: they count as their variant's seeds.
    """
    seen: Counter[str] = Counter()
    turns = []
    for run in runs:
        turns.append(seen[run.spec.variant_id])
        seen[run.spec.variant_id] += 1
    return [run for _, run in sorted(zip(turns, runs, strict=True), key=lambda pair: pair[0])]
