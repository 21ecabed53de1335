from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from gridrl.errors import BadValue, CheckpointError, ColumnError, ShapeError
from gridrl.log.saving import portable
from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.staging import Staging
from gridrl.memory.storage import NextElementMapper, SyntheticDones
from gridrl.memory.table import ArrayMemoryTable
from tests.memory.tables import make_table
from tests.memory.test_snapshot import saved_and_loaded

COLUMNS = (
    Column("obs", (1,), np.float32),
    Column("actions", (), np.int64),
    TagColumn("terminal", (), np.float32),
    VirtualColumn("next_obs", (1,), np.float32, "obs", NextElementMapper),
    VirtualColumn("masks", (), np.float32, "actions", SyntheticDones.as_mask),
)
NOBODY = np.zeros(2, np.bool_)


def table_of(maxlen: int = 1000) -> ArrayMemoryTable:
    return make_table(maxlen, columns=COLUMNS)


def rows(time: int) -> dict[str, np.ndarray]:
    """Environment n at `time`: the observation 100 n + time."""
    number = 100 * np.arange(2) + time
    return {"obs": number[:, None].astype(float), "actions": number}


def only(env: int) -> np.ndarray:
    return np.arange(2) == env


def held(table: ArrayMemoryTable) -> dict[int, tuple[list[float], list[int], float]]:
    obs, actions, tag = (table.storages[name] for name in ("obs", "actions", "terminal"))
    return {i: (obs[i][:, 0].tolist(), actions[i].tolist(), float(tag[i][0])) for i in obs}


def test_episodes_and_pieces_of_episodes_are_stored_with_what_followed_them() -> None:
    table = table_of()
    staging = Staging(table, 2, steps=3, first_identity=10)
    staging.put(rows(0), NOBODY, NOBODY)
    staging.put(rows(1), only(0), NOBODY, following={"obs": np.array([[77.0], [102.0]])})  # 0 dies in 77
    staging.put(rows(2), NOBODY, NOBODY)
    assert (table.size(), staging.staged) == (0, 3)
    staging.put(rows(3), NOBODY, only(1), following={"obs": np.array([[4.0], [88.0]])})  # the time of 1 is over in 88
    assert held(table) == {
        10: ([0.0, 1.0, 77.0], [0, 1], 0.0),
        11: ([2.0, 3.0], [2], 1.0),
        12: ([100.0, 101.0, 102.0, 103.0], [100, 101, 102], 1.0),
    }
    staging.flush()
    staging.flush()
    assert (staging.staged, table.size()) == (0, 8)
    assert held(table)[13] == ([3.0, 4.0], [3], 1.0)
    assert held(table)[14] == ([103.0, 88.0], [103], 1.0)


def test_every_step_arrives_once_with_its_follower() -> None:
    """600 steps with random ends, in blocks of 32: which observation follows each, and whether a death did."""
    rng = np.random.default_rng(0)
    table = table_of(5000)
    staging = Staging(table, 2, steps=32)
    wanted = {}
    for time in range(600):
        dead, over = rng.random(2) < 0.05, rng.random(2) < 0.05
        number = 1000 * np.arange(2) + time
        told = (dead | over).any() or time == 599
        following = {"obs": number[:, None] + 0.5} if told else None
        staging.put({"obs": number[:, None].astype(float), "actions": number}, dead, over, following)
        for env in range(2):
            own = (dead | over)[env] or time == 599 or (told and time % 32 == 31)
            wanted[int(number[env])] = (number[env] + (0.5 if own else 1), bool(dead[env]))
    staging.flush()
    found = {}
    for obs, actions, tag in held(table).values():
        assert obs[:-1] == actions
        for step, action in enumerate(actions):
            found[action] = (obs[step + 1], step == len(actions) - 1 and tag == 0)
    assert found == wanted


def test_resets_are_left_out_wherever_they_stand_in_a_block() -> None:
    """Each environment's episodes last 1 to 4 steps, and a reset stands before each but the first."""
    for steps in range(1, 12):
        table = table_of()
        staging = Staging(table, 2, steps=steps)
        rng = np.random.default_rng(steps)
        left, wanted = rng.integers(1, 5, 2), {}
        for time in range(40):
            valid = left > 0
            ended = left == 1
            number = 1000 * np.arange(2) + time
            following = {"obs": number[:, None] + np.where(ended, 0.5, 1.0)[:, None]}
            staging.put({"obs": number[:, None] + 0.0, "actions": number}, ended, NOBODY, following, valid)
            wanted |= {int(n): float(f[0]) for n, f, v in zip(number, following["obs"], valid, strict=True) if v}
            left = np.where(valid, left - 1, rng.integers(1, 5, 2))
        staging.flush()
        found = {}
        for obs, actions, _ in held(table).values():
            assert obs[:-1] == actions
            found |= dict(zip(actions, obs[1:], strict=True))
        assert found == wanted


def test_identities_that_are_taken_are_passed_over() -> None:
    table = table_of()
    for _ in range(2):
        staging = Staging(table, 2, steps=9)
        staging.put(rows(0), NOBODY, NOBODY, following=rows(1))
        staging.flush()
    assert list(held(table)) == [0, 1, 2, 3]


