from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.errors import BadValue, ColumnError, GridRLWarning
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.proxy import (
    Episode,
    LoggingProxyWrapper,
    MemoryExporterProxyWrapper,
    MemoryProxy,
    MemoryProxyWrapper,
    MemoryTableProxy,
    MemoryTableProxyWrapper,
)
from gridrl.typing import DictObservation, DictResponse, EpisodeState, Matrix, MetaData

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


def test_rows_of_an_episode_are_matrices() -> None:
    episode = Episode.from_initial({"obs": np.zeros((2, 3))})
    assert all(isinstance(rows, Matrix) for rows in episode.data["obs"])
    assert not isinstance(1.0, Matrix)


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


class Recorded:
    """A writer that keeps what it gets."""

    def __init__(self) -> None:
        self.scalars: dict[str, tuple[float, int]] = {}
        self.histograms: dict[str, tuple[list[float], int]] = {}
        self.flushed = 0

    def add_scalar(self, key: str, value: float, step: int) -> None:
        self.scalars[key] = (value, step)

    def add_histogram(self, key: str, values: Any, step: int) -> None:
        self.histograms[key] = (list(values), step)

    def flush(self) -> None:
        self.flushed += 1


def told(agent: int, reward: float) -> dict[int, DictObservation]:
    """The end of an episode, and what its environment tells of it."""
    observation = seen(TERMINAL, 1.0, reward)
    observation.metadata = MetaData({"episode/reward": reward, "histogram:depth": reward}, {"speed": [reward, 3.0]})
    return {agent: observation}


def test_metadata_is_smoothed_over_all_agents_and_written_at_intervals() -> None:
    writer = Recorded()
    proxy = LoggingProxyWrapper(MemoryTableProxy(table_of(), name="mine"), writer, 5)
    for agent, reward in enumerate((10.0, 20.0)):
        proxy.add({agent: seen(INITIAL, 0.0)}, {agent: does(0.0)})
        proxy.add(told(agent, reward), {})
    assert (writer.scalars, proxy.completed_inferences, proxy.completed_episodes) == ({}, 4, 2)
    proxy.add({9: seen(INITIAL, 0.0)}, {9: does(0.0)})
    expected = {
        "episode/reward": (15.0, 5),
        "episode/reward/cumulative": (30.0, 5),
        "speed": (9.0, 5),
        "speed/cumulative": (36.0, 5),
        "episode/completed": (2.0, 5),
        "env_vs_episode/reward": (15.0, 2),
    }
    assert {key: writer.scalars[key] for key in expected} == expected
    timings = {f"memory/mine/add_sequence/timing/{kind}" for kind in ("mean", "var")}
    rates = {"training/inf_per_sec", "performance/inf_steps_per_sec"}
    assert writer.scalars.keys() == expected.keys() | timings | rates
    assert all(writer.scalars[key][0] > 0 for key in (*rates, "memory/mine/add_sequence/timing/mean"))
    assert writer.histograms == {
        "depth": ([10.0, 20.0], 5),
        "episode/reward_distribution": ([10.0, 20.0], 5),
        "env_vs_episode/reward_distribution": ([10.0, 20.0], 2),
    }
    assert writer.flushed == 1
    numbers, lists = proxy.get_report(["inf_step", "episode/reward", "episode/completed", "nothing"])
    assert numbers == {
        "inf_step": 5,
        "episode/reward": 15.0,
        "episode/reward/cumulative": 30.0,
        "episode/completed": 2.0,
    }
    assert lists == {"episode/reward": [10.0, 20.0]}
    assert (proxy.size(), proxy.name, set(proxy.timers().stats())) == (2, "mine", {"add_sequence"})


def test_what_cannot_be_added_is_not_counted() -> None:
    proxy = LoggingProxyWrapper(MemoryTableProxy(table_of()), Recorded(), 5)
    with pytest.raises(BadValue, match="Agent 3 goes on with an episode that it has not begun"):
        proxy.add({3: seen(RUNNING, 0.0, 1.0)}, {3: does(0.0)})
    assert (proxy.completed_inferences, proxy.completed_episodes) == (0, 0)
    with pytest.raises(BadValue, match="log_interval=0"):
        LoggingProxyWrapper(MemoryTableProxy(table_of()), Recorded(), 0)


