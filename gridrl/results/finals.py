"""Final scores: one number for each run that counts."""

from __future__ import annotations

import numpy as np

from gridrl.results.curves import Curve, column_of
from gridrl.results.places import Skipped
from gridrl.results.reader import RunSet
from gridrl.results.stats import Array, final_score

FINISHED = ("done", "")
"""The states of runs whose last rows are final: theirs, and those of runs that gridrl did not launch."""


def final_scores(curve: Curve, value: str, last: int, found: RunSet) -> Array:
    """The final scores of a variant's runs [seeds].

    Runs that have not finished count only where none has: their last rows are not final.

    Args:
        curve: the variant.
        value: the column of the score.
        last: a run's final score is the mean of its last so many rows.
        found: takes the runs that do not count, with the reason.
    """
    scores: dict[str, list[float]] = {"finished": [], "unfinished": []}
    left_out = []
    for run in curve.runs:
        column = column_of(run, value)
        rows = run[column] if column else np.empty(0)
        score = float(final_score(rows, last)) if rows.size else np.nan
        if column is None:
            found.skipped.append(Skipped(run.path, f"no column `{value}`"))
        elif not np.isfinite(score):
            found.skipped.append(Skipped(run.path, f"no finite number at the end of `{column}`"))
        elif run.state in FINISHED:
            scores["finished"].append(score)
        else:
            scores["unfinished"].append(score)
            left_out.append(Skipped(run.path, f"has no final score, since it is not finished ({run.state})"))
    if scores["finished"]:
        found.skipped += left_out
    elif scores["unfinished"]:
        found.notes.append(f"{curve.label}: no run has finished, its newest rows are taken")
    return np.array(scores["finished"] or scores["unfinished"])
