"""Real ranks under the real mpiexec: how they start, write, fail and end, and that nothing of them is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gridrl.errors import BadValue, MPIError
from gridrl.utils.files import RunPaths, read_json
from gridrl.utils.mpirun import Mpiexec, RankOutcome, RunningRanks, mpi_fork, run_ranks, start_ranks
from gridrl.utils.ranks import rank_processes, unfinished_ranks

LIMIT_S = 60  # far above what anything here takes
PROMPT_S = 10  # from the failure of a rank to the end of the run
RANK = """
import os, signal, subprocess, sys, time
from pathlib import Path
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi import barrier, proc_id
from gridrl.utils.ranks import rank_guard

paths, mode, second = RunPaths(Path(sys.argv[1])), sys.argv[2], proc_id() == 1

def said(word):
    (paths.root / f"{word}{proc_id()}").touch()

def work():
    print("rank", proc_id(), "begins", flush=True)
    barrier()
    if mode == "raise" and second:
        raise ValueError("boom")
    if mode == "sys.exit(0)" and second:
        sys.exit(0)
    if mode == "os._exit(0)" and second:
        os._exit(0)
    if mode == "os._exit(4)" and second:
        os._exit(4)
    if mode == "SIGKILL" and second:
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "SIGSEGV" and second:
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "Abort(7)" and second:
        from mpi4py import MPI
        MPI.COMM_WORLD.Abort(7)
    if mode == "early":
        if second:
            return
        time.sleep(0.3)
        return
    if mode == "lines":
        for line in range(4000):
            print(f"rank {proc_id()} line {line} " + "x" * 50)
            print("error", file=sys.stderr) if line % 1000 == 0 else None
        return
    if mode == "surroundings":
        print(sys.stdin.read() == "", os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"],
              os.environ.get("OMPI_COMM_WORLD_RANK"), os.environ["MPI4PY_RC_THREADS"], os.getcwd())
        return
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(100)"])
    if mode == "gentle":
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        said("ready")
        while not stop:
            time.sleep(0.01)
        return
    said("ready")
    barrier()
    time.sleep(0 if mode == "done" else 100)

if mode == "import":
    import nowhere
with rank_guard(paths):
    work()
"""
REASONS = {
    "raise": (1, "raised ValueError: boom"),
    "sys.exit(0)": (1, "called sys.exit(0)"),
    "os._exit(0)": (1, "left with exit code 0 before its work was done (os._exit(0)?)"),
    "SIGKILL": (-9, "killed by signal 9 (SIGKILL)"),
}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / 'a run\nwith "odd" name')


def command(paths: RunPaths, mode: str) -> list[str]:
    program = paths.root.parent / "rank.py"
    program.write_text(RANK)
    return [sys.executable, "-m", "mpi4py", str(program), str(paths.root), mode]


def run(paths: RunPaths, mode: str, num_ranks: int = 2, timeout_s: float = LIMIT_S) -> RankOutcome:
    return run_ranks(command(paths, mode), num_ranks, paths, os.environ, timeout_s=timeout_s)


def left_of(paths: RunPaths) -> list[str]:
    """The command lines of processes that still have to do with the run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(paths.root) in process.cmdline() or str(paths.ranks) in process.cmdline():
                found.append(f"{process.pid} {process.status()} {process.cmdline()}")
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@contextlib.contextmanager
def running(paths: RunPaths, mode: str, num_ranks: int = 2) -> Iterator[RunningRanks]:
    """Ranks that have come to say that they are ready."""
    ranks = start_ranks(command(paths, mode), num_ranks, paths, os.environ)
    try:
        wait_until(lambda: all((paths.root / f"ready{rank}").exists() for rank in range(num_ranks)))
        assert ranks.poll() is None
        yield ranks
    finally:
        ranks.end(grace_s=0)


@pytest.mark.parametrize("num_ranks", [2, 3])
@pytest.mark.parametrize("mode", REASONS)
def test_a_failing_rank_ends_the_run_at_once_and_is_named(paths: RunPaths, mode: str, num_ranks: int) -> None:
    """The others wait in a barrier for the one that fails."""
    code, reason = REASONS[mode]
    outcome = run(paths, mode, num_ranks)
    assert outcome == RankOutcome(code, 1, reason)
    assert time.time() - (paths.ranks / "failed.json").stat().st_mtime < PROMPT_S
    assert str(outcome) == f"rank 1 {reason}"
    assert not outcome.ok
    assert paths.error.read_text().splitlines()[-1] == {
        "raise": "ValueError: boom",
        "sys.exit(0)": "SystemExit: 0",
    }.get(mode, f"rank 1 {reason}")
    assert unfinished_ranks(paths, num_ranks) == list(range(num_ranks))
    assert left_of(paths) == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("os._exit(4)", RankOutcome(4, 1, "ended with exit code 4; the last line of its log: rank 1 begins")),
        ("SIGSEGV", RankOutcome(-11, 1, "killed by signal 11 (SIGSEGV)")),
        ("Abort(7)", RankOutcome(7, 1, "aborted: application called MPI_Abort(MPI_COMM_WORLD, 7) - process 1")),
    ],
)
def test_other_ways_to_fail_are_named_too(paths: RunPaths, mode: str, expected: RankOutcome) -> None:
    assert run(paths, mode) == expected


