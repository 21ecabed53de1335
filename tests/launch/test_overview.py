"""Tables of runs, as lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridrl.launch.overview import counts_line, memory, table_lines
from gridrl.log.standing import Standing

HERE = Path("r")


def standing(name: str = "ppo_lr0-1", state: str = "running", **fields: Any) -> Standing:
    return Standing(HERE, name, 0, state, **fields)


RUNS = [
    standing(rows=12, epochs=50, elapsed_s=61.0, left_s=190.0, score=21.73, memory_mb=312.4),
    standing("ppo_lr0-01", "failed", rows=3, epochs=50, elapsed_s=9.96, memory_mb=1331.2, error="ValueError: nan\nx"),
    standing("ppo_lr0-001", "queued", epochs=50),
]


def texts(runs: list[Standing], width: int | None, **options: bool) -> list[str]:
    return [text for text, _ in table_lines(runs, width, **options)]


def test_a_line_for_each_run_and_one_for_each_error() -> None:
    assert texts(RUNS, None) == [
        "run             state    epoch     time     left  score  memory",
        "ppo_lr0-1 s0    running  12/50  0:01:01  0:03:10  21.73  312 MB",
        "ppo_lr0-01 s0   failed    3/50   10.0 s                  1.3 GB",
        r"    ValueError: nan\nx",
        "ppo_lr0-001 s0  queued    0/50",
    ]
    assert [color for _, color in table_lines(RUNS, None)] == [None, "cyan", "red", "red", None]


def test_columns_that_say_nothing_are_left_out() -> None:
    assert texts([standing(state="queued")], None) == ["run           state", "ppo_lr0-1 s0  queued"]
    assert texts([], None) == ["run  state"]


@pytest.mark.parametrize("width", [120, 80, 60, 45, 30, 20, 8, 1])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = [standing(f"grid_hidden-sizes64-64_learning-rate{rate}", rows=5, epochs=9, score=1.0) for rate in range(3)]
    for text in texts([*RUNS, *long], width):
        assert len(text) <= max(width, 10)
    for text in texts([*RUNS, *long], width, with_state=False):
        assert len(text) <= width


def test_a_narrow_terminal_does_without_memory_first() -> None:
    assert "memory" in texts(RUNS, 64)[0]
    assert "score" in texts(RUNS, 56)[0]
    assert "memory" not in texts(RUNS, 52)[0]
    assert texts(RUNS, 26)[0].split() == ["run", "state"]


def test_memory_is_told_in_its_unit() -> None:
    assert [memory(mb) for mb in (None, 0.4, 999.4, 2048.0)] == ["", "0 MB", "999 MB", "2.0 GB"]


def test_counts_stand_in_the_order_of_interest() -> None:
    assert counts_line(["queued", "done", "failed", "done"]) == "4 runs: 2 done, 1 failed, 1 queued"
