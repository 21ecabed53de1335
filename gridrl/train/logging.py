"""Loggers: callbacks that write what others note (`gridrl.log.metrics.LoggingMixin`) after every so many updates.

All of them read only when they write, so that noting costs nothing in between.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.errors import BadValue
from gridrl.log.metrics import LoggingMixin
from gridrl.log.progress import read_progress
from gridrl.log.sinks import Destination, ProgressSink, Sink, open_sinks
from gridrl.log.video import as_gif, as_images
from gridrl.train.callback import Callback
from gridrl.utils.mpi import proc_id
from gridrl.utils.optional import import_optional

log = logging.getLogger(__name__)


def with_suffix(key: str, suffix: str | None) -> str:
    """A key with a suffix on its first level.

    >>> with_suffix("training/loss", "bp_step"), with_suffix("loss", "bp_step"), with_suffix("a/b", None)
    ('training_bp_step/loss', 'loss_bp_step', 'a/b')
    """
    first, slash, rest = key.partition("/")
    return f"{first}_{suffix}{slash}{rest}" if suffix else key


class LogWriter(Callback):
    """What all loggers have in common: whom they ask, when, and how fast the training is.

    Of several MPI ranks the first one writes.
    """

    def __init__(self, loggables: Sequence[LoggingMixin], log_interval: int) -> None:
        """Takes whom to ask, after how many updates each time.

        Raises:
            BadValue: one of the loggables notes nothing, or fewer than one update.
        """
        if log_interval < 1:
            raise BadValue(f"log_interval={log_interval}: 1 update or more is needed.")
        for loggable in loggables:
            if not isinstance(loggable, LoggingMixin):
                raise BadValue(f"{type(loggable).__name__} is no LoggingMixin: there is nothing of it to log.")
        super().__init__(cycle=log_interval)
        self.loggables = list(loggables)
        self._begun = (0.0, 0, 0)

    def begin_training(self, bp_step: int, bp_samples: int) -> None:
        """Notes when and where the training starts."""
        self._begun = (time.monotonic(), bp_step, bp_samples)

    def scalars(self, suffix: str | None = None) -> Iterator[tuple[str, float]]:
        """The newest numbers, the mean of each window, and under `{key}/cumulative` the sum of all in it."""
        for loggable in self.loggables:
            for key, value in list(loggable.scalar_logs.items()):
                yield with_suffix(key, suffix), value
            for key, value in loggable.windowed_means().items():
                yield with_suffix(key, suffix), value
            for key, value in list(loggable.windowed_scalar_cumulative.items()):
                yield f"{with_suffix(key, suffix)}/cumulative", value

    def performance(self, bp_step: int, bp_samples: int) -> dict[str, float]:
        """Samples and updates a second since the training started, or went on."""
        begun, step, samples = self._begun
        elapsed = max(time.monotonic() - begun, 1e-9)
        return {
            "performance/bp_samples_per_sec": (bp_samples - samples) / elapsed,
            "performance/bp_steps_per_sec": (bp_step - step) / elapsed,
        }


class TensorboardLogger(LogWriter):
    """Writes everything to TensorBoard: numbers, histograms, images and videos.

    A key `loss/q_loss` becomes `loss_bp_step/q_loss`, over the number of updates.
    """

    def __init__(
        self, loggables: Sequence[LoggingMixin], writer: Any, log_interval: int, log_by_samples: bool = False
    ) -> None:
        """Takes whom to ask and where to write.

        Args:
            loggables: what is logged.
            writer: a `torch.utils.tensorboard.SummaryWriter`; it stays open.
            log_interval: updates between two writings.
            log_by_samples: whether numbers are written a second time over the number of samples, as
                `loss_bp_samples/q_loss`.

        Raises:
            BadValue: see `LogWriter`.
        """
        super().__init__(loggables, log_interval)
        self._writer, self._log_by_samples = writer, log_by_samples

    def end_cycle(self, bp_step: int, bp_samples: int) -> None:
        """Writes."""
        if proc_id() != 0:
            return
        self._log_scalars("bp_step", bp_step)
        if self._log_by_samples:
            self._log_scalars("bp_samples", bp_samples)
        for key, value in self.performance(bp_step, bp_samples).items():
            self._writer.add_scalar(key, value, bp_step)
        for loggable in self.loggables:
            self._log_media(loggable, bp_step)
        self._writer.flush()

    def _log_scalars(self, suffix: str, step: int) -> None:
        for key, value in self.scalars(suffix):
            self._writer.add_scalar(key, value, step)

    def _log_media(self, loggable: LoggingMixin, step: int) -> None:
        for key, image in list(loggable.image_logs.items()):
            self._writer.add_image(with_suffix(key, "bp_step"), image, step, dataformats="HWC")
        for key, numbers in list(loggable.hist_logs.items()):
            finite = _finite(numbers)
            if finite.size:
                self._writer.add_histogram(with_suffix(key, "bp_step"), finite, step)
        for key, (frames, per_second) in list(loggable.video_logs.items()):
            self._log_video(with_suffix(key, "bp_step"), frames, per_second, step)

    def _log_video(self, key: str, frames: Any, per_second: int, step: int) -> None:
        """Writes the GIF itself: torch's `add_video` cannot use today's moviepy, and says so on standard output."""
        if not hasattr(self._writer, "_get_file_writer"):
            self._writer.add_video(key, frames, step, fps=per_second)
            return
        summary = import_optional(
            "tensorboard.compat.proto.summary_pb2", extra="tensorboard", purpose="TensorboardLogger"
        ).Summary
        _, height, width, _ = as_images(frames).shape
        gif = as_gif(frames, per_second)
        image = summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)
        self._writer._get_file_writer().add_summary(summary(value=[summary.Value(tag=key, image=image)]), step)


class TerminalLogger(LogWriter):
    """Writes numbers to Python's logging, at level INFO: one line each, `loss_bp_step/q_loss@100:\t0.1250`."""

    def __init__(self, callbacks: Sequence[LoggingMixin], log_interval: int) -> None:
        """Takes what is logged, after how many updates each time.

        Raises:
            BadValue: see `LogWriter`.
        """
        super().__init__(callbacks, log_interval)

    def log_scalars(self, step: int, suffix: str | None = None) -> None:
        """Writes the newest numbers and the means of windows.

        Args:
            step: what stands behind the key.
            suffix: added to the first level of each key: with "bp_step", `training/loss` is `training_bp_step/loss`.
        """
        for loggable in self.loggables:
            for key, value in {**loggable.scalar_logs, **loggable.windowed_means()}.items():
                log.info("%s@%s:\t%.4f", with_suffix(key, suffix), step, value)

    def end_cycle(self, bp_step: int) -> None:
        """Writes."""
        if proc_id() == 0:
            self.log_scalars(bp_step, "bp_step")