def test_an_error_before_any_guard_is_readable(paths: RunPaths) -> None:
    outcome = run(paths, "import")
    assert outcome.failed_rank in (0, 1)
    assert outcome.exit_code == 1
    assert outcome.reason.endswith("ModuleNotFoundError: No module named 'nowhere'")
    assert "Traceback" in paths.rank_stdout(outcome.failed_rank).read_text()


def test_a_program_that_cannot_be_started_is_told(paths: RunPaths) -> None:
    outcome = run_ranks(["/nowhere/python", str(paths.root)], 2, paths, os.environ, timeout_s=LIMIT_S)
    assert outcome.exit_code == 127
    assert outcome.reason.endswith("cannot start '/nowhere/python': No such file or directory")


def test_a_rank_that_returns_early_is_no_failure(paths: RunPaths) -> None:
    assert run(paths, "early", 3) == RankOutcome(0, None, "")
    assert unfinished_ranks(paths, 3) == []
    assert not paths.error.exists()


def test_every_rank_writes_its_own_log_line_by_line(paths: RunPaths) -> None:
    assert run(paths, "lines", timeout_s=60).ok
    assert sorted(file.name for file in paths.root.iterdir()) == ["ranks", "stdout.log", "stdout.rank1.log"]
    for rank in range(2):
        lines = paths.rank_stdout(rank).read_text().splitlines()
        assert lines.count("error") == 4
        ours = [line for line in lines if line.endswith("x" * 50)]
        assert ours == [f"rank {rank} line {line} {'x' * 50}" for line in range(4000)]


def test_a_rank_sees_no_input_its_threads_and_no_surrounding_mpi(paths: RunPaths, tmp_path: Path) -> None:
    around = {"PMI_RANK": "7", "PMI_SIZE": "9", "PMI_FD": "99", "OMPI_COMM_WORLD_RANK": "3", "HYDI_CONTROL_FD": "98"}
    env = {**os.environ, **around, "MPI4PY_RC_THREADS": "0", "OMP_NUM_THREADS": "64"}
    ranks = start_ranks(command(paths, "surroundings"), 2, paths, env, threads=3, cwd=tmp_path)
    outcome = ranks.wait(60) or ranks.end()
    assert outcome.ok, outcome
    assert paths.stdout.read_text() == f"rank 0 begins\nTrue 3 3 None 0 {tmp_path}\n"


def test_ranks_may_start_ranks_of_a_run_of_their_own(tmp_path: Path) -> None:
    outer, inner = RunPaths(tmp_path / "outer"), RunPaths(tmp_path / "inner")
    program = tmp_path / "outer.py"
    program.write_text(f"""
import os, sys
from pathlib import Path
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi import barrier, proc_id
from gridrl.utils.mpirun import run_ranks
from gridrl.utils.ranks import rank_guard
with rank_guard(RunPaths(Path(sys.argv[1]))):
    barrier()
    if proc_id() == 0:
        inner = RunPaths(Path({str(inner.root)!r}))
        outcome = run_ranks({command(inner, "done")!r}, 2, inner, os.environ, timeout_s=60)
        assert outcome.ok, outcome
""")
    argv = [sys.executable, "-m", "mpi4py", str(program), str(outer.root)]
    assert run_ranks(argv, 2, outer, os.environ, timeout_s=90) == RankOutcome(0, None, "")
    assert unfinished_ranks(inner, 2) == []


def test_another_attempt_starts_with_clean_marks_and_keeps_the_logs(paths: RunPaths) -> None:
    assert not run(paths, "raise", 3).ok
    assert run(paths, "done") == RankOutcome(0, None, "")
    assert not paths.error.exists()
    assert paths.rank_stdout(1).read_text().count("rank 1 begins") == 2
    assert "2.begin.json" not in os.listdir(paths.ranks)


