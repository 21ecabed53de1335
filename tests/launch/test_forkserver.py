"""Runs that are forked off a process which has imported what they need: quick, alike, and apart from each other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from gridrl.errors import BadValue
from gridrl.launch.forks import Forks, Server, can_fork, forks_for
from gridrl.launch.lifeline import Lifeline
from gridrl.launch.local import worker_environment
from gridrl.launch.payload import Payload, write_payload
from gridrl.launch.preload import Preload
from gridrl.log.progress import read_progress
from gridrl.log.record import read_status
from gridrl.utils.files import RunPaths
from gridrl.utils.processes import process_identity
from tests.launch.helpers import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")

EVENTUALLY_S = 30.0


def eventually(condition: Callable[[], Any]) -> Any:
    """What `condition` gives as soon as that is true."""
    deadline = time.monotonic() + EVENTUALLY_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)
    return found


def origin() -> Callable[..., None]:
    """A thunk that writes which program its process was started as."""

    def thunk(lr: int, seed: int = 0) -> None:
        from pathlib import Path

        print(Path("/proc/self/cmdline").read_text().split("\0")[3])

    return thunk


def origins(result: Any) -> set[str]:
    return {(one.run_dir / "stdout.log").read_text().strip() for one in result}


FORKED, FRESH = "gridrl.launch.forkserver", "gridrl.launch.worker"


def test_this_machine_can_fork() -> None:
    assert can_fork()


@pytest.mark.parametrize(
    ("keys", "options", "origin_of_runs"),
    [
        ({"lr": [1, 2]}, {}, FORKED),
        ({"lr": [1, 2]}, {"isolation": "fresh"}, FRESH),
        ({"lr": [1]}, {}, FRESH),
    ],
    ids=["several", "asked for", "one"],
)
def test_several_runs_are_forked(
    data_dir: Path, keys: dict[str, Any], options: dict[str, Any], origin_of_runs: str
) -> None:
    result = run(origin(), data_dir, keys=keys, **options)
    assert result.ok
    assert origins(result) == {origin_of_runs}


def test_an_unknown_isolation_is_told(data_dir: Path) -> None:
    with pytest.raises(BadValue, match=r"isolation='frsh': there are 'auto' and 'fresh'. Did you mean 'fresh'\?"):
        run(origin(), data_dir, keys={"lr": [1, 2]}, isolation="frsh")
    assert not data_dir.exists()


def rows(result: Any) -> list[dict[str, list[float]]]:
    """Every column of every run that does not measure time."""
    tables = [read_progress(one.run_dir / "progress.txt") for one in result]
    timed = ("Time", "PerSec")
    return [{name: list(table[name]) for name in table if not any(word in name for word in timed)} for table in tables]


def test_a_forked_ppo_writes_the_rows_of_a_fresh_one(data_dir: Path) -> None:
    keys = {"env_name": "CartPole-v1", "steps_per_epoch": 200, "epochs": 2, "train_pi_iters": 5, "seed": [0, 1]}
    forked = run("gridrl.algos.ppo:ppo", data_dir / "forked", keys=keys)
    fresh = run("gridrl.algos.ppo:ppo", data_dir / "fresh", keys=keys, isolation="fresh")
    assert forked.ok
    assert fresh.ok
    assert {"AverageEpRet", "LossPi", "LossV", "KL"} <= set(rows(forked)[0])
    np.testing.assert_equal(rows(forked), rows(fresh))
    assert rows(forked)[0]["LossV"] != rows(forked)[1]["LossV"]


def test_every_global_generator_of_a_forked_run_follows_its_seed(data_dir: Path) -> None:
    def thunk(seed: int) -> None:
        import random

        import numpy as np
        import torch

        print(random.random(), np.random.rand(), torch.rand(2).tolist(), torch.randperm(5).tolist(), hash("text"))

    forked = run(thunk, data_dir / "forked", keys={"seed": [0, 1, 2]}, jobs=1)
    fresh = run(thunk, data_dir / "fresh", keys={"seed": [0, 1, 2]}, isolation="fresh")
    assert origins(forked) == origins(fresh)
    assert len(origins(forked)) == 3


def test_siblings_share_nothing(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        import json
        import os
        import random

        import gymnasium
        import torch

        print(
            getattr(json, "mark", None),
            os.environ.get("MARK"),
            torch.get_default_dtype(),
            "Mark-v0" in gymnasium.registry,
            random.random(),
            os.path.basename(os.getcwd()),
        )
        json.mark = lr  # type: ignore[attr-defined]
        os.environ["MARK"] = str(lr)
        torch.set_default_dtype(torch.float64)
        gymnasium.register("Mark-v0", entry_point="nowhere:Mark")
        os.chdir("/")
        random.seed(lr)

    result = run(thunk, data_dir, keys={"lr": [1, 2, 3]}, jobs=1)
    assert result.ok
    (seen,) = origins(result)
    assert seen.startswith("None None torch.float32 False 0.84442")
    assert seen.endswith(Path.cwd().name)


def test_a_forked_run_leads_a_session_and_ends_like_an_interpreter(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        import atexit
        import os
        import sys
        import threading
        import time

        assert os.getsid(0) == os.getpgrp() == os.getpid()
        assert sys.stdin.read() == ""
        atexit.register(print, "the exit function")
        threading.Thread(target=lambda: (time.sleep(0.2), print("the thread")), daemon=False).start()
        print("the thunk")

    result = run(thunk, data_dir, keys={"lr": [1, 2]})
    assert result.ok
    assert origins(result) == {"the thunk\nthe thread\nthe exit function"}


def test_what_a_forked_run_used_is_recorded(data_dir: Path) -> None:
    def thunk(lr: int) -> None:
        import os

        held = bytearray(lr * 2**20)
        for place in range(0, len(held), 4096):
            held[place] = 1
        os._exit(3)

    small, large = run(thunk, data_dir, keys={"lr": [1, 200]})
    found = [read_status(one.run_dir) for one in (small, large)]
    assert [one.exit_code for one in found if one] == [3, 3]
    peaks = [one.peak_memory_mb or 0.0 for one in found if one]
    assert peaks[1] - peaks[0] > 150.0
    assert all(one is not None and one.cpu_s is not None and one.cpu_s > 0.0 for one in found)


@pytest.mark.parametrize(
    ("how", "state", "exit_code"),
    [("os.abort()", "killed", -6), ("os.kill(os.getpid(), 9)", "killed", -9), ("1 / 0", "failed", 1)],
)
def test_how_a_forked_run_ends_is_told(data_dir: Path, how: str, state: str, exit_code: int) -> None:
    def thunk(lr: int, how: str) -> None:
        import os

        if lr == 1:
            exec(how, {"os": os})

    result = run(thunk, data_dir, keys={"lr": [1, 2, 3], "how": how}, jobs=1)
    assert [(one.state, one.exit_code) for one in result] == [(state, exit_code), ("done", 0), ("done", 0)]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of the user's whose `train` says how its process was started; gives the name of that."""
    monkeypatch.syspath_prepend(tmp_path / "code")

    def write(text: str, body: str = "pass") -> str:
        (tmp_path / "code").mkdir(exist_ok=True)
        (tmp_path / "code" / "users_module.py").write_text(
            f"{text}\n\ndef train(lr=0):\n    {body}\n    print(open('/proc/self/cmdline').read().split('\\0')[3])\n"
        )
        return "users_module:train"

    return write


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import torch\ntorch.set_num_threads(2)\nones = torch.ones(1500, 1500) @ torch.ones(1500, 1500)",
            " threads running",
        ),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "2 threads"),
        ("import random\nrandom.random()", "importing what they need draws random numbers"),
        ("import numpy\nnumpy.random.rand()", "draws random numbers"),
        ("import torch\ntorch.rand(1)", "draws random numbers"),
        ("import os\nos.chdir('/')", "changes the working directory"),
        (
            "import os\nif 'launch.forkserver' in open('/proc/self/cmdline').read(): 1 / 0",
            "(ZeroDivisionError: division by",
        ),
        (
            "import os\nif 'launch.forkserver' in open('/proc/self/cmdline').read(): os._exit(5)",
            "the fork server has died",
        ),
        ("from mpi4py import MPI", "starts MPI"),
    ],
    ids=["torch threads", "thread", "random", "numpy", "torch", "chdir", "error", "exit", "mpi"],
)
def test_imports_that_make_a_fork_unsafe_lead_to_fresh_interpreters(
    data_dir: Path, module: Callable[..., str], capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    result = run(module(text, "'ones' in globals() and (ones @ ones)"), data_dir, keys={"lr": [1, 2]})
    assert result.ok
    assert origins(result) == {FRESH}
    out = capsys.readouterr().out
    assert "Each run gets a fresh interpreter: " in out
    assert told in out


def test_a_thread_that_comes_up_later_is_seen_before_the_fork(data_dir: Path, module: Callable[..., str]) -> None:
    late = (
        "import os, threading, time\n"
        "def come_up():\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "os.register_at_fork(after_in_parent=come_up)"
    )
    result = run(module(late), data_dir, keys={"lr": [1, 2, 3]}, jobs=1)
    assert result.ok
    assert [(one.run_dir / "stdout.log").read_text().strip() for one in result] == [FORKED, FRESH, FRESH]


def test_what_imports_do_to_their_process_is_there_in_each_run(data_dir: Path, module: Callable[..., str]) -> None:
    text = "import os, sys\nos.environ['SET_BY_IMPORT'] = 'yes'\nsys.path.append('/added')\nprint('imported')"
    result = run(
        module(text, "print(os.environ['SET_BY_IMPORT'], '/added' in sys.path)"), data_dir, keys={"lr": [1, 2]}
    )
    assert result.ok
    assert origins(result) == {f"imported\nyes True\n{FORKED}"}


def test_variables_are_those_of_the_start_of_the_run(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW", os.fsdecode(b"\xff\xfe line\n"))

    def thunk(lr: int) -> None:
        import os

        print(os.environb[b"RAW"], "PYTORCH_NVML_BASED_CUDA_CHECK" in os.environ, "GRIDRL_LIFELINE" in os.environ)

    assert origins(run(thunk, data_dir, keys={"lr": [1, 2]})) == {r"b'\xff\xfe line\n' False False"}


def test_a_file_finds_its_neighbours_when_it_is_called(data_dir: Path, script: Callable[..., Path]) -> None:
    script("VALUE = 'the neighbour'\n", "neighbour_of_it.py")
    path = script(
        "def train(lr=0):\n    import importlib\n    print(importlib.import_module('neighbour_of_it').VALUE)\n"
    )
    result = run(f"{path}:train", data_dir, keys={"lr": [1, 2]})
    assert result.ok
    assert origins(result) == {"the neighbour"}


def test_functions_of_a_script_without_a_guard_are_forked(
    data_dir: Path, script: Callable[..., Path], run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = script(
        f"""
        import sys
        import torch
        from gridrl import ExperimentGrid

        class Made:
            def __init__(self, value):
                self.value = value

        def train(lr, make=lambda value: Made(value)):
            print(make(lr).value, torch.ones(1).item(), sys.argv[1:])

        grid = ExperimentGrid("g")
        grid.add("lr", [1, 2])
        print("top level", grid.run(train, data_dir={str(data_dir)!r}).ok)
        """
    )
    ended = run_script(path, "word")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("top level True") == 1
    assert sorted(log.read_text() for log in data_dir.glob("*/*/stdout.log")) == [
        "1 1.0 ['word']\n",
        "2 1.0 ['word']\n",
    ]


def waiting_thunk() -> Callable[..., None]:
    """A thunk that runs until its directory holds a file `go`."""

    def thunk(lr: int, logger_kwargs: Any = None) -> None:
        import os
        import time

        print("up", flush=True)
        while not os.path.exists(f"{logger_kwargs['output_dir']}/go"):
            time.sleep(0.02)
        print("over")

    return thunk


def server_of(parent: int) -> psutil.Process | None:
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # what another test has left is on its way out
            if "gridrl.launch.forkserver" in child.cmdline():
                return child
    return None


def test_runs_survive_the_death_of_the_server_and_are_recorded(data_dir: Path) -> None:
    import threading

    results: list[Any] = []
    keys = {"lr": [1, 2, 3, 4]}
    launcher = threading.Thread(
        target=lambda: results.append(run(waiting_thunk(), data_dir, keys=keys, jobs=2)), daemon=True
    )
    launcher.start()
    dirs = [data_dir / f"g_lr{lr}" / f"g_lr{lr}_s0" for lr in (1, 2, 3, 4)]
    eventually(
        lambda: all((one / "stdout.log").exists() and "up" in (one / "stdout.log").read_text() for one in dirs[:2])
    )
    server = server_of(os.getpid())
    assert server is not None
    pids = [status.pid for one in dirs[:2] if (status := read_status(one)) is not None]
    assert [psutil.Process(pid).ppid() for pid in pids] == [server.pid, server.pid]
    server.kill()
    eventually(lambda: [psutil.Process(pid).ppid() for pid in pids] == [os.getpid()] * 2)
    for one in dirs:
        eventually(one.exists)
        (one / "go").touch()
    launcher.join(timeout=EVENTUALLY_S)
    (result,) = results
    assert result.ok
    assert [(one / "stdout.log").read_text() for one in dirs] == ["up\nover\n"] * 4
    assert server_of(os.getpid()) is None
    assert not [child for child in psutil.Process().children() if child.pid in pids]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_launcher_that_is_killed(
    data_dir: Path, script: Callable[..., Path], signum: signal.Signals
) -> None:
    path = script(
        f"""
        import time
        from gridrl import ExperimentGrid

        def train(lr):
            print("up", flush=True)
            time.sleep(600)

        grid = ExperimentGrid("g")
        grid.add("lr", [1, 2, 3])
        grid.run(train, data_dir={str(data_dir)!r}, jobs=2)
        """
    )
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.DEVNULL) as launcher:
        try:
            logs = [data_dir / f"g_lr{lr}" / f"g_lr{lr}_s0" / "stdout.log" for lr in (1, 2)]
            eventually(lambda: all(log.exists() and log.read_text() for log in logs))
            family = psutil.Process(launcher.pid).children(recursive=True)
            assert len(family) == 4  # guard, server and runs
        finally:
            launcher.send_signal(signum)
            launcher.wait(timeout=EVENTUALLY_S)
    eventually(lambda: not any(process_identity(child.pid) for child in family))
    states = [status.state for lr in (1, 2) if (status := read_status(data_dir / f"g_lr{lr}" / f"g_lr{lr}_s0"))]
    assert states == ["killed", "killed"]


def test_a_launcher_that_dies_while_the_server_imports_takes_it_along(
    tmp_path: Path, script: Callable[..., Path]
) -> None:
    script(
        "import time\nprint('importing', flush=True)\ntime.sleep(600)\n\ndef train(lr):\n    pass\n", "slow_to_load.py"
    )
    path = script(
        f"""
        from gridrl import ExperimentGrid

        grid = ExperimentGrid("g")
        grid.add("lr", [1, 2])
        grid.run({str(tmp_path / "scripts" / "slow_to_load.py") + ":train"!r}, data_dir={str(tmp_path / "data")!r})
        """
    )
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.DEVNULL) as launcher:
        try:
            server = eventually(lambda: server_of(launcher.pid))
        finally:
            launcher.kill()
    eventually(lambda: process_identity(server.pid) is None)


def written(tmp_path: Path, name: str = "run") -> RunPaths:
    """A run directory with a payload that leaves a mark."""
    paths = RunPaths(tmp_path / name)
    paths.root.mkdir()

    def thunk(mark: str) -> None:
        open(mark, "w").close()

    write_payload(paths.payload, Payload(thunk, {"mark": str(paths.root / "mark")}))
    return paths


def test_a_run_that_the_launcher_has_not_heard_of_never_begins(tmp_path: Path) -> None:
    paths = written(tmp_path)
    server = Server(Preload())
    try:
        assert server.hello(wait=True) == {"fault": None}
        lifeline = Lifeline()
        with open(paths.stdout, "ab") as log:
            request = {"environ": worker_environment(1), "payload": str(paths.payload)}
            pid = server.ask(request, (*lifeline.inherited, log.fileno()))["pid"]
        lifeline.started()
        lifeline.close()  # as when the launcher dies, or the answer is lost
        assert server.ask({"reap": pid})["code"] == 1
        assert server.ask({"reap": pid})["code"] is None
    finally:
        server.close()
    assert not (paths.root / "mark").exists()


def test_a_server_that_does_not_answer_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridrl.launch.forks._ANSWER_S", 0.5)
    forks = Forks(Preload())
    try:
        assert forks.prepare() is None
        first = forks._servers[0].pid
        os.kill(first, signal.SIGSTOP)
        assert forks.start(written(tmp_path, "first"), worker_environment(1)) is None
        assert process_identity(first) is None
        assert forks.prepare() is None
        running = forks.start(written(tmp_path, "second"), worker_environment(1))
        assert running is not None
        assert running.wait().state == "done"
    finally:
        forks.close()
    assert (tmp_path / "second" / "mark").exists()
    assert not (tmp_path / "first" / "mark").exists()


def test_a_server_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    forks = Forks(Preload())
    try:
        for attempt in range(6):
            forks.prepare()
            if process_identity(forks._servers[-1].pid) is not None:
                os.kill(forks._servers[-1].pid, signal.SIGKILL)
            assert forks.start(written(tmp_path, str(attempt)), worker_environment(1)) is None
        assert len(forks._servers) == 4
    finally:
        forks.close()


def test_no_server_is_started_for_ranks_or_threads() -> None:
    for num_cpu, threads in ((2, 1), (1, 2)):
        with forks_for("auto", num_cpu, threads, [None, None]) as forks:  # type: ignore[list-item]
            assert forks is None
