"""DI-engine's plain, sequence and episode buffers against lists that are searched from end to end."""

from __future__ import annotations

import io
import threading
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gridrl.errors import BadValue, CheckpointError
from gridrl.log.saving import portable
from gridrl.memory.advanced import AdvancedReplayBuffer
from gridrl.memory.buffers import (
    BUFFERS,
    EpisodeReplayBuffer,
    IBuffer,
    NaiveReplayBuffer,
    SequenceReplayBuffer,
    create_buffer,
    get_buffer_cls,
)
from gridrl.memory.throughput import ThroughputController, ThroughputLog


def naive(size: int = 8, **cfg: Any) -> NaiveReplayBuffer:
    return NaiveReplayBuffer({"replay_buffer_size": size, **cfg})


def saved_and_loaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(portable(state), file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 9),
    operations=st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.integers(0, 25)),
            st.tuples(st.just("one"), st.integers(0, 9)),
            st.tuples(st.just("sample"), st.integers(0, 12)),
            st.tuples(st.just("newest"), st.integers(1, 6)),
            st.tuples(st.just("clear"), st.just(0)),
            st.tuples(st.just("restart"), st.just(0)),
        ),
        max_size=30,
    ),
)
def test_a_plain_buffer_is_a_deque(size: int, operations: list[tuple[str, int]]) -> None:
    buffer, model, came = naive(size), deque[int](maxlen=size), 0
    for operation, number in operations:
        if operation in ("push", "one"):
            data = list(range(came, came + (number if operation == "push" else 1)))
            buffer.push(data if operation == "push" else data[0], 0)
            model.extend(data)
            came += len(data)
        elif operation == "clear":
            buffer.clear()
            model.clear()
        elif operation == "restart":
            state, buffer = buffer.state_dict(), naive(size, seed=77)
            buffer.load_state_dict(saved_and_loaded(state))
        else:
            among = list(model)[-number:] if operation == "newest" else list(model)
            found = buffer.sample(number, 0, slice(-number, None) if operation == "newest" else None)
            assert (found is None) == (number > len(among))
            assert found is None or (len(set(found)) == number and set(found) <= set(among))
            assert not model or set(buffer.sample(50, 0, replace=True) or ()) <= set(model)
        assert buffer.count() == len(model)
        assert [buffer._slots.items[slot] for slot in buffer._slots.order()] == list(model)


def test_data_are_kept_as_they_are_or_copied() -> None:
    datum = {"obs": torch.zeros(2)}
    for deepcopy in (False, True):
        buffer = naive(deepcopy=deepcopy)
        buffer.push((datum, datum), 0)  # a tuple is one datum
        assert buffer.count() == buffer.push_count == 1
        found = buffer.sample(1, 0)
        assert found is not None
        assert (found[0][0]["obs"] is datum["obs"]) == (not deepcopy)


def test_every_datum_is_drawn_with_the_same_probability() -> None:
    buffer = naive(20)
    buffer.push(list(range(33)), 0)
    count = np.zeros(33)
    for _ in range(3000):
        for item in buffer.sample(4, 0) or ():
            count[item] += 1
    assert count[:13].sum() == 0
    expected = 3000 * 4 / 20
    # 19 degrees of freedom: 43.8 is passed once in a thousand; draws without repeats vary less still
    assert ((count[13:] - expected) ** 2 / expected).sum() < 43.8


def test_too_few_data_give_none(caplog: pytest.LogCaptureFixture) -> None:
    buffer = naive()
    assert (buffer.sample(0, 0), buffer.sample(1, 0), buffer.sample(1, 0, replace=True)) == ([], None, None)
    buffer.push([1, 2], 0)
    buffer.update({"priority": [1.0]})
    assert buffer.sample(3, 0) is None
    assert len(buffer.sample(3, 0, replace=True) or ()) == 3
    assert "buffer: 3 were asked for, only 2 can be drawn." in caplog.text


