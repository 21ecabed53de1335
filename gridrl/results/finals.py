"""Final scores: one number for each run that counts."""

from __future__ import annotations

import numpy as np

from gridrl.results.curves import Curve, column_of
from gridrl.results.places import Skipped
from gridrl.results.reader import RunSet
from gridrl.results.run import Run
from gridrl.results.stats import Array, final_score

FINISHED = ("done", "")
"""The states of runs whose last rows are final: theirs, and those of runs that gridrl did not launch."""


def final_scores(curve: Curve, value: str, last: int, found: RunSet) -> Array:
    """The final scores of a variant's runs that count [seeds], see `scored_runs`."""
    return np.array([score for _, score in scored_runs(curve, value, last, found)])


def scored_runs(curve: Curve, value: str, last: int, found: RunSet) -> list[tuple[Run, float]]:
    """The runs of a variant that count, each with its final score.

    Runs that have not finished count only where none has: their last rows are not final.

    Args:
        curve: the variant.
        value: the column of the score.
        last: a run's final score is the mean of its last so many rows.
        found: takes the runs that do not count, with the reason.
    """
    finished: list[tuple[Run, float]] = []
    unfinished: list[tuple[Run, float]] = []
    left_out = []
    for run in curve.runs:
        column = column_of(run, value)
        score = score_of(run, value, last)
        if column is None:
            found.skipped.append(Skipped(run.path, f"no column `{value}`"))
        elif score is None:
            found.skipped.append(Skipped(run.path, f"no finite number at the end of `{column}`"))
        elif run.state in FINISHED:
            finished.append((run, score))
        else:
            unfinished.append((run, score))
            left_out.append(Skipped(run.path, f"has no final score, since it is not finished ({run.state})"))
    if finished:
        found.skipped += left_out
    elif unfinished:
        found.notes.append(f"{curve.label}: no run has finished, its newest rows are taken")
    return finished or unfinished


def score_of(run: Run, value: str, last: int) -> float | None:
    """The mean of a run's last rows, None where it has no such column or no finite number there."""
    column = column_of(run, value)
    rows = run[column] if column else np.empty(0)
    score = float(final_score(rows, last)) if rows.size else np.nan
    return score if np.isfinite(score) else None
