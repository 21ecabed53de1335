"""A run that is killed in one operation on its files after the other, and goes on from its checkpoint each time.

python -m tests.memory.killed_run DIRECTORY [EVERY]
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gridrl.log.checkpoints import Checkpoints
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.rows import BaseStorage
from gridrl.memory.strategies import FifoEjectionStrategy
from tests.memory.test_journal import World

OPERATIONS = (["step"] * 4 + ["sample", "episode"]) * 4


def die_at(operation: int) -> None:
    """Ends this process in its n-th operation on files; 0: never."""
    left = operation

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return called

    os.fsync = dying(lambda _: None)  # slow, and no power is cut here
    os.replace, os.unlink, os.open = dying(os.replace), dying(os.unlink), dying(os.open)
    BaseStorage.at = dying(BaseStorage.at)  # type: ignore[method-assign]  # in the middle of a file


def run(place: Path) -> None:
    """All operations, from the newest checkpoint on."""
    world = World(PrioritisedSampleStrategy, FifoEjectionStrategy, place / "replay")
    checkpoints = Checkpoints(place / "checkpoints")
    found = checkpoints.load()
    number, digest = 0, ""
    if found is not None:
        number, digest = found[0], found[1]["digest"]
        world.journal.restore(found[1]["replay"])
    while number < len(OPERATIONS):
        batch = world.do(OPERATIONS[number], number)
        drawn = repr({name: rows.tolist() for name, rows in batch.items()})
        digest = hashlib.sha256((digest + drawn).encode()).hexdigest()
        number += 1
        if number % 6 == 0:
            checkpoints.save(number, {"replay": world.journal.commit(), "digest": digest})
    (place / "digest").write_text(digest)


def ends_well(place: Path, dies_at: int) -> bool:
    """Whether an attempt in a process of its own comes to its end."""
    child = os.fork()
    if child == 0:
        die_at(dies_at)
        run(place)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main(place: Path, every: int) -> None:
    """Prints how many attempts were killed."""
    torch.set_num_threads(1)
    assert ends_well(place / "undisturbed", 0)
    wanted = (place / "undisturbed" / "digest").read_text()
    kills = 0
    for first in range(1, 1000, every):
        killed = place / str(first)
        if ends_well(killed, first):
            break
        kills, dies_at = kills + 1, first + 15
        while not ends_well(killed, dies_at):  # each attempt gets further than the one before
            kills, dies_at = kills + 1, dies_at + 15
        assert (killed / "digest").read_text() == wanted, first
    print(kills)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