def test_ranks_that_ignore_sigterm_are_killed_with_their_children(paths: RunPaths) -> None:
    with running(paths, "stubborn") as ranks:
        family = psutil.Process(ranks.process.pid).children(recursive=True)
        assert len([member for member in family if "signal.signal(15, 1)" in " ".join(member.cmdline())]) == 2
        outcome = ranks.end(grace_s=0.3, reason="stopped by the test")
    assert outcome.failed_rank is None
    assert outcome.reason == str(outcome) == "stopped by the test"
    assert not outcome.ok
    assert [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE] == []
    assert paths.error.read_text() == "stopped by the test\n"


def test_ranks_hear_sigterm_and_may_end_well(paths: RunPaths) -> None:
    with running(paths, "gentle") as ranks:
        assert ranks.end(grace_s=60) == RankOutcome(0, None, "")
    assert ranks.poll() == RankOutcome(0, None, ""), "the outcome stays what it was"


def test_a_time_limit_ends_the_ranks(paths: RunPaths) -> None:
    outcome = run(paths, "sleep", timeout_s=1)
    assert (outcome.failed_rank, outcome.reason) == (None, "not done within 1 s")
    assert not outcome.ok
    assert left_of(paths) == []


def test_one_thread_may_end_what_another_waits_for(paths: RunPaths) -> None:
    with running(paths, "sleep") as ranks:
        found: list[RankOutcome | None] = []
        waiting = threading.Thread(target=lambda: found.append(ranks.wait()))
        waiting.start()
        outcome = ranks.end(reason="stopped")
        waiting.join(timeout=30)
    assert found == [outcome]
    assert outcome.reason == "stopped"


@pytest.mark.parametrize("victim", ["mpiexec", "keeper"])
def test_nothing_is_left_when_a_part_of_the_launch_is_killed(paths: RunPaths, victim: str) -> None:
    with running(paths, "sleep") as ranks:
        mark = read_json(paths.ranks / "1.begin.json")
        os.kill({"mpiexec": ranks.process.pid, "keeper": mark["keeper"]}[victim], signal.SIGKILL)
        outcome = ranks.wait(LIMIT_S)
        assert outcome is not None
        assert "killed by signal 9 (SIGKILL)" in outcome.reason
        assert not outcome.ok
    assert left_of(paths) == []


def test_ranks_end_themselves_when_mpiexec_has_gone_and_nobody_watches(paths: RunPaths) -> None:
    with running(paths, "sleep") as ranks:
        pids = list(rank_processes(paths))
        assert len(pids) == 4
        for part in psutil.Process(ranks.process.pid).children():  # its proxy, which has started the ranks
            part.kill()
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_failure_is_not_blamed_on_who_ends_the_run_afterwards(paths: RunPaths) -> None:
    ranks = start_ranks(command(paths, "raise"), 2, paths, os.environ)
    wait_until(lambda: (paths.ranks / "failed.json").exists())
    assert ranks.end(reason="ended by its launcher") == RankOutcome(1, 1, "raised ValueError: boom")


def test_an_interrupt_of_the_caller_ends_the_ranks(paths: RunPaths) -> None:
    caller = f"""
import os
from pathlib import Path
from gridrl.utils.files import RunPaths
from gridrl.utils.mpirun import run_ranks
run_ranks({command(paths, "sleep")!r}, 2, RunPaths(Path({str(paths.root)!r})), os.environ, timeout_s=60)
"""
    process = subprocess.Popen([sys.executable, "-c", caller], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (paths.root / "ready1").exists())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert left_of(paths) == []


def test_ranks_end_when_their_launcher_is_killed(paths: RunPaths) -> None:
    launcher = f"""
import os, time
from pathlib import Path
from gridrl.utils.files import RunPaths
from gridrl.utils.mpirun import start_ranks
start_ranks({command(paths, "stubborn")!r}, 2, RunPaths(Path({str(paths.root)!r})), os.environ)
time.sleep(100)
"""
    process = subprocess.Popen([sys.executable, "-c", launcher])
    try:
        wait_until(lambda: all((paths.root / f"ready{rank}").exists() for rank in range(2)))
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 8, "mpiexec, its proxy, two keepers, two ranks and their children"
    finally:
        process.kill()  # and not collected: a zombie is gone, too
    try:
        wait_until(lambda: not any(member.is_running() for member in family))
    finally:
        process.wait(timeout=60)


def test_what_the_ranks_have_used_is_told(paths: RunPaths) -> None:
    outcome = run(paths, "done")
    assert outcome.cpu_s is not None
    assert outcome.peak_memory_mb is not None
    assert 0.02 < outcome.cpu_s < 60
    assert 2 * 10 < outcome.peak_memory_mb < 2000


