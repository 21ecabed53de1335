"""What a table says of each variant: its final score and how sure that is, who is best, how its runs stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from gridrl.log.record import read_status
from gridrl.log.standing import MOST_TIME_S, RunSeen, Standing
from gridrl.results.columns import TIME
from gridrl.results.curves import Curve, settings_of
from gridrl.results.finals import FINISHED, score_of, scored_runs
from gridrl.results.reader import RunSet
from gridrl.results.run import Run
from gridrl.results.stats import Array, Compared, Interval, compare, interval

BEST, WORSE, OPEN = "best", "worse", "not told apart"
"""What a comparison with the best variant can say."""

SIGNIFICANT = 0.05
"""A corrected probability below that makes a variant worse than the best."""

_UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Asked:
    """What is asked of a table.

    Attributes:
        value: the column of the score.
        xaxis: the column of environment steps.
        last: the score of a run is the mean of so many last rows.
        metric: over the seeds: a name in `gridrl.results.stats.STATISTICS`.
        smaller_is_better: of losses and costs.
    """

    value: str
    xaxis: str
    last: int = 10
    metric: str = "mean"
    smaller_is_better: bool = False


@dataclass(frozen=True)
class Member:
    """One run of a variant.

    Attributes:
        run: the run.
        has_rows: whether it has a row that can be read.
        score: the mean of its last rows, None where it has none.
        steps: how far it has come.
        state: as `Run.state`: empty where gridrl did not launch it.
        standing: its, time, error and host, as `status` tells them.
        inexact: whether it went on from a checkpoint and gives other numbers than without a stop.
    """

    run: Run
    has_rows: bool
    score: float | None
    steps: float | None
    state: str
    standing: Standing
    inexact: bool = False

    @cached_property
    def seconds(self) -> float | None:
        """How long it has run: its process, or its own column of time, in which earlier attempts count too."""
        noted = _last(column(self.run, TIME.names[0])) if self.has_rows else None
        known = [
            seconds for seconds in (noted, self.standing.elapsed_s) if seconds is not None and seconds < MOST_TIME_S
        ]
        return max(known, default=None)


@dataclass(frozen=True)
class VariantSummary:
    """One row of a table.

    Attributes:
        label: the variant's name.
        members: its runs.
        settings: its hyperparameters as text, by key; those that are the same in all rows too.
        env: its environment's name, empty where none is recorded.
        scored: the members whose scores count.
        score: of these, with its interval; None where there is no score.
        verdict: beside the best variant of the same environment: `BEST`, `WORSE`, `OPEN`; empty without a test.
        p_value: of that test, see `gridrl.results.stats.compare`; None without a test.
        marks: what a reader must know: "mixes code", "inexact resume", "unfinished".
    """

    label: str
    members: tuple[Member, ...]
    settings: Mapping[str, str] = field(repr=False)
    env: str
    scored: tuple[Member, ...]
    score: Interval | None
    verdict: str = ""
    p_value: float | None = None
    marks: tuple[str, ...] = ()

    @property
    def is_unfinished(self) -> bool:
        """Whether its scores are those of runs that have not finished."""
        return _UNFINISHED in self.marks

    @property
    def scores(self) -> list[float]:
        """One for each seed that counts."""
        return [member.score for member in self.scored if member.score is not None]

    @cached_property
    def states(self) -> Counter[str]:
        """How many runs are in each state; those that gridrl did not launch are "found"."""
        return Counter(member.state or "found" for member in self.members)

    @property
    def steps(self) -> tuple[float, float] | None:
        """The fewest and the most environment steps of the runs whose scores count."""
        steps = [member.steps for member in self.scored or self.members if member.steps is not None]
        return (min(steps), max(steps)) if steps else None

    @property
    def seconds(self) -> float | None:
        """The mean time of the runs whose scores count."""
        seconds = [member.seconds for member in self.scored or self.members]
        known = [second for second in seconds if second is not None]
        return sum(known) / len(known) if known else None


def summarise(curves: Sequence[Curve], asked: Asked, found: RunSet) -> list[VariantSummary]:
    """Sums up each variant, the best first; several environments one after the other: scores of two do not compare.

    The scores of runs that are still running, or have failed, are no final ones: they count only where a variant has
    no finished run, which is then marked "unfinished" and not tested.

    Args:
        curves: runs that belong together, see `gridrl.results.curves.group`; those without a row too.
        asked: which scores.
        found: takes the runs whose scores do not count, with the reason.
    """
    summaries = [_summary(curve, asked, found) for curve in curves]
    ranked: list[VariantSummary] = []
    for env in dict.fromkeys(summary.env for summary in summaries):
        ranked += _tested(_ranked([one for one in summaries if one.env == env], asked), asked)
    return ranked


def _summary(curve: Curve, asked: Asked, found: RunSet) -> VariantSummary:
    members = tuple(_member(run, asked) for run in curve.runs)
    with_rows = Curve(curve.label, tuple(member.run for member in members if member.has_rows))
    chosen = {id(run) for run, _ in scored_runs(with_rows, asked.value, asked.last, found)}
    scored = tuple(member for member in members if id(member.run) in chosen)
    scores = [member.score for member in scored if member.score is not None]
    is_unfinished = any(member.state not in FINISHED for member in scored)
    return VariantSummary(
        label=curve.label,
        members=members,
        settings=settings_of(curve.runs[0]),
        env=curve.runs[0].env,
        scored=scored,
        score=interval(scores, asked.metric) if scores else None,
        marks=_marks(curve, members, is_unfinished=is_unfinished),
    )


def _member(run: Run, asked: Asked) -> Member:
    status = read_status(run.dir)
    try:
        has_rows = run.num_rows > 0
    except (OSError, ValueError):
        has_rows = False
    return Member(
        run=run,
        has_rows=has_rows,
        score=score_of(run, asked.value, asked.last) if has_rows else None,
        steps=_last(column(run, asked.xaxis)) if has_rows else None,
        state=run.state,
        standing=RunSeen(run.dir).look(),
        inexact=status is not None and status.resume == "inexact" and status.attempt > 1,
    )


def column(run: Run, name: str) -> Array:
    """A column of a run as numbers [rows]; none where it has no such column."""
    found = run.find(name)
    return run[found] if found else np.empty(0)


def _last(values: Array) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None


def _marks(curve: Curve, members: Sequence[Member], *, is_unfinished: bool) -> tuple[str, ...]:
    marks = []
    if is_unfinished:
        marks.append(_UNFINISHED)
    if curve.mixes_code:
        marks.append("mixes code")
    if any(member.inexact for member in members):
        marks.append("inexact resume")
    return tuple(marks)


def _ranked(summaries: Sequence[VariantSummary], asked: Asked) -> list[VariantSummary]:
    sign = 1 if asked.smaller_is_better else -1

    def place(summary: VariantSummary) -> tuple[bool, float]:
        return (summary.score is None, sign * summary.score.center if summary.score else 0.0)

    return sorted(summaries, key=place)


def _tested(ranked: Sequence[VariantSummary], asked: Asked) -> list[VariantSummary]:
    """The variants of one environment, with the tests against the best; unfinished ones are not compared."""
    scores = {
        str(place): summary.scores
        for place, summary in enumerate(ranked)
        if summary.score is not None and not summary.is_unfinished
    }
    if len(scores) < 2:
        return list(ranked)
    # Welch's test knows no median
    test = "permutation" if asked.metric == "median" else "welch"
    higher_is_better = not asked.smaller_is_better
    compared = compare(scores, statistic=asked.metric, test=test, higher_is_better=higher_is_better)
    by_place = {int(one.name): one for one in compared}
    return [
        _with_verdict(summary, by_place[place]) if place in by_place else summary
        for place, summary in enumerate(ranked)
    ]


def _with_verdict(summary: VariantSummary, compared: Compared) -> VariantSummary:
    if compared.is_reference:
        return replace(summary, verdict=BEST)
    if not np.isfinite(compared.p):
        return summary
    return replace(summary, verdict=WORSE if compared.p < SIGNIFICANT else OPEN, p_value=compared.p)


def differing_settings(summaries: Sequence[VariantSummary]) -> list[str]:
    """The hyperparameters in which variants differ.

    A key that some variants lack counts where variants of the same function differ by it. Of other functions and
    programs nobody knows what they have in its place.
    """
    keys = dict.fromkeys(key for summary in summaries for key in summary.settings)
    by_function: dict[str, list[VariantSummary]] = {}
    for summary in summaries:
        by_function.setdefault(summary.settings.get("thunk", ""), []).append(summary)
    groups = [group for function, group in by_function.items() if function]
    return [key for key in keys if _differs(key, summaries, groups)]


def _differs(key: str, summaries: Sequence[VariantSummary], groups: Sequence[Sequence[VariantSummary]]) -> bool:
    if len({summary.settings[key] for summary in summaries if key in summary.settings}) > 1:
        return True
    return any(len({key in summary.settings for summary in group}) > 1 for group in groups)
