"""A table on disk beside a checkpoint: whatever happens, the draws of a table that nothing has happened to follow."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.errors import CheckpointError, DiskFull, VersionMismatch
from gridrl.log.saving import portable
from gridrl.memory import chunks
from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.journal import ReplayJournal
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.staging import Staging
from gridrl.memory.storage import NextElementMapper
from gridrl.memory.strategies import (
    CoverageBasedEjectionStrategy,
    CoverageBasedSampleStrategy,
    FifoEjectionStrategy,
    FifoSampleStrategy,
    UniformEjectionStrategy,
    UniformSampleStrategy,
)
from gridrl.memory.table import ArrayMemoryTable
from tests.memory.tables import COLUMNS, episode, make_table
from tests.memory.test_snapshot import saved_and_loaded

ROOT = Path(__file__).parents[2]
STAGED = (
    Column("obs", (1,), np.float32),
    Column("actions", (), np.int64),
    TagColumn("terminal", (), np.float32),
    VirtualColumn("next_obs", (1,), np.float32, "obs", NextElementMapper),
)
PAIRS = [
    (UniformSampleStrategy, FifoEjectionStrategy),
    (UniformSampleStrategy, UniformEjectionStrategy),
    (FifoSampleStrategy, FifoEjectionStrategy),
    (CoverageBasedSampleStrategy, CoverageBasedEjectionStrategy),
    (PrioritisedSampleStrategy, UniformEjectionStrategy),
]


class World:
    """A table, what fills it, and what is drawn from it: all that happens follows from the operations alone."""

    def __init__(self, sampler: type, ejector: type, directory: Path) -> None:
        self.table = make_table(60, columns=STAGED, sampler=sampler(seed=3), ejector=ejector(seed=4))
        self.staging = Staging(self.table, 2, steps=7)
        self.journal = ReplayJournal(directory, self.table, self.staging)

    def do(self, operation: str, number: int) -> dict[str, torch.Tensor]:
        """One of a run's operations; `number` is its place among them."""
        if operation == "step":
            rows = {"obs": np.array([[number], [number + 0.5]]), "actions": np.array([number, -number])}
            died, over = np.array([number % 5 == 0, number % 3 == 0]), np.array([number % 7 == 0, False])
            was_reset = died & (self.table.size() > 20)  # ended in the step before, and this is no step
            self.staging.put(rows, died, over, following=rows)
            self.staging.put(rows, ~died, over, following=rows, valid=~was_reset)
        elif operation == "episode":
            steps = 1 + number % 23
            obs = np.arange(steps + 1)[:, None] + 1000 * number
            self.table.add_sequence(10**6 + number, {"obs": obs, "actions": np.full(steps, number), "terminal": 0})
        elif operation == "clear" and number % 3 == 0:
            self.table.clear()
        elif operation == "sample" and self.table.size():
            batch = self.table.sample(5, 1)
            if "index" in batch:
                self.table.update_priorities(batch["index"], batch["actions"].abs() % 13)
            return batch
        return {}


