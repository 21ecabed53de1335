"""The memory's tables against arrays written by hand: calls per CPU-second, one thread.

    python benchmarks/memory.py [--rounds 5]

100,000 transitions (17 numbers observed, 6 acted, episodes of 1,000 steps). Each pair is measured in turn, in one
process; the best round of each counts. Prints a Markdown table; the exit status is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pages import machine, write_section

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.staging import Staging
from gridrl.memory.strategy import SampleStrategy

OBS, ACT, EPISODE, BATCH, ENVS = 17, 6, 1000, 256, 8
SPACES = MDPSpace(None, BoxSpace(np.float32, (ACT,)), DictSpace({"obs": BoxSpace(np.float32, (OBS,))}))
Rows = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of the table: both sides' rates, and how many times the slower one's is asked for."""

    name: str
    theirs: float
    ours: float
    target: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.ours / self.theirs

    def __str__(self) -> str:
        return f"| {self.name} | {self.theirs:,.0f} | {self.ours:,.0f} | {self.ratio:.2f} | {self.target} |"


def make_table(size: int, sampler: SampleStrategy | None = None, *, tagged: bool = False) -> DictObsMemoryTable:
    """A table full of random episodes."""
    table = DictObsMemoryTable(spaces=SPACES, maxlen=size, use_terminal_column=tagged, sampler=sampler)
    rng = np.random.default_rng(0)
    for identity in range(size // EPISODE):
        obs, action = rng.random((EPISODE + 1, OBS)), rng.random((EPISODE, ACT))
        episode = {"obs": obs, "actions": action, "rewards": rng.random(EPISODE)}
        table.add_sequence(identity, {**episode, "terminal": 0.0} if tagged else episode)
    return table


class Ring:
    """A preallocated ring as most libraries write it: next observations stored twice, a fancy index a column."""

    def __init__(self, size: int) -> None:
        rng = np.random.default_rng(0)
        shapes = {"obs": OBS, "next_obs": OBS, "action": ACT, "reward": 1, "done": 1}
        self.size, self.rng, self.head, self.filled = size, rng, 0, 0
        self.columns = {name: rng.random((size, width), np.float32) for name, width in shapes.items()}

    def sample(self) -> dict[str, torch.Tensor]:
        """A batch of single transitions."""
        rows = self.rng.integers(0, self.size, BATCH)
        return {name: torch.from_numpy(column[rows]) for name, column in self.columns.items()}

    def sample_sequences(self) -> dict[str, torch.Tensor]:
        """16 sequences of 16 steps, anywhere in the ring."""
        starts = self.rng.integers(0, self.size - 16, 16)
        rows = (starts[:, None] + np.arange(16)).ravel()
        return {name: torch.from_numpy(column[rows]) for name, column in self.columns.items()}

    def add(self, row: Rows) -> None:
        """One transition."""
        for name, value in row.items():
            self.columns[name][self.head] = value
        self.head, self.filled = (self.head + 1) % self.size, min(self.filled + 1, self.size)


class ListOfDicts:
    """Prioritised replay as DI-engine publishes it, without numba: a list of dicts, two scalar trees in Python."""

    def __init__(self, size: int, alpha: float = 0.6, beta: float = 0.4) -> None:
        rng = np.random.default_rng(0)
        self.alpha, self.beta, self.size = alpha, beta, size
        self.capacity = 1 << (size - 1).bit_length()
        self.sums, self.least = [0.0] * (2 * self.capacity), [float("inf")] * (2 * self.capacity)
        shapes = {"obs": OBS, "next_obs": OBS, "action": ACT, "reward": 1, "done": 1}
        columns = {name: torch.from_numpy(rng.random((size, width), np.float32)) for name, width in shapes.items()}
        self.data = [{name: column[i] for name, column in columns.items()} for i in range(size)]
        for i in range(size):
            self.set(i, 1.0)

    def set(self, index: int, value: float) -> None:
        """One leaf of both trees, and the path above it."""
        i = index + self.capacity
        self.sums[i] = self.least[i] = value
        i >>= 1
        while i:
            self.sums[i] = self.sums[2 * i] + self.sums[2 * i + 1]
            self.least[i] = min(self.least[2 * i], self.least[2 * i + 1])
            i >>= 1

    def find(self, wanted: float) -> int:
        """The leaf where the running sum passes `wanted`."""
        i = 1
        while i < self.capacity:
            i *= 2
            if self.sums[i] <= wanted:
                wanted -= self.sums[i]
                i += 1
        return i - self.capacity

    def sample(self) -> tuple[list[int], dict[str, torch.Tensor]]:
        """A batch with its weights, put together from dicts."""
        whole = self.sums[1]
        found = [min(self.find((k + random.random()) / BATCH * whole), self.size - 1) for k in range(BATCH)]
        largest = (self.least[1] / whole * self.size) ** -self.beta
        batch = []
        for i in found:
            weight = (self.sums[i + self.capacity] / whole * self.size) ** -self.beta
            batch.append({**self.data[i], "weight": torch.tensor(weight / largest)})
        return found, {name: torch.stack([row[name] for row in batch]) for name in batch[0]}

    def sample_and_update(self) -> None:
        """One batch, and new priorities for it."""
        found, _ = self.sample()
        for i, priority in zip(found, np.random.default_rng(0).random(BATCH).tolist(), strict=True):
            self.set(i, (priority + 1e-6) ** self.alpha)


def rate(call: Callable[[], Any], seconds: float) -> float:
    """Calls per CPU-second, over about so many seconds."""
    call()
    calls, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        call()
        calls += 1
    return calls / spent


def compare(
    name: str, sides: tuple[Callable[[], Any], Callable[[], Any]], target: float, *, rounds: int, seconds: float = 0.3
) -> Line:
    """Measures theirs and ours in turn; the best of each counts."""
    found = [[rate(side, seconds) for side in sides] for _ in range(rounds)]
    return Line(name, max(theirs for theirs, _ in found), max(ours for _, ours in found), target)


def steps_of_environments(count: int) -> list[Rows]:
    """What 8 environments give, step by step, as a vector environment does: one array a column."""
    rng = np.random.default_rng(0)
    return [
        {
            "obs": rng.random((ENVS, OBS), np.float32),
            "actions": rng.random((ENVS, ACT), np.float32),
            "rewards": rng.random((ENVS, 1), np.float32),
        }
        for _ in range(count)
    ]


def add_by_row(ring: Ring, steps: list[Rows]) -> None:
    """One Python row at a time into columns."""
    for step, following in zip(steps, [*steps[1:], steps[0]], strict=True):
        for env in range(ENVS):
            ring.add(
                {
                    "obs": step["obs"][env],
                    "next_obs": following["obs"][env],
                    "action": step["actions"][env],
                    "reward": step["rewards"][env],
                    "done": False,
                }
            )


def add_staged(staging: Staging, steps: list[Rows]) -> None:
    """The same steps, one episode of each environment."""
    nobody, everybody = np.zeros(ENVS, np.bool_), np.ones(ENVS, np.bool_)
    for step in steps[:-1]:
        staging.put(step, nobody, nobody)
    staging.put(steps[-1], nobody, everybody, following=steps[0])


def lines(size: int, rounds: int, seconds: float) -> list[Line]:
    """All measurements."""
    ring, table = Ring(size), make_table(size)
    prioritised = make_table(size, PrioritisedSampleStrategy())
    listed, rng = ListOfDicts(size), np.random.default_rng(0)

    def sample_and_update() -> None:
        batch = prioritised.sample(BATCH, 1)
        prioritised.update_priorities(batch["index"], rng.random(BATCH))

    steps, staging = steps_of_environments(EPISODE), Staging(make_table(size, tagged=True), ENVS, first_identity=size)
    both = {"rounds": rounds, "seconds": seconds}
    adding = compare(
        "", (lambda: add_by_row(ring, steps), lambda: add_staged(staging, steps)), 10, rounds=rounds, seconds=seconds
    )
    transitions = EPISODE * ENVS
    return [
        compare("batches of 256 x 1, uniform", (ring.sample, lambda: table.sample(BATCH, 1)), 0.5, **both),
        compare("batches of 16 x 16, uniform", (ring.sample_sequences, lambda: table.sample(16, 16)), 0.5, **both),
        compare(
            "prioritised: a batch of 256, and its update", (listed.sample_and_update, sample_and_update), 8, **both
        ),
        Line("transitions added, from 8 environments", adding.theirs * transitions, adding.ours * transitions, 10),
    ]


def section(found: list[Line]) -> list[str]:
    """What stands on the page."""
    method = (
        "100,000 transitions, 17 numbers observed and 6 acted, episodes of 1,000 steps; calls per CPU-second, the best "
        "round of each side. By hand are: a preallocated ring with a fancy index for each column (which stores next "
        "observations twice and knows nothing of episodes); the same with a gather of sequences, across the ends of "
        "episodes; a list of dicts with two scalar trees in Python, as DI-engine publishes it; and one Python row at a "
        "time into columns."
    )
    rows = ["| | by hand | gridrl | ratio | target |", "|---|---|---|---|---|", *map(str, found)]
    return [method, "\n".join(rows), f"One thread; {machine('numpy', 'torch')}."]


def main() -> int:
    """Measures, prints, and says by its result whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each side is measured (default 5)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = lines(100_000, options.rounds, seconds=0.3)
    print(write_section("Replay memory", section(found)))
    return 0 if all(line.ratio >= line.target for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
