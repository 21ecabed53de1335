"""DI-engine's replay buffers: data of any kind, one datum a slot, drawn as lists.

For transitions of one shape, `gridrl.memory.table` draws whole batches of tensors many times faster.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from gridrl.build import NamedTable
from gridrl.errors import BadValue
from gridrl.memory.slot_buffer import IBuffer, SlotBuffer
from gridrl.memory.starts import IntArray
from gridrl.memory.throughput import ThroughputLog

__all__ = [
    "BUFFERS",
    "EpisodeReplayBuffer",
    "IBuffer",
    "NaiveReplayBuffer",
    "SequenceReplayBuffer",
    "create_buffer",
    "get_buffer_cls",
]

log = logging.getLogger(__name__)

BUFFERS = NamedTable(
    "replay buffer",
    {
        "naive": "gridrl.memory.buffers:NaiveReplayBuffer",
        "sequence": "gridrl.memory.buffers:SequenceReplayBuffer",
        "episode": "gridrl.memory.buffers:EpisodeReplayBuffer",
        "advanced": "gridrl.memory.advanced:AdvancedReplayBuffer",
    },
    group="gridrl.buffers",
)
"""The buffers that a configuration can ask for by its `type`."""


def get_buffer_cls(cfg: Mapping[str, Any]) -> Any:
    """The class of buffer that `cfg["type"]` names; modules in `import_names` are imported before.

    Raises:
        BadValue: there is no `type`, or no such buffer.
    """
    for name in cfg.get("import_names", ()):
        importlib.import_module(name)
    if "type" not in cfg:
        raise BadValue(f"cfg has no type: one of {', '.join(BUFFERS)} is needed.")
    return BUFFERS.load(cfg["type"])


def create_buffer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Makes the buffer that `cfg["type"]` names.

    Args:
        cfg: what differs from the class's `default_config()`.
        args: of the class, such as a TensorBoard writer.
        kwargs: of the class.

    Raises:
        BadValue: see `get_buffer_cls`; or a value that the buffer refuses.
    """
    return get_buffer_cls(cfg)(cfg, *args, **kwargs)


class NaiveReplayBuffer(SlotBuffer):
    """Keeps the newest data, and draws them uniformly. Threads may push and draw side by side.

    >>> buffer = NaiveReplayBuffer({"replay_buffer_size": 3})
    >>> buffer.push([{"obs": 1}, {"obs": 2}, {"obs": 3}, {"obs": 4}], 0)
    >>> buffer.count(), sorted(item["obs"] for item in buffer.sample(3, 0))
    (3, [2, 3, 4])
    """

    config: Mapping[str, Any] = {
        "type": "naive",
        "replay_buffer_size": 10000,
        "deepcopy": False,
        "enable_track_used_data": False,
        "periodic_thruput_seconds": 60,
        "seed": 0,
    }

    def __init__(
        self,
        cfg: Mapping[str, Any],
        tb_logger: Any = None,
        exp_name: str = "default_experiment",
        instance_name: str = "buffer",
    ) -> None:
        """See `SlotBuffer`."""
        super().__init__(cfg, tb_logger, exp_name, instance_name)
        self._throughput = ThroughputLog(instance_name, self.cfg.periodic_thruput_seconds, tb_logger)

    def push(self, data: list[Any] | Any, cur_collector_envstep: int) -> None:
        """Takes in one datum, or each of a list.

        Args:
            data: kept as it is, copied with `deepcopy`. What is no list is one datum, a tuple too.
            cur_collector_envstep: not used.
        """
        with self._lock:
            slots = self._slots.push(self._stored(self._many(data)))
            self._arrived(slots)
            self._throughput.add("pushed_in", len(slots), self._slots.count)

    def _arrived(self, slots: IntArray) -> None:
        """Called with the slots of new data, in their order."""

    def _many(self, data: Any) -> list[Any]:
        return data if isinstance(data, list) else [data]

    def sample(
        self, size: int, cur_learner_iter: int, sample_range: slice | None = None, replace: bool = False
    ) -> list[Any] | None:
        """Draws data uniformly.

        Args:
            size: how many.
            cur_learner_iter: not used.
            sample_range: draws among these alone, counted from the oldest: `slice(-10, None)` are the last ten.
            replace: whether one may be drawn twice.

        Returns:
            The data, not copied without `deepcopy`; None, and a line in the log, where there are too few.
        """
        with self._lock:
            ages = range(self._slots.count)[sample_range or slice(None)]
            if not self._is_enough(size, len(ages), replace):
                return None
            self._throughput.add("sampled_out", size, self._slots.count)
            drawn = self.rng.choice(len(ages), size, replace=replace) if size else np.zeros(0, np.int64)
            return self._taken(self._slots.aged(ages.start + ages.step * drawn))

    def update(self, info: dict[str, list[Any]]) -> None:
        """Does nothing: there is nothing to be learned about these data."""

    def clear(self) -> None:
        """Takes out everything; what has come is counted from 0 again."""
        with self._lock:
            super().clear()
            self._slots.tail = self._slots.pushed = 0

    def _is_enough(self, size: int, candidates: int, replace: bool) -> bool:
        enough = size == 0 or (candidates > 0 if replace else candidates >= size)
        if not enough:
            log.warning("%s: %d were asked for, only %d can be drawn.", self.instance_name, size, candidates)
        return enough


