"""Collectors store what a plain loop sees, and nothing else: the contract of all of them."""

from __future__ import annotations

import doctest
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st

from gridrl.agents import AgentProxy, AgentProxyWrapper
from gridrl.collect import gym_wrapper, vector, vector_steps
from gridrl.collect.actors import FunctionAgentProxy
from gridrl.collect.gym_wrapper import DictGymWrapper
from gridrl.collect.vector import VectorCollector
from gridrl.collect.vector_steps import VectorSteps
from gridrl.envs.making import env_fn
from gridrl.errors import BadValue, ColumnError, ShapeError
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.proxy import MemoryTableProxy
from gridrl.memory.staging import Staging
from gridrl.typing import DictObservation, DictResponse, EpisodeState
from tests.collect import worlds
from tests.collect.worlds import BOTH, TERMINATED, TRUNCATED, Plan, Scripted

MODES = list(AutoresetMode)
PLANS: list[Plan] = [
    [(3, TERMINATED), (1, TRUNCATED), (4, BOTH)],
    [(2, TRUNCATED), (2, TERMINATED)],
    [(7, TRUNCATED)],
]


def table_of(env: Any) -> DictObsMemoryTable:
    return DictObsMemoryTable(spaces=VectorSteps(env).spaces, use_terminal_column=True, maxlen=10_000)


def agents() -> dict[str, AgentProxy]:
    """One that knows arrays, and one that collectors know nothing about."""
    return {"arrays": FunctionAgentProxy(worlds.act), "agents": AgentProxyWrapper(inner=FunctionAgentProxy(worlds.act))}


def collect_and_compare(plans: list[Plan], mode: AutoresetMode, kind: str, agent: AgentProxy, steps: int) -> None:
    env = worlds.vector(plans, mode)
    table = table_of(env)
    memory = Staging(table, len(plans), steps=5) if kind == "staging" else MemoryTableProxy(table, use_terminal=True)
    collector = VectorCollector(env, agent, memory)
    episodes = collector.collect(steps)
    collector.finish()
    wanted: dict[float, worlds.Transition] = {}
    for place, plan in enumerate(plans):
        stored = sum(key // 10_000 == place for key in worlds.held(table))
        wanted |= worlds.seen_by_a_plain_loop(plan, place, stored)
    assert worlds.held(table) == wanted
    assert collector.env_steps == len(wanted) == table.size()
    assert collector.num_episodes == len(episodes)
    resets = collector.num_envs * steps - collector.env_steps
    assert 0 <= len(episodes) - resets <= len(plans) if mode is AutoresetMode.NEXT_STEP else resets == 0
    for key, row in worlds.drawn(table).items():
        assert row == wanted[key]


@pytest.mark.parametrize("num_envs", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["staging", "proxy"])
@pytest.mark.parametrize("who", ["arrays", "agents"])
def test_what_is_stored_is_what_a_plain_loop_sees(num_envs: int, mode: AutoresetMode, kind: str, who: str) -> None:
    collect_and_compare(PLANS[:num_envs], mode, kind, agents()[who], steps=23)


PLAN = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([TERMINATED, TRUNCATED, BOTH])), min_size=1, max_size=4)


@given(
    plans=st.lists(PLAN, min_size=1, max_size=3),
    mode=st.sampled_from(MODES),
    kind=st.sampled_from(["staging", "proxy"]),
    steps=st.integers(1, 25),
)
def test_that_holds_however_long_episodes_are(plans: list[Plan], mode: AutoresetMode, kind: str, steps: int) -> None:
    collect_and_compare(plans, mode, kind, agents()["arrays"], steps)


