"""Memory: what is left, what runs take, when they wait for it and when they are ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.launch import memory as module
from gridrl.launch import scheduler
from gridrl.launch.memory import Memory, machine_memory, memory_bytes, resident_bytes, told_bytes
from gridrl.log.record import read_status
from gridrl.utils.processes import end_tree, process_identity
from tests.launch.helpers import run

GB = 2**30


@pytest.mark.parametrize(
    ("text", "count"),
    [("4G", 4 * GB), ("1.5g", 3 * GB // 2), ("512M", 2**29), (" 2 GiB ", 2 * GB), ("100KB", 102400), ("1T", 2**40)],
)
def test_amounts_are_read(text: str, count: int) -> None:
    assert memory_bytes(text) == count


@pytest.mark.parametrize("text", ["4", "", "G", "-1G", "4 apples", "0M", 4, None, "1e3M"])
def test_amounts_without_a_unit_are_refused(text: Any) -> None:
    with pytest.raises(BadValue, match=r"max_memory=.*: a number with its unit is wanted, such as '4G' or '512M'\."):
        memory_bytes(text)


def test_amounts_are_told_as_they_are_read() -> None:
    assert [memory_bytes(told_bytes(count)) for count in (2**29, 3 * GB)] == [2**29, 3 * GB]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A machine that is made up; what is available can be changed."""
    made_up = {"available": 80 * GB, "total": 100 * GB}
    monkeypatch.setattr("gridrl.launch.memory._FRESH_S", 0.0)
    monkeypatch.setattr(module, "machine_memory", lambda: (made_up["available"], made_up["total"]))
    return made_up


def looks(monkeypatch: pytest.MonkeyPatch, sizes: dict[int, int]) -> None:
    monkeypatch.setattr(module, "resident_bytes", lambda pids: {pid: sizes[pid] for pid in pids})


