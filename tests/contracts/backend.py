"""What every backend must do, as a class of tests that each backend's own tests inherit.

```python
class TestLocal(BackendContract):
    @pytest.fixture
    def backend(self) -> Backend:
        return LocalBackend()
```
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridrl.launch.backend import Backend, Handle, Resources
from gridrl.launch.payload import Payload, write_payload
from gridrl.log.record import Status, read_status, write_status
from gridrl.utils.files import RunPaths
from gridrl.utils.processes import process_identity

Submit = Callable[..., Handle]


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0) -> None:
    """Waits until something holds; fails where it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


class BackendContract:
    """A subclass gives a fixture `backend`; `ranks` says how many MPI ranks the one test of several of them takes."""

    ranks = 2

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError

    @pytest.fixture
    def submit(self, backend: Backend, tmp_path: Path) -> Iterator[Submit]:
        """Starts a thunk in a directory of its own; at the end of the test nothing is left running."""
        handles: list[Handle] = []

        def start(thunk: Callable[..., None], name: str = "run", num_cpu: int = 1, **keywords: Any) -> Handle:
            paths = RunPaths(tmp_path / name)
            paths.root.mkdir()
            write_payload(paths.payload, Payload(thunk, {**keywords, "where": str(paths.root)}))
            write_status(paths.root, Status("queued"))
            handles.append(backend.submit(paths, Resources(num_cpu)))
            return handles[-1]

        yield start
        for handle in handles:
            with contextlib.suppress(Exception):
                handle.end(0.0)

    def test_a_run_that_returns_is_done(self, submit: Submit, tmp_path: Path) -> None:
        def thunk(where: str) -> None:
            print("hello")

        handle = submit(thunk)
        ending = handle.wait()
        assert (ending.state, ending.exit_code, ending.error, ending.signal) == ("done", 0, None, None)
        assert handle.state == "done"
        status = read_status(tmp_path / "run")
        assert status is not None
        assert (status.state, status.exit_code) == ("done", 0)

    def test_a_run_that_raises_has_failed_with_its_error(self, submit: Submit, tmp_path: Path) -> None:
        def thunk(where: str) -> None:
            raise ValueError("too cold")

        handle = submit(thunk)
        ending = handle.wait()
        assert (ending.state, ending.exit_code, ending.error) == ("failed", 1, "ValueError: too cold")
        assert handle.state == "failed"
        assert "ValueError: too cold" in (tmp_path / "run" / "error.txt").read_text()

    @pytest.mark.parametrize("code", [3, 77])
    def test_exit_codes_come_back(self, submit: Submit, code: int) -> None:
        def thunk(where: str, code: int) -> None:
            print("the last words", flush=True)
            os._exit(code)

        ending = submit(thunk, code=code).wait()
        assert (ending.state, ending.exit_code, ending.error) == ("failed", code, "the last words")

    def test_leaving_with_zero_before_the_thunk_returns_is_no_success(self, submit: Submit) -> None:
        def thunk(where: str) -> None:
            os._exit(0)

        assert submit(thunk).wait().state == "failed"

    @pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
    def test_a_signal_that_ends_a_run_is_told(self, submit: Submit, signum: signal.Signals) -> None:
        def thunk(where: str, signum: int) -> None:
            os.kill(os.getpid(), signum)

        ending = submit(thunk, signum=int(signum)).wait()
        assert (ending.state, ending.exit_code, ending.signal) == ("killed", -signum, signum)
        assert ending.error is not None
        assert ending.error.startswith(f"killed by {signum.name}")

    def test_while_it_runs_its_state_says_so(self, submit: Submit, tmp_path: Path) -> None:
        def thunk(where: str) -> None:
            while not os.path.exists(f"{where}/go"):
                time.sleep(0.02)

        handle = submit(thunk)
        wait_for(lambda: (status := read_status(tmp_path / "run")) is not None and status.state == "running")
        assert handle.state == "running"
        (tmp_path / "run" / "go").touch()
        assert handle.wait().state == "done"

    def test_ending_gently_lets_a_run_clean_up(self, submit: Submit, tmp_path: Path) -> None:
        def thunk(where: str) -> None:
            try:
                Path(where, "up").write_text(str(os.getpid()))
                time.sleep(60)
            finally:
                print("cleaned up")

        handle = submit(thunk)
        wait_for((tmp_path / "run" / "up").exists)
        handle.end(60.0)
        ending = handle.wait()
        assert ending.state != "done"
        assert "cleaned up\n" in handle.logs()[0].read_text()

    def test_ending_hard_takes_a_run_that_does_not_listen(self, submit: Submit, tmp_path: Path) -> None:
        def thunk(where: str) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Path(where, "pid").write_text(str(os.getpid()))
            time.sleep(60)

        handle = submit(thunk)
        wait_for(lambda: (tmp_path / "run" / "pid").exists() and (tmp_path / "run" / "pid").read_text())
        handle.end(0.2)
        ending = handle.wait()
        assert (ending.state, ending.signal) == ("killed", signal.SIGKILL)
        assert process_identity(int((tmp_path / "run" / "pid").read_text())) is None

    def test_ending_what_has_ended_does_nothing(self, submit: Submit) -> None:
        def thunk(where: str) -> None: ...

        handle = submit(thunk)
        assert handle.wait().state == "done"
        handle.end(1.0)
        assert (handle.state, handle.wait().state) == ("done", "done")

    def test_logs_hold_what_was_printed_errors_too(self, submit: Submit) -> None:
        def thunk(where: str) -> None:
            import sys

            print("out")
            print("err", file=sys.stderr)
            os.system("echo deep")

        handle = submit(thunk)
        handle.wait()
        (log,) = handle.logs()
        assert sorted(log.read_text().splitlines()) == ["deep", "err", "out"]

    def test_a_run_that_floods_its_output_is_not_held_up(self, submit: Submit) -> None:
        def thunk(where: str) -> None:
            for _ in range(2000):
                os.write(1, b"x" * 1023 + b"\n")

        handle = submit(thunk)
        assert handle.wait().state == "done"
        assert handle.logs()[0].stat().st_size == 2000 * 1024

    def test_a_run_that_closes_its_output_is_done_all_the_same(self, submit: Submit) -> None:
        def thunk(where: str) -> None:
            os.close(1)
            os.close(2)

        assert submit(thunk).wait().state == "done"

    def test_many_runs_go_at_once(self, submit: Submit, tmp_path: Path) -> None:
        """Each waits for all the others, so they end only if they all run at the same time."""

        def thunk(where: str, count: int) -> None:
            Path(where, "up").touch()
            while len(list(Path(where).parent.glob("many*/up"))) < count:
                time.sleep(0.02)

        handles = [submit(thunk, f"many{number}", count=4) for number in range(4)]
        assert [handle.wait().state for handle in handles] == ["done"] * 4

    def test_nothing_is_left_of_a_run_that_has_children(self, submit: Submit, tmp_path: Path) -> None:
        def thunk(where: str) -> None:
            import subprocess
            import sys

            nap = (
                "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork(); print(os.getpid(), flush=True)"
            )
            with open(f"{where}/children", "w") as file:
                for _ in range(2):
                    subprocess.Popen([sys.executable, "-c", f"{nap}; time.sleep(60)"], stdout=file)
            while len(Path(where, "children").read_text().split()) < 4:
                time.sleep(0.02)

        assert submit(thunk).wait().state == "done"
        pids = [int(pid) for pid in (tmp_path / "run" / "children").read_text().split()]
        assert [process_identity(pid) for pid in pids] == [None] * 4

    def test_waiting_is_no_polling(self, submit: Submit, tmp_path: Path) -> None:
        """A thread that looks again and again is switched to again and again; one that waits is not."""

        def thunk(where: str) -> None:
            while not os.path.exists(f"{where}/go"):
                time.sleep(0.02)

        handle = submit(thunk)
        waiting = threading.Thread(target=handle.wait)
        waiting.start()
        wait_for(lambda: (status := read_status(tmp_path / "run")) is not None and status.state == "running")
        assert waiting.native_id is not None
        before = _switches(waiting.native_id)
        time.sleep(0.6)
        assert _switches(waiting.native_id) == before
        (tmp_path / "run" / "go").touch()
        waiting.join()
        assert handle.state == "done"

    def test_several_ranks_are_one_run(self, submit: Submit) -> None:
        def thunk(where: str) -> None:
            from gridrl.utils.mpi import num_procs, proc_id

            print(f"rank {proc_id()} of {num_procs()}")

        handle = submit(thunk, num_cpu=self.ranks)
        ending = handle.wait()
        assert (ending.state, ending.exit_code) == ("done", 0)
        told = [log.read_text() for log in handle.logs()]
        assert told == [f"rank {rank} of {self.ranks}\n" for rank in range(self.ranks)]

    def test_the_rank_that_fails_is_named(self, submit: Submit) -> None:
        def thunk(where: str) -> None:
            from gridrl.utils.mpi import proc_id

            if proc_id() == 1:
                raise ValueError("too hot")

        ending = submit(thunk, num_cpu=self.ranks).wait()
        assert (ending.state, ending.rank) == ("failed", 1)
        assert ending.error == "rank 1 raised ValueError: too hot"


def _switches(thread_id: int) -> int:
    """How often a thread of this process has gone to sleep."""
    lines = Path(f"/proc/self/task/{thread_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
