"""Whether one more run may start, and what it gets."""

from __future__ import annotations

from collections.abc import Collection

from gridrl.launch.backend import Ending, Resources
from gridrl.launch.memory import Memory
from gridrl.launch.slots import Slots


class Admission:
    """Lets runs in while there is room: so many at once, with what the machine has to give, as memory allows.

    Args:
        jobs: how many runs go at once.
        slots: what they get; None: one thread for each rank.

    Attributes:
        memory: what is known of the memory that runs take.
        waits_for_memory: whether the last run that was not let in lacked nothing else.
    """

    def __init__(self, jobs: int, slots: Slots | None) -> None:
        self.memory = Memory()
        self.waits_for_memory = False
        self._jobs = jobs
        self._slots = slots

    def admit(self, active: Collection[int], num_cpu: int) -> Resources | None:
        """What one more run gets, None where it may not start yet.

        Args:
            active: the runs that go on.
            num_cpu: its ranks.
        """
        self.waits_for_memory = False
        if len(active) >= self._jobs:
            return None
        resources = Resources(num_cpu) if self._slots is None else self._slots.take()
        if resources is not None and not self.memory.may_start(active):
            self.waits_for_memory = True
            self._give_back(resources)
            return None
        return resources

    def leave(self, index: int, resources: Resources, ending: Ending | None) -> None:
        """A run has ended, or was not started at all."""
        self._give_back(resources)
        peak_mb = ending.peak_memory_mb if ending is not None and ending.state == "done" else None
        self.memory.learn(index, None if peak_mb is None else int(peak_mb * 2**20))

    def _give_back(self, resources: Resources) -> None:
        if self._slots is not None:
            self._slots.give_back(resources)
