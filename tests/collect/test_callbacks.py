"""Collectors in a training: what they store, what the trainer hears of them, and how their threads end."""

from __future__ import annotations

import doctest
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gridrl.agents import AgentProxyWrapper, GenericAgentProxy
from gridrl.collect import callbacks
from gridrl.collect.actors import FunctionAgentProxy
from gridrl.collect.callbacks import GymCollector, SimpleGymCollector
from gridrl.collect.gym_wrapper import DictGymWrapper
from gridrl.collect.threaded import ThreadedGymCollector
from gridrl.collect.vector_steps import VectorSteps
from gridrl.errors import BadValue, GridRLError
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.loader import JointMemoryLoader, MemoryLoader
from gridrl.memory.proxy import MemoryTableProxy
from gridrl.memory.staging import Staging
from gridrl.train.callback import Callback
from gridrl.train.control import BackPropStepsTerminator, MemoryWarmup
from gridrl.train.trainer import Trainer
from tests.collect import worlds
from tests.collect.worlds import TERMINATED, TRUNCATED, Plan

PLANS: list[Plan] = [[(3, TERMINATED), (5, TRUNCATED)], [(4, TRUNCATED)]]
AGENT = FunctionAgentProxy(worlds.act)


def table_of(env: Any) -> DictObsMemoryTable:
    return DictObsMemoryTable(spaces=VectorSteps(env).spaces, use_terminal_column=True, maxlen=100_000)


def batches(count: int) -> list[dict[str, int]]:
    return [{"batch_size": 1} for _ in range(count)]