def test_what_is_wrong_is_told() -> None:
    with pytest.raises(ColumnError, match="no tag column 'tag'"):
        Staging(table_of(), 2, tag="tag")
    with pytest.raises(BadValue, match=r"steps: 1 to 10 .* are possible, not 11"):
        Staging(table_of(10), 2, steps=11)
    staging = Staging(table_of(), 2, steps=9)
    staging.put({"obs": np.zeros((2, 1))}, NOBODY, NOBODY)
    with pytest.raises(ColumnError) as told:
        staging.flush()
    assert str(told.value).splitlines() == [
        "Column 'actions' is missing in a step.",
        "Column 'obs': what followed the end of an episode, or the last step, was not given.",
    ]
    staging = Staging(table_of(), 2, steps=9)
    staging.put(rows(0), NOBODY, NOBODY)
    staging.put(rows(1) | {"obs": np.zeros((2, 2))}, NOBODY, NOBODY, following=rows(2))
    with pytest.raises(ColumnError, match="'obs': its rows differ in shape from one step to the next"):
        staging.flush()
    staging = Staging(table_of(), 3, steps=9)
    staging.put(rows(0), np.zeros(3, bool), np.zeros(3, bool), following=rows(1))
    with pytest.raises(ShapeError, match=r"obs: rows of 3 environments are needed, not \(2, 1\)"):
        staging.flush()
    staging = Staging(table_of(), 2, steps=9)
    staging.put(rows(0), NOBODY, NOBODY)
    staging.put(rows(1), NOBODY, NOBODY, following=rows(2), valid=only(0))
    with pytest.raises(BadValue, match="valid: only the first row after an episode's end can be a reset"):
        staging.flush()
    staging = Staging(table_of(), 2, steps=1)
    staging.put(rows(0), only(0), NOBODY)
    with pytest.raises(ColumnError, match="what followed the end of an episode"):
        staging.put(rows(1), NOBODY, NOBODY)  # begins another episode: nothing in it followed the end


def test_a_block_is_stored_as_a_whole_or_not_at_all() -> None:
    small = (Column("obs", (1,), np.float32), Column("actions", (), np.int8), *COLUMNS[2:4])
    table = make_table(100, columns=small)
    staging = Staging(table, 2, steps=9)
    staging.put({"obs": np.zeros((2, 1)), "actions": np.array([5, 500])}, NOBODY, NOBODY, following=rows(1))
    with pytest.raises(ColumnError, match="'actions' holds int8: int64 would lose what it says"):
        staging.flush()
    assert (table.size(), staging.staged) == (0, 1), "the first environment's steps fit, and are not stored either"
    table = table_of(20)
    staging = Staging(table, 2, steps=9)
    for time in range(8):
        staging.put(rows(time), NOBODY, only(1) & (time == 0), following=rows(time + 1))
    table.resize(7)
    with pytest.raises(ShapeError, match=r"Episode 0 has 8 steps, the table holds 7"):
        staging.flush()
    table.resize(20)
    staging.flush()
    assert [place.steps for place in table.episodes.places.values()] == [8, 1, 7]


def test_steps_that_wait_go_into_checkpoints() -> None:
    table, again = table_of(), table_of()
    staging, other = Staging(table, 2, steps=9), Staging(again, 2, steps=9)
    for time in range(5):
        following = rows(time + 1) if time == 2 else None
        staging.put(rows(time), only(0) & (time == 2), NOBODY, following, valid=~(only(0) & (time == 3)))
    state = saved_and_loaded(portable(staging.state_dict()))
    other.load_state_dict(state)
    for one in (staging, other):
        one.put(rows(5), NOBODY, NOBODY, following=rows(6))
        one.flush()
    assert held(again) == held(table)
    assert (other.staged, len(held(again))) == (0, 3)
    with pytest.raises(CheckpointError) as told:
        Staging(table, 3, steps=4).load_state_dict(state)
    assert str(told.value).splitlines() == [
        "The checkpoint is of 2 environments, here are 3.",
        "The checkpoint holds a block of 5 steps, here it has 4.",
    ]
    columns = (*COLUMNS, Column("more", (), np.float32))
    with pytest.raises(CheckpointError, match=r"of the columns \['actions', 'obs'\], here are"):
        Staging(make_table(columns=columns), 2, steps=9).load_state_dict(state)


def test_stagings_of_two_threads_do_not_take_the_same_identities(monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of()
    first, second = Staging(table, 2, steps=9), Staging(table, 2, steps=9)
    for staging in (first, second):
        staging.put(rows(0), NOBODY, NOBODY, following=rows(1))
    other = threading.Thread(target=second.flush)
    add = table.add_sequences

    def disturbed(sequences: Any) -> None:
        monkeypatch.setattr(table, "add_sequences", add)
        other.start()
        other.join(0.2)  # between the choice of the identities and the adding of the episodes
        add(sequences)

    monkeypatch.setattr(table, "add_sequences", disturbed)
    first.flush()
    other.join()
    assert list(held(table)) == [0, 1, 2, 3]
