from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gridrl.errors import BadValue
from gridrl.log import sinks
from gridrl.log.cells import Cell
from gridrl.log.logger import EpochLogger
from gridrl.log.progress import read_progress
from gridrl.log.sinks import (
    SINKS,
    Destination,
    ProgressSink,
    Sink,
    TensorBoardSink,
    TerminalSink,
    WandbSink,
    check_sinks,
    format_table,
    open_sinks,
)

ROWS: list[dict[str, Cell]] = [
    {"Epoch": 0, "Loss": 0.5, "Note": "first"},
    {"Epoch": 1, "Loss": None, "Note": "tab\tand\nline", "Late": math.nan},
    {"Epoch": 2, "Loss": math.inf},
    {"Epoch": 3, "Loss": -1e300, "grün \U0001f600": 2**70, "huge": 10**400},
]


class SinkContract:
    """What every sink keeps; a class for each inherits it."""

    name: str

    @pytest.fixture
    def destination(self, tmp_path: Path) -> Destination:
        return Destination(tmp_path / "a run", exp_name="contract")

    @pytest.fixture
    def sink(self, destination: Destination) -> Iterator[Sink]:
        destination.output_dir.mkdir(exist_ok=True)
        made = SINKS.load(self.name)(destination)
        yield made
        made.close()

    def test_it_is_a_sink(self, sink: Sink) -> None:
        assert isinstance(sink, Sink)

    def test_it_takes_rows_of_every_kind(self, sink: Sink) -> None:
        for step, row in enumerate(ROWS):
            sink.write(row, step)

    def test_it_leaves_the_row_as_it_was(self, sink: Sink) -> None:
        row = dict(ROWS[1])
        sink.write(row, 0)
        assert list(row) == list(ROWS[1])

    def test_it_can_be_closed_twice_and_without_a_row(self, sink: Sink) -> None:
        sink.close()
        sink.close()

    def test_it_writes_nowhere_but_into_the_run(
        self, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        monkeypatch.chdir(empty)
        sink.write(ROWS[0], 0)
        sink.close()
        assert not list(empty.iterdir())


class TestProgressSink(SinkContract):
    name = "progress"

    def test_the_rows_are_in_the_file(self, sink: ProgressSink, destination: Destination) -> None:
        for step, row in enumerate(ROWS):
            sink.write(row, step)
        found = read_progress(destination.output_dir / "progress.txt")
        assert list(found) == ["Epoch", "Loss", "Note", "Late", "grün \U0001f600", "huge"]
        assert found["Note"].tolist() == ["first", "tab\tand\nline", None, None]


class TestTerminalSink(SinkContract):
    name = "terminal"

    def test_a_row_is_printed_as_the_documented_table(self, sink: TerminalSink, capsys: Any) -> None:
        sink.write({"Epoch": 3, "AverageEpRet": 123.456, "TotalEnvInteracts": 16000, "Note": "text", "Empty": None}, 0)
        assert capsys.readouterr().out == (
            "---------------------------------------\n"
            "|             Epoch |               3 |\n"
            "|      AverageEpRet |             123 |\n"
            "| TotalEnvInteracts |         1.6e+04 |\n"
            "|              Note |            text |\n"
            "|             Empty |                 |\n"
            "---------------------------------------\n"
        )

    def test_long_text_is_cut_and_kept_on_its_line(self) -> None:
        lines = format_table({"k" * 20: "word\n" * 30, "huge": 10**400}).splitlines()
        assert len(lines) == 4
        assert {len(line) for line in lines} == {20 + 60 + 7}
        assert lines[1].endswith("word word wo... |")
        assert lines[2].endswith(" inf |")

    def test_an_empty_row_is_an_empty_table(self) -> None:
        assert format_table({}) == "-" * 37 + "\n" + "-" * 37

    def test_a_terminal_that_lacks_a_letter_gets_a_question_mark(self) -> None:
        code = (
            "from gridrl.log.sinks import TerminalSink; TerminalSink().write({'gr\\u00fcn': 1, 'x': '\\U0001f600'}, 0)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONIOENCODING": "ascii"}, capture_output=True, timeout=60, check=True
        )
        assert b"gr?n" in ended.stdout