@pytest.mark.parametrize(("sampler", "ejector"), PAIRS)
@settings(max_examples=8, deadline=None)
@given(
    operations=st.lists(
        st.sampled_from(["step"] * 6 + ["episode"] * 3 + ["sample"] * 3 + ["commit"] * 3 + ["clear"]),
        min_size=40,
        max_size=120,
    ),
    kills=st.sets(st.integers(0, 150), max_size=6),
)
def test_a_table_that_is_killed_goes_on_as_one_that_is_not(
    sampler: type, ejector: type, operations: list[str], kills: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as place, mock.patch("os.fsync"):  # slow, and no power is cut here
        undisturbed = World(sampler, ejector, Path(place) / "none")
        wanted = [undisturbed.do(operation, number) for number, operation in enumerate(operations)]
        world, saved, number, done = World(sampler, ejector, Path(place)), None, 0, 0
        while number < len(operations):
            done += 1
            if done in kills:
                world = World(sampler, ejector, Path(place))
                number = 0
                if saved is not None:
                    number = saved["number"]
                    world.journal.restore(saved["position"])
            if operations[number] == "commit":
                position = world.journal.commit()
                # a process that is killed here has written its rows, and not the checkpoint that speaks of them
                if done + 1 not in kills:
                    saved = saved_and_loaded(portable({"position": position, "number": number + 1}))
            found = world.do(operations[number], number)
            assert found.keys() == wanted[number].keys()
            assert all(torch.equal(found[name], wanted[number][name]) for name in found)
            number += 1
        assert np.array_equal(world.table.episodes.table(), undisturbed.table.episodes.table())
        assert world.table.full() == undisturbed.table.full()
        assert world.staging.staged == undisturbed.staging.staged


def fill(table: ArrayMemoryTable, first: int, count: int, steps: int = 10) -> None:
    for identity in range(first, first + count):
        table.add_sequence(identity, episode(identity, steps))


def sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def test_a_commit_writes_what_has_come_and_nothing_else(tmp_path: Path) -> None:
    table = make_table(100_000)
    journal = ReplayJournal(tmp_path, table)
    fill(table, 0, 500)
    journal.commit()
    fill(table, 500, 5)
    first = sizes(tmp_path)
    position = journal.commit()
    assert list(first) == ["steps_000001.npz"]
    assert journal.bytes_per_step == 16 + 8 + 4 + 4
    assert first["steps_000001.npz"] - 500 * 11 * 32 < 2000
    assert sizes(tmp_path)["steps_000002.npz"] - 5 * 11 * 32 < 2000
    assert [[chunk, rows] for chunk, _, rows in position["chunks"]] == [[1, 5500], [2, 55]]
    assert journal.commit()["chunks"] == position["chunks"]
    assert len(sizes(tmp_path)) == 2, "where nothing has come, nothing is written"


def test_a_file_goes_when_nothing_in_it_is_held_and_no_checkpoint_needs_it(tmp_path: Path) -> None:
    table = make_table(100)
    journal = ReplayJournal(tmp_path, table)
    positions = []
    for number in range(4):
        fill(table, 10 * number, 10)  # all that was there before leaves
        positions.append(journal.commit(kept=positions[:1]))
        names = {f"steps_{chunk:06d}.npz" for chunk in {1, max(number, 1), number + 1}}
        assert set(sizes(tmp_path)) == names
    again = make_table(100)
    ReplayJournal(tmp_path, again).restore(positions[0])
    assert list(again.episodes.places) == list(range(10))
    assert list(sizes(tmp_path)) == ["steps_000001.npz"], "what was written after it is dropped"


def test_mostly_empty_files_are_written_anew(tmp_path: Path) -> None:
    table = make_table(400, ejector=UniformEjectionStrategy(seed=0))
    journal = ReplayJournal(tmp_path, table)
    for number in range(60):
        fill(table, 10 * number, 10)
        position = journal.commit()
        rows = sum(rows for _, _, rows in position["chunks"])
        assert rows <= 2 * 40 * 11 + 110
    again = make_table(400, ejector=UniformEjectionStrategy(seed=0))
    ReplayJournal(tmp_path, again).restore(position)
    assert again.sample(50, 2)["obs"].equal(table.sample(50, 2)["obs"])


def test_a_table_in_files_and_long_episodes_come_back_a_piece_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "_PIECE", 7)
    table = make_table(500, directory=tmp_path / "rows")
    fill(table, 0, 5, 33)
    table.add_sequence(77, episode(77, 260))
    position = ReplayJournal(tmp_path / "journal", table).commit()
    again = make_table(500, directory=tmp_path / "others")
    ReplayJournal(tmp_path / "journal", again).restore(position)
    for name in ("obs", "actions", "rewards", "tag"):
        for identity in (0, 4, 77):
            assert np.array_equal(again.storages[name][identity], table.storages[name][identity])
    assert again.sample(30, 3)["next_obs"].equal(table.sample(30, 3)["next_obs"])