def is_what_plain_loops_see(table: DictObsMemoryTable) -> bool:
    found = worlds.held(table)
    wanted: dict[float, worlds.Transition] = {}
    for place, plan in enumerate(PLANS):
        wanted |= worlds.seen_by_a_plain_loop(plan, place, sum(key // 10_000 == place for key in found))
    return found == wanted and len(found) > 0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "gridrl-collector"] == []


class Doing(Callback):
    """Does something in each update."""

    def __init__(self, do: Callable[[], Any]) -> None:
        super().__init__()
        self._do = do

    def backward(self) -> None:
        self._do()


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("kind", [SimpleGymCollector, ThreadedGymCollector])
@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("stages", [False, True])
def test_what_a_training_stores_is_what_plain_loops_see(kind: type[GymCollector], wraps: bool, stages: bool) -> None:
    env = DictGymWrapper(worlds.vector(PLANS)) if wraps else worlds.vector(PLANS)
    table = table_of(env)
    memory = Staging(table, 2, steps=4) if stages else MemoryTableProxy(table, use_terminal=True)
    collector = kind(env, AGENT, memory, warmup_steps=7)
    Trainer([collector], batches(60)).train()
    collector.collector.finish()
    assert is_what_plain_loops_see(table)
    assert table.size() == collector.collector.env_steps


def test_a_step_follows_every_so_many_updates_and_the_trainer_counts_them() -> None:
    env = worlds.vector([[(100, TERMINATED)]])
    table = table_of(env)
    collector = SimpleGymCollector(env, AGENT, Staging(table, 1, steps=1), warmup_steps=5, bp_steps_per_inf=3)
    steps = []
    trainer = Trainer([collector, Doing(lambda: steps.append(trainer.state["inf_step"]))], batches(7))
    trainer.train()
    assert steps == [5, 5, 6, 6, 6, 7, 7]
    trainer.train()  # the warm-up is over: two more steps, after updates 9 and 12
    assert trainer.state["inf_step"] == 9
    with pytest.raises(BadValue, match="bp_steps_per_inf is 0"):
        SimpleGymCollector(env, AGENT, Staging(table, 1), bp_steps_per_inf=0)


def test_logs_tell_of_the_newest_episodes() -> None:
    env = worlds.vector([[(1, TERMINATED), (2, TRUNCATED)]])
    collector = GymCollector(env, AGENT, MemoryTableProxy(table_of(env), use_terminal=True))
    collector.collect_multiple(5)  # with one reset: the second episode pays 202 + 204
    assert collector.scalar_logs["episode/reward"] == 406.0
    assert collector.scalar_logs["episode/length"] == 2.0
    assert (collector.scalar_logs["collect/env_steps"], collector.scalar_logs["collect/episodes"]) == (3.0, 2.0)
    assert collector.windowed_means() == {"episode/smooth_reward": 204.0, "episode/smooth_length": 1.5}


def test_a_restored_collector_counts_on_and_gives_no_identity_twice() -> None:
    def made() -> tuple[GymCollector, DictGymWrapper]:
        env = DictGymWrapper(worlds.vector(PLANS))
        return GymCollector(env, AGENT, MemoryTableProxy(table_of(env), use_terminal=True), warmup_steps=10), env

    collector, env = made()
    collector.begin_training()
    other, other_env = made()
    other.load_state_dict(collector.state_dict())
    assert other_env.next_agent == env.next_agent
    other.begin_training()
    assert other.collector.env_steps == collector.collector.env_steps  # nothing is missing of the warm-up
    assert other.scalar_logs == collector.scalar_logs


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("kind", [SimpleGymCollector, ThreadedGymCollector])
def test_a_restored_collector_goes_on_with_a_restored_memory(kind: type[GymCollector], wraps: bool) -> None:
    def made() -> tuple[GymCollector, DictObsMemoryTable]:
        env: Any = DictGymWrapper(worlds.vector(PLANS)) if wraps else worlds.vector(PLANS)
        table = table_of(env)
        return kind(env, AGENT, MemoryTableProxy(table, use_terminal=True), warmup_steps=10), table

    collector, table = made()
    states: list[Any] = []

    def save() -> None:
        states.append(collector.state_dict())
        steps = table.size()
        if kind is ThreadedGymCollector:  # it goes on between the two parts of a checkpoint
            wait_for(lambda: table.size() > steps + 20)
        states.append(table.state_dict())

    Trainer([collector, Doing(save)], batches(1)).train()
    collector, table = made()
    collector.load_state_dict(states[0])
    table.load_state_dict(states[1])
    steps = table.size()
    collector.begin_training()
    wait_for(lambda: collector.while_waiting() or table.size() > steps + 20)
    collector.end_training()


@pytest.mark.parametrize("warms_up", [False, True])
@pytest.mark.parametrize("kind", [SimpleGymCollector, ThreadedGymCollector])
def test_whoever_waits_for_data_lets_it_be_collected(kind: type[GymCollector], warms_up: bool) -> None:
    env = worlds.vector(PLANS)
    table = table_of(env)
    loader = MemoryLoader(table, 40, 1, "batch_size")
    collector = kind(env, AGENT, MemoryTableProxy(table, use_terminal=True))
    trainer = Trainer([collector, *([MemoryWarmup(loader)] if warms_up else []), BackPropStepsTerminator(3)], loader)
    trainer.train()
    assert trainer.state["bp_step"] == 3
    assert trainer.state["inf_step"] >= 40


def test_two_collectors_fill_two_memories_for_who_waits_for_both() -> None:
    collectors, loaders = [], []
    for group in ("first", "second"):
        env = worlds.vector(PLANS)
        table = table_of(env)
        collectors.append(SimpleGymCollector(env, AGENT, MemoryTableProxy(table, use_terminal=True)))
        loaders.append(MemoryLoader(table, 40, 1, "batch_size", group))
    trainer = Trainer([*collectors, BackPropStepsTerminator(3)], JointMemoryLoader(loaders))
    trainer.train()
    steps = [collector.collector.env_steps for collector in collectors]
    assert steps[0] == steps[1] >= 40


def test_after_an_error_a_new_training_begins_with_new_agents() -> None:
    env = DictGymWrapper(worlds.vector(PLANS))
    table = table_of(env)
    memory = MemoryTableProxy(table, use_terminal=True)
    collector = SimpleGymCollector(env, AGENT, memory, warmup_steps=20)
    add, calls = memory.add, [0]

    def fail_once(observations: Any, responses: Any) -> None:
        calls[0] += 1
        if calls[0] == 9:
            raise ZeroDivisionError
        add(observations, responses)

    memory.add = fail_once  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        Trainer([collector], batches(1)).train()
    Trainer([collector], batches(1)).train()
    found, everything = worlds.held(table), {}
    for place, plan in enumerate(PLANS):
        everything |= worlds.seen_by_a_plain_loop(plan, place, 200)
    assert all(row == everything[key] for key, row in found.items())
    assert len(found) > 10


def test_what_goes_wrong_in_the_thread_ends_a_wait_for_data() -> None:
    env = worlds.vector(PLANS)
    loader = MemoryLoader(table_of(env), 40, 1, "batch_size")
    for waiting in ([], [MemoryWarmup(loader)]):
        with pytest.raises(ZeroDivisionError):
            Trainer([ThreadedGymCollector(env, AGENT, Failing(20)), *waiting], loader).train()


class Failing:
    """A memory that takes nothing any more after some calls."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def add(self, observations: Any, responses: Any) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise ZeroDivisionError("the memory is broken")


def test_what_goes_wrong_in_the_thread_is_raised_at_the_next_update() -> None:
    collector = ThreadedGymCollector(worlds.vector(PLANS), AGENT, Failing(20))
    updates: list[int] = []

    def update() -> None:
        updates.append(1)
        wait_for(lambda: collector._error is not None)

    with pytest.raises(ZeroDivisionError, match="the memory is broken") as told:
        Trainer([collector, Doing(update)], batches(10)).train()
    assert told.value.__notes__ == ["in the thread of a ThreadedGymCollector"]
    assert len(updates) <= 2


def test_what_goes_wrong_in_the_thread_is_raised_at_the_end_or_while_waiting() -> None:
    collector = ThreadedGymCollector(worlds.vector(PLANS), AGENT, Failing(20))
    with pytest.raises(ZeroDivisionError):
        Trainer([collector, Doing(lambda: wait_for(lambda: collector._error is not None))], batches(1)).train()
    collector = ThreadedGymCollector(worlds.vector(PLANS), AGENT, Failing(20))
    while_waiting = collector.begin_training()["while_waiting"]
    with pytest.raises(ZeroDivisionError):
        wait_for(while_waiting)
    collector.end_training()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_the_thread_ends_however_the_training_does(error: type[BaseException]) -> None:
    env = worlds.vector(PLANS)
    table = table_of(env)
    collector = ThreadedGymCollector(env, AGENT, MemoryTableProxy(table, use_terminal=True))

    def fail() -> None:
        wait_for(lambda: collector.collector.env_steps > 30)
        raise error

    with pytest.raises(error):
        Trainer([collector, Doing(fail)], batches(3)).train()
    steps = collector.collector.env_steps
    collector.collector.finish()
    assert is_what_plain_loops_see(table)
    assert steps > 30
    assert collector.scalar_logs["episode/length"] in (3.0, 4.0, 5.0)


def test_a_thread_whose_environment_hangs_is_given_up_and_told() -> None:
    hangs = threading.Event()

    def act(obs: Any) -> Any:
        hangs.wait(60.0)
        return worlds.act(obs)

    collector = ThreadedGymCollector(worlds.vector(PLANS), FunctionAgentProxy(act), Failing(0), join_timeout_s=0.05)
    collector.begin_training()
    thread = collector._thread
    with pytest.raises(GridRLError, match=r"has not ended within 0\.05 s"):
        collector.end_training()
    with pytest.raises(GridRLError, match="thread of the training before still waits for its environment"):
        collector.begin_training()
    hangs.set()
    assert thread is not None
    thread.join(60.0)
    assert collector._error is not None  # its step came back after all, and found the memory broken
    collector.begin_training()
    with pytest.raises(ZeroDivisionError):
        wait_for(collector.while_waiting)
    collector.end_training()


def test_the_thread_keeps_pace_with_the_updates() -> None:
    env = worlds.vector([[(10**6, TERMINATED)]])
    table = table_of(env)
    collector = ThreadedGymCollector(env, AGENT, Staging(table, 1, steps=1), warmup_steps=10, steps_per_update=3.0)
    limits: list[int] = []

    def update() -> None:
        limits.append(int(collector._limit or 0))
        wait_for(lambda: collector.collector.env_steps == limits[-1])  # it goes on up to the limit, and waits there
        time.sleep(0.002)
        assert collector.collector.env_steps == limits[-1]

    Trainer([collector, Doing(update)], batches(20)).train()
    assert limits == [limits[0] + 3 * number for number in range(20)]


class Constant(nn.Module):
    """Acts as its parameter says."""

    def __init__(self) -> None:
        super().__init__()
        self.action = nn.Parameter(torch.zeros(1))

    def forward(self, obs: Tensor) -> Tensor:
        return self.action.expand(len(obs), 1)


def test_nobody_acts_by_parameters_that_are_just_being_changed() -> None:
    env = worlds.vector([[(10**6, TERMINATED)]])
    table = table_of(env)
    policy = Constant()
    agent = AgentProxyWrapper(inner=GenericAgentProxy(policy, "cpu", ("obs",), ("actions",), uses_logprobs=False))
    collector = ThreadedGymCollector(env, agent, Staging(table, 1, steps=1), warmup_steps=1)

    def update() -> None:
        newest = policy.action.item() + 1.0
        steps = collector.collector.env_steps
        with torch.no_grad():
            policy.action.fill_(-100.0)
            wait_for(lambda: collector.collector.env_steps > steps + 3)
            policy.action.fill_(newest)

    Trainer([collector, Doing(update)], batches(30)).train()
    actions = [row.action for row in worlds.held(table).values()]
    assert min(actions) == 0.0
    assert actions == sorted(actions)
    assert len(set(actions)) > 10  # most updates are seen
    assert collector.collector.agent is agent


def test_an_agent_that_cannot_be_copied_is_told_before_the_thread_starts() -> None:
    policy = Constant()
    policy.lock = threading.Lock()
    agent = GenericAgentProxy(policy, "cpu", ("obs",), ("actions",), uses_logprobs=False)
    env = worlds.vector(PLANS)
    collector = ThreadedGymCollector(env, agent, Staging(table_of(env), 2, steps=5))
    with pytest.raises(BadValue, match=r"GenericAgentProxy cannot be copied .* copies_policy=False"):
        Trainer([collector], batches(1)).train()
    collector = ThreadedGymCollector(env, agent, Staging(table_of(env), 2, steps=5), copies_policy=False)
    Trainer([collector], batches(1)).train()


def test_frames_are_rendered_on_request() -> None:
    rendered = []
    env = worlds.vector(PLANS)
    env.render = lambda: rendered.append(1)  # type: ignore[method-assign, assignment]
    GymCollector(env, AGENT, Staging(table_of(env), 2), render=True).collect_multiple(3)
    assert rendered == [1, 1, 1]


def test_examples_run() -> None:
    assert doctest.testmod(callbacks).failed == 0
