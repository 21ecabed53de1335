from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue, CheckpointError, ColumnError, DiskFull, GridRLError, GridRLWarning
from gridrl.log.cells import Cell
from gridrl.log.logger import EpochLogger, Logger
from gridrl.log.progress import read_progress
from gridrl.log.rows import Record, RowRecorder


class Remembering:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[tuple[int, dict[str, Cell]]] = []
        self.closed = 0

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        self.written.append((step, dict(row)))

    def close(self) -> None:
        self.closed += 1


def progress_of(run: Path) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in read_progress(run / "progress.txt").items()}


def test_stored_numbers_become_the_documented_columns_in_their_order(logger: EpochLogger, tmp_path: Path) -> None:
    logger.store(EpRet=1.0, EpLen=10)
    logger.store(EpRet=np.array([2.0, 6.0]), EpLen=torch.tensor(20))
    logger.log_tabular("Epoch", 0)
    logger.log_tabular("EpRet", with_min_and_max=True)
    logger.log_tabular("EpLen", average_only=True)
    logger.log_tabular("Time", 1.5)
    row = logger.dump_tabular()
    std = math.sqrt(14 / 3)
    assert list(row.items()) == [
        ("Epoch", 0),
        ("AverageEpRet", 3.0),
        ("StdEpRet", pytest.approx(std, rel=1e-15)),
        ("MaxEpRet", 6.0),
        ("MinEpRet", 1.0),
        ("EpLen", 15.0),
        ("Time", 1.5),
    ]
    assert progress_of(tmp_path / "run") == {key: [value] for key, value in row.items()}


def test_an_average_alone_can_have_its_extremes(logger: EpochLogger) -> None:
    logger.store(x=[1.0, 3.0])
    logger.log_tabular("x", with_min_and_max=True, average_only=True)
    assert logger.dump_tabular() == {"x": 2.0, "Maxx": 3.0, "Minx": 1.0}


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (True, 1),
        (np.bool_(False), 0),
        (np.int64(3), 3),
        (np.float32(0.1), 0.10000000149011612),
        (np.array([[2.5]]), 2.5),
        (torch.tensor(3.25), 3.25),
        (torch.tensor([7]), 7),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (torch.tensor(True), 1),
        (np.str_("text"), "text"),
        ("text", "text"),
        (2**80, 2**80),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
    ],
    ids=repr,
)
def test_values_of_every_kind_become_a_cell(logger: EpochLogger, value: Any, cell: Cell) -> None:
    logger.log_tabular("x", value)
    found = logger.dump_tabular()["x"]
    assert found == cell
    assert type(found) is type(cell)


def test_other_objects_are_written_as_their_text(logger: EpochLogger) -> None:
    logger.log_tabular("path", Path("a/b"))
    assert logger.dump_tabular() == {"path": "a/b"}


@pytest.mark.parametrize("value", [np.zeros(3), torch.zeros(2, 2), np.zeros(0)])
def test_an_array_does_not_fit_into_a_cell(logger: EpochLogger, value: Any) -> None:
    with pytest.raises(ColumnError, match=r"'x': an array of shape \(.*\) does not fit into one cell"):
        logger.log_tabular("x", value)


@pytest.mark.parametrize("first", [{"val": 1.0}, {}])
@pytest.mark.parametrize("second", [{"val": 2.0}, {}])
def test_a_key_set_twice_is_told(logger: EpochLogger, first: dict[str, Any], second: dict[str, Any]) -> None:
    logger.log_tabular("x", **first, **({} if first else {"average_only": True}))
    with pytest.raises(ColumnError) as caught:
        logger.log_tabular("x", **second, **({} if second else {"average_only": True}))
    assert str(caught.value) == (
        "log_tabular('x'): you already set 'x' in this row. Maybe you forgot to call dump_tabular()?"
    )


