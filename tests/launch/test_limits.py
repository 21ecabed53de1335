"""Which options make sense, and how many failures are too many."""

from __future__ import annotations

from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.launch.backend import Ending
from gridrl.launch.limits import Failures, Limits

DONE = Ending("done", 0)


def failed(error: str) -> Ending:
    return Ending("failed", 1, error)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"retries": -1}, "retries=-1: how often a failed run is started again is a whole number from 0."),
        ({"retries": True}, "retries=True: how often a failed run is started again is a whole number from 0."),
        ({"timeout": 0}, "timeout=0: the seconds that a run may take are a number above 0."),
        ({"timeout": float("nan")}, "timeout=nan: the seconds that a run may take are a number above 0."),
        ({"timeout": "1h"}, "timeout='1h': the seconds that a run may take are a number above 0."),
        ({"fail_fast": 1}, "fail_fast=1: True or False is wanted."),
        ({"max_failures": 0}, "max_failures=0: the number of failures that stops a grid is a whole one from 1."),
        ({"max_failures": 2.0}, "max_failures=2.0: the number of failures that stops a grid is a whole one from 1."),
    ],
)
def test_options_that_make_no_sense_are_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadValue) as error:
        Limits(**options).check()
    assert str(error.value) == told


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(BadValue) as error:
        Limits(retries=-1, timeout=-2.5).check()
    assert len(str(error.value).splitlines()) == 2
    Limits(retries=3, timeout=0.5, fail_fast=True, max_failures=1).check()


def test_five_that_fail_alike_pause_whatever_numbers_their_errors_hold() -> None:
    failures = Failures(Limits())
    assert [failures.note("g", failed(f"ValueError: no file {n}, at 0x7f{n}")) for n in range(4)] == [None] * 4
    reason = failures.note("g", failed("ValueError: no file 4, at 0x7f99"))
    assert reason is not None
    assert reason.startswith("Paused: the first 5 runs all ended alike (failed: ValueError: no file 4, at 0x7f99), so")
    assert reason.endswith("say how many are too many, as in max_failures=1000.")


@pytest.mark.parametrize("odd", [0, 2, 4])
def test_one_that_is_done_or_fails_otherwise_is_reason_to_go_on(odd: int) -> None:
    for other in (DONE, failed("TypeError: no"), Ending("killed", -9, "ValueError: no")):
        failures = Failures(Limits())
        endings = [other if turn == odd else failed("ValueError: no") for turn in range(5)]
        later = [failed("ValueError: no")] * 10
        assert [failures.note("g", ending) for ending in (*endings, *later)] == [None] * 15


def test_who_says_how_many_failures_are_too_many_is_not_paused_before() -> None:
    failures = Failures(Limits(max_failures=7))
    assert [failures.note("g", failed("x")) for _ in range(6)] == [None] * 6
    assert failures.note("g", DONE) is None
    assert failures.note("g", failed("x")) == "Stopped (max_failures=7): 7 failed."


def test_the_first_failure_is_enough_where_that_is_asked_for() -> None:
    failures = Failures(Limits(fail_fast=True))
    assert failures.note("g s0", DONE) is None
    assert failures.note("g s1", failed("x")) == "Stopped (fail_fast): g s1 failed: x."


PREEMPTED = Ending("preempted", 75)


@pytest.mark.parametrize("limits", [Limits(), Limits(fail_fast=True), Limits(max_failures=1)])
def test_runs_that_stopped_as_they_were_asked_to_are_no_failures(limits: Limits) -> None:
    failures = Failures(limits)
    assert [failures.note("g", PREEMPTED) for _ in range(10)] == [None] * 10
