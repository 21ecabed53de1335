"""TensorBoard's event files, written by the real writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from gridrl.log.logger import EpochLogger
from gridrl.log.tables import Unreadable
from gridrl.results.events import read_events, read_hyperparameters
from gridrl.results.reader import find_runs


def write(directory: Path, *written: Event, suffix: str = "") -> Path:
    """Writes an event file, and gives its path."""
    before = set(directory.glob("*")) if directory.exists() else set()
    writer = EventFileWriter(str(directory), filename_suffix=suffix)
    for event in written:
        writer.add_event(event)
    writer.close()
    (path,) = set(directory.glob("*")) - before
    return path


def scalars(step: int, values: Mapping[str, float], time: float = 0.0) -> Event:
    found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(step=step, wall_time=time, summary=Summary(value=found))


def lists(directory: Path, wanted: list[str] | None = None) -> dict[str, list[Any]]:
    table = read_events(sorted(directory.iterdir()), wanted)
    return {name: [None if cell != cell else cell for cell in column] for name, column in table.columns.items()}


def test_each_step_is_a_row(tmp_path: Path) -> None:
    write(tmp_path, scalars(10, {"a": 1}, 5), scalars(10, {"b": 2}, 6), scalars(20, {"b": 3}, 8))
    assert lists(tmp_path) == {
        "a": [1, None], "b": [2, 3], "global_step": [10, 20], "wall_time": [0, 2],
    }  # fmt: skip
    assert lists(tmp_path, ["global_step", "nothing", "b"]) == {"global_step": [10, 20], "b": [2, 3]}


def test_several_values_at_one_step_are_several_rows(tmp_path: Path) -> None:
    """As CleanRL writes the episodes that end in the same step of several environments."""
    write(tmp_path, *(scalars(step, {"r": value}) for step, value in ((8, 1), (8, 2), (16, 3))), scalars(8, {"l": 9}))
    assert lists(tmp_path, ["global_step", "r", "l"]) == {
        "global_step": [8, 8, 16], "r": [1, 2, 3], "l": [9, None, None],
    }  # fmt: skip


def test_numbers_may_stand_in_tensors(tmp_path: Path) -> None:
    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    tensors = [
        TensorProto(dtype=1, float_val=[1.5]),
        TensorProto(dtype=2, tensor_content=np.array(2.5, "<f8").tobytes()),
        TensorProto(dtype=9, int64_val=[3]),
        TensorProto(dtype=1, float_val=[1, 2]),
        TensorProto(dtype=7, string_val=[b"text"]),
    ]
    values = [Summary.Value(tag=f"t{n}", tensor=tensor, metadata=plugin) for n, tensor in enumerate(tensors)]
    write(tmp_path, Event(step=1, summary=Summary(value=values)))
    assert lists(tmp_path, ["t0", "t1", "t2", "t3", "t4"]) == {"t0": [1.5], "t1": [2.5], "t2": [3]}


def test_files_of_one_directory_are_one_run_that_went_back(tmp_path: Path) -> None:
    write(tmp_path, *(scalars(step, {"a": step}) for step in (1, 2, 3)), suffix=".1")
    again = Event(step=2, session_log=SessionLog(status=SessionLog.START))
    write(tmp_path, again, scalars(2, {"a": 20}), scalars(4, {"a": 40}), suffix=".2")
    assert lists(tmp_path, ["global_step", "a"]) == {"global_step": [1, 2, 4], "a": [1, 20, 40]}


@pytest.mark.parametrize("cut", [1, 4, 5, 20])
def test_a_file_that_is_being_written_is_read_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, scalars(1, {"a": 1}), scalars(2, {"a": 2}))
    path.write_bytes(path.read_bytes()[:-cut])
    table = read_events([path])
    assert table.columns["a"].tolist() == [1]
    assert table.notes == ("its event file ends or is damaged after 2 events; what follows is left out",)


@given(content=st.binary(max_size=120), is_behind=st.booleans())
def test_any_bytes_are_events_or_are_told(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, is_behind: bool
) -> None:
    directory = tmp_path_factory.mktemp("events")
    good = write(directory, scalars(1, {"a": 1})).read_bytes()
    for file in directory.iterdir():
        file.write_bytes(good + content if is_behind else content)
    found = find_runs(directory)
    runs = found.with_rows(["a"])
    assert len(runs) + len(found.skipped) == 1
    assert not is_behind or runs
    assert not content or not is_behind or runs[0].notes


def test_files_without_a_scalar_are_told(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(Unreadable, match="holds no scalar"):
        read_events([path])


CLEANRL = "|param|value|\n|-|-|\n|exp_name|ppo|\n|gamma|0.99|\n|hidden|[64, 64]|\n|seed|1|\n|note|a|b|\n|track|False|"


def test_cleanrls_layout_is_read(tmp_path: Path) -> None:
    text = Summary.Value(tag="hyperparameters/text_summary", tensor=TensorProto(dtype=7, string_val=[CLEANRL.encode()]))
    run_dir = tmp_path / "runs" / "CartPole-v1__ppo__1__1690000000"
    path = write(
        run_dir,
        Event(step=0, summary=Summary(value=[text])),
        scalars(100, {"charts/episodic_return": 20, "charts/episodic_length": 20}),
        scalars(128, {"losses/value_loss": 0.5}),
        scalars(150, {"charts/episodic_return": 30, "charts/episodic_length": 30}),
    )
    (run,) = find_runs(tmp_path, where={"gamma": 0.99, "hidden": (64, 64)})
    assert (run.dir, run.name, run.seed, run.env) == (run_dir, "ppo", 1, "CartPole-v1")
    assert run.settings == {"gamma": 0.99, "hidden": [64, 64], "note": "a|b", "track": False}
    np.testing.assert_array_equal(run["Performance"], [20, np.nan, 30])
    assert run["TotalEnvInteracts"].tolist() == [100, 128, 150]
    assert read_hyperparameters([write(tmp_path / "other", scalars(1, {"a": 1}))]) == {}
    assert path.exists()


def test_our_own_event_files_hold_what_the_progress_file_holds(tmp_path: Path) -> None:
    with EpochLogger(tmp_path / "run", log=["tensorboard"], quiet=True) as logger:
        for epoch in range(3):
            logger.log_tabular("TotalEnvInteracts", 100 * (epoch + 1))
            logger.log_tabular("AverageEpRet", epoch / 2)
            logger.dump_tabular()
    (run,) = find_runs(tmp_path)  # of the two, one
    assert run.path.name == "progress.txt"
    (run,) = find_runs(tmp_path / "run" / "tensorboard")
    assert run["Performance"].tolist() == [0, 0.5, 1]
    assert run["global_step"].tolist() == run["TotalEnvInteracts"].tolist() == [100, 200, 300]


def test_without_the_package_it_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, scalars(1, {"a": 1}))
    monkeypatch.setattr("gridrl.results.reader.is_installed", lambda package: False)
    found = find_runs(tmp_path)
    assert len(found) == 0
    assert found.told() == ["TensorBoard event files are left out: pip install 'gridrl[tensorboard]' to read them"]
