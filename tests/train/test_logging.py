"""What loggers write: documented keys, every kind of value, and nothing in between."""

from __future__ import annotations

import io
import logging
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gridrl.errors import BadValue
from gridrl.log.metrics import LoggingMixin
from gridrl.log.progress import read_progress
from gridrl.train.bar import ProgressBar
from gridrl.train.callback import Callback
from gridrl.train.logging import SinkLogger, SystemLogger, TensorboardLogger, TerminalLogger, WBLogger
from gridrl.train.trainer import Trainer

BATCHES = [{"batch_size": 8}] * 4


class Everything(LoggingMixin, Callback):
    """Notes something of each kind."""

    def end_batch(self, bp_step: int) -> None:
        self.log_scalar("loss/q_loss", bp_step / 2)
        self.log_windowed_scalar("windowed[2]:episode/reward", bp_step)
        self.log_image("image/seen", torch.full((2, 3, 3), bp_step, dtype=torch.uint8))
        self.log_histogram("weight/q", [1.0, 2.0, np.nan])
        self.log_video("video/play", (np.zeros((5, 3, 4, 6), np.uint8), 10))


class Writer:
    """A summary writer that remembers."""

    def __init__(self) -> None:
        self.scalars: dict[tuple[str, int], float] = {}
        self.media: dict[str, Any] = {}
        self.flushed = 0

    def add_scalar(self, key: str, value: float, step: int) -> None:
        self.scalars[key, step] = value

    def add_image(self, key: str, value: Any, step: int, dataformats: str) -> None:
        self.media[key] = (tuple(value.shape), int(value.max()), step, dataformats)

    def add_histogram(self, key: str, value: Any, step: int) -> None:
        self.media[key] = (value.tolist(), step)

    def add_video(self, key: str, value: Any, step: int, fps: int) -> None:
        self.media[key] = (value.shape, step, fps)

    def flush(self) -> None:
        self.flushed += 1


def test_tensorboard_gets_the_documented_keys() -> None:
    everything, writer = Everything(), Writer()
    Trainer([everything, TensorboardLogger([everything], writer, log_interval=2)], BATCHES).train()
    speeds = {key: value for key, value in writer.scalars.items() if key[0].startswith("performance/")}
    assert {key: value for key, value in writer.scalars.items() if key not in speeds} == {
        ("loss_bp_step/q_loss", 2): 1.0,
        ("loss_bp_step/q_loss", 4): 2.0,
        ("episode_bp_step/reward", 2): 1.5,
        ("episode_bp_step/reward", 4): 3.5,
        ("episode_bp_step/reward/cumulative", 2): 3.0,
        ("episode_bp_step/reward/cumulative", 4): 10.0,
    }
    names = ("performance/bp_samples_per_sec", "performance/bp_steps_per_sec")
    assert set(speeds) == {(name, step) for name in names for step in (2, 4)}
    assert speeds[names[0], 4] == pytest.approx(8 * speeds[names[1], 4], rel=0.2)
    assert writer.media == {
        "image_bp_step/seen": ((2, 3, 3), 4, 4, "HWC"),
        "weight_bp_step/q": ([1.0, 2.0], 4),
        "video_bp_step/play": ((5, 3, 4, 6), 4, 10),
    }
    assert writer.flushed == 2


def test_numbers_are_written_over_samples_too_on_request() -> None:
    everything, writer = Everything(), Writer()
    Trainer([everything, TensorboardLogger([everything], writer, 4, log_by_samples=True)], BATCHES).train()
    assert writer.scalars["loss_bp_step/q_loss", 4] == writer.scalars["loss_bp_samples/q_loss", 32] == 2.0


def test_speed_counts_from_where_a_training_went_on() -> None:
    class Restore(Callback):
        def restore_state(self) -> dict[str, int]:
            return {"bp_step": 10**9, "bp_samples": 10**9}

    writer = Writer()
    Trainer([Restore(), TensorboardLogger([], writer, 2)], BATCHES[:2]).train()
    assert writer.scalars["performance/bp_steps_per_sec", 10**9 + 2] < 10**8