def test_a_statistic_that_meets_a_value_of_its_name_is_told(logger: EpochLogger) -> None:
    logger.log_tabular("StdEpRet", 1.0)
    with pytest.raises(ColumnError, match=r"log_tabular\('EpRet'\): you already set 'StdEpRet'"):
        logger.log_tabular("EpRet")


def test_a_value_and_the_statistics_of_one_key_can_stand_side_by_side(logger: EpochLogger) -> None:
    logger.store(x=1.0)
    logger.log_tabular("x", 5.0)
    logger.log_tabular("x")
    assert logger.dump_tabular() == {"x": 5.0, "Averagex": 1.0, "Stdx": 0.0}


@pytest.mark.parametrize("key", ["", None, 3])
def test_a_column_has_a_name(logger: EpochLogger, key: Any) -> None:
    with pytest.raises(ColumnError, match="a column's name is text"):
        logger.log_tabular(key, 1.0)


def test_a_row_of_nothing_is_told(logger: EpochLogger) -> None:
    with pytest.raises(ColumnError) as caught:
        logger.dump_tabular()
    assert str(caught.value) == ("dump_tabular(): nothing was logged since the last row; call log_tabular() before it.")


def test_keys_without_numbers_leave_empty_cells(logger: EpochLogger, tmp_path: Path) -> None:
    for numbers in ([], [1.0, 3.0], []):
        logger.store(**({"EpRet": numbers} if numbers else {}))
        logger.log_tabular("Epoch", logger.rows)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.dump_tabular()
    lines = (tmp_path / "run" / "progress.txt").read_text().splitlines()
    assert lines == [
        "Epoch\tAverageEpRet\tStdEpRet\tMaxEpRet\tMinEpRet",
        "0\t\t\t\t",
        "1\t2.0\t1.0\t3.0\t1.0",
        "2\t\t\t\t",
    ]


def test_an_array_without_an_element_stores_nothing(logger: EpochLogger) -> None:
    logger.store(x=np.zeros(0))
    assert all(math.isnan(number) for number in logger.get_stats("x", with_min_and_max=True))
    logger.log_tabular("x", average_only=True)
    assert logger.dump_tabular() == {"x": None}


def test_a_nan_that_was_stored_is_written(logger: EpochLogger, tmp_path: Path) -> None:
    logger.store(x=[1.0, math.nan])
    logger.log_tabular("x", average_only=True)
    logger.dump_tabular()
    assert (tmp_path / "run" / "progress.txt").read_text() == "x\nnan\n"


def test_columns_come_late_and_go_missing(logger: EpochLogger, tmp_path: Path) -> None:
    for epoch, row in enumerate([{"a": 1}, {"a": 2, "b": "late\ttext"}, {"b": "only"}]):
        logger.log_tabular("Epoch", epoch)
        for key, value in row.items():
            logger.log_tabular(key, value)
        logger.dump_tabular()
    found = progress_of(tmp_path / "run")
    assert list(found) == ["Epoch", "a", "b"]
    assert found["b"] == [None, "late\ttext", "only"]
    np.testing.assert_array_equal(found["a"], [1.0, 2.0, math.nan])


def test_statistics_are_asked_for_without_being_forgotten(logger: EpochLogger) -> None:
    logger.store(x=[1.0, 3.0])
    assert logger.get_stats("x") == (2.0, 1.0)
    assert logger.get_stats("x", with_min_and_max=True) == (2.0, 1.0, 1.0, 3.0)
    logger.log_tabular("x", average_only=True)
    assert all(math.isnan(number) for number in logger.get_stats("x"))
    logger.store(x=100.0)  # belongs to the next row
    assert logger.dump_tabular() == {"x": 2.0}
    logger.log_tabular("x", average_only=True)
    assert logger.dump_tabular() == {"x": 100.0}


def test_what_is_no_number_cannot_be_stored(logger: EpochLogger) -> None:
    with pytest.raises(ColumnError, match="'high' \\(str\\) is no number"):
        logger.store(x="high")


