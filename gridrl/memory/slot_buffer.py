"""What DI-engine's buffers have in common: the interface, slots, configuration, files."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import queue
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gridrl.build import recursive_update
from gridrl.errors import BadValue, CheckpointError, did_you_mean
from gridrl.log.saving import pack_arrays, portable, unpack_arrays, write_torch
from gridrl.memory.slots import Slots
from gridrl.memory.starts import IntArray
from gridrl.utils.attribute_dict import AttributeDict

log = logging.getLogger(__name__)

_END = object()


class IBuffer(ABC):
    """What every buffer does."""

    config: Mapping[str, Any] = {}

    @classmethod
    def default_config(cls) -> AttributeDict:
        """A copy of the class's configuration, with `cfg_type`."""
        return AttributeDict({**copy.deepcopy(dict(cls.config)), "cfg_type": f"{cls.__name__}Dict"})

    @abstractmethod
    def push(self, data: list[Any] | Any, cur_collector_envstep: int) -> None:
        """Takes in one datum, or each of a list."""

    @abstractmethod
    def update(self, info: dict[str, list[Any]]) -> None:
        """Takes in what has been learned about data, such as their priorities."""

    @abstractmethod
    def sample(self, batch_size: int, cur_learner_iter: int) -> list[Any] | None:
        """Draws a list of data; None where there are too few."""

    @abstractmethod
    def clear(self) -> None:
        """Takes out everything."""

    @abstractmethod
    def count(self) -> int:
        """How many data there are."""

    @abstractmethod
    def save_data(self, file_name: str) -> None:
        """Writes the data to a file."""

    @abstractmethod
    def load_data(self, file_name: str) -> None:
        """Pushes the data of a file."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that is needed for the same draws to follow."""

    @abstractmethod
    def load_state_dict(self, _state_dict: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""


class SlotBuffer(IBuffer):
    """What the buffers have in common: slots, configuration, a lock, files, and the removal of used data.

    Attributes:
        cfg: the configuration in use.
        rng: draws.
    """

    def __init__(
        self,
        cfg: Mapping[str, Any],
        tb_logger: Any = None,
        exp_name: str = "default_experiment",
        instance_name: str = "buffer",
    ) -> None:
        """Makes an empty buffer.

        Args:
            cfg: what differs from `default_config()`.
            tb_logger: a `SummaryWriter` for its monitors; it stays open. None: they write to the log alone.
            exp_name: of the experiment.
            instance_name: what logs and identities begin with.

        Raises:
            BadValue: `replay_buffer_size` is below 1.
        """
        self.cfg = _merged(self.default_config(), cfg)
        if self.cfg.replay_buffer_size < 1:
            raise BadValue(f"replay_buffer_size={self.cfg.replay_buffer_size}: 1 or more is needed.")
        self.exp_name, self.instance_name = exp_name, instance_name
        self.rng = np.random.default_rng(self.cfg.seed)
        self._writer = tb_logger
        self._lock = threading.RLock()
        self._used: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._remover: threading.Thread | None = None
        self._slots = Slots(self.cfg.replay_buffer_size, self._used.put if self.cfg.enable_track_used_data else None)

    @property
    def replay_buffer_size(self) -> int:
        """How many data there is room for."""
        return len(self._slots.items)

    @property
    def push_count(self) -> int:
        """How many data have come."""
        return self._slots.pushed

    def start(self) -> None:
        """With `enable_track_used_data`: removes the files of data that have left (`data_id`) from now on, in a thread
        of its own."""
        if self.cfg.enable_track_used_data and self._remover is None:
            # the thread does not know the buffer, which can go while it waits
            self._remover = threading.Thread(target=_remove_used, args=(self._used,), daemon=True)
            self._remover.name = f"{self.instance_name}: used data"
            self._remover.start()

    def close(self) -> None:
        """Takes out everything, and waits for the files of used data to be removed."""
        self.clear()
        if self._remover is not None:
            self._used.put(_END)
            self._remover.join()
            self._remover = None
        if self._writer is not None:
            self._writer.flush()

    def __del__(self) -> None:
        if getattr(self, "_remover", None) is not None and not sys.is_finalizing():  # then the thread has gone already
            self.close()

    def clear(self) -> None:
        """Takes out everything."""
        with self._lock:
            self._slots.remove(self._slots.order())

    def count(self) -> int:
        """How many data there are."""
        return self._slots.count

    def save_data(self, file_name: str) -> None:
        """Writes the data, the oldest first; whoever reads them executes nothing of the file.

        Raises:
            CheckpointError: a datum is not made of tensors, arrays, numbers, text, lists and dicts.
        """
        with self._lock:
            write_torch(Path(file_name), portable(pack_arrays({"data": self._slots.state()["data"]})))

    def load_data(self, file_name: str) -> None:
        """Pushes the data of a file that `save_data` wrote.

        Raises:
            CheckpointError: there is no such file, or it is cut off or another one; nothing has been pushed.
        """
        try:
            data = unpack_arrays(torch.load(file_name, weights_only=True))["data"]
        except Exception as error:
            raise CheckpointError(f"{file_name} cannot be read as the data of a buffer: {error}") from error
        for item in data:
            self.push([item], -1)

    def state_dict(self) -> dict[str, Any]:
        """The data (not copied), where they are, and the generator."""
        with self._lock:
            return {**self._slots.state(), "rng": json.dumps(self.rng.bit_generator.state)}

    def load_state_dict(self, _state_dict: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave; a dict with `data` alone is pushed.

        Raises:
            CheckpointError: it is of a buffer of another size.
        """
        with self._lock:
            if "slots" not in _state_dict:
                self.push(list(_state_dict["data"]), -1)
                return
            capacity = _state_dict.get("capacity")
            if capacity != self.replay_buffer_size:
                raise CheckpointError(
                    f"The state is of a buffer of {capacity}, this one holds {self.replay_buffer_size}."
                )
            self._slots.load_state(_state_dict)
            self.rng.bit_generator.state = json.loads(_state_dict["rng"])

    def _stored(self, items: Sequence[Any]) -> list[Any]:
        return copy.deepcopy(list(items)) if self.cfg.deepcopy else list(items)

    def _taken(self, slots: IntArray) -> list[Any]:
        found = [self._slots.items[slot] for slot in slots.tolist()]
        return [copy.deepcopy(item) for item in found] if self.cfg.deepcopy else found


def _remove_used(used: queue.SimpleQueue[Any]) -> None:
    while (item := used.get()) is not _END:
        path = item.get("data_id") if isinstance(item, Mapping) else None
        if path is not None and os.path.isfile(path):
            with contextlib.suppress(FileNotFoundError):  # another buffer held it too
                os.remove(path)


def _merged(default: AttributeDict, cfg: Mapping[str, Any]) -> AttributeDict:
    """The configuration, a key that looks like a wrong spelling told."""
    for key in cfg.keys() - default.keys():
        near = did_you_mean(key, default)
        if near:
            log.warning("The buffer has no option %r.%s", key, near)
    return AttributeDict(recursive_update(default, cfg))
