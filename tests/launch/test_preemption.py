"""Runs that are asked to make room, or killed, and go on: through the real launcher, with real signals."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import gridrl
from gridrl import call_experiment
from tests.launch.disturbing import disturbed, row_count, signal_after
from tests.launch.helpers import run

OWN_LOOP = f"{Path(gridrl.__file__).parent.parent / 'examples' / 'own_loop.py'}:train"


def counted(seed: int = 0, epochs: int = 1, wait_s: float = 0.0, asks: bool = True) -> None:
    """Counts, saves each count, and asks whether to stop."""
    import time

    from gridrl import current_run

    this = current_run()
    assert this.seed == seed
    count, first = this.load() or (0, 0)
    for epoch in range(first, epochs):
        if asks and this.should_stop():
            this.save(count, step=epoch)
            return
        count += epoch
        this.log(Epoch=epoch, Count=count, Attempt=this.attempt)
        time.sleep(wait_s)
    this.save(count, step=epochs)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_asks_stops_in_order_and_goes_on_with_the_same_command(
    data_dir: Path, signum: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = data_dir / "g" / "g_s0"
    keys = {"seed": 0, "epochs": 60, "wait_s": 0.02}
    result = disturbed(counted, run_dir, keys, 3, signum)
    assert (result.state, result.exit_code, result.error) == ("preempted", 75, None)
    status = json.loads((run_dir / "status.json").read_text())
    assert (status["state"], status["exit_code"], status["signal"], status["attempt"]) == ("preempted", 75, signum, 1)
    assert not (run_dir / "error.txt").exists()
    assert "1 preempted." in capsys.readouterr().out
    stopped_after = row_count(run_dir / "progress.txt")
    assert 3 <= stopped_after < 60
    assert run(counted, data_dir, keys=keys)[0].state == "done"
    rows = [line.split("\t") for line in (run_dir / "progress.txt").read_text().splitlines()[1:]]
    assert [int(row[1]) for row in rows] == [epoch * (epoch + 1) // 2 for epoch in range(60)]
    assert [row[2] for row in rows] == ["1"] * stopped_after + ["2"] * (60 - stopped_after)
    assert not (run_dir / "progress.cut.txt").exists()


def test_call_experiment_tells_of_a_preempted_run_without_an_error(data_dir: Path) -> None:
    run_dir = data_dir / "e" / "e_s0"
    watching = signal_after(3, signal.SIGUSR1, run_dir)
    result = call_experiment("e", counted, data_dir=data_dir, epochs=60, wait_s=0.02)
    watching.join(timeout=60)
    assert (result.state, result.exit_code, result.error, result.ok) == ("preempted", 75, None, False)
    assert call_experiment("e", counted, data_dir=data_dir, epochs=60, wait_s=0.02).state == "done"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_never_asks_is_killed_by_the_signal(data_dir: Path, signum: signal.Signals) -> None:
    run_dir = data_dir / "g" / "g_s0"
    result = disturbed(counted, run_dir, {"seed": 0, "epochs": 600, "wait_s": 0.1, "asks": False}, 2, signum)
    assert (result.state, result.exit_code, result.error) == ("killed", -signum, f"killed by {signum.name}")
    assert json.loads((run_dir / "status.json").read_text())["signal"] == signum


def asks_once(seed: int = 0) -> None:
    import sys
    import time

    from gridrl import current_run
    from gridrl.launch import worker

    worker._STOP_GRACE_S = sys.modules["__main__"]._STOP_GRACE_S = 0.2  # the worker may be the main module
    current_run().should_stop()
    current_run().log(Epoch=0)
    try:
        time.sleep(60)
    finally:
        print("cleaned up")


def test_a_run_that_asks_no_more_is_ended_after_a_while(data_dir: Path) -> None:
    run_dir = data_dir / "g" / "g_s0"
    result = disturbed(asks_once, run_dir, {"seed": 0}, 1, signal.SIGTERM)
    assert (result.state, result.error) == ("killed", "killed by SIGTERM")
    assert "cleaned up" in (run_dir / "stdout.log").read_text()


LAUNCHER = """
import sys
sys.path[:0] = sys.argv[2:]
from gridrl import ExperimentGrid
from tests.launch.test_preemption import counted

grid = ExperimentGrid("g")
grid.add("seed", [0, 1, 2])
grid.add("epochs", 3000)
grid.add("wait_s", 0.02)
grid.run(counted, data_dir=sys.argv[1], jobs=2)
"""


def test_ctrl_c_lets_runs_that_ask_save_themselves(script: Callable[[str], Path], data_dir: Path) -> None:
    root = str(Path(__file__).parents[2])
    launcher = subprocess.Popen(
        [sys.executable, str(script(LAUNCHER)), str(data_dir), root], stdout=subprocess.PIPE, text=True
    )
    try:
        run_dirs = [data_dir / "g" / f"g_s{seed}" for seed in (0, 1, 2)]
        deadline = time.monotonic() + 60
        while any(row_count(run_dir / "progress.txt") < 2 for run_dir in run_dirs[:2]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        launcher.send_signal(signal.SIGINT)
        out, _ = launcher.communicate(timeout=60)
    finally:
        launcher.kill()
        launcher.wait()
    states = [json.loads((run_dir / "status.json").read_text())["state"] for run_dir in run_dirs]
    assert states == ["preempted", "preempted", "queued"]
    assert "2 preempted, 1 queued." in out


def test_own_loop_killed_three_times_leaves_the_rows_of_an_undisturbed_one(tmp_path: Path) -> None:
    keys = {"seed": 3, "epochs": 40}
    assert run(OWN_LOOP, tmp_path / "undisturbed", keys=keys).ok
    run_dir = tmp_path / "killed" / "g" / "g_s3"
    moments = random.Random(11)
    for attempt in range(3):
        rows = 1 + 10 * attempt + moments.randrange(10)
        result = disturbed(OWN_LOOP, run_dir, keys, rows, signal.SIGKILL)
        assert (result.state, result.exit_code) == ("killed", -signal.SIGKILL)
    assert run(OWN_LOOP, tmp_path / "killed", keys=keys).ok
    assert json.loads((run_dir / "status.json").read_text())["attempt"] == 4
    undisturbed = tmp_path / "undisturbed" / "g" / "g_s3"
    assert (run_dir / "progress.txt").read_bytes() == (undisturbed / "progress.txt").read_bytes()
    assert row_count(run_dir / "progress.txt") == 40
