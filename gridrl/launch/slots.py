"""What this machine has to give to runs: cores and accelerators, handed out and taken back."""

from __future__ import annotations

import math
import os
import re
import subprocess
from collections.abc import Mapping, Sequence

from gridrl.errors import BadValue
from gridrl.launch.backend import Resources
from gridrl.launch.limits import Limits

_MIG = re.compile(r"\(UUID: (MIG-[^)]+)\)")
_GPU = re.compile(r"^GPU (\d+):")


class Slots:
    """Hands out what runs of one grid need, all of them the same, and takes it back.

    >>> slots = Slots(1, Limits(gpus_per_run=0.5), devices=["0", "1"])
    >>> given = [slots.take() for _ in range(5)]
    >>> [resources and resources.devices for resources in given]
    [('0',), ('1',), ('0',), ('1',), None]

    Args:
        num_cpu: MPI ranks of a run.
        limits: its threads, whether it gets cores of its own, and how much of which accelerators.
        cores: what can be handed out where runs get cores of their own.
        devices: the accelerators, as CUDA_VISIBLE_DEVICES calls them.
    """

    def __init__(self, num_cpu: int, limits: Limits, cores: Sequence[int] = (), devices: Sequence[str] = ()) -> None:
        self._num_cpu = num_cpu
        self._threads = limits.threads
        self._cores = sorted(cores)
        self._cores_per_run = num_cpu * limits.threads if limits.affinity else 0
        self._devices_per_run = math.ceil(limits.gpus_per_run)
        self._runs_per_device = int(1 / limits.gpus_per_run + 1e-9) if 0 < limits.gpus_per_run < 1 else 1
        self._users = dict.fromkeys(devices, 0)

    @property
    def capacity(self) -> int | None:
        """How many runs there is room for at once, while none runs; None: for any number."""
        room = []
        if self._cores_per_run:
            room.append(len(self._cores) // self._cores_per_run)
        if self._devices_per_run:
            room.append(len(self._users) * self._runs_per_device // self._devices_per_run)
        return min(room, default=None)

    def take(self) -> Resources | None:
        """What the next run gets, None where there is not enough left. Devices with the fewest users come first."""
        free = [device for device, users in self._users.items() if users < self._runs_per_device]
        if len(self._cores) < self._cores_per_run or len(free) < self._devices_per_run:
            return None
        cores = tuple(self._cores[: self._cores_per_run])
        devices = tuple(sorted(free, key=self._users.__getitem__)[: self._devices_per_run])
        self._cores = self._cores[self._cores_per_run :]
        for device in devices:
            self._users[device] += 1
        return Resources(self._num_cpu, self._threads, cores, devices)

    def give_back(self, resources: Resources) -> None:
        """Takes back what a run was given, however it has ended."""
        self._cores = sorted([*self._cores, *resources.cores])
        for device in resources.devices:
            self._users[device] -= 1


def find_slots(num_cpu: int, limits: Limits) -> Slots:
    """What this machine has to give.

    Raises:
        BadValue: not enough for a single run.
    """
    cores = _own_cores() if limits.affinity else []
    devices = visible_devices() if limits.gpus_per_run else []
    slots = Slots(num_cpu, limits, cores, devices)
    if slots.capacity != 0:
        return slots
    if limits.gpus_per_run > len(devices):
        found = f"there are {len(devices)} here ({', '.join(devices)})" if devices else "there are none here"
        raise BadValue(
            f"gpus_per_run={limits.gpus_per_run:g}: {found}. What counts is CUDA_VISIBLE_DEVICES, else what "
            "`nvidia-smi -L` lists."
        )
    raise BadValue(
        f"affinity: a run of {num_cpu} rank(s) with {limits.threads} thread(s) each needs {num_cpu * limits.threads} "
        f"cores of its own, and this process may use {len(cores)}."
    )


def _own_cores() -> list[int]:
    if not hasattr(os, "sched_getaffinity"):
        raise BadValue("affinity: this system cannot bind a process to cores; Linux can.")
    return sorted(os.sched_getaffinity(0))


def visible_devices(environ: Mapping[str, str] | None = None) -> list[str]:
    """The accelerators that this process may use, as CUDA_VISIBLE_DEVICES calls them.

    Args:
        environ: variables to look in; None: this process's. Where CUDA_VISIBLE_DEVICES is not among them, nvidia-smi
            is asked.
    """
    environ = os.environ if environ is None else environ
    wish = environ.get("CUDA_VISIBLE_DEVICES")
    if wish is None:
        return listed_devices(_nvidia_smi())
    names = [name.strip() for name in wish.split(",")]
    last = next((index for index, name in enumerate(names) if name in ("", "-1")), len(names))
    return list(dict.fromkeys(names[:last]))  # CUDA heeds nothing behind the first that is none


def listed_devices(listing: str) -> list[str]:
    """The devices that `nvidia-smi -L` lists: whole ones by number; one that is cut up (MIG), by its parts' ids."""
    devices: list[str] = []
    for line in listing.splitlines():
        if whole := _GPU.match(line):
            devices.append(whole[1])
        elif part := _MIG.search(line):
            if devices and devices[-1].isdecimal():
                devices.pop()  # CUDA uses its parts only
            devices.append(part[1])
    return devices


def _nvidia_smi() -> str:
    try:
        answer = subprocess.run(
            ["nvidia-smi", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout
