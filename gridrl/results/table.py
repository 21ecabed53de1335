"""A table of variants, best first: final score with its interval, seeds, steps, time, states, test against the best."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gridrl.errors import BadValue, Problems, did_you_mean
from gridrl.log.standing import PERFORMANCE
from gridrl.results.columns import STEPS, TIME, words_of
from gridrl.results.curves import check_columns, group
from gridrl.results.facets import short_keys
from gridrl.results.formats import Cells, aligned, latex, markdown
from gridrl.results.reader import RunSet, find_runs
from gridrl.results.spreads import METRICS
from gridrl.results.summary import BEST, Asked, VariantSummary, differing_settings, summarise
from gridrl.utils.texts import duration, number

STATES = ("done", "found", "running", "queued", "failed", "killed", "timeout", "lost", "preempted", "unknown")
"""The states in the order in which they are counted; "found" are runs that gridrl did not launch."""

_WORDS = ("variant", "setting", "states", "verdict", "marks")  # kinds of columns that stand to the left


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        kind: "variant", "setting", "score", "seeds", "steps", "time", "states", "verdict" or "marks".
        title: its header.
        cells: a text for each row.
    """

    kind: str
    title: str
    cells: tuple[str, ...]

    @property
    def is_left(self) -> bool:
        """Whether it holds words rather than numbers."""
        return self.kind in _WORDS


@dataclass(frozen=True)
class Table:
    """Variants, best first.

    Attributes:
        rows: the variants.
        asked: which scores these are.
    """

    rows: Sequence[VariantSummary]
    asked: Asked

    @property
    def keys(self) -> list[str]:
        """The hyperparameters in which the variants differ."""
        return differing_settings(self.rows)

    def columns(self) -> list[Column]:
        """What is shown, without columns that say nothing."""
        keys = self.keys
        columns = [Column("variant", "variant", tuple(row.label for row in self.rows))]
        for key, title in zip(keys, short_keys(keys), strict=True):
            columns.append(Column("setting", title, tuple(row.settings.get(key, "") for row in self.rows)))
        columns += [
            Column("score", self.score_title, tuple(map(score_text, self.rows))),
            Column("seeds", "seeds", tuple(str(len(row.scored)) for row in self.rows)),
            Column("steps", "steps", tuple(map(steps_text, self.rows))),
            Column("time", "time", tuple(duration(row.seconds) for row in self.rows)),
            Column("states", "runs", tuple(map(states_text, self.rows))),
            Column("verdict", "against the best", tuple(map(verdict_text, self.rows))),
            Column("marks", "note", tuple(", ".join(row.marks) for row in self.rows)),
        ]
        return [column for column in columns if column.kind in ("variant", "setting", "score") or any(column.cells)]

    @property
    def score_title(self) -> str:
        """What the score is, in a few words."""
        return words_of(self.asked.value)

    def captions(self) -> list[str]:
        """What a reader has to know: which rows, which statistic, which interval, which test."""
        asked = self.asked
        metric = METRICS.get(asked.metric, asked.metric)
        rows = f"each run's mean of its last {asked.last} rows" if asked.last > 1 else "each run's last row"
        lines = [f"Score: {metric} over seeds of {rows}{self._interval_words()}."]
        tested = [row for row in self.rows if row.p_value is not None]
        if tested:
            test = "permutation test" if asked.metric == "median" else "Welch's t test"
            lines.append(TEST_WORDS.format(test=test))
        if any(len(row.scored) == 1 for row in self.rows):
            lines.append("1 seed: no interval and no test; run more seeds to know.")
        if len({row.env for row in self.rows}) > 1:
            lines.append(
                "Scores of several environments do not compare: the best of each comes first, and is tested alone."
            )
        return lines

    def _interval_words(self) -> str:
        found = {row.score.method: row.score.confidence for row in self.rows if row.score and row.score.method}
        if not found:
            return ""
        methods = " or ".join(METHOD_WORDS.get(method, method) for method in found)
        return f", with its {100 * next(iter(found.values())):.4g} % interval ({methods})"

    def cells(self, columns: Sequence[Column] | None = None) -> Cells:
        """The header and the rows."""
        columns = self.columns() if columns is None else columns
        return [[column.title for column in columns], *zip(*(column.cells for column in columns), strict=True)]

    def lines(self, columns: Sequence[Column] | None = None, width: int | None = None) -> list[str]:
        """Plain text, the header first, without the captions.

        Args:
            columns: what is shown; None: all.
            width: characters that a line may have; None: as many as it takes.
        """
        columns = self.columns() if columns is None else columns
        return aligned(self.cells(columns), [column.is_left for column in columns], width)

    def markdown(self) -> str:
        """For a README: the table, and below it what the numbers are."""
        columns = self.columns()
        captions = "\n\n".join(self.captions())
        return f"{markdown(self.cells(columns), [column.is_left for column in columns])}\n{captions}\n"

    def latex(self) -> str:
        r"""A `tabular` for a paper, the best of each environment in bold; needs `\usepackage{booktabs}`."""
        columns = self.columns()
        bold = [place for place, row in enumerate(self.rows, start=1) if row.verdict == BEST]
        table = latex(self.cells(columns), [column.is_left for column in columns], bold=bold)
        notes = "".join(f"% {line}\n" for line in [r"\usepackage{booktabs}", *self.captions()])
        return f"{notes}{table}"

    def csv(self) -> str:
        """Raw numbers, one line a variant, for other programs; its header never depends on what is in the rows."""
        keys = self.keys
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["variant", *keys, *_RAW])
        for row in self.rows:
            writer.writerow([row.label, *(row.settings.get(key, "") for key in keys), *_raw(row, self.asked)])
        return text.getvalue()


