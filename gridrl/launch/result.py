"""What came of the runs of a grid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, eq=False)
class RunResult:
    """One run after `ExperimentGrid.run` or `call_experiment`.

    Attributes:
        variant: its nested dict of hyperparameters.
        name: its name, without the seed.
        seed: its seed.
        run_dir: its directory.
        state: "done", "failed", "killed", "timeout", "preempted" (asked to make room, it has stopped in order and goes
            on with the same command); "running" if another launcher has started it; "queued" or, in a dry run,
            whatever it was before ("new" where there is nothing yet), if it was not started.
        error: the last line of what went wrong, None where nothing did.
        rank: the MPI rank that failed first, None where there is one rank or no failure.
        exit_code: the exit status of its process (negative: the signal that ended it), None if it was not started now.
        skipped: whether it was done already.
        stale: whether it was done already, but under other code than it would call now.
        run_id: the hash of what it computes.
        elapsed_s: how long it ran now, None if it was not started.
        prospect: of a dry run, what a start would do with a run that is done: it "goes on", or runs "again" from
            nothing. Empty: neither.
    """

    variant: Mapping[str, Any]
    name: str
    seed: int
    run_dir: Path
    state: str
    error: str | None = None
    rank: int | None = None
    exit_code: int | None = None
    skipped: bool = False
    run_id: str = ""
    elapsed_s: float | None = None
    prospect: str = ""
    stale: bool = False

    @property
    def ok(self) -> bool:
        """Whether the run is done."""
        return self.state == "done"


@dataclass(frozen=True, eq=False)
class GridResult:
    """All runs of a grid, in the grid's order.

    Attributes:
        runs: one record each.
        stopped_because: why some were not started though nobody interrupted: too many failures. None otherwise.

    >>> result = GridResult([RunResult({"lr": 0.1, "seed": 0}, "g", 0, Path("data/g/g_s0"), "done")])
    >>> result, result.ok, [run.variant["lr"] for run in result]
    (GridResult(1 run: 1 done), True, [0.1])
    """

    runs: list[RunResult] = field(default_factory=list)
    stopped_because: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every run is done."""
        return all(run.ok for run in self.runs)

    @property
    def failed(self) -> list[RunResult]:
        """The runs that were started, now or before, and are not done."""
        return [run for run in self.runs if run.state in ("failed", "killed", "timeout")]

    def counts(self) -> dict[str, int]:
        """How many runs are in each state; those that were done before count as "skipped", or "stale"."""
        return dict(Counter("stale" if run.stale else "skipped" if run.skipped else run.state for run in self.runs))

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> RunResult:
        return self.runs[index]

    def __repr__(self) -> str:
        return f"GridResult({count_of(len(self), 'run')}: {told_counts(self.counts())})"


def told_counts(counts: Mapping[str, int]) -> str:
    """`6 done, 1 failed`, in the order in which people want to know."""
    order = ("done", "skipped", "stale", "failed", "killed", "timeout", "preempted", "running", "queued", "new")
    states = [*order, *(state for state in counts if state not in order)]
    words = {"skipped": "done before"}
    return ", ".join(f"{counts[state]} {words.get(state, state)}" for state in states if counts.get(state)) or "nothing"


def count_of(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
