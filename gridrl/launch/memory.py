"""Memory: how much is left, how much each run has resident, and whether one more may start."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from gridrl.errors import BadValue

FLOOR = 0.15
"""No run is started while less than this part of the memory is available."""

LOOK_S = 1.0
"""How often the memory of runs is looked at, where anything depends on it."""

_FIRST_RUNS = 4  # as many start at once before anything is known of their memory
_PATIENCE_S = 60.0  # how long nothing runs at all for want of memory before one run tries it
_FRESH_S = 0.1  # so long the machine's memory counts as known
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def memory_bytes(text: object) -> int:
    """The bytes that a text such as "4G" or "512M" means; K, M, G and T are powers of 1024.

    Raises:
        BadValue: it means none.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT])(?:i?B)?\s*", str(text), re.IGNORECASE)
    wanted = int(float(found[1]) * _UNITS[found[2].upper()]) if found and isinstance(text, str) else 0
    if wanted < 1:
        raise BadValue(f"max_memory={text!r}: a number with its unit is wanted, such as '4G' or '512M'.")
    return wanted


def told_bytes(count: int) -> str:
    """`3.4G`, `512M`: as `memory_bytes` reads them.

    >>> told_bytes(3650722202), told_bytes(2**29)
    ('3.4G', '512M')
    """
    return f"{count / 2**30:.1f}G" if count >= 2**30 else f"{count / 2**20:.0f}M"


class Memory:
    """Says whether one more run may start, from what is available and what its siblings take.

    Starts are ramped up: a few at first, twice as many after each look at them, any number once a run is done and its
    peak is known. A run that has just started is expected to take as much as the largest so far.

    Attributes:
        is_short: whether the last run that might not start was kept back for want of memory, and not to see first what
            the others take.
    """

    def __init__(self) -> None:
        self.is_short = False
        self._largest = 0
        self._allowed: float = _FIRST_RUNS
        self._resident: dict[int, int] = {}
        self._idle_since: float | None = None
        self._machine_now = (0, 0)
        self._looked_at: float | None = None

    def learn(self, index: int, peak_bytes: int | None) -> None:
        """A run has ended. Only where it is done its peak is worth knowing; None: it is not, or nobody knows."""
        self._resident.pop(index, None)
        if peak_bytes is not None:
            self._largest = max(self._largest, peak_bytes)
            self._allowed = float("inf")

    def look(self, roots: Mapping[int, int]) -> Mapping[int, int]:
        """Bytes that each run has resident now.

        Args:
            roots: the root process of each.
        """
        found = resident_bytes(roots.values())
        self._resident = {index: found[pid] for index, pid in roots.items()}
        self._largest = max(self._largest, max(self._resident.values(), default=0))
        self._allowed *= 2
        return self._resident

    def may_start(self, active: Collection[int]) -> bool:
        """Whether there is memory for one more run beside those that go on."""
        available, total = self._machine()
        if not active:
            self.is_short = available < FLOOR * total
            return not self.is_short or self._waited_long_enough()
        self._idle_since = None
        growth = sum(max(0, self._largest - self._resident.get(index, 0)) for index in active)
        self.is_short = available - growth - self._largest < FLOOR * total
        return not self.is_short and len(active) < self._allowed

    def _machine(self) -> tuple[int, int]:
        """As `machine_memory`, looked at ten times a second at most: it costs as much as queueing a run."""
        now = time.monotonic()
        if self._looked_at is None or now - self._looked_at >= _FRESH_S:
            self._machine_now, self._looked_at = machine_memory(), now
        return self._machine_now

    def _waited_long_enough(self) -> bool:
        """Whether nothing has run for so long that one run must try; it may be that there never is more memory."""
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        return now - self._idle_since >= _PATIENCE_S


def machine_memory() -> tuple[int, int]:
    """Bytes of memory that are available, and of all that there is: of this machine, or of a control group's limit."""
    import psutil

    machine = psutil.virtual_memory()
    limits = [(machine.available, machine.total), *_group_memory()]
    return min(limits, key=lambda pair: pair[0] / pair[1])