@pytest.mark.parametrize("mode", MODES)
def test_environments_in_processes_are_stored_alike(mode: AutoresetMode) -> None:
    env = AsyncVectorEnv([lambda: Scripted(0, PLANS[0]), lambda: Scripted(1, PLANS[1])], autoreset_mode=mode)
    table = table_of(env)
    collector = VectorCollector(env, agents()["arrays"], Staging(table, 2, steps=4))
    collector.collect(10)
    collector.finish()
    collector.close()
    stored = [sum(key // 10_000 == place for key in worlds.held(table)) for place in range(2)]
    wanted = worlds.seen_by_a_plain_loop(PLANS[0], 0, stored[0])
    wanted |= worlds.seen_by_a_plain_loop(PLANS[1], 1, stored[1])
    assert worlds.held(table) == wanted


def test_returns_and_lengths_are_those_of_whole_episodes() -> None:
    """Of place 0, with actions obs / 2 + 1 a step pays 2 obs + 2: episodes of 3, 1 and 4 steps."""
    wanted = [(12.0, 3), (202.0, 1), (sum(2.0 * obs + 2.0 for obs in (200, 201, 202, 203)), 4)]
    for mode in MODES:
        for kind in ("staging", "proxy"):
            env = worlds.vector(PLANS[:1], mode)
            table = table_of(env)
            memory = Staging(table, 1) if kind == "staging" else MemoryTableProxy(table, use_terminal=True)
            episodes = VectorCollector(env, agents()["arrays"], memory).collect(10)
            assert [tuple(episode) for episode in episodes] == wanted


def test_a_reset_stores_what_was_under_way_as_cut_off() -> None:
    for memory_of in (lambda table: Staging(table, 1), lambda table: MemoryTableProxy(table, use_terminal=True)):
        env = worlds.vector([[(9, TERMINATED)]])
        table = table_of(env)
        collector = VectorCollector(env, agents()["arrays"], memory_of(table))
        collector.collect(2)
        collector.reset()
        collector.collect(3)
        collector.finish()
        collector.finish()
        found = worlds.held(table)
        assert sorted(found) == [0.0, 1.0, 100.0, 101.0, 102.0]
        assert [found[key].following for key in (1.0, 102.0)] == [2.0, 103.0]
        assert not any(row.terminated for row in found.values())


def test_seeds_are_spread_and_the_same_seed_gives_the_same_steps() -> None:
    def observations(seed: int) -> Any:
        env = env_fn("CartPole-v1").vector(2)
        table = table_of(env)
        collector = VectorCollector(env, FunctionAgentProxy(lambda obs: obs[:, 2] > 0), Staging(table, 2), seed=seed)
        collector.collect(60)
        collector.finish()
        return np.concatenate([table.storages["obs"][identity] for identity in table.storages["obs"]])

    assert np.array_equal(observations(1), observations(1))
    assert not np.array_equal(observations(1)[0], observations(2)[0])


def test_agents_live_for_an_episode_and_never_come_back() -> None:
    env = DictGymWrapper(worlds.vector([[(2, TRUNCATED), (1, TERMINATED)]]), first_agent=5)
    step = DictResponse({"actions": [0.0]})
    lived = [env.dict_reset()]
    infos = []
    for _ in range(6):
        going = [agent for agent, seen in lived[-1].items() if seen.episode_state.value in ("initial", "running")]
        found, info = env.dict_step(dict.fromkeys(going, step))
        lived.append(found)
        infos.append(info)
    states = [{agent: seen.episode_state.name for agent, seen in seen_by.items()} for seen_by in lived]
    assert states == [
        {5: "INITIAL"},
        {5: "RUNNING"},
        {5: "INTERRUPTED"},
        {6: "INITIAL"},
        {6: "TERMINAL"},
        {7: "INITIAL"},
        {7: "RUNNING"},
    ]
    assert infos == [{}, {"reward": 1.0, "length": 2.0}, {}, {"reward": 100.0, "length": 1.0}, {}, {}]
    last = lived[2][5]
    assert last.metadata is not None
    assert last.metadata.info == {"episode/reward": 1.0, "episode/length": 2.0}
    assert (last.rewards, last.array_data["obs"].tolist()) == ({"reward": 1.0}, [2.0])


def test_where_environments_restart_at_once_the_next_agent_begins_with_the_end_of_the_last() -> None:
    env = DictGymWrapper(worlds.vector([[(1, TERMINATED)]], AutoresetMode.SAME_STEP))
    env.dict_reset()
    found, _ = env.dict_step({0: DictResponse({"actions": [0.0]})})
    assert {agent: (seen.episode_state, float(seen.array_data["obs"][0])) for agent, seen in found.items()} == {
        0: (EpisodeState.TERMINAL, 1.0),
        1: (EpisodeState.INITIAL, 100.0),
    }


def test_parts_of_observations_have_names_shapes_and_plain_types() -> None:
    env = env_fn("gridrl.envs.toy:GridrlSignpost-v0").vector(2)
    steps = VectorSteps(env)
    assert {name: (s.shape, np.dtype(s.dtype).name) for name, s in steps.spaces.state.spaces.items()} == {
        "clutter": ((2,), "float32"),
        "sign": ((3,), "float32"),
    }
    assert (steps.spaces.actions.shape, steps.spaces.actions.dtype) == ((1,), np.int64)
    table = table_of(env)
    collector = VectorCollector(
        env, FunctionAgentProxy(lambda sign: sign.argmax(1), ("sign",)), MemoryTableProxy(table, use_terminal=True)
    )
    episodes = collector.collect(20)
    assert [episode.ret for episode in episodes] == [8.0] * 4  # who follows the sign gets all there is
    assert table.size() == 32


class Doubles(gym.Env[Any, Any]):
    """Shows float64, takes Discrete actions that start at 3, and pays what it was given."""

    def __init__(self) -> None:
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float64)
        self.action_space = gym.spaces.Discrete(2, start=3)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return np.zeros(2), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2), float(action), False, False, {}


