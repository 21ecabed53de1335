"""DI-engine's prioritised replay buffer: priorities, limits of use and age, monitors and throughput control."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gridrl.errors import BadValue, Problems
from gridrl.memory.buffer_monitor import SampleMonitor
from gridrl.memory.segment_tree import MinSegmentTree, SumSegmentTree
from gridrl.memory.slot_buffer import SlotBuffer
from gridrl.memory.starts import IntArray
from gridrl.memory.throughput import ThroughputController, ThroughputLog

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

_EPSILON = 1e-5  # added to a priority, so that none is never drawn
_NEVER = -1  # the staleness of data that do not say when they were collected


class AdvancedReplayBuffer(SlotBuffer):
    """Draws dicts by priority, and takes out what has been used too often or is too old.

    A datum is drawn with probability `P(i) = p_i^alpha / sum_k p_k^alpha` (Schaul et al., Prioritized Experience
    Replay, 2016); `IS = (N P(i))^-beta`, divided by the largest of the buffer, makes up for it. The drawn dict is a new
    one: it holds the datum's keys, and `IS`, `priority`, `use`, `staleness`, `replay_unique_id` and
    `replay_buffer_idx`. The datum itself is not written to: one dict may be in several buffers.

    The age of a datum, its `staleness`, is the learner's iteration less its `collect_iter`, of a list the least.

    >>> buffer = AdvancedReplayBuffer({"replay_buffer_size": 100})
    >>> buffer.push([{"obs": n, "collect_iter": 0} for n in range(50)], 0)
    >>> batch = buffer.sample(4, cur_learner_iter=1)
    >>> keys = ("replay_unique_id", "replay_buffer_idx")
    >>> buffer.update({**{key: [item[key] for item in batch] for key in keys}, "priority": [2.0] * 4})
    >>> sorted(batch[0])
    ['IS', 'collect_iter', 'obs', 'priority', 'replay_buffer_idx', 'replay_unique_id', 'staleness', 'use']
    """

    config: Mapping[str, Any] = {
        "type": "advanced",
        "replay_buffer_size": 4096,
        "max_use": math.inf,
        "max_staleness": math.inf,
        "alpha": 0.6,
        "beta": 0.4,
        "anneal_step": int(1e5),
        "enable_track_used_data": False,
        "deepcopy": False,
        "thruput_controller": {
            "push_sample_rate_limit": {"max": math.inf, "min": 0},
            "window_seconds": 30,
            "sample_min_limit_ratio": 1,
        },
        "monitor": {
            "sampled_data_attr": {"average_range": 5, "print_freq": 200},
            "periodic_thruput": {"seconds": 60},
        },
        "seed": 0,
    }

    def __init__(
        self,
        cfg: Mapping[str, Any],
        tb_logger: Any = None,
        exp_name: str = "default_experiment",
        instance_name: str = "buffer",
    ) -> None:
        """Makes an empty buffer.

        Args:
            cfg: what differs from `default_config()`. `max_use`: draws of a datum; `max_staleness`: its age;
                `anneal_step`: draws of a batch in which beta goes to 1, 0: it stays; `push_sample_rate_limit`: of data
                pushed / drawn, counted over about `window_seconds`; `sample_min_limit_ratio`: data needed for each of
                a batch; `print_freq`, `average_range`: batches between two reports of what is drawn, and in each.
            tb_logger: a `SummaryWriter` for its monitors; it stays open. None: they write to the log alone.
            exp_name: of the experiment.
            instance_name: what logs and identities begin with.

        Raises:
            BadValue: a value is out of its range; all are told.
        """
        super().__init__(cfg, tb_logger, exp_name, instance_name)
        self._check_config()
        size, control, monitor = self.replay_buffer_size, self.cfg.thruput_controller, self.cfg.monitor
        self._beta = float(self.cfg.beta)
        self._largest = 1.0
        self._priority: Floats = np.zeros(size)
        self._use: IntArray = np.zeros(size, np.int64)
        self._collected: IntArray = np.full(size, _NEVER, np.int64)  # at which iteration of the learner
        self._make_trees()
        self._control = ThroughputController(control.push_sample_rate_limit, control.window_seconds)
        self._throughput = ThroughputLog(instance_name, monitor.periodic_thruput.seconds, tb_logger)
        self._monitor = SampleMonitor(instance_name, tb_logger, **monitor.sampled_data_attr)

    def _check_config(self) -> None:
        problems = Problems()
        for name in ("alpha", "beta"):
            if not 0 <= self.cfg[name] <= 1:
                problems.add(f"{name}={self.cfg[name]}: a number from 0 to 1 is needed.")
        if not self.cfg.thruput_controller.sample_min_limit_ratio >= 1:
            problems.add("sample_min_limit_ratio: a number from 1 on is needed.")
        problems.raise_if_any(BadValue)

    def _make_trees(self) -> None:
        capacity = 1 << (self.replay_buffer_size - 1).bit_length()
        self._sums, self._least = SumSegmentTree(capacity), MinSegmentTree(capacity)
        self._changed: list[IntArray] = []  # slots whose leaves are not up to date

    @property
    def beta(self) -> float:
        """How much of the unequal draws the weights make up for."""
        return self._beta

    @beta.setter
    def beta(self, beta: float) -> None:
        self._beta = beta

    def push(self, data: list[Any] | Any, cur_collector_envstep: int) -> None:
        """Takes in one dict, or each of a list; what is no dict is left out, and told in the log.

        All are refused, which is told there too, where they would be more than `push_sample_rate_limit` allows.

        Args:
            data: kept as they are, copied with `deepcopy`. A `priority` in a datum is its first one, else it gets the
                largest so far.
            cur_collector_envstep: where monitors write.

        Raises:
            BadValue: a priority is negative or no number; then nothing has been taken in.
        """
        given = data if isinstance(data, list) else [data]
        items = [item for item in given if isinstance(item, Mapping)]
        if len(items) < len(given):
            log.warning("%s: %d data are no dicts: left out.", self.instance_name, len(given) - len(items))
        with self._lock:
            priority = _numbers([self._largest if (p := item.get("priority")) is None else p for item in items])
            if not items or not self._may("push", self._control.can_push(len(items)), len(items)):
                return
            slots = self._slots.push(self._stored(items))
            self._use[slots] = 0
            self._collected[slots] = [_collect_iter(item) for item in items[-len(slots) :]]
            self._set(slots, priority[-len(slots) :])
            self._control.add(pushed=len(items))
            self._monitor.envstep = cur_collector_envstep
            self._throughput.add("pushed_in", len(items), self._slots.count)

    def sample(self, size: int, cur_learner_iter: int, sample_range: slice | None = None) -> list[Any] | None:
        """Draws dicts by priority, one from each of `size` equal parts of the whole; one may be drawn more than once.

        What has reached `max_staleness` leaves before, what has reached `max_use` after.

        Args:
            size: how many.
            cur_learner_iter: of which the age of data is reckoned.
            sample_range: draws among these alone, counted from the oldest: `slice(-10, None)` are the last ten.

        Returns:
            The dicts, see the class; None, and a line in the log, where there are too few, or more than
            `push_sample_rate_limit` allows.
        """
        if size == 0:
            return []
        with self._lock:
            self._remove_stale(cur_learner_iter)
            ratio = self.cfg.thruput_controller.sample_min_limit_ratio
            among = None if sample_range is None else self._slots.order()[sample_range]
            enough = self._slots.count >= size * ratio and (among is None or len(among) > 0)
            if not self._may("sample", enough and self._control.can_sample(size), size):
                return None
            self._update_trees()
            slots = self._drawn(size, among)
            np.add.at(self._use, slots, 1)
            batch = self._batch(slots, cur_learner_iter)
            self._after(slots, batch, cur_learner_iter)
            return batch

    def update(self, info: dict[str, list[Any]]) -> None:
        """Sets new priorities, usually absolute temporal-difference errors.

        Args:
            info: `replay_unique_id` and `replay_buffer_idx` of drawn data, and `priority`, of each as many. What has
                left meanwhile is passed over; without `priority` nothing happens.

        Raises:
            BadValue: a priority is negative or no number, or there are not as many of each; nothing has changed.
        """
        if "priority" not in info:
            return
        priority = _numbers(info["priority"])
        if not len(priority) == len(info["replay_unique_id"]) == len(info["replay_buffer_idx"]):
            raise BadValue("priority, replay_unique_id and replay_buffer_idx: as many of each are needed.")
        with self._lock:
            slots = np.array(info["replay_buffer_idx"], np.int64).ravel()
            number = np.array([self._number(text) for text in info["replay_unique_id"]], np.int64)
            known = np.flatnonzero((slots >= 0) & (slots < self.replay_buffer_size) & (number > 0))
            known = known[self._slots.number[slots[known]] == number[known]]
            if known.size:
                self._set(slots[known], priority[known] + _EPSILON)
                self._largest = max(self._largest, float(priority[known].max()))

    def clear(self) -> None:
        """Takes out everything; identities are never used again."""
        with self._lock:
            self._remove(self._slots.order())
            self._largest = 1.0

    def state_dict(self) -> dict[str, Any]:
        """The data (not copied), where they are, all numbers that belong to them, and the generator."""
        with self._lock:
            state = super().state_dict()
            numbers = {"priority": self._priority, "use_count": self._use, "collect_iter": self._collected}
            return {
                **state,
                **{name: values[state["slots"]] for name, values in numbers.items()},
                "beta": self._beta,
                "alpha": self.cfg.alpha,
                "anneal_step": self.cfg.anneal_step,
                "max_priority": self._largest,
            }

    def load_state_dict(self, _state_dict: dict[str, Any], deepcopy: bool = False) -> None:
        """Takes up what `state_dict` gave; a dict with `data` alone is pushed.

        Args:
            _state_dict: from a buffer of this size.
            deepcopy: whether the data are copied.

        Raises:
            CheckpointError: it is of a buffer of another size.
        """
        with self._lock:
            state = copy.deepcopy(_state_dict) if deepcopy else _state_dict
            super().load_state_dict(state)
            if "slots" not in state:
                return
            slots = np.asarray(state["slots"], np.int64)
            self._use[slots] = np.asarray(state["use_count"])
            self._collected[slots] = np.asarray(state["collect_iter"])
            self.cfg.alpha, self.cfg.anneal_step = state["alpha"], state["anneal_step"]
            self._beta, self._largest = float(state["beta"]), float(state["max_priority"])
            self._make_trees()
            self._set(slots, np.asarray(state["priority"], np.float64))

    def _may(self, what: str, allowed: bool, count: int) -> bool:
        if not allowed:
            log.warning("%s: refused to %s %d; %d are there.", self.instance_name, what, count, self._slots.count)
        return allowed

    def _set(self, slots: IntArray, priority: Floats) -> None:
        self._priority[slots] = priority
        self._changed.append(slots)

    def _update_trees(self) -> None:
        """Brings the leaves of all slots that have changed up to date, at once: one slot at a time is slow."""
        if self._changed:
            slots = np.unique(np.concatenate(self._changed))
            there = self._slots.number[slots] > 0
            leaf = np.maximum(self._priority[slots], _EPSILON) ** self.cfg.alpha
            self._sums[slots] = np.where(there, leaf, 0.0)
            self._least[slots] = np.where(there, leaf, math.inf)
            self._changed = []

    def _drawn(self, size: int, among: IntArray | None) -> IntArray:
        share = (np.arange(size) + self.rng.random(size)) / size
        if among is None:
            found: IntArray = self._sums.find_prefixsum_idx(share * self._sums.total)
            return found
        bounds = np.cumsum(self._sums[among])
        places = np.searchsorted(bounds, share * bounds[-1], side="right")
        chosen: IntArray = among[np.minimum(places, len(among) - 1)]
        return chosen

    def _batch(self, slots: IntArray, now: int) -> list[dict[str, Any]]:
        weight = (self._sums[slots] / self._least.min()) ** -self._beta
        columns = zip(
            self._taken(slots),
            weight.tolist(),
            self._priority[slots].tolist(),
            self._use[slots].tolist(),
            self._staleness(slots, now).tolist(),
            self._slots.number[slots].tolist(),
            slots.tolist(),
            strict=True,
        )
        return [
            {
                **item,
                "IS": w,
                "priority": p,
                "use": use,
                "staleness": staleness,
                "replay_unique_id": f"{self.instance_name}_{number}",
                "replay_buffer_idx": slot,
            }
            for item, w, p, use, staleness, number, slot in columns
        ]

    def _after(self, slots: IntArray, batch: list[dict[str, Any]], now: int) -> None:
        self._monitor.add(batch, now)
        self._control.add(sampled=len(batch))
        self._throughput.add("sampled_out", len(batch), self._slots.count)
        worn = np.unique(slots)
        self._remove(worn[self._use[worn] >= self.cfg.max_use])
        if self.cfg.anneal_step:
            self._beta = min(1.0, self._beta + (1 - self.cfg.beta) / self.cfg.anneal_step)

    def _staleness(self, slots: IntArray, now: int) -> IntArray:
        collected = self._collected[slots]
        return np.where(collected == _NEVER, _NEVER, now - collected)

    def _remove_stale(self, now: int) -> None:
        if not math.isinf(self.cfg.max_staleness):
            order = self._slots.order()
            self._remove(order[self._staleness(order, now) >= self.cfg.max_staleness])

    def _remove(self, slots: IntArray) -> None:
        if slots.size:
            self._slots.remove(slots)
            self._changed.append(slots)
            self._throughput.add("removed", len(slots), self._slots.count)

    def _number(self, unique_id: str) -> int:
        name, _, number = str(unique_id).rpartition("_")
        return int(number) if name == self.instance_name and number.isdecimal() else 0


def _collect_iter(item: Mapping[str, Any]) -> int:
    found = item.get("collect_iter", _NEVER)
    return int(min(found) if isinstance(found, list | tuple) else found)


def _numbers(priority: Any) -> Floats:
    values = np.array([float(value) for value in priority], np.float64)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise BadValue("priority: numbers from 0 on are needed; at least one is negative, NaN or infinite.")
    return values