def test_counts_and_windows_of_a_logging_wrapper_go_into_checkpoints() -> None:
    proxy = LoggingProxyWrapper(MemoryTableProxy(table_of()), Recorded(), 100)
    proxy.add({0: seen(INITIAL, 0.0)}, {0: does(0.0)})
    proxy.add(told(0, 10.0), {})
    writer = Recorded()
    again = LoggingProxyWrapper(MemoryTableProxy(table_of()), writer, 1)
    again.load_state_dict(proxy.state_dict(), load_hparams=False)
    assert again.completed_inferences == 0
    again.load_state_dict(proxy.state_dict())
    assert (again.completed_inferences, again.completed_episodes) == (2, 1)
    again.add({1: seen(INITIAL, 0.0)}, {1: does(0.0)})
    assert writer.scalars["episode/reward"] == (10.0, 3)
    assert writer.scalars["training/inf_per_sec"][0] < 1e9


def test_a_memory_is_exported_after_so_many_observations_and_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("gridrl.memory.wrappers.time.monotonic", lambda: now)
    table = table_of()
    with pytest.warns(GridRLWarning, match="one every 3 observations is often, 10000 or more"):
        proxy = MemoryExporterProxyWrapper(MemoryTableProxy(table), "mine", 3, tmp_path / "root", 60)
    file = tmp_path / "root" / "mine_export.zip"
    run(proxy, 0, 3)
    assert not file.exists(), "no minute has passed"
    now = 61.0
    proxy.add({1: seen(INITIAL, 0.0)}, {1: does(0.0)})
    first = file.read_bytes()
    again = table_of()
    again.restore(tmp_path / "root" / "mine_export")
    assert again.size() == 3
    assert proxy.scalar_logs.keys() == {f"memory/mine/export/timing/{kind}" for kind in ("mean", "var")}
    now = 200.0
    proxy.add({1: seen(RUNNING, 0.0, 1.0)}, {1: does(0.0)})
    proxy.add({1: seen(TERMINAL, 0.0, 1.0)}, {})
    assert file.read_bytes() == first, "three observations have to come"
    run(proxy, 2, 1)
    assert file.read_bytes() != first
    with pytest.raises(BadValue, match="inf_steps_per_memory_export=0"):
        MemoryExporterProxyWrapper(MemoryTableProxy(table), "mine", 0, tmp_path)


def test_a_proxy_of_somebodys_own_can_be_logged() -> None:
    class Own:
        def add(self, observations: Any, responses: Any) -> None:
            pass

    writer, own = Recorded(), Own()
    proxies: list[MemoryProxy] = [own, LoggingProxyWrapper(own, writer, 1)]
    for proxy in proxies:
        proxy.add(told(0, 3.0), {})
    assert writer.scalars["episode/reward"] == (3.0, 1)
    assert not any(key.startswith("memory/") for key in writer.scalars)


def test_a_checkpoint_holds_the_logs_of_each_of_the_wrappers_around_a_proxy(tmp_path: Path) -> None:
    inner, again = (LoggingProxyWrapper(MemoryTableProxy(table_of()), Recorded(), 100) for _ in range(2))
    outer, outer_again = (MemoryExporterProxyWrapper(one, "mine", 10_000, tmp_path) for one in (inner, again))
    outer.add({0: seen(INITIAL, 0.0)}, {0: does(0.0)})
    outer.add(told(0, 10.0), {})
    outer.log_scalar("own", 3.0)
    outer_again.load_state_dict(outer.state_dict())
    assert again.windowed_means() == inner.windowed_means() == {"episode/reward": 10.0, "speed": 6.5}
    assert (again.completed_inferences, again.completed_episodes) == (2, 1)
    assert (outer_again.scalar_logs, outer_again.windowed_means()) == ({"own": 3.0}, {})


def test_an_episode_that_the_table_refuses_leaves_those_of_others_whole() -> None:
    table = table_of()
    proxy = MemoryTableProxy(table)
    agents = range(4)
    proxy.add({agent: seen(INITIAL, 0.0) for agent in agents}, {agent: does(0.0) for agent in agents})
    for taken in (0, 1):
        table.add_sequence(taken, {"obs": [[0.0], [1.0]], "actions": [[1.0]], "rewards": [1.0]})
    ends = {agent: seen(TERMINAL, 1.0, 1.0) for agent in (0, 1, 2)}
    with pytest.raises(BadValue, match="identity 0 is taken") as refused:
        proxy.add(ends | {3: seen(RUNNING, 1.0, 1.0)}, {3: does(1.0)})
    assert [note[:19] for note in refused.value.__notes__] == ["identity 1 is taken"]
    proxy.add({3: seen(TERMINAL, 2.0, 2.0)}, {})
    assert {i: table.storages["obs"][i][:, 0].tolist() for i in (2, 3)} == {2: [0.0, 1.0], 3: [0.0, 1.0, 2.0]}
    assert all(proxy.is_initial(agent) for agent in agents)
