from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.errors import BadValue, ColumnError
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.proxy import MemoryProxyWrapper, MemoryTableProxy, MemoryTableProxyWrapper
from gridrl.typing import DictObservation, DictResponse, EpisodeState

INITIAL, RUNNING, TERMINAL, INTERRUPTED = EpisodeState
SPACES = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"obs": BoxSpace(np.float32, (1,))}))


def table_of(**kwargs: Any) -> DictObsMemoryTable:
    return DictObsMemoryTable(spaces=SPACES, maxlen=100, **kwargs)


def seen(state: EpisodeState, obs: float, reward: float | None = None) -> DictObservation:
    return DictObservation({} if reward is None else {"reward": reward}, state, {"obs": np.array([obs])})


def does(action: float) -> DictResponse:
    return DictResponse(list_data={"actions": [action]})


def run(proxy: Any, agent: int, steps: int, end: EpisodeState = TERMINAL) -> None:
    proxy.add({agent: seen(INITIAL, 0.0)}, {agent: does(0.0)})
    for step in range(1, steps):
        proxy.add({agent: seen(RUNNING, step, reward=10 * step)}, {agent: does(-step)})
    proxy.add({agent: seen(end, steps, reward=10 * steps)}, {})


def test_steps_of_agents_become_episodes_when_they_end() -> None:
    table = table_of()
    proxy = MemoryTableProxy(table, name="mine")
    proxy.add({3: seen(INITIAL, 0.0), 4: seen(INITIAL, 50.0)}, {3: does(1.0), 4: does(5.0)})
    assert (proxy.is_initial(3), proxy.is_initial(9), proxy.name, proxy.size()) == (False, True, "mine", 0)
    proxy.add({4: seen(TERMINAL, 51.0, 5.5), 3: seen(RUNNING, 1.0, 0.1)}, {3: does(2.0)})
    proxy.add({3: seen(INTERRUPTED, 2.0, 0.2)}, {})
    assert {i: table.storages["obs"][i][:, 0].tolist() for i in (4, 3)} == {4: [50.0, 51.0], 3: [0.0, 1.0, 2.0]}
    assert table.storages["actions"][3][:, 0].tolist() == [1.0, 2.0]
    assert table.storages["rewards"][3][:, 0] == pytest.approx([0.1, 0.2])
    assert (proxy.size(), proxy.is_initial(3)) == (3, True)
    assert list(table.episodes.places) == [4, 3]


def test_the_tag_tells_a_cut_from_a_death() -> None:
    table = table_of(use_terminal_column=True)
    proxy = MemoryTableProxy(table, use_terminal=True)
    run(proxy, 0, 2, TERMINAL)
    run(proxy, 1, 2, INTERRUPTED)
    assert [float(table.storages["terminal"][i][0]) for i in (0, 1)] == [0.0, 1.0]


def test_short_episodes_are_dropped() -> None:
    proxy = MemoryTableProxy(table_of(), minimum_length_threshold=3)
    run(proxy, 0, 2)
    run(proxy, 1, 3)
    assert proxy.size() == 3
    assert proxy.is_initial(0)


def test_what_agents_cannot_do_is_told_and_nothing_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    proxy = MemoryTableProxy(table_of())
    proxy.add({0: seen(INITIAL, 0.0)}, {0: does(0.0)})
    with pytest.raises(BadValue) as told:
        proxy.add(
            {0: seen(INITIAL, 1.0), 1: seen(RUNNING, 1.0, 1.0), 2: seen(INITIAL, 0.0)}, {0: does(0.0), 1: does(0.0)}
        )
    assert str(told.value).splitlines() == [
        "Agent 0 already has an ongoing episode: end it before another one begins.",
        "Agent 1 goes on with an episode that it has not begun.",
        "Agent 2 goes on, and has no response.",
    ]
    with pytest.raises(BadValue, match=r"Agent 0: rewards has no 'reward', only \[\]"):
        proxy.add({0: seen(TERMINAL, 1.0)}, {})
    with caplog.at_level(logging.WARNING):
        proxy.add({0: seen(TERMINAL, 1.0, 2.0), 8: seen(TERMINAL, 1.0, 2.0)}, {})
    assert caplog.messages == ["Agent 8 ends an episode that it has not begun: passed over."]
    assert proxy.size() == 1
    with pytest.raises(ColumnError, match="There is no column 'terminal' to fill"):
        run(MemoryTableProxy(table_of(), use_terminal=True), 0, 2)


def test_wrappers_hand_on_what_they_lack(tmp_path: Path) -> None:
    class Counted(MemoryTableProxyWrapper):
        count = 0

        def add(self, observations: Any, responses: Any) -> None:
            self.count += len(observations)
            self._inner.add(observations, responses)

    proxy = MemoryTableProxy(table_of())
    counted = Counted(inner=proxy)
    outer = MemoryProxyWrapper(counted)
    run(outer, 5, 4)
    assert (counted.count, outer.size(), outer.name, outer.is_initial(5)) == (5, 4, "memproxy", True)
    outer.resize(50)
    outer.store(str(tmp_path / "memory"))
    assert (tmp_path / "memory.zip").exists()
    for name in ("nothing", "_table", "_open", "count"):
        with pytest.raises(AttributeError):
            getattr(outer, name)
    assert outer.state_dict() == {}
    outer.load_state_dict({})