def test_a_summary_writer_gets_everything_and_the_video_moves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    everything = Everything()
    with SummaryWriter(str(tmp_path)) as writer:
        Trainer([everything, TensorboardLogger([everything], writer, 4)], BATCHES).train()
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    tags = found.Tags()
    assert {"loss_bp_step/q_loss", "episode_bp_step/reward/cumulative"} <= set(tags["scalars"])
    assert tags["histograms"] == ["weight_bp_step/q"]
    assert set(tags["images"]) == {"image_bp_step/seen", "video_bp_step/play"}
    video = found.Images("video_bp_step/play")[0]
    assert (video.width, video.height) == (6, 4)
    assert Image.open(io.BytesIO(video.encoded_image_string)).format == "GIF"


def test_the_terminal_logger_writes_a_line_for_each_number(caplog: pytest.LogCaptureFixture) -> None:
    everything = Everything()
    caplog.set_level(logging.INFO, "gridrl.train.logging")
    Trainer([everything, TerminalLogger([everything], 4)], BATCHES).train()
    assert caplog.messages == ["loss_bp_step/q_loss@4:\t2.0000", "episode_bp_step/reward@4:\t3.5000"]
    caplog.clear()
    TerminalLogger([everything], 4).log_scalars(7)
    assert caplog.messages[0] == "loss/q_loss@7:\t2.0000"


def test_rows_go_to_any_sink(tmp_path: Path) -> None:
    class Keep:
        rows: list[tuple[int, Any]] = []  # noqa: RUF012  # what the test looks at

        def write(self, row: Any, step: int) -> None:
            self.rows.append((step, row["loss/q_loss"]))

        def close(self) -> None:
            self.rows.append((0, "closed"))

    everything, keep = Everything(), Keep()
    Trainer([everything, SinkLogger([everything], 2, tmp_path, log=["progress", keep])], BATCHES).train()
    columns = read_progress(tmp_path / "progress.txt")
    assert columns["bp_step"].tolist() == [2, 4]
    assert columns["bp_samples"].tolist() == [16, 32]
    assert columns["episode/reward"].tolist() == [1.5, 3.5]
    assert keep.rows == [(2, 1.0), (4, 2.0), (0, "closed")]


def test_rows_go_on_behind_those_before_the_checkpoint(tmp_path: Path) -> None:
    class Restore(Callback):
        def __init__(self, bp_step: int) -> None:
            super().__init__()
            self.bp_step = bp_step

        def restore_state(self) -> dict[str, int]:
            return {"bp_step": self.bp_step, "bp_samples": 8 * self.bp_step}

    def attempt(restored: int, updates: int) -> list[float]:
        everything = Everything()
        callbacks = [Restore(restored), everything, SinkLogger([everything], 2, tmp_path)]
        Trainer(callbacks, BATCHES[:1] * updates).train()
        return [float(step) for step in read_progress(tmp_path / "progress.txt")["bp_step"]]

    assert attempt(0, 6) == [2, 4, 6]
    assert attempt(5, 3) == [2, 4, 6, 8], "killed after update 6, and its checkpoint was of update 5"
    assert attempt(2, 2) == [2, 4]
    assert attempt(4, 1) == [2, 4], "no new row yet"
    assert attempt(0, 2) == [2]


def test_a_second_training_of_the_same_trainer_writes_its_rows_too(tmp_path: Path) -> None:
    everything = Everything()
    trainer = Trainer([everything, SinkLogger([everything], 2, tmp_path)], BATCHES)
    trainer.train()
    trainer.train()
    assert read_progress(tmp_path / "progress.txt")["bp_step"].tolist() == [2, 4, 6, 8]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    for variable in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "wandb home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "wandb home").mkdir()
    import wandb

    yield wandb
    wandb.finish()


