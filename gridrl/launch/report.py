"""What the launcher says: before the runs, while they run, and the table at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gridrl.launch.backend import Ending
from gridrl.launch.order import Plan, PlannedRun
from gridrl.launch.result import GridResult, RunResult, count_of, told_counts
from gridrl.launch.resuming import STALE, TRASH
from gridrl.log.record import read_status
from gridrl.utils.console import console, is_terminal, say, warn_line

_COLORS = {"done": "green", "failed": "red", "killed": "red", "timeout": "red", "running": "cyan"}
_COLORS |= dict.fromkeys(("lost", "preempted", STALE), "yellow")
_LONGEST_ERROR = 200


def one_line(text: object) -> str:
    """Text without line ends and control characters: they are shown, not printed."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def label(run: PlannedRun) -> str:
    """What a run is called in messages: its name and seed."""
    return one_line(f"{run.place.name} s{run.spec.seed}")


def announce(plan: Plan, data_dir: Path) -> None:
    """Says where results go, how many runs there are and how many go at once."""
    for note in plan.notes:
        warn_line(one_line(note))
    say(f"Data directory: {one_line(data_dir)}")
    counts = Counter(_prospect(run) for run in plan.runs)
    told = "".join(
        f", {counts[what]} {what}" for what in (_DONE, STALE, _TO_GO_ON, _REPEATED, _AGAIN, _LEFT_OUT) if counts[what]
    )
    ranks = "1 rank" if plan.num_cpu == 1 else f"{plan.num_cpu} ranks"
    pending = len(plan.runs) - counts[_DONE] - counts[STALE] - counts[_LEFT_OUT]
    how = f"; {min(plan.jobs, pending)} at once (jobs), {ranks} each (num_cpu)" if pending else ""
    say(f"{count_of(len(plan.runs), 'run')}{told}{how}")
    if plan.replay is not None:
        say(plan.replay)


def announce_code(plan: Plan, *, is_dry: bool = False) -> None:
    """Says of which runs the code has changed since they were made, and what is done about it.

    Args:
        plan: the runs.
        is_dry: whether nothing is to be started.
    """
    stale = sum(run.is_stale and run.is_done and not run.is_accepted for run in plan.runs)
    if stale:
        them = "it" if stale == 1 else "them"
        say(
            f"{count_of(stale, 'run')} done under other code, skipped as stale: --force stale runs {them} again, "
            f'--accept-code takes {them} as made by the present code (in a script: force="stale", accept_code=True)',
            "yellow",
        )
    accepted = sum(run.is_accepted for run in plan.runs)
    if accepted:
        verb = "would count" if is_dry else "counts" if accepted == 1 else "count"
        say(f"{count_of(accepted, 'run')} done under other code {verb} as made by the present code from now on")
    going_on = sum(run.changes_code for run in plan.runs)
    if going_on:
        verb = "goes" if going_on == 1 else "go"
        say(
            f"{count_of(going_on, 'run')} {verb} on from checkpoints made under other code; "
            f"config.json names all code that {'it' if going_on == 1 else 'each'} ran under",
            "yellow",
        )


def announce_moved(moved: Sequence[Path], places: Sequence[Path] = ()) -> None:
    """Says where old run directories have gone, or that they would go.

    Args:
        moved: the run directories.
        places: where they are now; none in a dry run.
    """
    if moved:
        where = f"moved to {', '.join(map(one_line, places))}" if places else f"to be moved to {TRASH}"
        say(f"{count_of(len(moved), 'earlier run')} {where}")


_DONE, _TO_GO_ON, _AGAIN, _FIRST = "done already", "done, to go on", "to be started again", "new"
_REPEATED, _LEFT_OUT = "done, to be run again", "left out"


def _prospect(run: PlannedRun) -> str:
    if run.is_repeated:
        return _REPEATED
    if run.place.state == "done":
        if not run.is_done:
            return _TO_GO_ON
        return STALE if run.is_stale and not run.is_accepted else _DONE
    if not run.is_due:
        return _LEFT_OUT
    return _FIRST if run.place.state in ("new", "queued") else _AGAIN


