"""Orphans that become children of this process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import psutil
import pytest

from gridrl.utils.subreaper import reap_group, subreaper

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")

LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=0)
print(child.pid, flush=True)
"""


def orphan() -> tuple[psutil.Process, int, int]:
    """A process whose parent has ended, its group, and the end of a pipe that ends it."""
    reading, writing = os.pipe()
    parent = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_CHILD], stdin=reading, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    os.close(reading)
    assert parent.stdout is not None
    out = parent.stdout.readline()
    parent.wait(timeout=30)
    parent.stdout.close()
    return psutil.Process(int(out)), parent.pid, writing


def test_orphans_become_children_while_the_block_runs() -> None:
    with contextlib.ExitStack() as stack:
        assert stack.enter_context(subreaper())
        inner = contextlib.ExitStack()
        inner.enter_context(subreaper())
        inner.close()  # the outer block still holds
        child, group, writing = orphan()
        assert child.ppid() == os.getpid()
        reap_group(group)  # it lives: nothing to collect
        assert child.is_running()
        os.close(writing)
        deadline = time.monotonic() + 30
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.01)
        reap_group(group)
        assert not psutil.pid_exists(child.pid)
    child, _, writing = orphan()
    assert child.ppid() != os.getpid()
    os.close(writing)


def test_children_of_other_groups_are_left_to_those_who_wait_for_them() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        reap_group(child.pid)
        assert child.wait(timeout=30) == 7
