"""What begins and ends a training: number of updates, checks at the end, and waiting for a memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.errors import BadValue, NotEnoughData, TrainingShutdownException
from gridrl.log.metrics import LoggingMixin
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.loader import JointMemoryLoader, MemoryLoader
from gridrl.memory.table import ArrayMemoryTable
from gridrl.train.callback import Callback
from gridrl.train.control import (
    BackPropStepsTerminator,
    FinalLossTestCheck,
    FinalRewardTestCheck,
    MemoryImporterCallback,
    MemoryWarmup,
    TrainingCheckFailed,
)
from gridrl.train.loss import LossCallback
from gridrl.train.trainer import Trainer
from gridrl.train.waiting import wait_until_ready


def endless() -> Iterator[dict[str, Any]]:
    while True:
        yield {"default": {"obs": torch.ones(1)}, "batch_size": 1}


def ended_at(*callbacks: Callback) -> int:
    trainer = Trainer(callbacks, endless())
    trainer.train()
    return int(trainer.state["bp_step"])


class Restore(Callback):
    def __init__(self, bp_step: int) -> None:
        super().__init__()
        self.bp_step = bp_step

    def restore_state(self) -> dict[str, int]:
        return {"bp_step": self.bp_step, "bp_samples": self.bp_step}


@pytest.mark.parametrize(("before", "last"), [(0, 5), (3, 5), (4, 5), (5, 5), (9, 9)])
def test_a_training_ends_after_its_updates_wherever_it_was_resumed(before: int, last: int) -> None:
    assert ended_at(Restore(before), BackPropStepsTerminator(5)) == last


def test_the_last_update_is_seen_by_every_other_callback() -> None:
    class Last(Callback):
        seen = 0

        def end_cycle(self, bp_step: int) -> None:
            self.seen = bp_step

    last = Last(cycle=1)
    ended_at(BackPropStepsTerminator(bp_steps=3), last)
    assert last.seen == 3


@pytest.mark.parametrize("make", [lambda: BackPropStepsTerminator(0), lambda: FinalLossTestCheck([], [], 0)])
def test_a_training_without_an_update_is_refused(make: Any) -> None:
    with pytest.raises(BadValue, match="=0: a training has 1 update or more"):
        make()


class Constant(LossCallback):
    """A loss that is always the same."""

    def __init__(self, name: str, value: float) -> None:
        self.weight = nn.Parameter(torch.zeros(()))
        super().__init__(name=name, optimizer=torch.optim.SGD([self.weight], 0.0))
        self.value = value

    def loss(self, obs: torch.Tensor) -> torch.Tensor:
        return (self.weight + self.value * obs).mean()


def test_losses_that_are_low_enough_end_the_training() -> None:
    losses = [Constant("one", 1.0), Constant("two", 2.0)]
    assert ended_at(*losses, FinalLossTestCheck(losses, [1.0, 2.5], 4)) == 4


def test_every_loss_that_is_too_high_or_was_never_seen_is_named() -> None:
    losses = [Constant("one", 1.0), Constant("two", 2.0), Constant("three", 3.0)]
    unused = Constant("four", 4.0)
    expected = r"^Loss for two too high: 2.0, at most 1.5 passes. Loss for four too high: None, at most 9 passes.$"
    with pytest.raises(TrainingCheckFailed, match=expected):
        ended_at(*losses, FinalLossTestCheck([*losses, unused], [1.0, 1.5, 3.0, 9], 4))
    with pytest.raises(BadValue, match="3 losses and 1 cutoffs"):
        FinalLossTestCheck(losses, [1.0], 4)


def test_a_check_comes_before_what_ends_the_training_at_the_same_update() -> None:
    loss = Constant("one", 2.0)
    with pytest.raises(TrainingCheckFailed, match="Loss for one too high"):
        ended_at(BackPropStepsTerminator(4), loss, FinalLossTestCheck([loss], [1.0], 4))


class Rewards(LoggingMixin, Callback):
    def end_batch(self, bp_step: int) -> None:
        self.log_scalar("training/scaled_reward", bp_step)
        self.log_windowed_scalar("windowed[2]:episode/reward", bp_step)


def test_a_reward_is_looked_at_in_the_end() -> None:
    rewards = Rewards()
    assert ended_at(rewards, FinalRewardTestCheck(rewards, 4.0, 4)) == 4
    windowed = FinalRewardTestCheck(rewards, 3.5, 4, "windowed[2]:episode/reward", use_windowed=True)
    assert ended_at(rewards, windowed) == 4
    with pytest.raises(TrainingCheckFailed, match=r"^Reward too low: 4.0, at least 4.5 passes.$"):
        ended_at(rewards, FinalRewardTestCheck(rewards, 4.5, 4))
    rewards.log_scalar("x", float("nan"))
    with pytest.raises(TrainingCheckFailed, match=r"^Reward too low: nan"):
        ended_at(rewards, FinalRewardTestCheck(rewards, 0.0, 1, "x"))
    with pytest.raises(TrainingCheckFailed, match=r"'episode/reword' was not logged, but .* Did you mean 'episode/rew"):
        ended_at(rewards, FinalRewardTestCheck(rewards, 0.0, 1, "episode/reword", use_windowed=True))


def table() -> ArrayMemoryTable:
    spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"x": BoxSpace(np.float32, (1,))}))
    return DictObsMemoryTable(spaces=spaces, maxlen=100)


def add(memory: ArrayMemoryTable, identity: int, steps: int = 4) -> None:
    rows = np.arange(steps + 1, dtype=np.float32)[:, None]
    memory.add_sequence(identity, {"x": rows, "actions": rows[1:], "rewards": rows[1:]})


def loader_of(memory: ArrayMemoryTable, rows: int = 8) -> MemoryLoader:
    return MemoryLoader(memory, rows, 1, "batch_size")


class Filling(threading.Thread):
    """Adds an episode now and then, as a collector in a thread does."""

    def __init__(self, memory: ArrayMemoryTable, episodes: int) -> None:
        super().__init__(name="collector")
        self.memory, self.episodes, self.over = memory, episodes, threading.Event()

    def run(self) -> None:
        for identity in range(self.episodes):
            time.sleep(0.02)
            add(self.memory, identity)
        self.over.wait(30)

    def __enter__(self) -> Filling:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.join()


@pytest.mark.parametrize("warmup", [False, True])
def test_training_begins_when_a_collector_in_a_thread_has_filled_the_memory(warmup: bool) -> None:
    memory = table()
    loader = loader_of(memory)
    seen: list[int] = []

    class Look(Callback):
        def begin_batch(self) -> None:
            seen.append(memory.size())

    callbacks = [Look(), BackPropStepsTerminator(1), *([MemoryWarmup(loader)] if warmup else [])]
    with Filling(memory, episodes=2):
        Trainer(callbacks, loader).train()
    assert seen == [8]


def test_a_memory_that_nobody_can_fill_is_told_at_once_with_what_is_missing() -> None:
    memory = table()
    add(memory, 0)
    ended: list[BaseException | None] = []

    class End(Callback):
        def end_training(self, exception: BaseException | None) -> None:
            ended.append(exception)

    expected = (
        r"^The table holds 4 steps, a batch takes 8\. Training would wait for ever: no other thread runs that could "
        r"add any\. Collect enough before train\(\) is called \(or in a callback's begin_training\), or collect in a "
    )
    with pytest.raises(NotEnoughData, match=expected):
        Trainer([End()], loader_of(memory)).train()
    assert isinstance(ended[0], NotEnoughData)
    joint = JointMemoryLoader([loader_of(memory, 4), MemoryLoader(memory, 9, 1, "n", "other")])
    with pytest.raises(NotEnoughData, match=r"^other: The table holds 4 steps, a batch takes 9\. Training would wait"):
        Trainer([MemoryWarmup(joint)], joint).train()


def test_a_thread_that_writes_logs_fills_no_memory(tmp_path: Path) -> None:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def relay() -> None:
        over.wait(30)

    relay.__module__ = "wandb.sdk.lib.redirect"
    over, writer = threading.Event(), EventFileWriter(str(tmp_path))
    thread = threading.Thread(target=relay)
    thread.start()
    try:
        with pytest.raises(NotEnoughData, match="Training would wait for ever: no other thread runs that could add"):
            wait_until_ready(loader_of(table()), patience_s=1.0)
    finally:
        over.set()
        thread.join()
        writer.close()


def test_what_a_callback_collects_before_training_starts_counts() -> None:
    memory = table()

    class Collect(Callback):
        def begin_training(self) -> None:
            add(memory, 0)
            add(memory, 1)

    trainer = Trainer([Collect(), BackPropStepsTerminator(1)], loader_of(memory))
    trainer.train()
    assert trainer.state["bp_samples"] == 8


def test_a_collector_that_has_stopped_is_given_up_on() -> None:
    memory = table()
    with (
        Filling(memory, episodes=1),
        pytest.raises(NotEnoughData, match=r"^The table holds [04] steps, .* Nothing has come for 0 s: is the collect"),
    ):
        wait_until_ready(loader_of(memory), patience_s=0.2)


@pytest.mark.parametrize("warmup", [False, True])
def test_the_shutdown_signal_ends_the_wait(warmup: bool) -> None:
    memory = table()
    loader, answers = loader_of(memory), iter([False, False, True])
    ended: list[BaseException | None] = []

    class End(Callback):
        def end_training(self, exception: BaseException | None) -> None:
            ended.append(exception)

    def signal() -> bool:
        return next(answers)

    callbacks = [End(), *([MemoryWarmup(loader, shutdown_signal=signal)] if warmup else [])]
    with Filling(memory, episodes=0):
        Trainer(callbacks, loader).train(shutdown_signal=None if warmup else signal)
    assert isinstance(ended[0], TrainingShutdownException)


def test_exports_that_are_asked_for_are_done_while_waiting() -> None:
    memory = table()

    class Exporter:
        asked = 0

        def process_pending_exports(self) -> None:
            self.asked += 1
            if self.asked == 3:
                add(memory, 0, steps=8)

    exporter, loader = Exporter(), loader_of(memory)
    with Filling(memory, episodes=0):
        Trainer([MemoryWarmup(loader, exporter), BackPropStepsTerminator(1)], loader).train()
    assert exporter.asked == 3


@pytest.mark.parametrize("override", [None, "other", "other.zip"])
def test_an_exported_memory_comes_back(tmp_path: Path, override: str | None) -> None:
    original, memory = table(), table()
    add(original, 3, steps=8)
    original.store(str(tmp_path / (override or "memory_export").removesuffix(".zip")))
    importer = MemoryImporterCallback(memory, "memory", str(tmp_path), load_fname_override=override)
    trainer = Trainer([BackPropStepsTerminator(1), importer], loader_of(memory))
    trainer.train()
    assert trainer.callbacks[0] is importer
    assert memory.size() == 8


def test_an_export_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"Failed to load memory dump: .*memory_export.zip does .* holds no exp"
    ):
        Trainer([MemoryImporterCallback(table(), "memory", tmp_path)]).train()
    original = table()
    add(original, 3)
    original.store(str(tmp_path / "replay_export"))
    with pytest.raises(FileNotFoundError, match=r"There are: replay_export.zip"):
        Trainer([MemoryImporterCallback(table(), "memory", tmp_path)]).train()
