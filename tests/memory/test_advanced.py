"""DI-engine's prioritised buffer against a list of dicts and sums over all of it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.errors import BadValue, CheckpointError
from gridrl.memory.advanced import AdvancedReplayBuffer
from tests.memory.test_buffers import Writer, saved_and_loaded

KEYS = ("replay_unique_id", "replay_buffer_idx")


def make(size: int = 8, **cfg: Any) -> AdvancedReplayBuffer:
    return AdvancedReplayBuffer({"replay_buffer_size": size, **cfg}, instance_name="mine")


def data(first: int, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"obs": first + k, **more} for k in range(count)]


def info(batch: list[dict[str, Any]] | None, priority: list[float]) -> dict[str, list[Any]]:
    assert batch is not None
    return {**{key: [item[key] for item in batch] for key in KEYS}, "priority": priority}


class Model:
    """The obvious buffer: what is held, the oldest first, with its numbers."""

    def __init__(self, size: int, max_use: float, max_staleness: float) -> None:
        self.size, self.max_use, self.max_staleness = size, max_use, max_staleness
        self.held: list[dict[str, Any]] = []
        self.came, self.largest = 0, 1.0

    def push(self, items: list[dict[str, Any]]) -> None:
        for item in items:
            self.came += 1
            # a slot that was emptied early is not used before its turn
            self.held = [one for one in self.held if one["number"] > self.came - self.size]
            self.held.append({**item, "number": self.came, "priority": self.largest, "use": 0})

    def purge(self, now: int) -> None:
        self.held = [one for one in self.held if now - one["collect_iter"] < self.max_staleness]

    def drawn(self, batch: list[dict[str, Any]]) -> None:
        times = Counter(item["obs"] for item in batch)
        for one in self.held:
            one["use"] += times[one["obs"]]

    def wear_out(self) -> None:
        self.held = [one for one in self.held if one["use"] < self.max_use]

    def update(self, batch: list[dict[str, Any]], priority: list[float]) -> None:
        for item, value in zip(batch, priority, strict=True):
            for one in self.held:
                if one["obs"] == item["obs"]:
                    one["priority"] = value + 1e-5
                    self.largest = max(self.largest, value)


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 9),
    max_use=st.sampled_from([1, 3, math.inf]),
    max_staleness=st.sampled_from([2, 5, math.inf]),
    operations=st.lists(
        st.tuples(
            st.sampled_from(["push", "push", "sample", "sample", "update", "old update", "restart", "clear"]),
            st.integers(1, 12),
        ),
        max_size=30,
    ),
)
def test_it_holds_and_draws_what_a_list_would(
    size: int, max_use: float, max_staleness: float, operations: list[tuple[str, int]]
) -> None:
    options = {"max_use": max_use, "max_staleness": max_staleness, "anneal_step": 0}
    buffer, model = make(size, **options), Model(size, max_use, max_staleness)
    came, batches = 0, []
    for now, (operation, number) in enumerate(operations):
        if operation == "push":
            items = data(came, number, collect_iter=now)
            came += number
            buffer.push(items, 0)
            model.push(items)
            assert all(item.keys() == {"obs", "collect_iter"} for item in items), "the caller's dicts are his"
        elif operation == "sample":
            batch = buffer.sample(number, now)
            model.purge(now)
            assert (batch is None) == (number > len(model.held))
            if batch is not None:
                model.drawn(batch)
                check(batch, model, now)
                model.wear_out()
                batches.append(batch)
        elif operation in ("update", "old update") and batches:
            batch = batches[-1 if operation == "update" else 0]
            priority = {item["obs"]: float(k * number % 7) for k, item in enumerate(batch)}
            values = [priority[item["obs"]] for item in batch]
            buffer.update(info(batch, values))
            model.update(batch, values)
        elif operation == "restart":
            state, buffer = buffer.state_dict(), make(size, **options, seed=9)
            buffer.load_state_dict(saved_and_loaded(state), deepcopy=True)
        elif operation == "clear":
            buffer.clear()
            model.held, model.largest = [], 1.0
        assert buffer.count() == len(model.held)
        assert buffer.push_count == model.came


def check(batch: list[dict[str, Any]], model: Model, now: int) -> None:
    held = {one["obs"]: one for one in model.held}
    least = min(one["priority"] for one in model.held)
    for item in batch:
        one = held[item["obs"]]
        assert item["priority"] == one["priority"]
        assert item["use"] == one["use"]
        assert item["staleness"] == now - one["collect_iter"]
        assert item["replay_unique_id"] == f"mine_{one['number']}"
        # (N p_i)^-beta / (N p_min)^-beta, with p in proportion to priority^alpha
        assert item["IS"] == pytest.approx((one["priority"] / least) ** (-0.6 * 0.4))


def test_draws_follow_the_priorities() -> None:
    buffer = make(8, alpha=0.5, max_use=math.inf)
    buffer.push(data(0, 11), 0)
    priority = [0.0, 1.0, 4.0, 9.0, 16.0, 1.0, 1.0, 4.0]
    batch = [item for slot in range(8) for item in (buffer.sample(1, 0, slice(slot, slot + 1)) or ())]
    assert [item["obs"] for item in batch] == list(range(3, 11))
    buffer.update(info(batch, priority))
    share = np.sqrt(np.array(priority) + 1e-5) / np.sqrt(np.array(priority) + 1e-5).sum()
    for chosen, among in ((None, slice(None)), (slice(-3, None), slice(5, 8)), (slice(0, 4), slice(0, 4))):
        drawn = Counter(item["obs"] - 3 for _ in range(1000) for item in buffer.sample(4, 0, chosen) or ())
        wanted = share[among] / share[among].sum() * 4000
        found = [drawn[slot] for slot in range(8)[among]]
        assert sum(drawn.values()) == sum(found) == 4000
        assert np.abs(found - wanted).max() < 4 * math.sqrt(1000), "4 standard deviations of a plain draw at least"


def test_equal_parts_of_the_whole_are_drawn_from() -> None:
    buffer = make(16)
    buffer.push(data(0, 16), 0)
    assert sorted(item["obs"] for item in buffer.sample(16, 0) or ()) == list(range(16))


def test_the_first_priority_is_the_datums_own_or_the_largest_so_far() -> None:
    buffer = make()
    buffer.push([{"obs": 0, "priority": 3.0}, {"obs": 1, "priority": None}, {"obs": 2}], 0)
    assert {item["obs"]: item["priority"] for item in buffer.sample(3, 0) or ()}[0] == 3.0
    batch = buffer.sample(1, 0, slice(1, 2))
    buffer.update(info(batch, [7.0]))
    buffer.push({"obs": 3}, 0)
    assert [item["priority"] for item in buffer.sample(1, 0, slice(-1, None)) or ()] == [7.0]
    zero = make()
    zero.push([{"obs": 0, "priority": 0.0}], 0)
    assert [item["obs"] for item in zero.sample(1, 0) or ()] == [0]


def test_weights_make_up_for_more_as_beta_grows() -> None:
    buffer = make(beta=0.4, anneal_step=3)
    buffer.push(data(0, 4), 0)
    betas = []
    for _ in range(5):
        betas.append(buffer.beta)
        buffer.sample(2, 0)
    assert betas == pytest.approx([0.4, 0.6, 0.8, 1.0, 1.0])
    buffer.beta = 0.5
    assert buffer.state_dict()["beta"] == 0.5


def test_age_is_reckoned_from_the_oldest_part_of_a_datum() -> None:
    buffer = make(max_staleness=5)
    buffer.push([{"obs": 0, "collect_iter": [7, 2]}, {"obs": 1, "collect_iter": 6}, {"obs": 2}], 0)
    assert {item["obs"]: item["staleness"] for item in buffer.sample(3, 6) or ()} == {0: 4, 1: 0, 2: -1}
    assert {item["obs"]: item["staleness"] for item in buffer.sample(2, 7) or ()} == {1: 1, 2: -1}
    assert buffer.sample(3, 7) is None


def test_one_dict_may_be_in_two_buffers() -> None:
    item = {"obs": 1}
    first, second = make(), make()
    second.push(data(5, 3), 0)
    for buffer in (first, second):
        buffer.push(item, 0)
    assert item == {"obs": 1}
    assert first.sample(1, 0) is not None
    assert second.sample(4, 0) is not None


def test_what_has_left_is_passed_over_and_a_wrong_update_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    buffer = make(4)
    buffer.push(data(0, 4), 0)
    batch = buffer.sample(4, 0) or []
    buffer.update({"replay_unique_id": [], "replay_buffer_idx": []})
    buffer.push(data(4, 2), 0)
    buffer.update(info(batch, [9.0] * 4))
    found = [item for k in range(4) for item in buffer.sample(1, 0, slice(k, k + 1)) or ()]
    assert {item["obs"]: item["priority"] for item in found} == pytest.approx({2: 9.00001, 3: 9.00001, 4: 1.0, 5: 1.0})
    for wrong in ([-1.0, 1, 1, 1], [math.nan, 1, 1, 1], [1.0]):
        with pytest.raises(BadValue):
            buffer.update(info(batch, wrong))
    with pytest.raises(BadValue, match="priority: numbers from 0 on"):
        buffer.push([{"obs": 9, "priority": -1.0}], 0)
    other = {"replay_unique_id": ["theirs_5", "nonsense"], "replay_buffer_idx": [0, 99], "priority": [1.0, 2.0]}
    buffer.update(other)
    assert (buffer.count(), buffer.push_count) == (4, 6)
    buffer.push([1, {"obs": 6}, "two"], 0)
    buffer.push([], 0)
    assert buffer.push_count == 7
    assert "mine: 2 data are no dicts: left out." in caplog.text


def test_throughput_is_controlled() -> None:
    limits = {"push_sample_rate_limit": {"max": 2.0, "min": 0.1}, "sample_min_limit_ratio": 1.5}
    buffer = make(50, thruput_controller=limits)
    buffer.push(data(0, 15), 0)
    assert buffer.sample(11, 0) is None, "one and a half data are needed for each"
    assert buffer.sample(5, 0) is not None
    buffer.push(data(15, 5), 0)
    assert buffer.push_count == 15, "three were pushed for each that was drawn"
    for _ in range(30):
        buffer.sample(5, 0)
    assert buffer.sample(5, 0) is None, "less than a tenth"
    buffer.push(data(15, 5), 0)
    assert buffer.push_count == 20


def test_what_is_drawn_is_reported() -> None:
    writer = Writer()
    monitor = {"sampled_data_attr": {"average_range": 2, "print_freq": 3}}
    buffer = AdvancedReplayBuffer({"monitor": monitor, "alpha": 0.0}, writer, instance_name="mine")
    buffer.push(data(0, 2, collect_iter=0), 70)
    for now in (1, 2, 3):
        buffer.sample(2, now)
    written = {key: (value, step) for key, value, step in writer.scalars}
    assert written["mine_iter/staleness_avg"] == (2.5, 3)
    assert written["mine_iter/use_max"] == (2.5, 3)
    assert written["mine_step/priority_min"] == (1.0, 70)
    assert len(written) == 18


def test_a_wrong_configuration_and_another_buffers_state_are_told() -> None:
    with pytest.raises(BadValue) as told:
        make(alpha=2, beta=-1, thruput_controller={"sample_min_limit_ratio": 0.5})
    assert len(str(told.value).splitlines()) == 3
    large = make(9)
    large.push(data(0, 9), 0)
    with pytest.raises(CheckpointError, match="of a buffer of 9, this one holds 8"):
        make(8).load_state_dict(large.state_dict())
    small = make(8)
    small.load_state_dict({"data": data(0, 3)})
    assert small.count() == 3