class WBLogger(LogWriter):
    """Writes everything to Weights & Biases, under the keys of `TensorboardLogger`, and `log/bp_step`.

    `WANDB_MODE=offline` keeps it on this machine.
    """

    def __init__(self, callbacks: Sequence[LoggingMixin], config: Mapping[str, Any], log_interval: int) -> None:
        """Starts a W&B run.

        Args:
            callbacks: what is logged.
            config: `wandb_project` and `wandb_run` name project and run; everything else is shown as the run's
                configuration.
            log_interval: updates between two writings.

        Raises:
            BadValue: wandb is not installed, a run has been started already, or one of the two names is missing.
        """
        super().__init__(callbacks, log_interval)
        missing = [key for key in ("wandb_project", "wandb_run") if key not in config]
        if missing:
            raise BadValue(
                f"config lacks {' and '.join(map(repr, missing))}; it has: {', '.join(config) or 'nothing'}."
            )
        self._wandb = import_optional("wandb", extra="wandb", purpose="WBLogger")
        self._run: Any = None
        if proc_id() != 0:
            return
        if self._wandb.run is not None:
            raise BadValue("a W&B run has been started in this process already: finish it first, with wandb.finish().")
        shown = {key: value for key, value in config.items() if key not in ("wandb_project", "wandb_run")}
        self._run = self._wandb.init(project=config["wandb_project"], name=config["wandb_run"], config=shown)

    def end_cycle(self, bp_step: int, bp_samples: int) -> None:
        """Writes."""
        if self._run is None:
            return
        row: dict[str, Any] = dict(self.scalars("bp_step"))
        for loggable in self.loggables:
            row |= {with_suffix(key, "bp_step"): value for key, value in self._media(loggable)}
        self._run.log({**row, **self.performance(bp_step, bp_samples), "log/bp_step": bp_step})

    def _media(self, loggable: LoggingMixin) -> Iterator[tuple[str, Any]]:
        import io

        wandb = self._wandb
        for key, image in list(loggable.image_logs.items()):
            array = image.cpu().numpy() if hasattr(image, "cpu") else image
            yield key, wandb.Image(array)
        for key, numbers in list(loggable.hist_logs.items()):
            finite = _finite(numbers)
            if finite.size:
                yield key, wandb.Histogram(finite)
        for key, (frames, per_second) in list(loggable.video_logs.items()):
            yield key, wandb.Video(io.BytesIO(as_gif(frames, per_second)), format="gif")

    def end_training(self) -> None:
        """Waits until everything is sent, or written where W&B is offline."""
        if self._run is not None:
            self._run.finish()
            self._run = None


