"""Tables of runs as lines of text: as wide as there is room, with the columns that fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from gridrl.launch.result import count_of, told_counts
from gridrl.log.standing import Standing
from gridrl.utils.texts import cut, duration, number, one_line, shortened

COLORS = {
    "done": "green",
    "failed": "red",
    "killed": "red",
    "timeout": "red",
    "lost": "yellow",
    "unknown": "yellow",
    "running": "cyan",
}
"""The colour of each state."""

Line = tuple[str, str | None]
"""A line of text and its colour."""

_GAP = 2
_LEAST_NAME = 16
_FIRST_TO_GO = ("memory", "time", "score", "left", "epoch")
"""The columns that a narrow terminal does without, in this order."""


def memory(mb: float | None) -> str:
    """`312 MB`, `1.2 GB`; empty for None."""
    if mb is None:
        return ""
    return f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1024:.1f} GB"


def epochs(standing: Standing) -> str:
    """`12/50`; `12` where nobody knows how many there will be; empty before the first."""
    if standing.epochs is not None:
        return f"{standing.rows}/{standing.epochs}"
    return str(standing.rows) if standing.rows else ""


_COLUMNS: dict[str, Callable[[Standing], str]] = {
    "run": lambda standing: one_line(standing.label),
    "state": lambda standing: standing.state,
    "epoch": epochs,
    "time": lambda standing: duration(standing.elapsed_s),
    "left": lambda standing: duration(standing.left_s),
    "score": lambda standing: number(standing.score),
    "memory": lambda standing: memory(standing.memory_mb),
}
_TO_THE_LEFT = ("run", "state")


def table_lines(
    standings: Iterable[Standing], width: int | None, *, with_state: bool = True, with_errors: bool = True
) -> list[Line]:
    """A header and a line for each run; below those that went wrong, the last line of why.

    Args:
        standings: the runs.
        width: characters of a line; None: as many as it takes.
        with_state: whether the state is a column.
        with_errors: whether errors are told.
    """
    standings = list(standings)
    names = [name for name in _COLUMNS if with_state or name != "state"]
    cells = {name: [name, *(_COLUMNS[name](standing) for standing in standings)] for name in names}
    cells = {name: column for name, column in cells.items() if name in _TO_THE_LEFT or any(column[1:])}
    widths = _fitted({name: max(map(len, column)) for name, column in cells.items()}, width)
    rows = [_row([cells[name][index] for name in widths], widths) for index in range(len(standings) + 1)]
    lines: list[Line] = [(rows[0], None)]
    for row, standing in zip(rows[1:], standings, strict=True):
        lines.append((row, COLORS.get(standing.state) if with_state else None))
        if with_errors and standing.error and standing.state not in ("done", "running", "queued"):
            error = f"    {one_line(standing.error)}"
            lines.append((error if width is None else cut(error, width), COLORS.get(standing.state)))
    return lines


def _fitted(widths: dict[str, int], width: int | None) -> dict[str, int]:
    """The columns that fit into a line, with their widths; the name of the run gives way first."""
    if width is None:
        return widths
    widths = dict(widths)
    for name in (None, *_FIRST_TO_GO):
        widths.pop(name or "", None)
        others = sum(other + _GAP for column, other in widths.items() if column != "run")
        if others + min(widths["run"], _LEAST_NAME) <= width:
            break
    room = width - sum(other + _GAP for column, other in widths.items() if column != "run")
    widths["run"] = max(1, min(widths["run"], room))
    return widths


def _row(cells: Sequence[str], widths: dict[str, int]) -> str:
    placed = [
        shortened(cell, width).ljust(width) if name in _TO_THE_LEFT else cell.rjust(width)
        for cell, (name, width) in zip(cells, widths.items(), strict=True)
    ]
    return (" " * _GAP).join(placed).rstrip()


def counts_line(states: Iterable[str]) -> str:
    """`24 runs: 3 done, 1 failed, 2 running, 18 queued`."""
    counts = Counter(states)
    return f"{count_of(counts.total(), 'run')}: {told_counts(counts)}"