def test_sinks_get_the_row_with_env_steps_or_rows_as_its_step(tmp_path: Path) -> None:
    sink = Remembering()
    with EpochLogger(tmp_path, log=[sink], quiet=True) as logger:
        for row in ({"a": 1}, {"TotalEnvInteracts": 4000}, {"TotalEnvInteracts": math.nan}, {"TotalEnvInteracts": "?"}):
            for key, value in row.items():
                logger.log_tabular(key, value)
            logger.dump_tabular()
    assert [step for step, _ in sink.written] == [0, 4000, 2, 3]
    assert sink.written[1][1] == {"TotalEnvInteracts": 4000}
    assert sink.closed == 1


class FailsToWrite(Remembering):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        raise self.error


def test_a_sink_on_the_side_that_fails_is_left_out_and_training_goes_on(tmp_path: Path) -> None:
    failing, healthy = FailsToWrite(ConnectionError("no network")), Remembering()
    with EpochLogger(tmp_path, log=[failing, healthy], quiet=True) as logger:
        logger.log_tabular("a", 1)
        with pytest.warns(GridRLWarning, match=r"FailsToWrite failed .* the others do. ConnectionError: no network"):
            logger.dump_tabular()
        logger.log_tabular("a", 2)
        logger.dump_tabular()
    assert progress_of(tmp_path)["a"] == [1.0, 2.0]
    assert [row for _, row in healthy.written] == [{"a": 1}, {"a": 2}]
    assert failing.closed == 1


def test_an_error_of_our_own_in_a_sink_is_meant(tmp_path: Path) -> None:
    with EpochLogger(tmp_path, log=[FailsToWrite(GridRLError("stop"))], quiet=True) as logger:
        logger.log_tabular("a", 1)
        with pytest.raises(GridRLError, match="stop"):
            logger.dump_tabular()
    assert progress_of(tmp_path)["a"] == [1.0]


def test_a_row_that_does_not_reach_its_file_fails_the_run(tmp_path: Path) -> None:
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        (tmp_path / "run").rmdir()
        (tmp_path / "run").write_text("no directory any more")
        logger.log_tabular("a", 1)
        with pytest.raises(OSError, match="run"):
            logger.dump_tabular()
        assert logger.rows == 0


class FailsToClose(Remembering):
    def close(self) -> None:
        raise RuntimeError("will not close")


def test_a_sink_that_cannot_be_closed_does_not_keep_the_others_open(tmp_path: Path) -> None:
    healthy = Remembering()
    logger = EpochLogger(tmp_path, log=[FailsToClose(), healthy], quiet=True)
    with pytest.warns(GridRLWarning, match="FailsToClose could not be closed. RuntimeError: will not close"):
        logger.close()
    assert healthy.closed == 1
    logger.close()
    logger.log_tabular("a", 1)
    with pytest.raises(GridRLError, match="this logger is closed"):
        logger.dump_tabular()


def test_a_full_disk_fails_the_run_and_keeps_the_rows(tiny_disk: Path, fill: Callable[[Path, int], None]) -> None:
    with EpochLogger(tiny_disk / "run", quiet=True) as logger:
        logger.log_tabular("Note", "x" * 4000)
        logger.dump_tabular()
        fill(tiny_disk, 0)
        logger.log_tabular("Note", "y" * 4000)
        with pytest.raises(DiskFull, match="row 2 was not written, the 1 before it stand"):
            logger.dump_tabular()
        assert logger.rows == 1
    assert progress_of(tiny_disk / "run")["Note"] == ["x" * 4000]


def test_the_table_is_printed_unless_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Logger(tmp_path / "loud") as logger:
        logger.log("hello", color="red")
        logger.log_tabular("AverageEpRet", 123.456)
        logger.dump_tabular()
    assert capsys.readouterr().out == (
        f"Logging data to {tmp_path / 'loud' / 'progress.txt'}\n"
        "hello\n"
        "-------------------------------------\n"
        "|    AverageEpRet |             123 |\n"
        "-------------------------------------\n"
    )
    with Logger(tmp_path / "silent", quiet=True, log="terminal") as logger:
        logger.log("hello")
        logger.log_tabular("AverageEpRet", 1.0)
        logger.dump_tabular()
    assert capsys.readouterr().out == ""