def test_data_go_to_a_file_and_come_back(tmp_path: Path) -> None:
    buffer, again = naive(), naive()
    buffer.push([{"obs": np.arange(3.0), "next": torch.ones(2), "info": {"name": "a"}}, [1, 2]], 0)
    buffer.save_data(str(tmp_path / "data"))
    again.load_data(str(tmp_path / "data"))
    first, second = (again._slots.items[slot] for slot in again._slots.order())
    assert isinstance(first["obs"], np.ndarray)
    assert (first["obs"].tolist(), first["next"].tolist(), first["info"], second) == (
        [0, 1, 2],
        [1, 1],
        {"name": "a"},
        [1, 2],
    )
    again.load_state_dict({"data": [5]})
    assert again.count() == 3
    (tmp_path / "data").write_bytes(b"no data")
    with pytest.raises(CheckpointError, match="cannot be read as the data of a buffer"):
        again.load_data(str(tmp_path / "data"))
    buffer.push(object(), 0)
    with pytest.raises(CheckpointError, match=r"is of type object"):
        buffer.save_data(str(tmp_path / "other"))


@pytest.mark.parametrize("kind", [NaiveReplayBuffer, SequenceReplayBuffer, AdvancedReplayBuffer])
def test_a_state_of_a_buffer_of_another_size_is_refused_and_changes_nothing(kind: Any) -> None:
    buffer = kind({"replay_buffer_size": 3})
    buffer.push([{"obs": number} for number in range(4)], 0)  # the first slot holds the newest
    for size in (2, 5):
        other = kind({"replay_buffer_size": size})
        other.push([{"obs": 9}], 0)
        with pytest.raises(CheckpointError, match=f"is of a buffer of 3, this one holds {size}"):
            other.load_state_dict(buffer.state_dict())
        assert [other._slots.items[slot] for slot in other._slots.order()] == [{"obs": 9}]


def test_files_of_data_that_have_left_are_removed(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(5)]
    for path in paths:
        path.touch()
    threads = threading.active_count()
    buffer = naive(2, enable_track_used_data=True)
    buffer.start()
    buffer.start()
    buffer.push([{"data_id": str(path)} for path in paths[:4]], 0)
    buffer.close()
    assert [path.exists() for path in paths] == [False] * 4 + [True]
    assert threading.active_count() == threads
    buffer.close()
    again = naive(2, enable_track_used_data=True)
    again.start()
    again.push({"data_id": str(paths[4])}, 0)
    del again  # nobody has closed it
    assert (paths[4].exists(), threading.active_count()) == (False, threads)


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(2, 30),
    ends=st.lists(st.booleans(), max_size=80),
    sequence=st.integers(1, 6),
    newest=st.sampled_from([None, 7]),
)
def test_sequences_are_steps_of_one_episode_and_all_of_them_are_drawn(
    size: int, ends: list[bool], sequence: int, newest: int | None
) -> None:
    buffer = SequenceReplayBuffer({"replay_buffer_size": size})
    items = [{"obs": number, "done": done} for number, done in enumerate(ends)]
    for begin in range(0, len(items), 3):
        buffer.push(items[begin : begin + 3], 0)
    held = items[-size:] if newest is None else items[-size:][-newest:]
    wanted = {
        held[k]["obs"]
        for k in range(len(held) - sequence + 1)
        if not any(item["done"] for item in held[k : k + sequence - 1])
    }
    chosen = None if newest is None else slice(-newest, None)
    assert buffer.sample(len(wanted) + 1, sequence, 0, chosen) is None
    found = buffer.sample(len(wanted), sequence, 0, chosen)
    assert found is not None
    assert sorted(one[0]["obs"] for one in found) == sorted(wanted)
    assert all([item["obs"] for item in one] == list(range(one[0]["obs"], one[0]["obs"] + sequence)) for one in found)
    again = SequenceReplayBuffer({"replay_buffer_size": size})
    again.load_state_dict(saved_and_loaded(buffer.state_dict()))
    if wanted:
        drawn = [one.sample(5, sequence, 0, chosen, replace=True) for one in (buffer, again)]
        assert drawn[0] == drawn[1]


def test_a_sequence_has_a_step() -> None:
    buffer = SequenceReplayBuffer({})
    assert buffer.sample(0, 3, 0) == []
    with pytest.raises(BadValue, match="sequence=0"):
        buffer.sample(1, 0, 0)