class SequenceReplayBuffer(NaiveReplayBuffer):
    """Draws steps that followed each other: none across the end of an episode, which is a step with a true `done`.

    The steps of an episode have to be pushed one after the other.
    """

    config: Mapping[str, Any] = {**NaiveReplayBuffer.config, "type": "sequence"}

    def __init__(
        self,
        cfg: Mapping[str, Any],
        tb_logger: Any = None,
        exp_name: str = "default_experiment",
        instance_name: str = "buffer",
    ) -> None:
        """See `SlotBuffer`."""
        super().__init__(cfg, tb_logger, exp_name, instance_name)
        self._episode: IntArray = np.zeros(self.replay_buffer_size, np.int64)  # how many had ended before each step
        self._ended = 0

    def sample(  # type: ignore[override]  # as documented
        self,
        batch: int,
        sequence: int,
        cur_learner_iter: int,
        sample_range: slice | None = None,
        replace: bool = False,
    ) -> list[list[Any]] | None:
        """Draws sequences, each place where one can start with the same probability.

        Args:
            batch: how many.
            sequence: steps of each.
            cur_learner_iter: not used.
            sample_range: draws within these steps alone, counted from the oldest.
            replace: whether two may start at the same step.

        Returns:
            `batch` lists of `sequence` steps; None, and a line in the log, where there are too few.
        """
        if sequence < 1:
            raise BadValue(f"sequence={sequence}: 1 step or more is needed.")
        with self._lock:
            slots = self._slots.order()[sample_range or slice(None)]
            starts = self._starts(slots, sequence)
            if not self._is_enough(batch, len(starts), replace):
                return None
            chosen = starts[self.rng.choice(len(starts), batch, replace=replace)] if batch else starts[:0]
            self._throughput.add("sampled_out", batch * sequence, self._slots.count)
            return [self._taken(slots[start : start + sequence]) for start in chosen.tolist()]

    def load_state_dict(self, _state_dict: dict[str, Any]) -> None:
        """See `SlotBuffer`."""
        with self._lock:
            super().load_state_dict(_state_dict)
            self._arrived(self._slots.order())

    def _arrived(self, slots: IntArray) -> None:
        for slot in slots.tolist():
            self._episode[slot] = self._ended
            self._ended += _is_done(self._slots.items[slot])

    def _starts(self, slots: IntArray, sequence: int) -> IntArray:
        """Where among these slots so many steps of one episode begin."""
        episode = self._episode[slots]
        starts: IntArray = np.flatnonzero(episode[sequence - 1 :] == episode[: max(0, len(slots) - sequence + 1)])
        return starts


class EpisodeReplayBuffer(NaiveReplayBuffer):
    """Keeps whole episodes: a datum is the list of an episode's steps."""

    config: Mapping[str, Any] = {**NaiveReplayBuffer.config, "type": "episode"}

    @property
    def episode_len(self) -> list[int]:
        """How many steps each episode has, the oldest first."""
        return [len(self._slots.items[slot]) for slot in self._slots.order().tolist()]

    def _many(self, data: Any) -> list[Any]:
        is_one = isinstance(data, list) and bool(data) and not isinstance(data[0], list | tuple)
        return [data] if is_one or not isinstance(data, list) else data


def _is_done(item: Any) -> bool:
    return isinstance(item, Mapping) and bool(item.get("done", False))