def test_the_name_of_the_progress_file_can_be_chosen(tmp_path: Path) -> None:
    with Logger(tmp_path, "rows.csv", quiet=True) as logger:
        logger.log_tabular("a", 1)
        logger.log_tabular("b", "x,y")
        logger.dump_tabular()
    assert (tmp_path / "rows.csv").read_text() == 'a,b\n1,"x,y"\n'


def test_without_a_directory_each_logger_gets_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loggers = [Logger(quiet=True) for _ in range(3)]
    directories = {logger.output_dir for logger in loggers}
    assert len(directories) == 3
    assert all(found is not None and found.parent == tmp_path / "data" / "experiments" for found in directories)
    for logger in loggers:
        logger.close()


def test_a_program_that_forgets_to_close_loses_no_row(tmp_path: Path) -> None:
    logger = EpochLogger(tmp_path, quiet=True)
    logger.log_tabular("a", 1)
    logger.dump_tabular()
    assert progress_of(tmp_path)["a"] == [1.0]
    logger.close()


def test_a_relative_directory_stays_the_same_when_the_program_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Logger("run", quiet=True) as logger:
        monkeypatch.chdir(tmp_path / "elsewhere")
        for column in ("a", "late"):
            logger.log_tabular(column, 1)
            logger.dump_tabular()
        logger.save_config({})
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "progress.txt"]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_key_can_have_any_name(logger: EpochLogger) -> None:
    logger.store(self=1.0, key=2.0, values=3.0)
    assert logger.get_stats("self") == (1.0, 0.0)


def test_only_rank_0_touches_files_and_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gridrl.log.logger.proc_id", lambda: 1)
    sink = Remembering()
    with EpochLogger(tmp_path / "run", log=[sink]) as logger, EpochLogger() as other:
        assert other.output_dir is None
        logger.log("hello")
        logger.resume(3)
        logger.store(x=1.0)
        logger.log_tabular("x", average_only=True)
        assert logger.dump_tabular() == {"x": 1.0}
        assert logger.rows == 4
        logger.save_config({"a": 1})
        logger.setup_pytorch_saver(torch.nn.Linear(1, 1))
        logger.save_state({})
        other.save_state({})
        other.save_config({})
    assert not list(tmp_path.iterdir())
    assert sink.written == []
    assert capsys.readouterr().out == ""


def train(logger: EpochLogger, epochs: range, generator: np.random.Generator) -> None:
    for epoch in epochs:
        for _ in range(int(generator.integers(0, 3))):
            logger.store(EpRet=generator.normal())
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.store(Pending=generator.normal())
        if epoch % 3 == 2:
            logger.log_tabular("Pending")
        logger.dump_tabular()


