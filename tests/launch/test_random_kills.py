"""Two hundred kills over one grid of sixty runs, at moments and of processes that a seeded generator draws.

That this test can fail was tried with `gridrl.utils.files.atomic_path` changed to hand out the file's own name, so that
everything is written in place, without fsync and rename. It failed three times out of three, after about a hundred
kills: by then a third of the runs had a checkpoint of 0 bytes or without its end ("EOFError", "failed finding central
directory"), which none of their later starts could read, so that the grid went on for ever. What it cannot notice is a
missing fsync alone: a process that is killed takes nothing back of what the system has from it.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridrl.launch.guard import processes
from gridrl.log.record import read_status
from tests.launch.disturbing import Launcher, Witness, assert_nothing_lost, kill, launching, rows_of
from tests.launch.victims import EPOCHS, SEEDS
from tests.launch.watching import Write, Writes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a fork server")

RUNS = 2 * SEEDS
KILLS = {"run": 193, "server": 2, "launcher": 5}
"""Who is killed how often. A launcher that is started again takes three seconds to get going, and so does a server."""

MOMENTS = {"any": 4, "checkpoints": 4, "progress.txt": 1, "status.json": 1}
"""When a run is killed, and how often in proportion: any time, or in the moment in which such a file is written."""

SLACK = 4
"""How many runs less than its share may be done when a kill comes: the kills are spread over the whole grid."""

STARTING_S = 3.0
"""A launcher that is killed while it starts is killed within so many seconds."""

DEADLINE_S = 60.0


class Disturber:
    """Kills processes of a grid, whose launcher it starts again as often as it has killed that.

    Args:
        witness: looks at the runs before each kill.
        launch: starts a launcher.
        seed: of the generator that draws victims and moments.
    """

    def __init__(self, witness: Witness, launch: Callable[[], Launcher], seed: int) -> None:
        self.hits: Counter[str] = Counter()
        self.moments: Counter[str] = Counter()
        self._witness = witness
        self._launch = launch
        self._draws = random.Random(seed)
        self._writes = Writes()
        self._launcher = launch()

    def disturb(self) -> None:
        """All kills; the last one is the launcher's."""
        cards = ["run"] * KILLS["run"] + ["server"] * KILLS["server"] + ["launcher"] * (KILLS["launcher"] // 2)
        self._draws.shuffle(cards)
        for card in cards:
            self._await_share()
            if card == "launcher":
                self._kill_launcher()
                self._launcher = self._launch()
                time.sleep(self._draws.uniform(0.0, STARTING_S))
                self._kill_launcher()
                self._launcher = self._launch()
            elif card == "server":
                self._kill_any(self._servers, "server")
            else:
                self._kill_run(self._draws.choices(list(MOMENTS), list(MOMENTS.values()))[0])
        self._kill_launcher()
        self._writes.close()

    def _kill_run(self, moment: str) -> None:
        if moment == "any":
            time.sleep(self._draws.uniform(0.0, 0.05))
            self._kill_any(self._runs, "run")
        else:
            for run_dir in self._witness.rows:
                self._writes.watch(run_dir)
            self._writes.forget()
            for _ in self._trying():
                if any(self._has_killed(write, moment) for write in self._writes.next(0.2)):
                    break
            self.hits["run"] += 1
        self.moments[moment] += 1

    @staticmethod
    def _has_killed(write: Write, moment: str) -> bool:
        """Kills the run that has just begun to write a file, if that is such a file and the run still lives."""
        if moment == "checkpoints":
            is_meant, run_dir = write.directory.name == moment, write.directory.parent
        else:  # files that are replaced are written aside, under a name with a dot before and something behind
            is_meant, run_dir = write.name.removeprefix(".").startswith(moment), write.directory
        status = read_status(run_dir) if is_meant else None
        return status is not None and status.state == "running" and status.pid is not None and kill(status.pid)

    def _kill_any(self, victims: Callable[[], list[int]], kind: str) -> None:
        for _ in self._trying():
            found = victims()
            if found and kill(self._draws.choice(found)):
                self.hits[kind] += 1
                return
            time.sleep(0.005)

    def _servers(self) -> list[int]:
        """The fork server, once it has forked a run."""
        found = processes()
        parents = {parent for _, parent, _ in found.values()}
        own = [pid for pid, (_, parent, _) in found.items() if parent == self._launcher.pid and pid in parents]
        return [pid for pid in own if _is(pid, "gridrl.launch.forkserver") and pid not in self._witness.running]

    def _runs(self) -> list[int]:
        """The processes of runs, those too that have not begun yet."""
        found = processes()
        own = {pid for pid, (_, parent, _) in found.items() if parent == self._launcher.pid}
        forked = {pid for pid, (_, parent, _) in found.items() if parent in own and _is(parent, "forkserver")}
        fresh = {pid for pid in own if pid in self._witness.running or _is(pid, "gridrl.launch.worker")}
        return sorted(forked | fresh)

    def _kill_launcher(self) -> None:
        assert self._launcher.poll() is None, "the launcher has ended by itself"
        self._launcher.kill()
        self._launcher.wait()
        self.hits["launcher"] += 1

    def _await_share(self) -> None:
        """Waits until about as large a part of the runs is done as of the kills."""
        share = RUNS * self.hits.total() / sum(KILLS.values())
        for _ in self._trying():
            self._witness.look()
            if len(self._witness.finished) >= share - SLACK:
                return
            time.sleep(0.1)

    def _trying(self) -> Iterator[None]:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            assert self._launcher.poll() is None, "the launcher has ended by itself"
            yield
        said = Path(f"{self._witness.data_dir}.log").read_text().splitlines()
        pytest.fail("\n".join(["nothing goes on; the launcher's last words:", *said[-5:]]))


def _is(pid: int, program: str) -> bool:
    """Whether a process was started to be this program."""
    with contextlib.suppress(OSError):
        return program.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.mark.timeout(300)
def test_two_hundred_kills_cost_nothing(tmp_path: Path) -> None:
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    grid = [sys.executable, "-m", "tests.launch.victims"]
    with launching() as launch:
        beside = launch(undisturbed, [*grid, str(undisturbed), "1"])
        witness = Witness(disturbed)
        disturber = Disturber(witness, lambda: launch(disturbed, [*grid, str(disturbed), "3"]), seed=200)
        disturber.disturb()
        assert disturber.hits == KILLS
        assert set(disturber.moments) == set(MOMENTS)
        resumed = launch(disturbed, [*grid, str(disturbed), "2"])
        assert [process.wait(timeout=120) for process in (beside, resumed)] == [0, 0]
        run_dirs = [path.parent for path in disturbed.glob("*/*/config.json")]
        assert len(run_dirs) == RUNS
        assert_nothing_lost(witness, run_dirs)
    for run_dir in run_dirs:
        rows = rows_of(undisturbed / run_dir.relative_to(disturbed))
        assert len(rows) == EPOCHS + 1
        assert rows_of(run_dir) == rows