def test_an_episode_is_one_datum() -> None:
    buffer = EpisodeReplayBuffer({"replay_buffer_size": 3})
    steps = [{"obs": 1}, {"obs": 2}]
    buffer.push(steps, 0)
    buffer.push([steps[:1], steps * 2], 0)
    assert (buffer.count(), buffer.episode_len) == (3, [2, 1, 4])
    buffer.push(steps * 3, 0)
    assert buffer.episode_len == [1, 4, 6]
    assert all(isinstance(one, list) for one in buffer.sample(3, 0) or ())


def test_buffers_are_made_from_configurations() -> None:
    assert set(BUFFERS) >= {"naive", "sequence", "episode", "advanced"}
    for name in ("naive", "sequence", "episode", "advanced"):
        cls = get_buffer_cls({"type": name, "import_names": ["json"]})
        config = cls.default_config()
        assert (config.type, config.cfg_type) == (name, f"{cls.__name__}Dict")
        config.replay_buffer_size = 5
        buffer = create_buffer(config, None, exp_name="mine", instance_name="named")
        assert isinstance(buffer, IBuffer)
        assert (buffer.replay_buffer_size, buffer.exp_name, buffer.instance_name) == (5, "mine", "named")
        assert cls.default_config().replay_buffer_size != 5
    assert {k: v for k, v in NaiveReplayBuffer.default_config().items() if k != "seed"} == {
        "type": "naive",
        "replay_buffer_size": 10000,
        "deepcopy": False,
        "enable_track_used_data": False,
        "periodic_thruput_seconds": 60,
        "cfg_type": "NaiveReplayBufferDict",
    }


def test_a_wrong_configuration_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BadValue, match="cfg has no type: one of naive, sequence"):
        create_buffer({})
    with pytest.raises(BadValue, match=r"'naiv' is no replay buffer\. Did you mean 'naive'"):
        create_buffer({"type": "naiv"})
    with pytest.raises(BadValue, match="replay_buffer_size=0: 1 or more"):
        naive(0)
    naive(replay_bufer_size=3, unroll_len=1)
    assert "no option 'replay_bufer_size'. Did you mean 'replay_buffer_size'" in caplog.text
    assert "unroll_len" not in caplog.text, "configurations of DI-engine hold options of others"


def test_threads_push_and_draw_side_by_side() -> None:
    buffer = naive(50)
    buffer.push([0] * 10, 0)
    threads = [threading.Thread(target=lambda: [buffer.push([k, k], 0) for k in range(300)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(buffer.sample(10, 0) or ()) == 10
    for thread in threads:
        thread.join()
    assert (buffer.count(), buffer.push_count) == (50, 10 + 3 * 600)


class Writer:
    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, key: str, value: float, step: int) -> None:
        self.scalars.append((key, value, step))

    def flush(self) -> None:
        self.scalars.append(("flushed", 0, 0))


def test_throughput_is_told_when_a_period_is_over() -> None:
    now, writer = 0.0, Writer()
    log = ThroughputLog("mine", 60, writer, clock=lambda: now)
    log.add("pushed_in", 5, 5)
    now = 61.0
    log.add("sampled_out", 3, 4)
    assert writer.scalars == [
        ("mine_sec/pushed_in", 5, 61),
        ("mine_sec/sampled_out", 3, 61),
        ("mine_sec/removed", 0, 61),
        ("mine_sec/current_have", 4, 61),
    ]
    log.add("removed", 1, 3)
    assert len(writer.scalars) == 4
    buffer = NaiveReplayBuffer({}, writer)
    buffer.close()
    assert writer.scalars[-1] == ("flushed", 0, 0)


def test_throughput_is_held_between_its_limits() -> None:
    now = 0.0
    control = ThroughputController({"max": 4, "min": 0.5}, 10, clock=lambda: now)
    assert control.can_push(10**6), "nothing has been sampled"
    control.add(pushed=40)
    assert (control.can_sample(80), control.can_sample(81)) == (True, False)
    control.add(sampled=20)
    assert (control.can_push(40), control.can_push(41)) == (True, False)
    now = 10.0  # both counts are a hundredth now
    assert (control.can_push(0), control.can_push(1)) == (True, False)
    control.add(sampled=10)
    assert control.can_push(40)