def table(
    runs: RunSet | str | Path | Iterable[str | Path],
    *,
    value: str = PERFORMANCE,
    last: int = 10,
    metric: str = "mean",
    smaller_is_better: bool = False,
) -> Table:
    """Makes a table of variants: final scores with intervals, and tests against the best.

    Args:
        runs: what `gridrl.results.reader.find_runs` gives, or directories; takes what is left out, with reasons.
        value: the column of the score.
        last: a run's final score is the mean of its last so many rows.
        metric: over the seeds: "mean", "iqm" or "median".
        smaller_is_better: of losses and costs.

    Raises:
        BadValue: no such directory, no run, no such column or metric; what there is instead is told.
    """
    _check(last, metric)
    found = runs if isinstance(runs, RunSet) else find_runs(runs)
    everything = replace(found, runs=[*found.runs, *found.waiting])
    if not everything.runs:
        where = ", ".join(map(str, found.logdirs)) or "no directory at all"
        raise BadValue("\n".join([f"There is no run in {where}.", *map(str, found.skipped)]))
    asked = Asked(value, STEPS.names[0], last, metric, smaller_is_better)
    if found.with_rows([value, asked.xaxis, TIME.names[0]]):
        check_columns(found.runs, asked.xaxis, [value])
    return Table(summarise(group(everything), asked, found), asked)


def _check(last: int, metric: str) -> None:
    problems = Problems()
    if last < 1:
        problems.add(f"`--last`: wants at least 1 row, got {last}.")
    if metric not in METRICS:
        near = did_you_mean(metric, METRICS)
        problems.add(f"`--metric`: there is no {metric!r}.{near} There are: {', '.join(METRICS)}.")
    problems.raise_if_any(BadValue)


METHOD_WORDS = {
    "student_t": "Student's t",
    "percentile": "percentile bootstrap",
    "bca": "BCa bootstrap",
    "bootstrap_t": "bootstrap-t",
}
"""Ways to make an interval, in words."""

TEST_WORDS = (
    "Against the best: {test}, corrected after Holm for all pairs of variants, since the best is known from these very "
    "scores; worse: p < 0.05."
)
"""What the test is, in words."""

_RAW = (
    "env", "value", "last_rows", "metric", "score", "low", "high", "confidence", "interval", "seeds", "seed_scores",
    "fewest_steps", "most_steps", "seconds", *STATES, "verdict", "p_value", "marks",
)  # fmt: skip


def _raw(row: VariantSummary, asked: Asked) -> list[object]:
    found = row.score
    edges = (found.low, found.high, found.confidence, found.method) if found and not found.reason else ("",) * 4
    return [
        row.env, asked.value, asked.last, asked.metric, found.center if found else "", *edges, len(row.scored),
        " ".join(map(repr, row.scores)), *(row.steps or ("", "")), "" if row.seconds is None else row.seconds,
        *(row.states[state] for state in STATES), row.verdict, "" if row.p_value is None else row.p_value,
        "; ".join(row.marks),
    ]  # fmt: skip


def score_text(row: VariantSummary) -> str:
    """`482.3 [470.1, 494.5]`; empty where there is no score."""
    if row.score is None:
        return ""
    if row.score.reason:
        return number(row.score.center)
    return f"{number(row.score.center)} [{number(row.score.low)}, {number(row.score.high)}]"


def steps_text(row: VariantSummary) -> str:
    """`61,440`, or the fewest and the most where seeds differ."""
    if row.steps is None:
        return ""
    fewest, most = (f"{steps:,.0f}" for steps in row.steps)
    return fewest if fewest == most else f"{fewest} to {most}"


def states_text(row: VariantSummary) -> str:
    """`3 done, 1 failed`; empty where gridrl launched none of the runs."""
    if set(row.states) == {"found"}:
        return ""
    return ", ".join(f"{row.states[state]} {state}" for state in STATES if row.states[state])


def verdict_text(row: VariantSummary) -> str:
    """`best`, `worse (p = 0.012)`, `not told apart (p = 0.3)`; empty without a test."""
    if row.p_value is None:
        return row.verdict
    p = "p < 0.001" if row.p_value < 0.001 else f"p = {row.p_value:.2g}"
    return f"{row.verdict} ({p})"
