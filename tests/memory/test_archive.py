from __future__ import annotations

import json
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.errors import BadValue, CheckpointError, GridRLWarning, ShapeError
from gridrl.memory.archive import TableSerializationVersion, fill_table_from_legacy_file
from gridrl.memory.columns import Column
from gridrl.memory.strategies import CoverageBasedSampleStrategy, FifoSampleStrategy, UniformEjectionStrategy
from gridrl.memory.table import ArrayMemoryTable
from tests.memory.tables import COLUMNS, check_sample, episode, make_table

LENGTHS = {3: 4, 1: 7, 8: 2}


def filled(**kwargs: Any) -> ArrayMemoryTable:
    table = make_table(**kwargs)
    for identity, steps in LENGTHS.items():
        table.add_sequence(identity, episode(identity, steps))
    return table


def held(table: ArrayMemoryTable) -> dict[int, int]:
    return {identity: place.steps for identity, place in table.episodes.places.items()}


def rewrite(path: Path, **members: bytes | None) -> None:
    """Replaces members of an archive; None leaves them out. `__` stands for a dot."""
    with zipfile.ZipFile(path) as archive:
        found: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    found.update({name.replace("__", "."): value for name, value in members.items()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in found.items():
            if value is not None:
                archive.writestr(name, value)


def test_a_table_comes_back_with_the_same_episodes_in_the_same_order(tmp_path: Path) -> None:
    table, again = filled(), make_table()
    again.add_sequence(99, episode(99, 5))
    assert table.store(str(tmp_path / "memory"))
    assert again.restore(str(tmp_path / "memory"))
    assert held(again) == LENGTHS
    assert list(held(again)) == list(LENGTHS)
    check_sample(again.sample(100, 2), LENGTHS, 100, 2)
    again.add_sequence(4, episode(4, 6))
    check_sample(again.sample(100, 2), LENGTHS | {4: 6}, 100, 2)


def test_the_file_is_emotes_first_version(tmp_path: Path) -> None:
    filled().store(tmp_path / "memory")
    path = tmp_path / "memory.zip"
    assert [entry.name for entry in tmp_path.iterdir()] == ["memory.zip"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with zipfile.ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist() == [
            "version",
            "configuration.json",
            *(f"{name}{end}" for name in ("obs", "actions", "rewards", "tag") for end in (".ranges.npy", ".npy")),
        ]
        assert archive.read("version") == b"1"
        configuration = json.loads(archive.read("configuration.json"))
        with archive.open("obs.ranges.npy") as file:
            assert np.load(file).tolist() == [[3, 0, 5], [1, 5, 8], [8, 13, 3]]
        with archive.open("tag.ranges.npy") as file:
            assert np.load(file).tolist() == [[3, 0, 1], [1, 1, 1], [8, 2, 1]]
        with archive.open("tag.npy") as file:
            assert np.load(file).tolist() == [3.0, 1.0, 8.0]
        with archive.open("rewards.npy") as file:
            assert np.load(file).shape == (13, 1)
    assert configuration["ids"] == [3, 1, 8]
    assert configuration["ejector_type"] == "FifoEjectionStrategy"
    assert configuration["ejector_state"] == {"identities": [3, 1, 8], "sequence_lengths": [[3, 4], [1, 7], [8, 2]]}
    assert configuration["columns"][0] == ["obs", "Column", {"shape": [2], "dtype": "float64"}]
    assert configuration["columns"][4][:2] == ["next_obs", "VirtualColumn"]
    assert configuration["part_keys"] == ["obs", "actions", "rewards", "tag"]


def test_an_empty_table_is_stored_and_restored(tmp_path: Path) -> None:
    make_table().store(tmp_path / "empty")
    table = filled()
    table.restore(tmp_path / "empty")
    assert table.size() == 0


def test_a_smaller_table_takes_what_fits(tmp_path: Path) -> None:
    filled().store(tmp_path / "memory")
    table = make_table(10)
    with pytest.warns(GridRLWarning, match=r"The archive is of a table with maxlen 1000 \(here 10\)\."):
        table.restore(tmp_path / "memory")
    assert (held(table), table.full()) == ({1: 7, 8: 2}, True)


def test_other_strategies_than_those_that_wrote_it_serve_on(tmp_path: Path) -> None:
    filled(sampler=CoverageBasedSampleStrategy(), ejector=UniformEjectionStrategy()).store(tmp_path / "memory")
    table = make_table(13, sampler=FifoSampleStrategy())
    with pytest.warns(GridRLWarning, match="sampler_type 'CoverageBasedSampleStrategy'"):
        table.restore(tmp_path / "memory")
    table.add_sequence(0, episode(0, 3))
    assert held(table) == {1: 7, 8: 2, 0: 3}
    assert table.sample(3, 1)["tag"].tolist() == [1.0, 8.0, 0.0]


def test_what_a_strategy_has_counted_comes_back(tmp_path: Path) -> None:
    table = filled(sampler=CoverageBasedSampleStrategy())
    table.sample(50, 1)
    table.store(tmp_path / "memory")
    again = make_table(sampler=CoverageBasedSampleStrategy())
    again.restore(tmp_path / "memory")
    assert again.sampler.state() == table.sampler.state()


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"version": b"9"}, "memory.zip is cut off, or no archive of a table: 9 is not a valid"),
        ({"configuration__json": None}, "no archive of a table: .*configuration.json"),
        ({"configuration__json": b"{"}, "memory.zip is cut off"),
        ({"obs__npy": None}, "no archive of a table: .*obs.npy"),
        ({"obs__npy": b"\x93NUMPY"}, "memory.zip is cut off"),
        ({"version": None}, "memory.zip is pickled, in the older format: give override_version="),
    ],
)
def test_an_archive_with_a_fault_is_told_and_changes_nothing(
    members: dict[str, bytes | None], told: str, tmp_path: Path
) -> None:
    table = filled()
    table.store(tmp_path / "memory")
    rewrite(tmp_path / "memory.zip", **members)
    with pytest.raises(CheckpointError, match=told):
        table.restore(tmp_path / "memory")
    check_sample(table.sample(50, 2), LENGTHS, 50, 2)


