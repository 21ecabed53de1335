"""Runs that fail, hang or come again: what the scheduler makes of them, with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.launch import scheduler
from gridrl.log.record import read_status
from gridrl.utils.processes import process_identity
from tests.launch.helpers import run


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "GRACE_S", 0.5)


def started_in_order(data_dir: Path) -> list[str]:
    found = [(read_status(path.parent), path.parent.name) for path in data_dir.glob("*/*/status.json")]
    return [name for _, name in sorted((status.started or 0.0, name) for status, name in found if status is not None)]


def test_every_variants_first_seed_comes_before_any_second(data_dir: Path) -> None:
    def thunk(lr: int, seed: int) -> None: ...

    result = run(thunk, data_dir, keys={"lr": [1, 2], "seed": [5, 3]}, jobs=1)
    assert started_in_order(data_dir) == ["g_lr1_s5", "g_lr2_s5", "g_lr1_s3", "g_lr2_s3"]
    assert [(r.variant["lr"], r.seed) for r in result] == [(1, 5), (1, 3), (2, 5), (2, 3)]  # the grid's own order


def test_seeds_that_are_done_count_as_their_variants_first(data_dir: Path) -> None:
    def thunk(lr: int, seed: int) -> None: ...

    run(thunk, data_dir, keys={"lr": [1, 2], "seed": [0]}, jobs=1)
    time.sleep(0.01)
    run(thunk, data_dir, keys={"lr": [1, 2, 3], "seed": [0, 1]}, jobs=1)
    assert started_in_order(data_dir)[2:] == ["g_lr3_s0", "g_lr1_s1", "g_lr2_s1", "g_lr3_s1"]


def test_a_run_that_fails_is_tried_again_behind_the_others(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def thunk(lr: int, logger_kwargs: Any) -> None:
        with open(f"{logger_kwargs['output_dir']}/calls", "a") as file:
            file.write("x")
            calls = file.tell()
        if lr == 1 and calls < 3:
            raise ValueError(f"call {calls}")

    result = run(thunk, data_dir, keys={"lr": [1, 2]}, jobs=1, retries=2)
    assert [r.state for r in result] == ["done", "done"]
    assert (result[0].run_dir / "calls").read_text() == "xxx"
    status = read_status(result[0].run_dir)
    assert status is not None
    assert (status.attempt, status.error) == (3, None)
    assert "--- attempt 3, " in (result[0].run_dir / "stdout.log").read_text()
    assert started_in_order(data_dir) == ["g_lr2_s0", "g_lr1_s0"]
    told = capsys.readouterr().err
    assert "g_lr1 s0 failed: ValueError: call 1; to be started again (try 2 of 3)" in told
    assert "(try 3 of 3)" in told


def test_retries_come_to_an_end(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def thunk(seed: int) -> None:
        raise ValueError("never")

    (only,) = run(thunk, data_dir, retries=1)
    assert (only.state, only.error) == ("failed", "ValueError: never")
    status = read_status(only.run_dir)
    assert status is not None
    assert (status.state, status.attempt) == ("failed", 2)


@pytest.mark.parametrize("options", [{"retries": 2, "fail_fast": True}, {"retries": 2, "max_failures": 1}, {}])
def test_preempted_runs_use_up_nothing_that_is_meant_for_failures(data_dir: Path, options: dict[str, Any]) -> None:
    def thunk(seed: int, logger_kwargs: Any) -> None:
        from gridrl import current_run

        with open(f"{logger_kwargs['output_dir']}/calls", "a") as file:
            file.write("x")
        current_run().should_stop()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert current_run().should_stop()

    result = run(thunk, data_dir, keys={"seed": list(range(6))}, jobs=2, **options)
    assert [r.state for r in result] == ["preempted"] * 6
    assert (result.failed, result.stopped_because) == ([], None)
    assert [(r.run_dir / "calls").read_text() for r in result] == ["x"] * 6


HANGS = {
    "sleeps": "time.sleep(60)",
    "is stopped": "os.kill(os.getpid(), signal.SIGSTOP); time.sleep(60)",
    "ignores SIGTERM": "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
    "has a child that ignores it": "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); time.sleep(60)",
}


@pytest.mark.parametrize("how", HANGS)
def test_a_run_that_takes_too_long_is_ended(data_dir: Path, how: str) -> None:
    def thunk(how: str, code: str, logger_kwargs: Any) -> None:
        Path(logger_kwargs["output_dir"], "pid").write_text(str(os.getpid()))
        if how != "is quick":
            exec(code, {"os": os, "signal": signal, "time": time})

    keys = {"how": [how, "is quick"], "code": HANGS[how]}
    late, quick = run(thunk, data_dir, keys=keys, timeout=1.5, jobs=2)
    assert (late.state, late.error) == ("timeout", "not done within 1.5 s (timeout)")
    assert quick.state == "done"
    status = read_status(late.run_dir)
    assert status is not None
    assert (status.state, status.error) == ("timeout", late.error)
    assert status.signal in (signal.SIGTERM, signal.SIGKILL)
    leader = int((late.run_dir / "pid").read_text())
    assert process_identity(leader) is None
    assert leader not in living_groups()  # nobody's, the child's neither


def living_groups() -> set[int]:
    groups = set()
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):  # of other people's processes one may end in between
            if name.isdecimal() and process_identity(int(name)) is not None:
                groups.add(os.getsid(int(name)))
    return groups


def test_ranks_that_take_too_long_are_ended_together(data_dir: Path) -> None:
    def thunk(logger_kwargs: Any) -> None:
        from gridrl.utils.mpi import proc_id

        here = Path(logger_kwargs["output_dir"])
        (here / f"pid{proc_id()}").write_text(str(os.getpid()))
        time.sleep(60)

    (only,) = run(thunk, data_dir, num_cpu=2, timeout=4.0)
    assert (only.state, only.error, only.rank) == ("timeout", "not done within 4 s (timeout)", None)
    pids = [int((only.run_dir / f"pid{rank}").read_text()) for rank in (0, 1)]
    assert [process_identity(pid) for pid in pids] == [None, None]


def test_a_timeout_counts_from_the_start_of_each_try(data_dir: Path) -> None:
    def thunk(logger_kwargs: Any) -> None:
        with open(f"{logger_kwargs['output_dir']}/calls", "a") as file:
            file.write("x")
            calls = file.tell()
        if calls < 2:
            time.sleep(60)

    (only,) = run(thunk, data_dir, timeout=3.0, retries=1)
    assert (only.state, (only.run_dir / "calls").read_text()) == ("done", "xx")


def test_the_first_failure_ends_all_others_where_that_is_asked_for(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def thunk(lr: int, logger_kwargs: Any) -> None:
        here = Path(logger_kwargs["output_dir"])
        (here / "up").touch()
        if lr == 1:
            while not (here.parents[1] / "g_lr2" / "g_lr2_s0" / "up").exists():
                time.sleep(0.02)
            raise ValueError("no")
        time.sleep(60)

    result = run(thunk, data_dir, keys={"lr": [1, 2, 3]}, jobs=2, fail_fast=True)
    assert [r.state for r in result] == ["failed", "killed", "queued"]
    assert result[1].error == "ended because g_lr1 s0 failed (fail_fast)"
    assert result.stopped_because == (
        "Stopped (fail_fast): g_lr1 s0 failed: ValueError: no. 1 run not started; the same command again goes on."
    )
    assert capsys.readouterr().err.count(result.stopped_because) == 2  # at once, and at the end


def test_no_more_are_started_after_too_many_failures(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        if lr in (1, 3):
            raise ValueError(lr)

    result = run(thunk, data_dir, keys={"lr": [1, 2, 3, 4, 5]}, jobs=1, max_failures=2)
    assert [r.state for r in result] == ["failed", "done", "failed", "queued", "queued"]
    assert result.stopped_because is not None
    assert result.stopped_because.startswith("Stopped (max_failures=2): 2 failed. 2 runs not started;")


def test_a_grid_whose_first_runs_all_fail_alike_pauses_and_goes_on_when_mended(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mended = tmp_path / "mended"

    def thunk(lr: int) -> None:
        if not mended.exists():
            raise FileNotFoundError(f"data {lr}")

    keys = {"lr": list(range(8))}
    first = run(thunk, data_dir, keys=keys, jobs=1)
    assert [r.state for r in first] == ["failed"] * 5 + ["queued"] * 3
    assert first.stopped_because is not None
    assert first.stopped_because.startswith("Paused: the first 5 runs all ended alike (failed: FileNotFoundError: dat")
    assert "3 runs not started; the same command again goes on." in first.stopped_because
    assert "Paused" in capsys.readouterr().err
    mended.touch()
    assert run(thunk, data_dir, keys=keys).ok


def test_a_grid_of_five_has_nothing_left_to_pause(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        raise ValueError("no")

    result = run(thunk, data_dir, keys={"lr": list(range(5))}, jobs=1)
    assert result.stopped_because is None


def test_bad_values_are_told_before_anything_starts(data_dir: Path) -> None:
    def thunk(seed: int) -> None: ...

    with pytest.raises(BadValue) as error:
        run(thunk, data_dir, retries=-1, timeout=0)
    assert len(str(error.value).splitlines()) == 2
    assert not data_dir.exists()


def test_a_machine_without_another_thread_leaves_nothing_hanging(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Thread.start

    def refuses(self: threading.Thread) -> None:
        if "_carry" in self.name:  # a run's
            raise RuntimeError("can't start new thread")
        begin(self)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run(lambda seed: None, data_dir)
    status = read_status(data_dir / "g" / "g_s0")
    assert status is not None
    assert status.state == "queued"
