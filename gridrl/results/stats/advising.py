"""What so many seeds can say: a band or single lines, an interval or none, which one, the IQM or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gridrl.errors import BadValue

SEEDS_FOR_BAND = 5
"""Fewer seeds than that are drawn one by one, with their mean and no band."""

RUNS_FOR_IQM = 10
"""Fewer runs than that, over all tasks, have no interquartile mean unless it is asked for."""

DEFAULT_METHODS: dict[str, dict[int, str]] = {
    "mean": {3: "student_t", 5: "bootstrap_t", 10: "bootstrap_t", 30: "bootstrap_t"},
    "iqm": {3: "student_t", 5: "student_t", 10: "bootstrap_t", 30: "bootstrap_t"},
}
"""The method of an interval by statistic, from that many seeds on: nearest to 95 % in docs/statistics.md's table."""


def default_method(statistic: str | Callable[..., float], seeds: int) -> str:
    """The method of an interval where none is asked for.

    >>> default_method("mean", 4), default_method("mean", 5), default_method("median", 5)
    ('student_t', 'bootstrap_t', 'percentile')

    Args:
        statistic: as `gridrl.results.stats.interval` takes it. A median, or a function of one's own, has the
            percentile bootstrap; an optimality gap is a mean.
        seeds: how many.
    """
    name = "mean" if statistic == "optimality_gap" else statistic
    if not isinstance(name, str) or name not in DEFAULT_METHODS:
        return "percentile"
    by_seeds = DEFAULT_METHODS[name]
    return by_seeds[max((count for count in by_seeds if count <= seeds), default=min(by_seeds))]


@dataclass(frozen=True)
class Advice:
    """What may be shown of so many seeds without being asked for.

    Attributes:
        seeds: how many.
        shows_interval: whether a table may show an interval.
        shows_band: whether a curve may show one.
        shows_seeds: whether a curve shows a thin line for each seed.
        allows_iqm: whether there are runs enough for an interquartile mean.
        words: the same for a caption or a footnote.
    """

    seeds: int
    shows_interval: bool
    shows_band: bool
    shows_seeds: bool
    allows_iqm: bool
    words: str


def advice(seeds: int, tasks: int = 1) -> Advice:
    """What may be shown of so many seeds.

    >>> advice(1).words
    '1 seed: no interval'
    >>> advice(3).shows_interval, advice(3).shows_band, advice(5).shows_band, advice(5, tasks=2).allows_iqm
    (True, False, True, True)

    Args:
        seeds: how many there are.
        tasks: over how many tasks.

    Raises:
        BadValue: no seed, or no task.
    """
    if seeds < 1 or tasks < 1:
        raise BadValue(f"seeds, tasks: at least one of each is needed, not {seeds} and {tasks}.")
    if seeds == 1:
        words = "1 seed: no interval"
    elif seeds < SEEDS_FOR_BAND:
        words = f"{seeds} seeds: a line for each, no band"
    else:
        words = f"{seeds} seeds"
    return Advice(
        seeds=seeds,
        shows_interval=seeds > 1,
        shows_band=seeds >= SEEDS_FOR_BAND,
        shows_seeds=seeds < SEEDS_FOR_BAND,
        allows_iqm=seeds * tasks >= RUNS_FOR_IQM,
        words=words,
    )
