"""The parts around a run's process: its environment, its connection to the launcher, what is shown of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentGrid
from gridrl.launch import report
from gridrl.launch.lifeline import VARIABLE, Lifeline
from gridrl.launch.local import Terminal, worker_command, worker_environment
from gridrl.launch.payload import write_payload
from gridrl.launch.report import one_line, summarise
from gridrl.launch.result import GridResult, RunResult, told_counts
from gridrl.launch.run_process import signal_name
from gridrl.log.record import read_status
from gridrl.utils.files import RunPaths, log_tail
from gridrl.utils.processes import process_identity


def test_the_command_of_a_worker_is_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    alone = worker_command(RunPaths(Path("-run")))
    assert alone == [sys.executable, "-P", "-m", "gridrl.launch.worker", str(tmp_path / "-run" / "payload.pkl")]
    rank = worker_command(RunPaths(Path("-run")), ranks=True)
    assert rank[1:6] == ["-P", "-m", "mpi4py", "-m", "gridrl.launch.worker"]


def test_a_file_in_the_working_directory_hides_no_module_from_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('the wrong json')\n")
    monkeypatch.chdir(tmp_path)
    ended = subprocess.run(
        worker_command(RunPaths(tmp_path / "nowhere")),
        env=worker_environment(1),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "the wrong json" not in ended.stderr
    assert "FileNotFoundError" in ended.stderr


def test_threads_reach_every_library() -> None:
    environ = worker_environment(3)
    assert {environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}


def test_freed_memory_is_kept_for_the_next_array_unless_the_user_has_said_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    environ = worker_environment(1)
    assert (environ["MALLOC_MMAP_THRESHOLD_"], environ["MALLOC_TRIM_THRESHOLD_"]) == (str(2**25), "7")


def test_the_worker_says_how_it_is_used() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "gridrl.launch.worker"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (2, "usage: python -m gridrl.launch.worker RUN_DIRECTORY/payload.pkl\n")


def test_a_run_can_be_started_again_by_hand(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        print("by hand", lr)

    grid = ExperimentGrid("g")
    grid.add("lr", 3)
    (run,) = grid.run(thunk, data_dir=data_dir)
    command = worker_command(RunPaths(run.run_dir))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "by hand 3\n", "")


def test_a_payload_of_another_version_fails_its_run_with_that_reason(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.payload.write_bytes(b'{"format": 1, "gridrl": "0.0.0", "python": "3.11"}\n')
    ended = subprocess.run(worker_command(paths), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    status = read_status(tmp_path)
    assert status is not None
    assert status.error is not None
    assert status.error.startswith("PayloadVersion: ")
    assert "PayloadVersion" in paths.error.read_text()


FOLLOWS = """
import sys, time
from gridrl.launch.lifeline import RunEnd
end = RunEnd.from_environment()
end.follow()
end.send({"hello": 1})
print("up", flush=True)
time.sleep(60)
"""


def test_a_process_hears_of_its_launchers_death_and_can_tell_it_things() -> None:
    lifeline = Lifeline()
    process = subprocess.Popen(
        [sys.executable, "-c", FOLLOWS],
        env={**os.environ, **lifeline.variables},
        pass_fds=lifeline.inherited,
        stdout=subprocess.PIPE,
        text=True,
    )
    lifeline.started()
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    assert lifeline.message() == {"hello": 1}
    assert lifeline.message() == {}
    assert process.poll() is None
    lifeline.close()  # as the kernel does for a launcher that dies
    assert process.wait(timeout=10) == -15
    process.stdout.close()


def test_a_launcher_that_has_died_before_is_noticed_at_once() -> None:
    lifeline = Lifeline()
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.readline();" + FOLLOWS],
        env={**os.environ, **lifeline.variables},
        pass_fds=lifeline.inherited,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    lifeline.close()
    process.communicate("\n", timeout=30)
    assert process.returncode == -15


def test_a_process_without_a_launcher_has_no_line_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from gridrl.launch.lifeline import RunEnd

    monkeypatch.delenv(VARIABLE, raising=False)
    assert RunEnd.from_environment() is None


def test_children_of_a_run_do_not_inherit_the_line(data_dir: Path) -> None:
    def thunk() -> None:
        import os

        print(sorted(name for name in os.environ if name.startswith("GRIDRL_LIFE")))

    grid = ExperimentGrid("g")
    grid.add("seed", 0)
    (run,) = grid.run(thunk, data_dir=data_dir)
    assert (run.run_dir / "stdout.log").read_text() == "[]\n"


def test_the_terminal_waits_for_the_other_half_of_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    terminal = Terminal()
    for byte in "aü\n".encode():
        terminal.show(bytes([byte]))
    assert shown.getvalue() == "aü\n"


def test_a_terminal_of_few_letters_shows_the_others_as_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Terminal().show("ü!".encode())
    assert raw.getvalue() == b"?!"


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_tail(log, 3) == []
    log.write_bytes(b"one\n\n two \n" + b"\xff\n")
    assert log_tail(log, 2) == [" two", "\ufffd"]
    log.write_text("x" * 200_000 + "\nlast\n")
    assert log_tail(log, 1) == ["last"]


def test_signals_are_named() -> None:
    assert (signal_name(9), signal_name(250)) == ("SIGKILL", "signal 250")


def test_a_watcher_that_fails_leaves_nothing_running(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def thunk(seed: int) -> None:
        import time

        time.sleep(60)

    def fails(self: Any, index: int) -> None:
        deadline = time.monotonic() + 30
        while (status := read_status(data_dir / "g" / "g_s0")) is None or status.state != "running":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        raise BrokenPipeError("nobody listens")

    monkeypatch.setattr(report.Progress, "started", fails)
    grid = ExperimentGrid("g")
    grid.add("seed", [0, 1, 2])
    with pytest.raises(BrokenPipeError):
        grid.run(thunk, data_dir=data_dir, jobs=1)
    states = [read_status(data_dir / "g" / f"g_s{seed}") for seed in (0, 1, 2)]
    assert [status.state for status in states if status is not None] == ["killed", "queued", "queued"]
    assert states[0] is not None
    assert states[0].pid is not None
    assert process_identity(states[0].pid) is None


def test_a_bug_in_starting_one_run_does_not_stop_the_others(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridrl.launch import scheduler

    def breaks(path: Path, payload: Any) -> None:
        if payload.seed == 1:
            raise RuntimeError("a bug")
        write_payload(path, payload)

    monkeypatch.setattr(scheduler, "write_payload", breaks)
    grid = ExperimentGrid("g")
    grid.add("seed", [0, 1, 2])
    result = grid.run(lambda: None, data_dir=data_dir, jobs=2)
    assert [run.state for run in result] == ["done", "failed", "done"]
    assert result[1].error == "could not be started: RuntimeError: a bug"


def finished(state: str, **more: Any) -> RunResult:
    return RunResult({}, more.pop("name", "a\nname"), 3, Path("/data/a/a_s3"), state, **more)


def test_the_table_is_plain_text_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        finished("done", elapsed_s=61.2),
        finished("failed", error="x\ty" * 100, elapsed_s=3700.0),
        finished("done", skipped=True),
    ]
    summarise(GridResult(runs), Path("/data"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run      seed  state          time     error"
    assert lines[1] == "a\\nname  3     done           0:01:01"
    assert lines[2].startswith("a\\nname  3     failed         1:01:40  x\\tyx\\ty")
    assert lines[2].endswith("...")
    assert lines[3] == "a\\nname  3     done (before)"
    assert lines[4] == "1 done, 1 done before, 1 failed."
    assert lines[5] == "The log of the first that failed: /data/a/a_s3/stdout.log"


def test_the_table_is_drawn_in_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(report, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    summarise(GridResult([finished("killed", error="[bold]interrupted")]), Path("/data"))
    out = capsys.readouterr().out
    assert "━" in out
    assert "[bold]interrupted" in out


def test_names_are_not_cut_where_the_terminal_is_narrow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "50")
    name = "a_name_that_is_longer_than_the_terminal_is_wide_lr1"
    summarise(GridResult([finished("done", name=name)]), Path("/data"))
    cells = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert "".join(cells) == name


def test_counts_come_in_an_order_that_people_want() -> None:
    assert told_counts({"queued": 1, "failed": 2, "odd": 1, "done": 3}) == "3 done, 2 failed, 1 queued, 1 odd"
    assert told_counts({}) == "nothing"
    assert one_line("a\nb\x1b") == "a\\nb\\x1b"


LIGHT = """
import sys
from gridrl import ExperimentGrid

def train(env_fn=None, lr=1): ...

grid = ExperimentGrid("g")
grid.add("env_name", ["CartPole-v1"])
grid.add("lr", [1, 2])
assert grid.run(train, data_dir=sys.argv[1]).ok
heavy = ["numpy", "torch", "gymnasium", "mpi4py", "matplotlib", "pandas"]
print("loaded:", [name for name in heavy if name in sys.modules])
"""


def test_a_launcher_loads_nothing_heavy(
    script: Callable[..., Path], run_script: Callable[..., Any], data_dir: Path
) -> None:
    ended = run_script(script(LIGHT), str(data_dir))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("loaded: []\n")