class SinkLogger(LogWriter):
    """Writes numbers as rows to the sinks of `gridrl.log.sinks`: progress.txt, the terminal, TensorBoard, W&B.

    A training that goes on from a checkpoint goes on behind the rows that were written before it.

    >>> import tempfile
    >>> from gridrl.train.trainer import Trainer
    >>> class Count(LoggingMixin, Callback):
    ...     def end_batch(self, bp_step):
    ...         self.log_scalar("count", bp_step)
    >>> count = Count()
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     Trainer([count, SinkLogger([count], 2, directory)], [{"batch_size": 8}] * 4).train()
    ...     print((Path(directory) / "progress.txt").read_text().splitlines()[1].split()[:3])
    ['2', '16', '2.0']
    """

    def __init__(
        self,
        loggables: Sequence[LoggingMixin],
        log_interval: int,
        output_dir: str | Path = ".",
        log: str | Sequence[str | Sink] = ("progress",),
    ) -> None:
        """Takes what is logged where.

        Args:
            loggables: what is logged.
            log_interval: updates between two rows.
            output_dir: the directory of the sinks' files.
            log: names of sinks, or sinks.

        Raises:
            BadValue: see `LogWriter`, and `gridrl.log.sinks.check_sinks`.
        """
        super().__init__(loggables, log_interval)
        self._log, self._destination = [log] if isinstance(log, str) else log, Destination(Path(output_dir))
        self._sinks = self._opened()

    def _opened(self) -> list[Sink]:
        return open_sinks(self._log, self._destination) if proc_id() == 0 else []

    def begin_training(self, bp_step: int, bp_samples: int) -> None:
        """Notes when and where the training starts; rows of progress.txt from before that stay."""
        super().begin_training(bp_step, bp_samples)
        self._sinks = self._sinks or self._opened()  # they were closed where this is a second training
        for sink in self._sinks if bp_step else ():
            if isinstance(sink, ProgressSink) and sink.file.path.exists():
                rows = read_progress(sink.file.path, ["bp_step"])
                sink.file.keep_rows(sum(step <= bp_step for step in rows.get("bp_step", ())))

    def end_cycle(self, bp_step: int, bp_samples: int) -> None:
        """Writes a row; `bp_step` is its first column."""
        if self._sinks:
            row = {"bp_step": bp_step, "bp_samples": bp_samples, **dict(self.scalars())}
            row |= self.performance(bp_step, bp_samples)
            for sink in self._sinks:
                sink.write(row, bp_step)

    def end_training(self) -> None:
        """Closes the sinks."""
        for sink in self._sinks:
            sink.close()
        self._sinks = []


class SystemLogger(LoggingMixin, Callback):
    """Notes memory and processor of this process, for loggers that come after it.

    `system/ram_usage_mb` is what it holds in memory, `system/ram_usage_growth_mb_step` its growth by update since the
    training started, `system/cpu_load` how many percent of one core it has used since it was last asked.

    >>> logger = SystemLogger()
    >>> logger.begin_training(bp_step=0)
    >>> logger.end_cycle(bp_step=1000)
    >>> sorted(logger.scalar_logs)
    ['system/cpu_load', 'system/ram_usage_growth_mb_step', 'system/ram_usage_mb']
    """

    priority = -1

    def __init__(self, cycle: int = 1000) -> None:
        """Takes after how many updates it looks."""
        import psutil

        super().__init__(cycle)
        self._process = psutil.Process()
        self._begun_mb, self._begun_at = self._ram_mb(), 0

    def begin_training(self, bp_step: int) -> None:
        """Notes what the training starts with."""
        self._begun_mb, self._begun_at = self._ram_mb(), bp_step
        self._process.cpu_percent()  # what is asked next counts from here

    def end_cycle(self, bp_step: int) -> None:
        """Looks."""
        now = self._ram_mb()
        steps = max(bp_step - self._begun_at, 1)
        self.log_scalar("system/ram_usage_mb", now)
        self.log_scalar("system/ram_usage_growth_mb_step", (now - self._begun_mb) / steps)
        self.log_scalar("system/cpu_load", self._process.cpu_percent())

    def _ram_mb(self) -> float:
        return float(self._process.memory_info().rss) / 2**20


def _finite(numbers: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What can be put into bins."""
    array = np.asarray(numbers, dtype=np.float64)
    return array[np.isfinite(array)]
