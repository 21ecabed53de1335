"""Timers with a clock of their own, their statistics against numpy's, and under real threads."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue
from gridrl.utils.timing import (
    BlockTimers,
    MovingWindowAccumulator,
    MovingWindowStats,
    StatisticsAccumulator,
    TimedBlock,
    WelfordAccumulator,
)
from tests.utils.threads import run_in_threads


class Clock:
    """A clock that stands still unless told."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("gridrl.utils.timing.time", clock)
    return clock


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=150))
def test_statistics_are_those_of_the_numbers(values: list[float]) -> None:
    welford, window, narrow = WelfordAccumulator(), MovingWindowAccumulator(), MovingWindowAccumulator(7)
    for value in values:
        for accumulator in (welford, window, narrow):
            accumulator.add(value)
    cases: list[tuple[StatisticsAccumulator, list[float]]]
    cases = [(welford, values), (window, values[-100:]), (narrow, values[-7:])]
    for tracker, seen in cases:
        assert tracker.current() == pytest.approx((np.mean(seen), np.var(seen)), rel=1e-9, abs=1e-7)


def test_welford_keeps_its_digits_far_from_zero() -> None:
    accumulator = WelfordAccumulator()
    for value in (1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16):
        accumulator.add(value)
    assert accumulator.current() == (1e9 + 10, 22.5)
    assert accumulator.count == 4


@pytest.mark.parametrize("kind", [WelfordAccumulator, MovingWindowAccumulator])
def test_nothing_has_no_statistics(kind: type[StatisticsAccumulator]) -> None:
    assert all(math.isnan(number) for number in kind().current())
    assert all(math.isnan(number) for number in TimedBlock(kind).stats())


def test_a_window_that_holds_nothing_is_refused() -> None:
    with pytest.raises(BadValue, match="a window of 0 numbers"):
        MovingWindowAccumulator(0)
    assert MovingWindowStats is MovingWindowAccumulator


def test_an_accumulator_says_how_it_adds_and_what_it_has() -> None:
    with pytest.raises(TypeError, match="abstract"):
        StatisticsAccumulator()  # type: ignore[abstract]


def test_a_timed_block_is_used_with_and_without_a_call(clock: Clock) -> None:
    timer = TimedBlock()
    with timer:
        clock.now += 1.0
    with timer():
        clock.now += 3.0
    clock.now += 50.0
    assert timer.stats() == (2.0, 1.0)
    assert (timer.mean(), timer.var()) == (2.0, 1.0)


def test_a_block_that_fails_is_measured_and_its_error_passes(clock: Clock) -> None:
    timer = TimedBlock(WelfordAccumulator)

    def fails() -> None:
        with timer:
            clock.now += 4.0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert timer.stats() == (4.0, 0.0)


def test_a_block_inside_itself_is_measured_twice(clock: Clock) -> None:
    timer = TimedBlock(WelfordAccumulator)
    with timer:
        clock.now += 1.0
        with timer:
            clock.now += 2.0
        clock.now += 4.0
    assert timer.stats() == (4.5, 6.25)  # 2 and 7


def test_timers_have_their_names_and_the_statistics_asked_for(clock: Clock) -> None:
    timers = BlockTimers(WelfordAccumulator)
    for taken_s in range(150):
        with timers.scope("act"):
            clock.now += taken_s
    with timers.scope("learn"):
        clock.now += 0.25
    assert timers.scope("act") is timers.scope("act")
    assert timers.stats() == {"act": (74.5, pytest.approx((150**2 - 1) / 12)), "learn": (0.25, 0.0)}
    assert BlockTimers().stats() == {}


def test_threads_inside_one_block_are_measured_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    own = threading.local()
    monkeypatch.setattr("gridrl.utils.timing.time", SimpleNamespace(perf_counter=lambda: own.now))
    timers, inside = BlockTimers(WelfordAccumulator), threading.Barrier(4)

    def work(number: int) -> None:
        own.now = 1000.0 * number
        with timers.scope("block"):
            inside.wait(timeout=30)  # all four are in the block now
            own.now += 1.0 + number
        for _ in range(500):
            with timers.scope("often"):
                own.now += 2.0

    run_in_threads(4, work)
    assert timers.stats()["block"] == pytest.approx((2.5, 1.25))  # of 1, 2, 3 and 4
    assert timers.stats()["often"] == pytest.approx((2.0, 0.0))
    tracker = timers.scope("often")._tracker
    assert isinstance(tracker, WelfordAccumulator)
    assert tracker.count == 2000