def test_an_mpiexec_that_does_not_start_is_told(paths: RunPaths) -> None:
    with pytest.raises(MPIError, match=r"^/nowhere/mpiexec cannot be started: No such file or directory"):
        start_ranks(["x"], 2, paths, os.environ, mpiexec=Mpiexec(("/nowhere/mpiexec",), "MPICH"))


def test_what_mpiexec_says_is_told_where_no_rank_began(paths: RunPaths) -> None:
    wrong = Mpiexec((str(Path(sys.executable).with_name("mpiexec")), "-no-such-option"), "MPICH")
    outcome = start_ranks(["x"], 2, paths, os.environ, mpiexec=wrong).wait(60)
    assert outcome is not None
    assert outcome.failed_rank is None
    assert outcome.reason.startswith("mpiexec ended with exit code 255: ")


SCRIPT = """
import os, sys
from gridrl import mpi_fork
from gridrl.utils.mpi import barrier, num_procs, proc_id
mpi_fork(2)
barrier()
if proc_id() == 1:
    if sys.argv[1] == "raise":
        raise ValueError("boom")
    if sys.argv[1] == "exit":
        sys.exit(int(sys.argv[2]))
    if sys.argv[1] == "os._exit(0)":
        os._exit(0)
    if sys.argv[1] == "SIGKILL":
        os.kill(os.getpid(), 9)
    if sys.argv[1] == "sleep":
        print("asleep", flush=True)
if sys.argv[1] in ("raise", "os._exit(0)", "SIGKILL", "sleep"):
    barrier()
    import time
    time.sleep(60)
with open(f"rank{proc_id()}.json", "w") as file:
    import json
    json.dump([num_procs(), sys.argv[1:], __name__, sys.path[0], sys.warnoptions], file)
"""


def fork(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "a script.py").write_text(SCRIPT)
    (tmp_path / "a_module.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, *options], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_script_goes_on_as_ranks(tmp_path: Path) -> None:
    ended = fork(tmp_path, "-W", "error", "a script.py", "a b", "-m", "")
    assert ended.returncode == 0, ended.stderr
    for rank in range(2):
        answer = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert answer == [2, ["a b", "-m", ""], "__main__", str(tmp_path), ["error"]]


def test_a_module_goes_on_as_ranks(tmp_path: Path) -> None:
    ended = fork(tmp_path, "-m", "a_module", "x")
    assert ended.returncode == 0, ended.stderr
    answer = json.loads((tmp_path / "rank1.json").read_text())
    assert answer == [2, ["x"], "__main__", str(tmp_path), []]


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["raise"], 1, "mpi_fork: rank 1 raised ValueError: boom\n"),
        (["exit", "3"], 3, "mpi_fork: rank 1 called sys.exit(3)\n"),
        (["os._exit(0)"], 1, "mpi_fork: rank 1 left with exit code 0 before its work was done (os._exit(0)?)\n"),
        (["SIGKILL"], 137, "mpi_fork: rank 1 killed by signal 9 (SIGKILL)\n"),
    ],
)
def test_a_failing_rank_ends_the_script_with_its_status(
    tmp_path: Path, words: list[str], status: int, told: str
) -> None:
    ended = fork(tmp_path, "a script.py", *words)
    assert ended.returncode == status
    assert ended.stderr.endswith(told)


def test_a_rank_of_a_script_may_leave_by_exit_0(tmp_path: Path) -> None:
    ended = fork(tmp_path, "a script.py", "exit", "0")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(file.name for file in tmp_path.glob("*.json")) == ["rank0.json"]


def test_a_script_that_is_ended_takes_its_ranks_along(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    argv = [sys.executable, str(tmp_path / "script.py"), "sleep"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "asleep\n"
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.stdout.close()
    assert len(family) >= 6
    assert not [member for member in family if member.is_running() and member.status() != psutil.STATUS_ZOMBIE]


def test_one_rank_needs_no_fork() -> None:
    mpi_fork(1)
    mpi_fork(0)


def test_what_is_no_number_of_ranks_is_told() -> None:
    with pytest.raises(BadValue, match=r"^n=2.5: a whole number of ranks"):
        mpi_fork(2.5)  # type: ignore[arg-type]


def test_a_program_without_a_file_cannot_be_started_again(tmp_path: Path) -> None:
    ended = fork(tmp_path, "-c", "import gridrl; gridrl.mpi_fork(2)")
    assert ended.returncode == 1
    assert "MPIError: mpi_fork starts the program again: it needs a script" in ended.stderr


def test_a_run_of_an_experiment_does_not_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        name = "gridrl.launch.worker"

    monkeypatch.setattr(sys.modules["__main__"], "__spec__", Spec)
    with pytest.raises(MPIError, match=r"this process is a run of an experiment.*give num_cpu there"):
        mpi_fork(2)