def _group_memory(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[tuple[int, int]]:
    """Available and allowed bytes of the control groups that this process is in and of those around them."""
    try:
        lines = proc.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = Path(path.lstrip("/"))
        if not controllers:
            found += [
                _left_in(root / part, "memory.max", "memory.current", "inactive_file") for part in _levels(inside)
            ]
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            found += [_left_in(root / "memory" / part, *names) for part in _levels(inside)]
    return [pair for pair in found if pair is not None]


def _levels(inside: Path) -> list[Path]:
    # Inside a container the path may be the host's, which is not mounted here: missing levels are passed over.
    return list(dict.fromkeys([inside, *inside.parents]))


def _left_in(group: Path, limit_name: str, usage_name: str, cache_name: str) -> tuple[int, int] | None:
    try:
        limit = int((group / limit_name).read_text(encoding="ascii"))  # "max" is no number
        used = int((group / usage_name).read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        used -= int(stat.get(cache_name, 0))  # files that are only kept as long as there is room
    except (OSError, ValueError):
        return None
    return (max(0, limit - used), limit) if 0 < limit < 2**60 else None


def resident_bytes(roots: Iterable[int]) -> dict[int, int]:
    """Bytes that each process has resident, together with its descendants and with all of the session it leads.

    Pages that processes share count for each of them; `bytes_over` counts them once.
    """
    return _resident_by_proc(list(roots)) if sys.platform == "linux" else _resident_by_psutil(list(roots))


def bytes_over(limit: int, resident: Mapping[int, int], roots: Mapping[int, int]) -> dict[int, int]:
    """The runs that take more memory than a limit, each with what it takes.

    What a forked run shares with the fork server and its siblings is counted by its part: else each would be charged
    for the same 200 MB. That costs milliseconds a process, so it is only looked at where `resident` is over the limit.

    Args:
        limit: bytes.
        resident: of each run, what `resident_bytes` gives.
        roots: the root process of each.
    """
    suspects = {index: count for index, count in resident.items() if count > limit}
    if not suspects or sys.platform != "linux":
        return suspects
    families = _families([roots[index] for index in suspects])
    shares = {index: sum(_share(pid, pages) for pid, pages in families[roots[index]]) for index in suspects}
    return {index: count for index, count in shares.items() if count > limit}


def _share(pid: int, pages: int) -> int:
    """Bytes of a process, of each page the part that falls to it; all of them where the kernel does not say that."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    shares = (int(line.split()[1]) * 2**10 for line in lines if line.startswith("Pss:"))
    return next(shares, pages * os.sysconf("SC_PAGE_SIZE"))


def _resident_by_proc(roots: list[int]) -> dict[int, int]:
    page = os.sysconf("SC_PAGE_SIZE")
    return {root: page * sum(pages for _, pages in members) for root, members in _families(roots).items()}


def _families(roots: list[int]) -> dict[int, list[tuple[int, int]]]:
    """Pid and resident pages of what belongs to each root; one pass over all processes, whatever the roots."""
    processes = dict(_processes())
    families: dict[int, list[tuple[int, int]]] = {root: [] for root in roots}
    for pid, (parent, session, pages) in processes.items():
        owner = pid if pid in families else session if session in families else None
        seen = {pid}
        while owner is None and parent in processes and parent not in seen:
            seen.add(parent)
            session = processes[parent][1]
            owner = parent if parent in families else session if session in families else None
            parent = processes[parent][0]
        if owner is not None:
            families[owner].append((pid, pages))
    return families


def _processes() -> Iterable[tuple[int, tuple[int, int, int]]]:
    """Parent, session and resident pages of every process."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                stat = Path(f"/proc/{name}/stat").read_bytes()
            except OSError:
                continue
            fields = stat[stat.rindex(b")") + 2 :].split()  # its name may hold spaces and brackets
            yield int(name), (int(fields[1]), int(fields[3]), int(fields[21]))


def _resident_by_psutil(roots: list[int]) -> dict[int, int]:
    import psutil

    sums = dict.fromkeys(roots, 0)
    for root in roots:
        try:
            members = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
        except psutil.Error:
            continue
        for member in members:
            try:
                sums[root] += member.memory_info().rss
            except psutil.Error:
                continue
    return sums