class Progress:
    """A line for each start and end of several runs; a single run speaks for itself.

    Args:
        runs: what is run.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self._runs = runs
        self._ended = 0
        self.endings: dict[int, tuple[Ending, float]] = {}

    def started(self, index: int) -> None:
        """See `Watcher.started`."""
        if len(self._runs) > 1:
            say(f"started {label(self._runs[index])}")

    def ended(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """See `Watcher.ended`."""
        self.note(index, ending, elapsed_s)
        if len(self._runs) > 1:
            say(self.ended_line(index, ending, elapsed_s), _COLORS.get(ending.state))

    def note(self, index: int, ending: Ending, elapsed_s: float) -> None:
        """Keeps how a run has ended."""
        self._ended += 1
        self.endings[index] = (ending, elapsed_s)

    def ended_line(self, index: int, ending: Ending, elapsed_s: float) -> str:
        """How a run has ended, in a line."""
        error = f": {_cut(ending.error)}" if ending.error else ""
        count = f"[{self._ended}/{len(self._runs)}]"
        return f"{ending.state:7} {label(self._runs[index])} {count} after {_seconds(elapsed_s)}{error}"

    def retried(self, index: int, ending: Ending, message: str) -> None:
        """See `Watcher.retried`."""
        self.told(message)

    def told(self, message: str) -> None:
        """See `Watcher.told`."""
        warn_line(one_line(message))


def summarise(result: GridResult, data_dir: Path) -> None:
    """Prints a table of all runs with state, time and last line of error, and what to do next."""
    have_ended = all(run.state in ("done", "failed", "killed", "timeout", "preempted") for run in result)
    shows_directories = not have_ended and result.stopped_because is None
    header = ["run", "seed", "state", "time", "directory" if shows_directories else "error"]
    rows = [_row(run, data_dir if shows_directories else None) for run in result]
    _print_table(header, rows, [STALE if run.stale else run.state for run in result])
    say(f"{told_counts(result.counts())}.")
    _tell_inexact(result)
    failed = result.failed
    if failed:
        say(f"The log of the first that failed: {one_line(failed[0].run_dir / 'stdout.log')}")
    if result.stopped_because:
        warn_line(one_line(result.stopped_because))


def _tell_inexact(result: GridResult) -> None:
    """Which runs give other numbers when they go on from a checkpoint."""
    statuses = [read_status(run.run_dir) for run in result]
    inexact = sum(status is not None and status.resume == "inexact" for status in statuses)
    if inexact:
        say(
            f"resume: inexact for {count_of(inexact, 'run')}: the state of the environments is not known, so going on "
            "from a checkpoint begins new episodes (exact_resume=True makes it exact), or checkpoints hold no replay "
            "(save_replay=False).",
            "yellow",
        )


def _row(run: RunResult, data_dir: Path | None) -> list[str]:
    state = STALE if run.stale else f"{run.state} (before)" if run.skipped else run.state
    if run.state == "done" and run.elapsed_s is None and not run.skipped:
        state = f"done, {run.prospect}"  # of a dry run
    time = "" if run.elapsed_s is None else _seconds(run.elapsed_s)
    last = _cut(run.error or "") if data_dir is None else _below(run.run_dir, data_dir)
    return [one_line(run.name), str(run.seed), state, time, last]


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]], states: Sequence[str]) -> None:
    if not is_terminal():
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(*header)
    table.columns[0].overflow = "fold"  # what names differ in stands at their ends
    for row, state in zip(rows, states, strict=True):
        cells = [Text(cell) for cell in row]
        cells[2].stylize(_COLORS.get(state, ""))
        table.add_row(*cells)
    console().print(table)


def _below(path: Path, data_dir: Path) -> str:
    return one_line(path.relative_to(data_dir) if path.is_relative_to(data_dir) else path)


def _cut(text: str | None) -> str:
    line = one_line(text or "")
    return line if len(line) <= _LONGEST_ERROR else f"{line[: _LONGEST_ERROR - 3]}..."


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
