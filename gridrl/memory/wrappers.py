"""What stands around a memory's proxy: to change, log or export what goes in."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridrl.errors import BadValue, GridRLWarning
from gridrl.log.metrics import LoggingMixin
from gridrl.typing import AgentId, DictObservation, DictResponse, EpisodeState, FloatList
from gridrl.utils.timing import BlockTimers

ENDS = (EpisodeState.TERMINAL, EpisodeState.INTERRUPTED)
"""The states in which an episode is over."""

_FEW_STEPS = 10_000  # between two exports
_HISTOGRAM = "histogram:"


class MemoryProxyWrapper:
    """Stands around a proxy or another wrapper: methods that it lacks are those of what it stands around.

    >>> class Counted(MemoryProxyWrapper):
    ...     count = 0
    ...     def add(self, observations, responses):
    ...         self.count += len(observations)
    ...         self._inner.add(observations, responses)
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: under "inner" what that of what it stands around keeps, if anything."""
        inner: dict[str, Any] = getattr(self._inner, "state_dict", dict)()
        return {"inner": inner} if inner else {}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave, in what it stands around."""
        if "inner" in state_dict:
            self._inner.load_state_dict(state_dict["inner"], load_network, load_optimizer, load_hparams)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        found, of_class = getattr(self._inner, name), getattr(type(self._inner), name, None)
        is_its_own = of_class is not None or name in vars(self._inner)  # else it comes from further in
        if is_its_own and not callable(found) and not isinstance(of_class, property):
            raise AttributeError(f"{type(self).__name__} hands on methods and properties; {name!r} is neither.")
        return found


class MemoryTableProxyWrapper(MemoryProxyWrapper):
    """Stands around the proxy of a table."""

    def __init__(self, *, inner: Any) -> None:
        super().__init__(inner)

    def store(self, path: str) -> None:
        """Writes the table to `{path}.zip`."""
        self._inner.store(path)