def test_floats_are_float32_and_discrete_actions_are_counted_from_0() -> None:
    steps = VectorSteps(SyncVectorEnv([Doubles]))
    assert steps.reset()["obs"].dtype == np.float32
    assert steps.step(np.array([[1.0]])).reward.tolist() == [4.0]


class Silent(SyncVectorEnv):
    """Does not say how it starts episodes again, or does not show how the last one ended."""

    def __init__(self, mode: AutoresetMode, *, says: Any = None) -> None:
        super().__init__([lambda: Scripted(0, [(1, TERMINATED)])], autoreset_mode=mode)
        self.metadata = {} if says is None else {"autoreset_mode": says}

    def step(self, actions: Any) -> Any:
        *outcome, info = super().step(actions)
        return *outcome, {key: value for key, value in info.items() if "final_obs" not in key}


def test_what_cannot_be_stored_right_is_refused() -> None:
    with pytest.raises(BadValue, match=r"does not say how it starts episodes again .* one of 'NextStep', 'SameStep'"):
        VectorSteps(Silent(AutoresetMode.NEXT_STEP))
    with pytest.raises(BadValue, match="starts by 'Sometimes' episodes again"):
        VectorSteps(Silent(AutoresetMode.NEXT_STEP, says="Sometimes"))
    steps = VectorSteps(Silent(AutoresetMode.NEXT_STEP), autoreset_mode="NextStep")
    assert steps.mode is AutoresetMode.NEXT_STEP
    steps = VectorSteps(Silent(AutoresetMode.SAME_STEP, says=AutoresetMode.SAME_STEP))
    steps.reset()
    with pytest.raises(BadValue, match="gave no `final_obs`"):
        steps.step(np.zeros((1, 1)))
    with pytest.raises(ShapeError, match=r"actions of 1 environments are needed, not \[2, 1\]"):
        steps.step(np.zeros((2, 1)))
    with pytest.raises(BadValue, match="a gymnasium vector environment is needed, not CartPoleEnv"):
        VectorSteps(env_fn("CartPole-v1")().unwrapped)  # type: ignore[arg-type]
    with pytest.raises(BadValue, match="not supported"):
        VectorSteps(SyncVectorEnv([Multi]))


class Multi(Scripted):
    """Takes actions that nothing here can choose."""

    def __init__(self) -> None:
        super().__init__(0, [(1, TERMINATED)])
        self.action_space = gym.spaces.MultiBinary(2)


def test_a_memory_that_does_not_fit_is_refused_at_once() -> None:
    env = worlds.vector(PLANS)
    agent = agents()["arrays"]
    with pytest.raises(BadValue, match="the Staging is of 2 environments, there are 3"):
        VectorCollector(env, agent, Staging(table_of(env), 2))
    other = FunctionAgentProxy(worlds.act, output_keys=("action",))
    with pytest.raises(ColumnError, match="a column 'actions', and environment and agent give action, obs, rewards"):
        VectorCollector(env, other, Staging(table_of(env), 3))
    with pytest.raises(BadValue, match="call dict_reset first"):
        DictGymWrapper(env).dict_step({})
    wrapped = DictGymWrapper(env)
    wrapped.dict_reset()
    with pytest.raises(BadValue, match="agent 0 gives no 'actions'"):
        wrapped.dict_step({})
    blind = FunctionAgentProxy(worlds.act, ("ob",))
    with pytest.raises(BadValue, match=r"the agent looks at 'ob', and the environment gives obs\. Did you mean 'obs'"):
        VectorCollector(env, blind, Staging(table_of(env), 3))


