"""Processes: who they are beyond a reused pid, how a whole tree of them is ended, how many cores they may use."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

_KILL_WAIT_S = 5.0  # how long a killed process may take to vanish; only one stuck in the kernel takes longer


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from a later one with the same pid.

    Attributes:
        pid: its number.
        started: when it started: clock ticks since boot on Linux (unmoved when the clock is set), else seconds since
            the epoch. Only to be compared.
        boot: `boot_id()` where it lives.
    """

    pid: int
    started: float
    boot: str

    def is_alive(self) -> bool:
        """Whether this very process still runs here; False also for one of another host or boot."""
        return self.boot == boot_id() and process_identity(self.pid) == self


@functools.cache
def boot_id() -> str:
    """Names this boot of this machine, and the pid namespace in it: pids mean the same where it is the same."""
    if sys.platform == "darwin":
        return _output_of(["sysctl", "-n", "kern.bootsessionuuid"]) or _boot_time()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return _boot_time()


def _boot_time() -> str:
    import psutil

    return f"{psutil.boot_time():.0f}"


def _output_of(argv: Sequence[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def process_identity(pid: int | None = None) -> ProcessIdentity | None:
    """The identity of a living process; None where there is none, or only a zombie.

    Args:
        pid: the process; None: this one.
    """
    pid = os.getpid() if pid is None else pid
    if pid <= 0:
        return None
    started = _start_ticks(pid) if sys.platform == "linux" else _create_time(pid)
    return None if started is None else ProcessIdentity(pid, started, boot_id())


def _start_ticks(pid: int) -> float | None:
    """Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and brackets, so fields count from its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in b"ZXx" else float(fields[19])


def _create_time(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


class ProcessTree:
    """A process and its descendants, recorded while they hang together.

    The children of a process that ends are handed to init, and ranks of `mpiexec` leave its process group: neither
    can be found once their parent is gone, so they are recorded (`refresh`) as long as it lives.
    """

    def __init__(self, pid: int) -> None:
        self._members: dict[int, psutil.Process] = {}
        self.pid = pid
        self.refresh()

    def add(self, pid: int) -> None:
        """Records one more process, if there is one of this number."""
        import psutil

        if pid not in self._members:
            with contextlib.suppress(psutil.Error):
                self._members[pid] = psutil.Process(pid)

    def refresh(self) -> None:
        """Adds the descendants that the recorded processes have now."""
        import psutil

        self.add(self.pid)
        for member in list(self._members.values()):
            with contextlib.suppress(psutil.Error):
                self._members |= {child.pid: child for child in member.children(recursive=True)}

    def alive(self) -> list[psutil.Process]:
        """The recorded processes that still run; zombies do not."""
        return [member for member in self._members.values() if _runs(member)]

    def terminate(self) -> None:
        """Asks the root to end (SIGTERM): what it has started is its own to end, in its own order."""
        self._signal([self._members[self.pid]] if self.pid in self._members else [], signal.SIGTERM)

    def kill(self) -> None:
        """Ends every recorded process and what they have started since (SIGKILL)."""
        self.refresh()
        self._signal(self.alive(), signal.SIGKILL)

    def wait(self, timeout_s: float) -> bool:
        """Waits until all have ended, `timeout_s` seconds at most; gives whether they have.

        Nobody's exit status is taken away: a `subprocess.Popen` of the root still gets its own.
        """
        deadline = time.monotonic() + timeout_s
        pause_s = 0.005
        while self.alive():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, 0.05)
        return True

    @staticmethod
    def _signal(members: Iterable[psutil.Process], signum: signal.Signals) -> None:
        import psutil

        for member in members:
            with contextlib.suppress(psutil.Error):
                member.send_signal(signum)


def _runs(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def end_tree(pid: int, grace_s: float) -> bool:
    """Ends a process and all its descendants: SIGTERM to it, a bounded grace, SIGKILL to whoever is left.

    Args:
        pid: the root; it need not be a child of this process. It stays a zombie until its parent collects
            it, and its exit status is left to that parent.
        grace_s: seconds that the tree has to end by itself.

    Returns:
        Whether every process has ended. Only one that hangs in the kernel outlives its SIGKILL.
    """
    tree = ProcessTree(pid)
    tree.terminate()
    if tree.wait(grace_s):
        return True
    tree.kill()
    return tree.wait(_KILL_WAIT_S)


def end_stragglers(group: int, grace_s: float) -> None:
    """Ends what is in a process group beside its leader (on Linux; elsewhere nothing happens).

    The signals go to the leader too: it has ended, or ignores the first one and dies of the second.

    Args:
        group: the leader, which may be this process, or one whose exit status nobody has collected yet.
        grace_s: seconds from the SIGTERM to the SIGKILL.
    """
    deadline = time.monotonic() + grace_s
    signum = signal.SIGTERM
    while _others_in(group):
        with contextlib.suppress(OSError):
            os.killpg(group, signum)
        time.sleep(0.02)
        if time.monotonic() > deadline:
            if signum == signal.SIGKILL:
                return  # stuck in the kernel
            signum, deadline = signal.SIGKILL, deadline + grace_s


def _others_in(group: int) -> bool:
    """Whether a process group has members beside its leader."""
    if sys.platform != "linux":
        return False
    pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return any(_is_member(pid, group) for pid in pids if pid != group)


def _is_member(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group and process_identity(pid) is not None  # a zombie is none
    except OSError:
        return False


def usable_cores(environ: Mapping[str, str] | None = None) -> int:
    """How many cores this process may keep busy, at least 1.

    The least of: its affinity, the CPU quota of its control groups (a fraction is rounded down), `SLURM_CPUS_PER_TASK`.

    Args:
        environ: variables to look in; None: this process's.
    """
    environ = os.environ if environ is None else environ
    limits = [float(_affinity()), *_cgroup_quotas()]
    with contextlib.suppress(KeyError, ValueError):
        limits.append(float(int(environ["SLURM_CPUS_PER_TASK"])))
    return max(1, int(min(limits)))


def physical_cores() -> int:
    """The cores without their hyper-threads, and no more than `usable_cores()`: what `num_cpu="auto"` means."""
    import psutil

    return max(1, min(psutil.cpu_count(logical=False) or usable_cores(), usable_cores()))


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1


def _cgroup_quotas(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[float]:
    """The CPU quotas, in cores, of the control groups that this process is in and of those around them."""
    try:
        lines = proc.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    quotas: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += _quotas_above(root, path, _quota_v2)
        elif "cpu" in controllers.split(","):
            mounts = {root / controllers, root / "cpu"}
            quotas += [quota for mount in mounts for quota in _quotas_above(mount, path, _quota_v1)]
    return quotas


def _quotas_above(root: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    # Inside a container the path may be the host's, which is not mounted here: missing levels are passed over.
    inside = Path(path.lstrip("/"))
    levels = [root / inside, *(root / parent for parent in inside.parents)]
    found = [read(level) for level in dict.fromkeys(levels)]
    return [quota for quota in found if quota is not None]


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