class LoggingProxyWrapper(LoggingMixin, MemoryTableProxyWrapper):
    """Logs what the metadata of observations tells, smoothed over all agents, as it goes by.

    A number `key` of an observation's `metadata.info`, or several of its `info_lists`, go into a window; under
    `histogram:key` they go into a histogram. Every `log_interval` observations the writer gets, over the number of
    observations so far: the mean of each window and under `{key}/cumulative` its sum, `training/inf_per_sec`,
    `performance/inf_steps_per_sec`, `episode/completed`, and `memory/{name}/{timer}/timing/mean` and `.../var` of the
    proxy's timers; and `env_vs_episode/reward`, the mean of the window `episode/reward`, over the number of episodes.

    Attributes:
        completed_inferences: observations so far.
        completed_episodes: of which ended an episode.
    """

    def __init__(self, inner: Any, writer: Any, log_interval: int) -> None:
        """Stands around a proxy.

        Args:
            inner: the proxy of a table, or what stands around it.
            writer: a `torch.utils.tensorboard.SummaryWriter`, or what has its methods; it stays open.
            log_interval: observations between two writings.

        Raises:
            BadValue: fewer than one observation.
        """
        if log_interval < 1:
            raise BadValue(f"log_interval={log_interval}: 1 observation or more is needed.")
        super().__init__(inner=inner, default_window_length=1000)
        self.completed_inferences = self.completed_episodes = 0
        self._writer, self._log_interval = writer, log_interval
        self._begin()

    def _begin(self) -> None:
        self._start = self._written = (time.monotonic(), self.completed_inferences)

    def state_dict(self) -> dict[str, Any]:
        """Both counts, the logs, and what it stands around."""
        counts = {"completed_inferences": self.completed_inferences, "completed_episodes": self.completed_episodes}
        return {**super().state_dict(), **counts}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave; counts and logs only with `load_hparams`."""
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)
        if load_hparams:
            self.completed_inferences = int(state_dict["completed_inferences"])
            self.completed_episodes = int(state_dict["completed_episodes"])
            self._begin()

    def add(self, observations: Mapping[AgentId, DictObservation], responses: Mapping[AgentId, DictResponse]) -> None:
        """Hands on what agents observed and did, notes their metadata, and writes when it is time.

        Raises:
            BadValue, ColumnError: see `MemoryTableProxy.add`; then nothing has been counted.
        """
        self._inner.add(observations, responses)
        self.completed_inferences += len(observations)
        self.completed_episodes += sum(seen.episode_state in ENDS for seen in observations.values())
        for seen in observations.values():
            if seen.metadata is not None:
                self.report(seen.metadata.info, seen.metadata.info_lists)
        if self.completed_inferences - self._written[1] >= self._log_interval:
            self._write()

    def report(self, metrics: Mapping[str, float], metrics_lists: Mapping[str, FloatList]) -> None:
        """Notes numbers by key, and several numbers by key; `histogram:key` is a histogram, any other a window."""
        for key, value in [*metrics.items(), *metrics_lists.items()]:
            if key.startswith(_HISTOGRAM):
                self.log_histogram(key.removeprefix(_HISTOGRAM), value)
            else:
                self.log_windowed_scalar(key, value)

    def get_report(self, keys: Iterable[str]) -> tuple[dict[str, int | float | list[float]], dict[str, list[float]]]:
        """What has been noted under some keys.

        Args:
            keys: of numbers and windows, and `inf_step` for the number of observations; unknown ones are left out.

        Returns:
            Numbers (of a window its mean, and under `{key}/cumulative` its sum), and the numbers in windows.
        """
        numbers: dict[str, int | float | list[float]] = {}
        lists: dict[str, list[float]] = {}
        for key in keys:
            if key == "inf_step":
                numbers[key] = self.completed_inferences
            elif key in self.windowed_means():
                numbers[key] = self.windowed_means()[key]
                numbers[f"{key}/cumulative"] = self.windowed_scalar_cumulative[key]
                lists[key] = list(self.windowed_scalar[key])
            elif key in self.scalar_logs:
                numbers[key] = self.scalar_logs[key]
        return numbers, lists

    def _write(self) -> None:
        now, step = time.monotonic(), self.completed_inferences
        self.log_scalar("training/inf_per_sec", _rate(step - self._written[1], now - self._written[0]))
        self.log_scalar("performance/inf_steps_per_sec", _rate(step - self._start[1], now - self._start[0]))
        self.log_scalar("episode/completed", self.completed_episodes)
        timers = getattr(self._inner, "timers", None)
        if timers is not None:  # a proxy of somebody's own may have none
            log_timers(self, f"memory/{self._inner.name}", timers())
        cumulative = {f"{key}/cumulative": total for key, total in self.windowed_scalar_cumulative.items()}
        for key, value in {**self.scalar_logs, **self.windowed_means(), **cumulative}.items():
            self._writer.add_scalar(key, value, step)
        for key, image in self.image_logs.items():
            self._writer.add_image(key, image, step, dataformats="HWC")
        for key, (frames, per_second) in self.video_logs.items():
            self._writer.add_video(key, frames, step, fps=per_second)
        for key, values in self.hist_logs.items():
            self._add_histogram(key, values, step)
        self._write_rewards(step)
        self._writer.flush()
        self._written = (now, step)

    def _write_rewards(self, step: int) -> None:
        rewards = self.windowed_scalar.get("episode/reward")
        if rewards:
            self._writer.add_scalar("env_vs_episode/reward", sum(rewards) / len(rewards), self.completed_episodes)
            self._add_histogram("episode/reward_distribution", rewards, step)
            self._add_histogram("env_vs_episode/reward_distribution", rewards, self.completed_episodes)

    def _add_histogram(self, key: str, values: Any, step: int) -> None:
        numbers = np.array(values if isinstance(values, deque) else np.ravel(values), np.float64)
        if np.isfinite(numbers).any():  # TensorBoard refuses one without numbers
            self._writer.add_histogram(key, numbers[np.isfinite(numbers)], step)


class MemoryExporterProxyWrapper(LoggingMixin, MemoryTableProxyWrapper):
    """Exports the memory at regular intervals, to `{experiment_root_path}/{target_memory_name}_export.zip`.

    The exporting takes place within `add`. How long it takes is logged as `memory/{target_memory_name}/export/timing`.
    """

    def __init__(
        self,
        memory: Any,
        target_memory_name: str,
        inf_steps_per_memory_export: int,
        experiment_root_path: str | Path,
        min_time_per_export: int = 600,
    ) -> None:
        """Stands around a proxy.

        Args:
            memory: the proxy of a table, or what stands around it.
            target_memory_name: what the file is called after.
            inf_steps_per_memory_export: observations between two exports; fewer than 10,000 are warned about.
            experiment_root_path: the directory of the file; made where it is missing.
            min_time_per_export: seconds between two exports at least.

        Raises:
            BadValue: fewer than one observation.
        """
        if inf_steps_per_memory_export < 1:
            raise BadValue(f"inf_steps_per_memory_export={inf_steps_per_memory_export}: 1 or more is needed.")
        if inf_steps_per_memory_export < _FEW_STEPS:
            warnings.warn(
                f"An export writes the whole memory, and observations wait for it: one every "
                f"{inf_steps_per_memory_export} observations is often, {_FEW_STEPS} or more are advised.",
                GridRLWarning,
                stacklevel=2,
            )
        super().__init__(inner=memory)
        self.path = Path(experiment_root_path) / f"{target_memory_name}_export"
        self._name, self._every, self._least_s = target_memory_name, inf_steps_per_memory_export, min_time_per_export
        self._steps, self._next = 0, inf_steps_per_memory_export
        self._exported_at = time.monotonic()
        self._export_timers = BlockTimers()

    def add(self, observations: Mapping[AgentId, DictObservation], responses: Mapping[AgentId, DictResponse]) -> None:
        """First adds to the memory, then exports it if it is time."""
        self._inner.add(observations, responses)
        self._steps += len(observations)
        if self._steps < self._next or time.monotonic() - self._exported_at < self._least_s:
            return
        with self._export_timers.scope("export"):
            self._inner.store(str(self.path))
        log_timers(self, f"memory/{self._name}", self._export_timers)
        self._next, self._exported_at = self._steps + self._every, time.monotonic()


def log_timers(logs: LoggingMixin, prefix: str, timers: BlockTimers) -> None:
    """Notes mean and variance of each timer as `{prefix}/{timer}/timing/mean` and `.../var`."""
    for name, (mean, variance) in timers.stats().items():
        logs.log_scalar(f"{prefix}/{name}/timing/mean", mean)
        logs.log_scalar(f"{prefix}/{name}/timing/var", variance)


def _rate(count: int, seconds: float) -> float:
    return count / max(seconds, 1e-9)