class Wide(Scripted):
    """Takes actions of several numbers, and remembers them."""

    def __init__(self) -> None:
        super().__init__(0, [(9, TERMINATED)])
        self.action_space = gym.spaces.Box(-9.0, 9.0, (2, 2))
        self.taken: list[Any] = []

    def step(self, action: Any) -> Any:
        self.taken.append(action.tolist())
        return super().step(action[0])


def test_an_agents_action_has_as_many_numbers_as_the_space() -> None:
    env = SyncVectorEnv([Wide])
    wrapped = DictGymWrapper(env)
    wrapped.dict_reset()
    for numbers in ([1.0, 2.0, 3.0, 4.0], [[1.0, 2.0], [3.0, 4.0]]):
        wrapped.dict_step({0: DictResponse({"actions": numbers})})  # type: ignore[dict-item]
    assert env.envs[0].taken == [[[1.0, 2.0], [3.0, 4.0]]] * 2  # type: ignore[attr-defined]
    for numbers in ([1.0], [1.0, 2.0]):  # numpy would spread them over the others
        with pytest.raises(ShapeError, match=rf"agent 0 gives actions \[{len(numbers)}\]: \[2, 2\] is needed"):
            wrapped.dict_step({0: DictResponse({"actions": numbers})})


def test_a_memory_gets_each_step_once_and_ends_at_once() -> None:
    """What arrives at a memory proxy: never a reset, and an end in the step in which it happens."""
    arrived: list[tuple[int, str, bool]] = []

    class Noting:
        def add(self, observations: Mapping[int, DictObservation], responses: Mapping[int, DictResponse]) -> None:
            assert observations
            for agent, seen in observations.items():
                arrived.append((agent, seen.episode_state.name, agent in responses))

    collector = VectorCollector(worlds.vector([[(2, TERMINATED)]]), agents()["arrays"], Noting())
    collector.collect(2)
    assert arrived == [(0, "INITIAL", True), (0, "RUNNING", True), (0, "TERMINAL", False)]
    collector.collect(2)
    assert arrived[3:] == [(1, "INITIAL", True)]


class Watching(AgentProxyWrapper):
    """Notes what it is asked."""

    def __init__(self) -> None:
        super().__init__(inner=FunctionAgentProxy(worlds.act))
        self.asked: dict[int, list[tuple[str, float, float | None]]] = {}

    def __call__(self, observations: Mapping[int, DictObservation]) -> Any:
        for agent, seen in observations.items():
            row = (seen.episode_state.name, float(seen.array_data["obs"][0]), seen.rewards.get("reward"))
            self.asked.setdefault(agent, []).append(row)
        return super().__call__(observations)


@pytest.mark.parametrize("mode", MODES)
def test_agents_see_episodes_begin_whatever_memory_there_is(mode: AutoresetMode) -> None:
    found = []
    for kind in ("staging", "proxy"):
        env, agent = worlds.vector(PLANS[:1], mode), Watching()
        table = table_of(env)
        memory = Staging(table, 1) if kind == "staging" else MemoryTableProxy(table, use_terminal=True)
        collector = VectorCollector(env, agent, memory)
        collector.collect(9)
        collector.reset()
        collector.collect(2)
        found.append(agent.asked)
    staged, wanted = found
    assert [row for rows in wanted.values() for row in rows if row[0] == "INITIAL"][1] == ("INITIAL", 100.0, None)
    if (
        mode is AutoresetMode.NEXT_STEP
    ):  # the step that only starts an episode again asks too, for an action that is lost
        lengths = {agent: len(rows) for agent, rows in wanted.items()}
        staged = {agent: rows[: lengths[agent]] for agent, rows in staged.items()}
    assert staged == wanted


def test_examples_run() -> None:
    for module in (gym_wrapper, vector, vector_steps):
        assert doctest.testmod(module).failed == 0
