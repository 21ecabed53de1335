"""Processes are told apart, ended with all that they started, and counted against the cores they may use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gridrl.utils import processes
from gridrl.utils.processes import ProcessTree, boot_id, end_tree, physical_cores, process_identity, usable_cores

# A parent with a child; both write their pids, and both ignore SIGTERM when told to.
FAMILY = """
import os, signal, subprocess, sys, time
stubborn = sys.argv[1] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) > 3:
    child = subprocess.Popen([sys.executable, __file__, sys.argv[1], sys.argv[3]], start_new_session=True)
    if not stubborn:
        signal.signal(signal.SIGTERM, lambda *_: (child.terminate(), child.wait(), sys.exit(3)))
with open(sys.argv[2] + ".tmp", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[2] + ".tmp", sys.argv[2])
time.sleep(120)
"""


def pid_in(path: Path) -> int:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, "the process never started"
        time.sleep(0.01)
    return int(path.read_text())


def runs(pid: int) -> bool:
    return process_identity(pid) is not None


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[bytes], int]]]:
    """Starts FAMILY and gives the parent and its child's pid; whatever the test leaves is killed."""
    started: list[int] = []

    def start(mood: str) -> tuple[subprocess.Popen[bytes], int]:
        program = tmp_path / "family.py"
        program.write_text(FAMILY)
        marks = tmp_path / "parent", tmp_path / "child"
        parent = subprocess.Popen([sys.executable, str(program), mood, *map(str, marks)])
        started.append(parent.pid)
        pids = [pid_in(mark) for mark in marks]
        started.append(pids[1])
        return parent, pids[1]

    yield start
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_process_has_one_identity_for_its_whole_life() -> None:
    mine = process_identity()
    assert mine is not None
    assert mine == process_identity(os.getpid())
    assert mine.pid == os.getpid()
    assert mine.boot == boot_id()
    assert mine.is_alive()


def test_another_process_with_the_same_pid_is_not_the_same() -> None:
    mine = process_identity()
    assert mine is not None
    assert not processes.ProcessIdentity(mine.pid, mine.started - 1, mine.boot).is_alive()
    assert not processes.ProcessIdentity(mine.pid, mine.started, "another boot").is_alive()


def test_there_is_no_identity_where_there_is_no_process() -> None:
    assert process_identity(-1) is None
    assert process_identity(0) is None
    assert process_identity(2**22 + 1) is None


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    identity = process_identity(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet collected
    assert identity is None or not identity.is_alive()
    assert process_identity(child.pid) is None
    assert child.wait(timeout=60) == 0


def test_a_process_name_with_spaces_and_brackets_is_read(tmp_path: Path) -> None:
    odd = tmp_path / "a) b (c"
    odd.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(odd), "60"])
    try:
        identity = process_identity(child.pid)
        assert identity is not None
        assert identity.is_alive()
    finally:
        child.kill()
        child.wait(timeout=60)


def test_a_tree_that_ends_by_itself_is_not_killed(family: Callable[[str], tuple[subprocess.Popen[bytes], int]]) -> None:
    parent, child = family("polite")
    assert end_tree(parent.pid, grace_s=60)
    assert parent.wait(timeout=60) == 3, "its own exit status is left to its parent"
    assert not runs(child)


def test_a_tree_that_ignores_sigterm_is_killed(family: Callable[[str], tuple[subprocess.Popen[bytes], int]]) -> None:
    parent, child = family("stubborn")
    assert end_tree(parent.pid, grace_s=0.2)
    assert parent.wait(timeout=60) == -signal.SIGKILL
    assert not runs(child), "the child sits in a session of its own and is ended all the same"


def test_a_recorded_child_is_ended_after_its_parent_has_gone(
    family: Callable[[str], tuple[subprocess.Popen[bytes], int]],
) -> None:
    parent, child = family("stubborn")
    tree = ProcessTree(parent.pid)
    parent.kill()
    parent.wait(timeout=60)
    assert [process.pid for process in tree.alive()] == [child]
    assert not tree.wait(0.01)
    tree.kill()
    assert tree.wait(60)
    assert not runs(child)


def test_ending_what_has_ended_is_no_error() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(timeout=60)
    assert end_tree(child.pid, grace_s=0)


def test_slurm_may_give_less_than_the_machine_has() -> None:
    assert usable_cores({"SLURM_CPUS_PER_TASK": "1"}) == 1
    assert usable_cores({"SLURM_CPUS_PER_TASK": "1000000"}) == usable_cores({})
    assert usable_cores({"SLURM_CPUS_PER_TASK": "many"}) == usable_cores({})


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (1.0, 1), (2.9, 2), (1000.0, 7)])
def test_a_quota_is_rounded_down_to_whole_cores(monkeypatch: pytest.MonkeyPatch, quota: float, cores: int) -> None:
    monkeypatch.setattr(processes, "_affinity", lambda: 7)
    monkeypatch.setattr(processes, "_cgroup_quotas", lambda: [quota])
    assert usable_cores({}) == cores


def test_affinity_counts() -> None:
    code = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); from gridrl.utils.processes import *; "
    ended = subprocess.check_output([sys.executable, "-c", code + "print(usable_cores())"], text=True, timeout=60)
    assert ended == "1\n"


def test_quotas_of_nested_groups_are_found_in_version_2(tmp_path: Path) -> None:
    inner = tmp_path / "fs/a/b"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    proc = tmp_path / "cgroup"
    proc.write_text("0::/a/b\n")
    assert processes._cgroup_quotas(proc, tmp_path / "fs") == [1.5]


def test_a_path_of_the_host_is_passed_over_inside_a_container(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    proc = tmp_path / "cgroup"
    proc.write_text("0::/docker/0123456789\n")
    assert processes._cgroup_quotas(proc, tmp_path) == [2.0]


def test_quotas_are_found_in_version_1(tmp_path: Path) -> None:
    group = tmp_path / "cpu,cpuacct/job"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("50000\n")
    (group / "cpu.cfs_period_us").write_text("25000\n")
    (group.parent / "cpu.cfs_quota_us").write_text("-1\n")
    (group.parent / "cpu.cfs_period_us").write_text("25000\n")
    proc = tmp_path / "cgroup"
    proc.write_text("11:memory:/job\n4:cpu,cpuacct:/job\n")
    assert processes._cgroup_quotas(proc, tmp_path) == [2.0]


def test_there_are_no_quotas_without_control_groups(tmp_path: Path) -> None:
    assert processes._cgroup_quotas(tmp_path / "missing", tmp_path) == []


def test_physical_cores_are_no_more_than_the_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 64)
    assert physical_cores() == usable_cores()
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: None)
    assert physical_cores() == usable_cores()
