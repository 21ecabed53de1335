"""Callbacks that begin and end a training: after so many updates, when a check says so, once the memory is filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from gridrl.errors import BadValue, GridRLError, TrainingShutdownException, did_you_mean
from gridrl.log.metrics import LoggingMixin
from gridrl.memory.protocol import MemoryTable
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback
from gridrl.train.waiting import PATIENCE_S, wait_until_ready


class TrainingCheckFailed(GridRLError):
    """A loss is too high, or a reward too low, when a training that was to show the opposite ends."""


class BackPropStepsTerminator(Callback):
    """Ends the training after a number of updates, also one that goes on from a checkpoint.

    It comes last, so that the last update is logged and saved like every other.
    """

    priority = 1000

    def __init__(self, bp_steps: int) -> None:
        """Takes how many updates the training has in all, those before a checkpoint among them.

        Raises:
            BadValue: fewer than one.
        """
        _check_length("bp_steps", bp_steps)
        super().__init__(cycle=bp_steps)
        self._bp_steps = bp_steps

    def begin_training(self, bp_step: int) -> None:
        """Ends a training at once that is through already.

        Raises:
            TrainingShutdownException: always then.
        """
        if bp_step >= self._bp_steps:
            raise TrainingShutdownException(f"all {self._bp_steps} updates were done before")

    def end_cycle(self) -> None:
        """Ends the training.

        Raises:
            TrainingShutdownException: always.
        """
        raise TrainingShutdownException(f"all {self._bp_steps} updates are done")


class FinalLossTestCheck(Callback):
    """Ends the training after a number of updates, with an error where a loss is too high then. For tests."""

    priority = 900  # before a BackPropStepsTerminator of the same update, which would end the training unseen

    def __init__(self, callbacks: Sequence[LossCallback], cutoffs: Sequence[float], test_length: int) -> None:
        """Takes what is looked at when.

        Args:
            callbacks: the losses.
            cutoffs: the highest value of each that passes.
            test_length: after how many updates.

        Raises:
            BadValue: not as many cutoffs as losses, or fewer than one update.
        """
        _check_length("test_length", test_length)
        if len(callbacks) != len(cutoffs):
            raise BadValue(f"{len(callbacks)} losses and {len(cutoffs)} cutoffs: one for each is needed.")
        super().__init__(cycle=test_length)
        self._checks = list(zip(callbacks, cutoffs, strict=True))

    def end_cycle(self) -> None:
        """Looks at every loss, and ends the training.

        Raises:
            TrainingCheckFailed: a loss is too high, or was never seen; all of them are named.
            NotFinite: a loss is no number.
            TrainingShutdownException: all is well.
        """
        losses = [(loss.name, loss.scalar_logs.get(f"loss/{loss.name}_loss"), cutoff) for loss, cutoff in self._checks]
        failed = [
            f"Loss for {name} too high: {value}, at most {cutoff} passes."
            for name, value, cutoff in losses
            if value is None or not value <= cutoff
        ]
        if failed:
            raise TrainingCheckFailed(" ".join(failed))
        raise TrainingShutdownException("every loss is low enough")


class FinalRewardTestCheck(Callback):
    """Ends the training after a number of updates, with an error where a logged reward is too low then. For tests."""

    priority = 900  # before a BackPropStepsTerminator of the same update, which would end the training unseen

    def __init__(
        self,
        callback: LoggingMixin,
        cutoff: float,
        test_length: int,
        key: str = "training/scaled_reward",
        use_windowed: bool = False,
    ) -> None:
        """Takes what is looked at when.

        Args:
            callback: whose log holds the reward.
            cutoff: the lowest reward that passes.
            test_length: after how many updates.
            key: of the reward in the log.
            use_windowed: whether it is the mean of a window.

        Raises:
            BadValue: fewer than one update.
        """
        _check_length("test_length", test_length)
        super().__init__(cycle=test_length)
        self._callback, self._cutoff, self._key, self._use_windowed = callback, cutoff, key, use_windowed

    def end_cycle(self) -> None:
        """Looks at the reward, and ends the training.

        Raises:
            TrainingCheckFailed: it is too low, or nothing was logged under the key.
            TrainingShutdownException: all is well.
        """
        log = self._callback.windowed_means() if self._use_windowed else self._callback.scalar_logs
        key = self._key.partition(":")[2] if self._key.startswith("windowed[") else self._key
        if key not in log:
            there = ", ".join(sorted(log)) or "nothing"
            raise TrainingCheckFailed(f"No reward: {key!r} was not logged, but {there}.{did_you_mean(key, log)}")
        if not log[key] >= self._cutoff:
            raise TrainingCheckFailed(f"Reward too low: {log[key]}, at least {self._cutoff} passes.")
        raise TrainingShutdownException("the reward is high enough")


class Exporter(Protocol):
    """What exports a policy while the training waits, such as Emote's `OnnxExporter`."""

    def process_pending_exports(self) -> Any:
        """Does the exports that other threads asked for."""
        ...