def test_a_run_resumed_from_a_checkpoint_equals_an_undisturbed_one(tmp_path: Path) -> None:
    with EpochLogger(tmp_path / "undisturbed", quiet=True) as logger:
        train(logger, range(8), np.random.default_rng(7))
    generator = np.random.default_rng(7)
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        train(logger, range(4), generator)
        state, generator_state = logger.state_dict(), generator.bit_generator.state
        train(logger, range(4, 6), generator)
    torch.save(state, tmp_path / "checkpoint.pt")
    generator = np.random.default_rng()
    generator.bit_generator.state = generator_state
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        logger.load_state_dict(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
        assert logger.rows == 4
        train(logger, range(4, 8), generator)
        assert logger.rows == 8
    resumed, undisturbed = tmp_path / "run" / "progress.txt", tmp_path / "undisturbed" / "progress.txt"
    assert resumed.read_bytes() == undisturbed.read_bytes()
    assert read_progress(tmp_path / "run" / "progress.cut.txt")["Epoch"].tolist() == [4.0, 5.0]


def test_rows_are_on_the_disk_before_a_checkpoint_counts_on_them(
    logger: EpochLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    logger.log_tabular("a", 1)
    logger.dump_tabular()
    assert synced == []
    assert logger.state_dict() == {"rows": 1, "stored": {}}
    assert len(synced) == 1


def test_a_second_start_without_a_checkpoint_moves_the_first_ones_rows(tmp_path: Path) -> None:
    for attempt in range(2):
        with Logger(tmp_path, quiet=True) as logger:
            logger.log_tabular("attempt", attempt)
            logger.dump_tabular()
    assert (tmp_path / "progress.txt").read_text() == "attempt\n1\n"
    assert (tmp_path / "progress.cut.txt").read_text() == "attempt\n0\n"


def test_a_checkpoint_that_knows_more_rows_than_the_file_is_told(tmp_path: Path) -> None:
    with Logger(tmp_path, quiet=True) as logger, pytest.raises(CheckpointError, match="0 rows stand there"):
        logger.resume(2)


def gathered(monkeypatch: pytest.MonkeyPatch, ranks: list[dict[str, Record]]) -> dict[str, Cell]:
    """The row of several ranks, each of which has put its records."""
    recorders = []
    for records in ranks:
        recorder = RowRecorder()
        for key, record in records.items():
            recorder.put(key, record)
        recorders.append(recorder)
    everything = [recorder._records for recorder in recorders]
    monkeypatch.setattr("gridrl.log.rows.gather_objects", lambda _: everything)
    return recorders[0].gather()


def test_of_plain_values_the_lowest_rank_that_has_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    row = gathered(monkeypatch, [{"a": 1, "b": None}, {"a": 2, "b": 3, "c": "only here"}])
    assert list(row.items()) == [("a", 1), ("b", 3), ("c", "only here")]


def epoch_row(ranks: list[list[float]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Cell]:
    """The row that ranks with these numbers make of them."""
    loggers = [EpochLogger(tmp_path, quiet=True) for _ in ranks]
    for logger, numbers in zip(loggers, ranks, strict=True):
        for number in numbers:
            logger.store(x=number)
        logger.log_tabular("x", with_min_and_max=True)
    with monkeypatch.context() as patched:
        records = [logger._recorder._records for logger in loggers]
        patched.setattr("gridrl.log.rows.gather_objects", lambda _: records)
        row = loggers[0]._recorder.gather()
    for logger in loggers:
        logger.close()
    return row


@given(st.lists(st.floats(-1e3, 1e3), max_size=12), st.data())
def test_two_ranks_write_the_row_of_one_with_everything(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], data: Any
) -> None:
    at = data.draw(st.integers(0, len(numbers)))
    directory = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as monkeypatch:
        one = epoch_row([numbers], monkeypatch, directory)
        two = epoch_row([numbers[:at], numbers[at:]], monkeypatch, directory)
    assert list(one) == list(two) == ["Averagex", "Stdx", "Maxx", "Minx"]
    if numbers:
        assert list(two.values()) == pytest.approx(list(one.values()), rel=1e-9, abs=1e-9)
        assert (one["Maxx"], one["Minx"]) == (two["Maxx"], two["Minx"]) == (max(numbers), min(numbers))
    else:
        assert list(one.values()) == list(two.values()) == [None] * 4


def test_closing_gives_no_resource_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        for _ in range(5):
            with EpochLogger(tmp_path, quiet=True) as logger:
                logger.log_tabular("a", 1)
                logger.dump_tabular()
        after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert before == after


def test_an_unknown_sink_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"--log: 'tensorbord' is no sink\. Did you mean 'tensorboard'\?"):
        Logger(tmp_path / "run", log=["tensorbord"])
    assert not list(tmp_path.iterdir())