class TestTensorBoardSink(SinkContract):
    name = "tensorboard"

    @staticmethod
    def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensorboard's own dependencies
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

            events = EventAccumulator(str(run / "tensorboard"))
            events.Reload()
            return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    def test_finite_numbers_become_scalars(self, sink: TensorBoardSink, destination: Destination) -> None:
        for step, row in enumerate(ROWS[:3]):
            sink.write(row, 100 * step)
        assert self.scalars(destination.output_dir) == {
            "Epoch": [(0, 0.0), (100, 1.0), (200, 2.0)],
            "Loss": [(0, 0.5)],
        }

    def test_a_resumed_run_replaces_what_its_earlier_attempt_wrote_later(self, destination: Destination) -> None:
        for attempt, steps in ((1.0, range(0, 50, 10)), (2.0, range(30, 60, 10))):
            sink = TensorBoardSink(destination)
            for step in steps:
                sink.write({"x": attempt}, step)
            sink.close()
        assert self.scalars(destination.output_dir) == {
            "x": [(0, 1.0), (10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0)]
        }

    def test_torch_is_not_needed(self, tmp_path: Path) -> None:
        code = (
            "import sys\n"
            "from gridrl.log.logger import EpochLogger\n"
            "with EpochLogger(sys.argv[1], log='tensorboard', quiet=True) as logger:\n"
            "    logger.log_tabular('x', 1.0)\n"
            "    logger.dump_tabular()\n"
            "assert 'torch' not in sys.modules and 'tensorflow' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120, check=True)
        assert self.scalars(tmp_path) == {"x": [(0, 1.0)]}


class TestWandbSink(SinkContract):
    name = "wandb"

    @pytest.fixture(autouse=True)
    def _offline(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("WANDB_MODE", "offline")
        for variable in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
            monkeypatch.setenv(variable, str(tmp_path / "wandb home"))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def test_rows_lie_in_the_run_directory_until_they_are_synced(
        self, sink: WandbSink, destination: Destination
    ) -> None:
        for step, row in enumerate(ROWS):
            sink.write(row, step)
        sink.close()
        (found,) = (destination.output_dir / "wandb").glob("offline-run-*/run-*.wandb")
        assert found.stat().st_size > 0

    def test_attempts_of_a_run_share_an_id_and_other_runs_do_not(self, tmp_path: Path) -> None:
        assert sinks._wandb_id(tmp_path, {"run_id": "a"}) == sinks._wandb_id(tmp_path, {"run_id": "a"})
        others = {sinks._wandb_id(tmp_path, {"run_id": "b"}), sinks._wandb_id(tmp_path / "x", {"run_id": "a"})}
        assert len({*others, sinks._wandb_id(tmp_path, None), sinks._wandb_id(tmp_path, {"run_id": "a"})}) == 4


class Counting:
    """A sink of somebody else's."""

    opened: list[Counting] = []  # noqa: RUF012  # what the test looks at

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.rows = 0
        self.is_open = True
        Counting.opened.append(self)

    def write(self, row: Mapping[str, Cell], step: int) -> None:
        self.rows += 1

    def close(self) -> None:
        self.is_open = False


def refuse(destination: Destination) -> Sink:
    raise RuntimeError("cannot be opened")


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    monkeypatch.setitem(SINKS._own, "counting", f"{__name__}:Counting")
    monkeypatch.setitem(SINKS._own, "refusing", f"{__name__}:refuse")
    monkeypatch.setattr(Counting, "opened", [])
    return Counting.opened


def test_a_foreign_sink_is_chosen_by_its_name_and_made_once(tmp_path: Path, foreign: list[Counting]) -> None:
    with EpochLogger(tmp_path, exp_name="mine", log=["counting", "progress", "counting"], quiet=True) as logger:
        logger.log_tabular("a", 1)
        logger.dump_tabular()
    (sink,) = foreign
    assert sink.destination == Destination(tmp_path, "progress.txt", "mine")
    assert (sink.rows, sink.is_open) == (1, False)


def test_a_sink_that_cannot_be_opened_closes_those_before_it(tmp_path: Path, foreign: list[Counting]) -> None:
    with pytest.raises(RuntimeError, match="cannot be opened"):
        open_sinks(["counting", "refusing"], Destination(tmp_path))
    assert [sink.is_open for sink in foreign] == [False]


def test_everything_wrong_with_the_sinks_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gridrl.log.sinks.is_installed", lambda package: False)
    with pytest.raises(BadValue) as caught:
        EpochLogger(tmp_path / "run", log=("wanbd", "tensorboard", "wandb", 3))  # type: ignore[arg-type]
    assert str(caught.value).splitlines() == [
        "--log: 'wanbd' is no sink. Did you mean 'wandb'? There are: progress, terminal, tensorboard, wandb.",
        "the sink 'tensorboard' needs tensorboard, which is not installed: pip install 'gridrl[tensorboard]'.",
        "the sink 'wandb' needs wandb, which is not installed: pip install 'gridrl[wandb]'.",
        "log: 3 is neither the name of a sink nor an object with write and close.",
    ]
    assert not list(tmp_path.iterdir())


def test_one_name_is_no_list_of_letters() -> None:
    check_sinks("tensorboard")
    with pytest.raises(BadValue, match="'wanbd' is no sink"):
        check_sinks("wanbd")


def test_every_sink_of_the_table_can_be_loaded() -> None:
    assert all(callable(SINKS.load(name)) for name in SINKS)


def test_looking_at_the_sinks_imports_none_of_them() -> None:
    code = (
        "import sys, json\n"
        "from gridrl.log.sinks import check_sinks\n"
        "check_sinks(['tensorboard', 'wandb', 'terminal'])\n"
        "print(json.dumps([name for name in ('torch', 'tensorboard', 'wandb') if name in sys.modules]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout) == []