class MemoryWarmup(Callback):
    """Waits, before the first update, until the memory holds what a batch takes. A `Trainer` waits for its dataloader
    by itself; this serves other loaders, and exports that are asked for meanwhile.

    It waits for collectors in other threads, and lets those of `gridrl.collect` that have no thread collect meanwhile.
    Others that collect in this thread have to come before: in a callback's `begin_training`, or before `train()`.
    Without any an error says so.
    """

    priority = 100

    def __init__(
        self,
        loader: Any,
        exporter: Exporter | None = None,
        shutdown_signal: Callable[[], bool] | None = None,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Takes what is waited for.

        Args:
            loader: a `MemoryLoader`, or whatever has `is_ready()`.
            exporter: whose pending exports are done meanwhile.
            shutdown_signal: asked meanwhile; True ends the training.
            patience_s: seconds without anything new after which the wait is given up.
        """
        super().__init__()
        self._loader, self._exporter, self._shutdown_signal = loader, exporter, shutdown_signal
        self._patience_s = patience_s

    def begin_training(self, while_waiting: Callable[[], Any] | None = None) -> None:
        """Waits.

        Args:
            while_waiting: collects, or waits for who does; from a collector's `begin_training`.

        Raises:
            NotEnoughData: nobody is there who could fill the memory, or nothing has come for `patience_s`.
            TrainingShutdownException: the signal was given.
        """
        meanwhile = None if self._exporter is None else self._exporter.process_pending_exports
        wait_until_ready(self._loader, self._shutdown_signal, meanwhile, self._patience_s, while_waiting)


class MemoryImporterCallback(Callback):
    """Fills a memory from an exported one before anything else happens."""

    priority = -1

    def __init__(
        self,
        memory_table: MemoryTable,
        target_memory_name: str,
        experiment_load_dir: str | Path,
        load_fname_override: str | None = None,
    ) -> None:
        """Takes where the export is.

        Args:
            memory_table: that is filled; what it holds goes.
            target_memory_name: of the exported memory: its file is `{target_memory_name}_export.zip`.
            experiment_load_dir: where the file is.
            load_fname_override: the file's name, with or without `.zip`, where it is another one.
        """
        super().__init__()
        self._table = memory_table
        name = load_fname_override or f"{target_memory_name}_export"
        self._path = Path(experiment_load_dir) / name.removesuffix(".zip")

    def restore_state(self) -> None:
        """Reads the export.

        Raises:
            FileNotFoundError: there is none; those beside it are named.
            CheckpointError: it cannot be read, or is of another kind of memory; then nothing has changed.
        """
        path = self._path
        file = path.with_name(path.name + ".zip")
        if not file.is_file():
            there = sorted(other.name for other in path.parent.glob("*.zip")) if path.parent.is_dir() else []
            raise FileNotFoundError(
                f"Failed to load memory dump: {file} does not exist. "
                + (f"There are: {', '.join(there)}." if there else f"{path.parent} holds no export.")
            )
        self._table.restore(str(path))


def _check_length(name: str, updates: int) -> None:
    if updates < 1:
        raise BadValue(f"{name}={updates}: a training has 1 update or more.")
