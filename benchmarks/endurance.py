"""Whether a replay memory lasts: a million random operations, and a table of a million steps beside a checkpoint.

    python benchmarks/endurance.py [--operations 1000000] [--steps 1000000]

Prints a Markdown section; the exit status is 1 where something grew that should not have, or a target is missed.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from pages import machine, write_section

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.journal import ReplayJournal
from gridrl.memory.prioritised import PrioritisedSampleStrategy

OBS, ACT, MAXLEN = 3, 1, 2000
LARGE_OBS, LARGE_ACT, NEW = 17, 6, 1000


def spaces(obs: int, act: int) -> MDPSpace:
    """Of a world with so many numbers observed and acted."""
    return MDPSpace(None, BoxSpace(np.float32, (act,)), DictSpace({"obs": BoxSpace(np.float32, (obs,))}))


class Mill:
    """Does one thing or another to a table, and knows what must be in it.

    Attributes:
        table: of at most MAXLEN steps, drawn from by priority.
        lengths: steps by identity, the oldest first: what is held.
    """

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        sampler = PrioritisedSampleStrategy(seed=seed)
        self.table = DictObsMemoryTable(spaces=spaces(OBS, ACT), maxlen=MAXLEN, sampler=sampler)
        self.lengths: dict[int, int] = {}
        self._next = 0

    def operate(self) -> None:
        """One operation: every second one draws, every fifth adds, a few resize, clear, or take up a checkpoint."""
        kind = self.rng.random()
        if kind < 0.5 and self.lengths:
            length = int(self.rng.integers(1, min(8, max(self.lengths.values())) + 1))
            batch = self.table.sample(int(self.rng.integers(1, 9)), length)
            if kind < 0.25:
                self.table.update_priorities(batch["index"], batch["actions"][::length].abs())
        elif kind < 0.999:
            self.add(int(self.rng.integers(1, 400 if kind < 0.52 else 30)))
        elif kind < 0.9995:
            self.table.resize(int(self.rng.integers(MAXLEN // 2, MAXLEN + 1)))
            self._eject(0)
        elif kind < 0.9998:
            self.table.load_state_dict(self.table.state_dict())
        else:
            self.table.clear()
            self.lengths.clear()

    def add(self, steps: int) -> None:
        """An episode whose actions are its identity."""
        self._eject(steps)
        obs, rewards = np.zeros((steps + 1, OBS), np.float32), np.zeros(steps)
        self.table.add_sequence(
            self._next, {"obs": obs, "actions": np.full((steps, 1), self._next), "rewards": rewards}
        )
        self.lengths[self._next] = steps
        self._next += 1

    def _eject(self, steps: int) -> None:
        while sum(self.lengths.values()) + steps > self.table.maxlen:
            del self.lengths[next(iter(self.lengths))]

    def check(self) -> None:
        """The table holds what it must, and every part of it agrees."""
        episodes = self.table.episodes
        held = {identity: place.steps for identity, place in episodes.places.items()}
        assert held == self.lengths
        assert self.table.size() == sum(held.values()) == np.count_nonzero(episodes.left) <= self.table.maxlen
        assert np.count_nonzero(episodes.owner >= 0) == np.count_nonzero(episodes.number) == len(episodes.order())
        for length in range(1, 9):
            starts = episodes.starts(length)
            assert starts.count == sum(max(0, steps - length + 1) for steps in held.values())
        actions = self.table.storages["actions"]
        assert all((actions[identity] == identity).all() for identity in held)


@dataclass(frozen=True)
class Wear:
    """What a number of operations left behind.

    Attributes:
        operations: how many.
        cpu_s: that they took.
        grown_mib: resident memory at the end, less that after the first tenth.
        rows: that the table's arrays had, at least and at most, after the first tenth.
    """

    operations: int
    cpu_s: float
    grown_mib: float
    rows: tuple[int, int]

    @property
    def is_steady(self) -> bool:
        """Whether neither memory nor arrays grew."""
        return self.grown_mib < 16 and self.rows[1] <= 2 * self.rows[0]


def wear(operations: int, seed: int = 0) -> Wear:
    """Random operations, everything checked a hundred times on the way."""
    mill, process = Mill(seed), psutil.Process()
    began, first = time.process_time(), 0
    rows: set[int] = set()
    for number in range(operations):
        mill.operate()
        if number % max(1, operations // 100) == 0:
            mill.check()
        if number == operations // 10:
            first = process.memory_info().rss
        if number >= operations // 10:
            rows.add(mill.table.episodes.capacity)
    mill.check()
    grown = (process.memory_info().rss - first) / 2**20
    return Wear(operations, time.process_time() - began, grown, (min(rows), max(rows)))


@dataclass(frozen=True)
class Cost:
    """Of a checkpoint of a large table, with a thousand new steps.

    Attributes:
        whole_s, whole_mb: all of it, CPU seconds and size.
        commit_s, commit_mb: the journal's.
        restore_s: bringing it back from the journal.
        restore_mb: memory that this takes beside the table itself.
        table_mb: of the table.
    """

    whole_s: float
    whole_mb: float
    commit_s: float
    commit_mb: float
    restore_s: float
    restore_mb: float
    table_mb: float


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and what came of it."""
    began = time.process_time()
    found = call()
    return time.process_time() - began, found


