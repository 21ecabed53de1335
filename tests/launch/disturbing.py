"""Signals that hit the processes of a grid, and a witness of what must stand whatever hits them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from gridrl.launch.result import RunResult
from gridrl.log.record import read_status
from gridrl.utils.files import RunPaths
from gridrl.utils.processes import process_identity
from tests.launch.helpers import run

ROOT = Path(__file__).parents[2]

FAMILY = "GRIDRL_TEST_FAMILY"
"""An environment variable that every process of a grid inherits: whatever it is called, whoever its parent is, and in
whatever session it is, it can be found by that."""


def row_count(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n") - 1
    except OSError:
        return -1


def signal_after(
    rows: int, signum: signal.Signals, run_dir: Path, pid: Callable[[], int] | None = None
) -> threading.Thread:
    """Sends a signal to the process of a run, or to the one that `pid` gives, once it has written so many rows."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while row_count(run_dir / "progress.txt") < rows:
            assert time.monotonic() < deadline, "the run has written no rows"
            time.sleep(0.001)
        os.kill(json.loads((run_dir / "status.json").read_text())["pid"] if pid is None else pid(), signum)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def disturbed(thunk: Any, run_dir: Path, keys: dict[str, Any], rows: int, signum: signal.Signals) -> RunResult:
    """Runs it in `run_dir`'s data directory, where a signal hits it after so many rows."""
    watching = signal_after(rows, signum, run_dir)
    result = run(thunk, run_dir.parents[1], keys=keys)[0]
    watching.join(timeout=60)
    return result


def family(data_dir: Path) -> dict[int, int]:
    """The processes that still run and were started, by whomever, with `FAMILY` set to this; each with its start."""
    wanted, found = f"{FAMILY}={data_dir}".encode(), {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            try:
                environ = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")  # of a zombie: empty
            except OSError:
                continue
            identity = process_identity(int(name)) if wanted in environ else None
            if identity is not None:
                found[int(name)] = int(identity.started)
    return found


Launcher: TypeAlias = "subprocess.Popen[bytes]"


@contextlib.contextmanager
def launching() -> Iterator[Callable[[Path, Sequence[str]], Launcher]]:
    """Starts launchers as processes of their own; nothing of them is left when the block ends, in whatever way.

    What it gives takes the data directory and the command, which runs in the root of the repository. What launchers
    say is added to a file beside the data directory, `<data_dir>.log`.
    """
    started: list[tuple[Path, Launcher]] = []

    def launch(data_dir: Path, command: Sequence[str]) -> Launcher:
        environ = {**os.environ, FAMILY: str(data_dir)}
        with open(f"{data_dir}.log", "ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        started.append((data_dir, process))
        return process

    try:
        yield launch
    finally:
        for pid in [pid for data_dir in {data_dir for data_dir, _ in started} for pid in family(data_dir)]:
            kill(pid)
        for _, process in started:
            process.wait()


def kill(pid: int) -> bool:
    """Kills a process and waits until it is dead; gives whether it was alive until then."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if process_identity(pid) is None:
            return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
        assert select.select([process], [], [], 30)[0], f"process {pid} does not die"
    except ProcessLookupError:
        return False
    finally:
        os.close(process)
    return True


def rows_of(run_dir: Path) -> list[str]:
    """The complete lines of `progress.txt`, header first, without a column `Time` at their ends."""
    try:
        lines = (run_dir / "progress.txt").read_text().split("\n")[:-1]
    except OSError:
        return []
    is_timed = bool(lines) and lines[0].endswith("\tTime")
    return [line.rpartition("\t")[0] for line in lines] if is_timed else lines


def checkpointed(run_dir: Path) -> int:
    """The rows that the newest checkpoint stands for, 0 where there is none."""
    try:
        names = os.listdir(RunPaths(run_dir).checkpoints)
    except OSError:
        return 0
    return max((int(name[-9:-3]) for name in names if name.endswith(".pt")), default=0)


@dataclass
class Witness:
    """Looks at the runs of a grid while they are disturbed, and remembers what must stand from then on.

    Attributes:
        data_dir: where they are; what `FAMILY` is set to for everything that works on them.
        finished: runs that were done, each with what is told of its end and its rows: state, inode, content.
        rows: of each run the rows that a checkpoint stood for.
        running: the processes that runs were in at the last look, each with the run's directory.
    """

    data_dir: Path
    finished: dict[Path, Any] = field(default_factory=dict)
    rows: dict[Path, list[str]] = field(default_factory=dict)
    running: dict[int, Path] = field(default_factory=dict)

    def look(self) -> None:
        """Takes in how things stand. What a checkpoint stands for is there, in the midst of everything too."""
        self.running = {}
        for run_dir in self.data_dir.glob("*/*"):
            if run_dir not in self.finished and run_dir.is_dir():
                self._look_at(run_dir)

    def _look_at(self, run_dir: Path) -> None:
        status = read_status(run_dir)
        if status is None:
            return
        if status.state == "running" and status.pid is not None:
            self.running[status.pid] = run_dir
        count = checkpointed(run_dir)
        rows = rows_of(run_dir)[: count + 1] if count else []
        before = self.rows.get(run_dir, [])
        assert rows[: len(before)] == before, f"{run_dir}: rows that a checkpoint stood for have gone"
        assert len(rows) == count + bool(count), f"{run_dir}: of {count} rows before a checkpoint some are missing"
        self.rows[run_dir] = rows
        if status.state == "done":
            self.finished[run_dir] = _end_of(run_dir)


def _end_of(run_dir: Path) -> list[tuple[int, int, bytes]]:
    """What a run has left that is done, by which it is seen whether it has been written to since."""
    files = [run_dir / name for name in ("status.json", "progress.txt")]
    return [(file.stat().st_ino, file.stat().st_mtime_ns, file.read_bytes()) for file in files if file.exists()]


def assert_nothing_lost(witness: Witness, run_dirs: Sequence[Path] = ()) -> None:
    """What every fault must leave: no finished run lost or done twice, no checkpointed row lost, nothing running.

    Args:
        witness: has looked at the runs before and while they were disturbed.
        run_dirs: those that must be done by now; none: what was done before still is.
    """
    witness.look()
    for run_dir, end in witness.finished.items():
        assert _end_of(run_dir) == end, f"{run_dir}: it was done, and has been written to since"
    for run_dir, rows in witness.rows.items():
        assert rows_of(run_dir)[: len(rows)] == rows, f"{run_dir}: rows that a checkpoint stood for have gone"
    assert [run_dir for run_dir in run_dirs if run_dir not in witness.finished] == []
    assert_nothing_left(witness.data_dir)


def assert_nothing_left(data_dir: Path, timeout_s: float = 5.0) -> None:
    """Nothing that worked on the grids of a data directory runs any more, so many seconds later at most."""
    deadline = time.monotonic() + timeout_s
    while left := family(data_dir):
        assert time.monotonic() < deadline, f"processes {left} are left"
        time.sleep(0.05)