def test_wandb_gets_everything_and_keeps_it_here_when_offline(
    offline: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    everything, rows = Everything(), []
    config = {"wandb_project": "tests", "wandb_run": "everything", "lr": 0.1}
    logger = WBLogger([everything], config, log_interval=4)
    run = offline.run
    assert (run.project, run.name, dict(run.config)) == ("tests", "everything", {"lr": 0.1})
    with pytest.raises(BadValue, match="a W&B run has been started in this process already"):
        WBLogger([everything], config, log_interval=4)
    written = run.log
    monkeypatch.setattr(run, "log", lambda row: (rows.append(row), written(row)))
    Trainer([everything, logger], BATCHES).train()
    (row,) = rows
    assert (row["loss_bp_step/q_loss"], row["episode_bp_step/reward"], row["log/bp_step"]) == (2.0, 3.5, 4)
    assert {"performance/bp_samples_per_sec", "episode_bp_step/reward/cumulative"} <= set(row)
    kinds = {key: type(value).__name__ for key, value in row.items() if not isinstance(value, int | float)}
    assert kinds == {"image_bp_step/seen": "Image", "weight_bp_step/q": "Histogram", "video_bp_step/play": "Video"}
    assert offline.run is None, "end_training finishes the run"
    (found,) = (tmp_path / "wandb home").glob("wandb/offline-run-*/run-*.wandb")
    assert found.stat().st_size > 0


def test_wandb_that_is_not_there_or_lacks_its_names_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadValue, match="config lacks 'wandb_run'; it has: wandb_project"):
        WBLogger([], {"wandb_project": "tests"}, 1)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BadValue, match="WBLogger needs wandb"):
        WBLogger([], {"wandb_project": "tests", "wandb_run": "x"}, 1)


def test_the_first_rank_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gridrl.train.logging.proc_id", lambda: 1)
    monkeypatch.setattr("gridrl.train.bar.proc_id", lambda: 1)
    everything, writer = Everything(), Writer()
    config = {"wandb_project": "tests", "wandb_run": "x"}
    writers = [TensorboardLogger([everything], writer, 1), TerminalLogger([everything], 1), ProgressBar()]
    Trainer([everything, *writers, WBLogger([], config, 1), SinkLogger([everything], 1, tmp_path)], BATCHES).train()
    assert writer.scalars == {}
    assert list(tmp_path.iterdir()) == []


def test_what_notes_nothing_cannot_be_logged() -> None:
    with pytest.raises(BadValue, match="Callback is no LoggingMixin"):
        TerminalLogger([Callback()], 1)  # type: ignore[list-item]
    with pytest.raises(BadValue, match="log_interval=0"):
        TerminalLogger([], 0)


def test_the_system_logger_notes_memory_and_processor() -> None:
    system, writer = SystemLogger(cycle=2), Writer()
    held: list[Any] = []

    class Grow(Callback):
        def end_batch(self) -> None:
            memory = mmap.mmap(-1, 2**23)  # 8 MB that are new in any case; an array may lie where another one was
            np.frombuffer(memory, np.uint8)[:] = 1
            held.append(memory)

    assert SystemLogger().cycle == 1000
    Trainer([TensorboardLogger([system], writer, 2), system, Grow()], BATCHES).train()
    assert writer.scalars["system_bp_step/ram_usage_mb", 4] > 30.0
    assert 2.0 < writer.scalars["system_bp_step/ram_usage_growth_mb_step", 4] < 14.0
    assert writer.scalars["system_bp_step/cpu_load", 4] >= 0.0


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridrl.train.bar._LINE_EVERY_S", -1.0)
    everything = Everything()
    Trainer([everything, ProgressBar(4, [everything], ["episode/reward", "missing"])], BATCHES[:2]).train()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["update 1 of 4", "update 2 of 4", "update 2 of 4"]
    assert lines[-1].endswith("/s  episode/reward 1.5")
    monkeypatch.setattr("gridrl.train.bar._LINE_EVERY_S", 100.0)
    Trainer([ProgressBar()], BATCHES).train()
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == ["update 4"]
    with pytest.raises(BadValue, match="bp_steps=0"):
        ProgressBar(0)


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("gridrl.train.bar._DRAWN_EVERY_S", -1.0)
    everything = Everything()
    Trainer([everything, ProgressBar(4, [everything], ["loss/q_loss"])], BATCHES).train()
    assert "4/4" in terminal.getvalue()
    assert "loss/q_loss 2" in terminal.getvalue()