def test_no_archive_half_an_archive_and_another_file_are_told(tmp_path: Path) -> None:
    table = filled()
    table.store(tmp_path / "memory")
    with pytest.raises(CheckpointError, match=r"There is no archive .*other\.zip"):
        table.restore(tmp_path / "other")
    whole = (tmp_path / "memory.zip").read_bytes()
    for part in (whole[: len(whole) // 2], b"no zip file"):
        (tmp_path / "memory.zip").write_bytes(part)
        with pytest.raises(CheckpointError, match="is cut off, or no archive"):
            table.restore(tmp_path / "memory")
    check_sample(table.sample(50, 2), LENGTHS, 50, 2)


@pytest.mark.parametrize(
    ("place", "value"),
    [(6, 109), (8, 1), (10, 8), (10, 99)],
    ids=["of a later version", "encrypted", "compressed", "of an unknown kind"],
)
def test_a_zip_file_that_says_to_be_something_else_is_told_and_changes_nothing(
    place: int, value: int, tmp_path: Path
) -> None:
    table = filled()
    table.store(tmp_path / "memory")
    content = bytearray((tmp_path / "memory.zip").read_bytes())
    content[content.rindex(b"PK\1\2") + place] = value  # of the last member, tag.npy
    (tmp_path / "memory.zip").write_bytes(content)
    with pytest.raises(CheckpointError, match="is cut off, or no archive"):
        table.restore(tmp_path / "memory")
    check_sample(table.sample(50, 2), LENGTHS, 50, 2)


def test_an_archive_of_another_table_is_told(tmp_path: Path) -> None:
    table = filled()
    other = make_table(columns=(Column("obs", (3,), np.float64), *COLUMNS[1:4]))
    table.store(tmp_path / "memory")
    with pytest.raises(CheckpointError, match=r"not of a table like this one.\nColumn 'obs' has rows of shape \[3\]"):
        other.restore(tmp_path / "memory")
    small = make_table(6)
    with (
        pytest.warns(GridRLWarning),
        pytest.raises(CheckpointError, match=r"Episode 1 of the archive .* is longer than the table"),
    ):
        small.restore(tmp_path / "memory")
    with zipfile.ZipFile(tmp_path / "memory.zip") as archive:
        configuration = json.loads(archive.read("configuration.json"))
    wrong = [([3, 1, 3], "Episode 3 of the archive stands twice"), ([3, 5], "no rows of episode 5")]
    for ids, told in [*wrong, ([[3]], "names no episodes")]:
        rewrite(tmp_path / "memory.zip", configuration__json=json.dumps(configuration | {"ids": ids}).encode())
        with pytest.raises(CheckpointError, match=told):
            table.restore(tmp_path / "memory")


def legacy(path: Path, columns: dict[str, Any]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pickle", b"never read")
        for name, value in columns.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.save(file, np.array(value, dtype=object), allow_pickle=True)


def test_the_older_format_is_read_where_it_is_asked_for_and_never_written(tmp_path: Path) -> None:
    table = make_table(columns=COLUMNS[:3])
    arrays = {i: {name: np.asarray(v) for name, v in episode(i, steps).items()} for i, steps in LENGTHS.items()}
    legacy(tmp_path / "old.zip", {n: {i: arrays[i][n] for i in LENGTHS} for n in ("obs", "actions", "rewards")})
    assert table.restore(tmp_path / "old", TableSerializationVersion.Legacy)
    assert held(table) == LENGTHS
    assert table.sample(1, 7)["actions"].tolist() == [1000 + step for step in range(7)]
    with pytest.raises(BadValue, match=r"can be written, not TableSerializationVersion.Legacy"):
        table.store(tmp_path / "old", TableSerializationVersion.Legacy)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


def test_a_pickle_that_could_do_harm_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = filled()
    legacy(tmp_path / "old.zip", {"obs": {0: Harmful()}})
    with pytest.raises(CheckpointError, match="only numpy arrays are read"):
        table.restore(tmp_path / "old", TableSerializationVersion.Legacy)
    assert not (tmp_path / "harm").exists()
    legacy(tmp_path / "old.zip", {"obs": [1, 2]})
    with pytest.raises(CheckpointError):
        table.restore(tmp_path / "old", TableSerializationVersion.Legacy)
    assert held(table) == LENGTHS
    assert pickle.loads(pickle.dumps(TableSerializationVersion.V1)) is TableSerializationVersion.LATEST


def old_memory(path: Path, **changes: Any) -> None:
    """Two agents' episodes of three and of five steps, pickled as before there were tables."""
    number = np.arange(8.0)
    dones = [False, False, True, False, False, False, False, True]
    state = {"obs": number.reshape(1, 1, 8, 1), "next_obs": number.reshape(1, 1, 8, 1) + 0.5, "dones": [[dones]]}
    state |= {"actions": np.stack([number, -number], axis=1)[None, None], "rewards": (10 * number)[None, None, :]}
    path.write_bytes(pickle.dumps(state | changes))


def test_a_pickled_memory_fills_a_table(tmp_path: Path) -> None:
    columns = (Column("obs", (1,), np.float64), Column("actions", (2,), np.float64), Column("rewards", (), np.float32))
    table = make_table(columns=columns)
    old_memory(tmp_path / "old.pickle")
    for path in (tmp_path / "old", tmp_path / "old.pickle"):
        fill_table_from_legacy_file(table, path, read_obs=True, read_actions=True, read_rewards=True)
    assert [place.steps for place in table.episodes.places.values()] == [3, 5, 3, 5]
    assert table.storages["obs"][0][:, 0].tolist() == [0, 1, 2, 2.5]
    assert table.storages["obs"][3][:, 0].tolist() == [3, 4, 5, 6, 7, 7.5]
    assert table.storages["actions"][2].tolist() == [[0, 0], [1, -1], [2, -2]]
    assert table.storages["rewards"][1].tolist() == [30, 40, 50, 60, 70]


def test_what_is_no_pickled_memory_is_told_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = make_table(columns=(Column("actions", (2,), np.float64),))
    with pytest.raises(OSError, match=r"old\.pickle"):
        fill_table_from_legacy_file(table, "old", read_actions=True)
    old_memory(tmp_path / "old.pickle")
    with pytest.raises(KeyError, match="no column 'obs'"):
        fill_table_from_legacy_file(table, "old", read_obs=True, read_actions=True)
    small = make_table(4, columns=(Column("actions", (2,), np.float64),))
    with pytest.raises(ShapeError, match="Episode 1 has 5 steps, the table holds 4"):
        fill_table_from_legacy_file(small, "old", read_actions=True)
    assert small.size() == 0, "the first episode would fit, and is not added either"
    whole = (tmp_path / "old.pickle").read_bytes()
    (tmp_path / "old.pickle").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is cut off, or no memory of those days"):
        fill_table_from_legacy_file(table, "old", read_actions=True)
    for wrong in (Harmful(), np.zeros((3, 2))):
        old_memory(tmp_path / "old.pickle", actions=wrong)
        with pytest.raises(CheckpointError, match="is cut off, or no memory of those days"):
            fill_table_from_legacy_file(table, "old", read_actions=True)
    assert (table.size(), (tmp_path / "harm").exists()) == (0, False)
    (tmp_path / "old.pickle").write_bytes(pickle.dumps({"dones": [1.0]}))
    with pytest.raises(KeyError):
        fill_table_from_legacy_file(table, "old", read_actions=True)