def saved(state: Any) -> int:
    """Bytes of a state as a checkpoint holds it."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.tell()


def cost(steps: int, directory: Path) -> Cost:
    """Measures with a full table of so many steps in episodes of a thousand."""

    def make() -> DictObsMemoryTable:
        return DictObsMemoryTable(spaces=spaces(LARGE_OBS, LARGE_ACT), maxlen=steps, use_terminal_column=True)

    def add(identity: int) -> None:
        obs, act = np.ones((NEW + 1, LARGE_OBS)), np.ones((NEW, LARGE_ACT))
        table.add_sequence(identity, {"obs": obs, "actions": act, "rewards": np.ones(NEW), "terminal": 0.0})

    table = make()
    journal = ReplayJournal(directory, table)
    for identity in range(steps // NEW):
        add(identity)
    journal.commit()
    for identity in range(steps // NEW, steps // NEW + 10):  # one checkpoint after the other
        add(identity)
        commit_s, position = timed(journal.commit)
    newest = max(directory.iterdir(), key=lambda path: path.name)
    whole_s, whole = timed(lambda: saved(table.state_dict()))
    again = make()
    tracemalloc.start()
    restore_s, _ = timed(lambda: ReplayJournal(directory, again).restore(position))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert again.sample(64, 4)["rewards"].equal(table.sample(64, 4)["rewards"])
    commit = newest.stat().st_size + saved(position)
    return Cost(whole_s, whole / 1e6, commit_s, commit / 1e6, restore_s, (peak - held) / 1e6, held / 1e6)


def section(wear: Wear, cost: Cost, steps: int) -> list[str]:
    """What stands on the page."""
    operations = (
        f"{wear.operations:,} random operations on a prioritised table of {MAXLEN:,} steps (draws of sequences of 1 to "
        "8 steps, new priorities, episodes of 1 to 400 steps, other sizes, clearing, its own checkpoint) take "
        f"{wear.cpu_s:.0f} CPU seconds. What it holds, places, starts and sizes are compared with a plain dict a "
        f"hundred times on the way. From the first tenth on, the process grew by {wear.grown_mib:.1f} MiB, and the "
        f"table's arrays had {wear.rows[0]:,} to {wear.rows[1]:,} rows."
    )
    journal = (
        f"A checkpoint of a full table of {steps:,} steps (17 numbers observed, 6 acted) after {NEW:,} new ones, whole "
        "and through `ReplayJournal`, in CPU seconds and MB written:"
    )
    rows = [
        "| | CPU seconds | MB |",
        "|---|---|---|",
        f"| whole | {cost.whole_s:.3f} | {cost.whole_mb:.1f} |",
        f"| journal | {cost.commit_s:.3f} | {cost.commit_mb:.2f} |",
    ]
    restoring = (
        f"Bringing it back takes {cost.restore_s:.1f} CPU seconds, and {cost.restore_mb:.0f} MB of memory at most "
        f"beside the table itself ({cost.table_mb:.0f} MB)."
    )
    return [operations, journal, "\n".join(rows), restoring, f"One thread; {machine('numpy', 'torch')}."]


def main() -> int:
    """Measures, prints, and says by its result whether everything lasted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument("--steps", type=int, default=1_000_000, help="that the large table holds (default 1,000,000)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        large = cost(options.steps, Path(directory))
    worn = wear(options.operations)
    print(write_section("A memory that lasts", section(worn, large, options.steps)))
    is_cheap = 10 * large.commit_s < large.whole_s and large.restore_mb < large.table_mb
    return 0 if worn.is_steady and is_cheap else 1


if __name__ == "__main__":
    sys.exit(main())