def test_starts_are_ramped_up_until_a_run_is_done(machine: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    looks(monkeypatch, dict.fromkeys(range(100), GB // 10))

    def most() -> int:
        return next(count for count in range(100) if not memory.may_start(range(count)))

    assert most() == 4
    assert not memory.is_short
    memory.learn(99, None)  # one that failed says nothing of what the others will take
    assert most() == 4
    memory.look({index: index for index in range(4)})
    assert most() == 8
    memory.look({index: index for index in range(8)})
    assert most() == 16
    memory.learn(0, GB)
    # seven were seen with 0.1 of the 1 GB that each may take: with 57 more, 80 - 7 * 0.9 - 57 - 1 is just above 15
    assert most() == 65


def test_no_run_starts_while_less_than_the_floor_is_available(machine: dict[str, int]) -> None:
    memory = Memory()
    machine["available"] = 15 * GB - 1
    assert not memory.may_start([])
    assert not memory.may_start([1])
    assert memory.is_short
    machine["available"] = 15 * GB
    assert memory.may_start([])


def test_a_run_is_expected_to_grow_as_large_as_the_largest(
    machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    memory.learn(0, 20 * GB)
    looks(monkeypatch, {7: 5 * GB})
    memory.look({1: 7})
    machine["available"] = 50 * GB - 1  # 15 are to stay, the next takes 20, the running one 15 more
    assert not memory.may_start([1])
    assert memory.is_short
    machine["available"] = 50 * GB
    assert memory.may_start([1])
    assert not memory.may_start([1, 2])  # the second has only just started


def test_the_machine_is_looked_at_ten_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks_at = [1000.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr("gridrl.launch.memory.machine_memory", lambda: looks_at.append(now[0]) or (50 * GB, 100 * GB))
    memory = Memory()
    for _ in range(30):
        assert memory.may_start([])
        now[0] += 0.03125
    assert looks_at == [1000.0 + 0.125 * look for look in range(8)]


def test_where_there_never_is_enough_one_run_tries_it_at_last(
    machine: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    memory = Memory()
    machine["available"] = GB
    assert not memory.may_start([])
    now[0] += 59.0
    assert not memory.may_start([])
    now[0] += 1.0
    assert memory.may_start([])
    assert not memory.may_start([1])
    now[0] += 59.0
    assert not memory.may_start([])  # it has ended: patience begins anew


def test_the_least_of_machine_and_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "fs" / "mine" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/mine/inner\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("5\n")
    (group.parent / "memory.max").write_text("1000\n")
    (group.parent / "memory.current").write_text("900\n")
    (group.parent / "memory.stat").write_text("anon 700\ninactive_file 150\n")
    found = module._group_memory(tmp_path / "cgroup", tmp_path / "fs")
    assert found == [(250, 1000)]
    monkeypatch.setattr(module, "_group_memory", lambda: found)
    available, total = machine_memory()
    assert available / total <= 0.25


def test_old_control_groups_are_read_too(tmp_path: Path) -> None:
    group = tmp_path / "fs" / "memory" / "mine"
    group.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("9:cpu,cpuacct:/x\n4:memory:/mine\n")
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("400\n")
    (group / "memory.stat").write_text("total_inactive_file 100\n")
    (group.parent / "memory.limit_in_bytes").write_text(f"{2**63 - 4096}\n")  # no limit
    (group.parent / "memory.usage_in_bytes").write_text("400\n")
    (group.parent / "memory.stat").write_text("total_inactive_file 100\n")
    assert module._group_memory(tmp_path / "cgroup", tmp_path / "fs") == [(700, 1000)]


FAMILY = """
import os, subprocess, sys, time
block = bytearray(os.urandom(1)) * (50 * 2**20)
if len(sys.argv) > 1:
    code = sys.argv[1]
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session="far" in sys.argv)
print("up", flush=True)
time.sleep(60)
"""
CHILD = FAMILY.replace('"up"', '"child"')


@pytest.mark.parametrize("way", ["near", "far"])
def test_children_count_wherever_their_session_is(way: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY, CHILD, way],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert {process.stdout.readline(), process.stdout.readline()} == {"up\n", "child\n"}
        for read in (resident_bytes, lambda roots: module._resident_by_psutil(list(roots))):
            found = read([process.pid, os.getpid()])
            assert 100 * 2**20 < found[process.pid] < 400 * 2**20
    finally:
        end_tree(process.pid, 0.0)
        process.wait()
        process.stdout.close()


SHARING = """
import os, time
block = bytearray(os.urandom(1)) * (100 * 2**20)
if os.fork() == 0:
    os.setsid()
    own = bytearray(os.urandom(1)) * (20 * 2**20)
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the kernel does not tell who shares what")
def test_shared_pages_count_by_their_part_where_a_run_is_over_its_limit() -> None:
    process = subprocess.Popen([sys.executable, "-c", SHARING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        child = int(process.stdout.readline())
        resident = {7: resident_bytes([child])[child]}
        assert resident[7] > 120 * 2**20
        assert module.bytes_over(110 * 2**20, resident, {7: child}) == {}  # half of 100 MiB and 20 of its own
        assert 60 * 2**20 < module.bytes_over(60 * 2**20, resident, {7: child})[7] < 100 * 2**20
        assert module.bytes_over(2**40, resident, {}) == {}  # not looked at
    finally:
        end_tree(process.pid, 0.0)
        process.wait()
        process.stdout.close()


def test_where_nobody_tells_who_shares_what_all_counts() -> None:
    assert module._share(2**22 + 5, 3) == 3 * os.sysconf("SC_PAGE_SIZE")


def test_a_process_that_is_gone_has_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert resident_bytes([process.pid]) == {process.pid: 0}
    assert module._resident_by_psutil([process.pid]) == {process.pid: 0}


def test_a_run_over_its_memory_is_ended_and_has_failed(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "LOOK_S", 0.2)

    def thunk(lr: int, logger_kwargs: Any) -> None:
        if lr == 1:
            (Path(logger_kwargs["output_dir"]) / "pid").write_text(str(os.getpid()))
            block = bytearray(b"x") * (400 * 2**20)
            time.sleep(60)
            print(len(block))

    over, under = run(thunk, data_dir, keys={"lr": [1, 2]}, jobs=2, max_memory="300M")
    assert under.state == "done"
    assert over.state == "failed"
    assert over.error is not None
    assert re.fullmatch(r"used [34][0-9][0-9]M of memory, more than max_memory=300M", over.error)
    status = read_status(over.run_dir)
    assert status is not None
    assert (status.state, status.error) == ("failed", over.error)
    assert process_identity(int((over.run_dir / "pid").read_text())) is None


def test_runs_wait_for_memory_and_it_is_said(
    data_dir: Path, machine: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler, "LOOK_S", 0.1)
    looked = []

    def available() -> tuple[int, int]:
        looked.append(time.monotonic())
        return (10 if len(looked) < 4 else 80) * GB, 100 * GB

    monkeypatch.setattr(module, "machine_memory", available)
    (only,) = run(lambda seed: None, data_dir)
    assert only.state == "done"
    assert looked[3] - looked[0] >= 0.3  # no busy looking
    assert capsys.readouterr().err.count("Memory is short: runs wait until") == 1


def test_nothing_is_looked_at_where_nothing_depends_on_it(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(roots: Any) -> Any:
        raise AssertionError("looked")

    monkeypatch.setattr(module, "resident_bytes", never)
    monkeypatch.setattr(scheduler, "LOOK_S", 0.05)
    assert run(lambda seed: time.sleep(0.3), data_dir, keys={"seed": [0, 1, 2, 3]}, jobs=2).ok


def test_an_amount_that_makes_no_sense_is_told_before_anything_starts(data_dir: Path) -> None:
    with pytest.raises(BadValue, match="max_memory='lots'"):
        run(lambda seed: None, data_dir, max_memory="lots")
    assert not data_dir.exists()