def test_a_table_that_took_up_something_else_is_written_anew(tmp_path: Path) -> None:
    """Episodes from elsewhere may have the numbers of those that were written."""
    table, other = make_table(), make_table()
    journal = ReplayJournal(tmp_path, table)
    fill(table, 0, 3)
    journal.commit()
    fill(other, 10, 3)
    table.load_state_dict(other.state_dict())
    position = journal.commit()
    again = make_table()
    ReplayJournal(tmp_path, again).restore(position)
    assert np.array_equal(again.storages["obs"][11], episode(11, 10)["obs"])


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def of_an_unknown_kind(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\1\2") + 10] = 99
    path.write_bytes(content)


def foreign(path: Path) -> None:
    other = make_table()
    fill(other, 0, 9)
    ReplayJournal(path.parent / "other", other).commit()
    (path.parent / "other" / path.name).replace(path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (Path.unlink, "steps_000001.npz is missing"),
        (cut_off, "is cut off, or no file"),
        (lambda path: path.write_bytes(b""), "is cut off, or no file"),
        (changed, "is damaged|is cut off"),
        (of_an_unknown_kind, "is cut off, or no file"),
        (foreign, "is not the file that was written for this checkpoint"),
    ],
)
def test_what_cannot_be_trusted_is_refused_and_changes_nothing(damage: Any, told: str, tmp_path: Path) -> None:
    table = make_table()
    fill(table, 0, 9)
    position = ReplayJournal(tmp_path, table).commit()
    damage(tmp_path / "steps_000001.npz")
    again = make_table()
    fill(again, 50, 2)
    with pytest.raises(CheckpointError, match=told):
        ReplayJournal(tmp_path, again).restore(position)
    assert list(again.episodes.places) == [50, 51]
    again.sample(3, 3)


def test_a_position_of_something_else_is_refused(tmp_path: Path) -> None:
    table = make_table(columns=STAGED)
    staging = Staging(table, 2, steps=9)
    position = ReplayJournal(tmp_path, table, staging).commit()
    with pytest.raises(CheckpointError, match="with a staging or without"):
        ReplayJournal(tmp_path, table).restore(position)
    with pytest.raises(VersionMismatch, match="has format 0, this gridrl reads 1"):
        ReplayJournal(tmp_path, table, staging).restore({**position, "format": 0})
    with pytest.raises(CheckpointError, match="of 2 environments, here are 3"):
        ReplayJournal(tmp_path, table, Staging(table, 3, steps=9)).restore(position)
    other = ReplayJournal(tmp_path, make_table(columns=COLUMNS))
    with pytest.raises(CheckpointError, match="of a table with the columns"):
        other.restore(position)
    prioritised = make_table(columns=STAGED, sampler=PrioritisedSampleStrategy())
    with pytest.raises(CheckpointError, match=r"with a UniformSampleStrategy and a Fifo.*'PrioritisedSampleStrategy'"):
        ReplayJournal(tmp_path, prioritised, Staging(prioritised, 2, steps=9)).restore(position)


@pytest.mark.parametrize("late", [False, True])
def test_a_full_disk_leaves_the_last_commit(late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_table()
    journal = ReplayJournal(tmp_path, table)
    fill(table, 0, 3)
    position = journal.commit()
    fill(table, 3, 3)
    before = sizes(tmp_path)

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync" if late else "gridrl.memory.rows.BaseStorage.at", full)
        with pytest.raises(DiskFull, match="the newest steps were not saved"):
            journal.commit()
    assert sizes(tmp_path) == before
    again = make_table()
    ReplayJournal(tmp_path, again).restore(position)
    assert list(again.episodes.places) == [0, 1, 2]
    ReplayJournal(tmp_path, again).restore(journal.commit())
    assert list(again.episodes.places) == [0, 1, 2, 3, 4, 5]


def test_a_run_that_is_killed_in_the_middle_of_its_commits_goes_on_with_the_same_draws(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.memory.killed_run", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 6
