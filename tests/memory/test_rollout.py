from __future__ import annotations

import numpy as np
import pytest

from gridrl.envs.making import env_fn
from gridrl.envs.stepping import Outcome, Worlds, make_worlds
from gridrl.errors import NotEnoughData, ShapeError
from gridrl.memory.rollout import RolloutStorage
from gridrl.ops.returns import Array, gae

ENDLESS = env_fn("gridrl.envs.toy:GridrlEndless-v0")
GAMMA = 0.9


def step(obs: float, reward: float, ended: str = "", final_obs: float | None = None) -> Outcome:
    final = None if final_obs is None else np.array([final_obs], np.float32)
    return Outcome(np.array([obs], np.float32), reward, ended == "terminated", ended == "truncated", True, final)


def one_environment() -> RolloutStorage:
    """Observations 10, 11, (end) 20, 21, (cut at 22) 30, then 31: one termination, one truncation, one unfinished."""
    storage = RolloutStorage(5, 1, 1)
    storage.start(np.array([10.0]))
    storage.put(0, step(11.0, 1.0))
    storage.put(1, step(20.0, 2.0, "terminated"))
    storage.put(0, step(21.0, 3.0))
    storage.put(1, step(30.0, 4.0, "truncated", final_obs=22.0))
    storage.put(1, step(31.0, 5.0))
    return storage


def test_one_environment_fills_the_block_without_a_leading_axis() -> None:
    storage = one_environment()
    assert storage.is_full
    assert storage.obs[:, 0, 0].tolist() == [10.0, 11.0, 20.0, 21.0, 30.0, 31.0]
    assert storage.action[:, 0].tolist() == [0, 1, 0, 1, 1]
    assert storage.reward[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert storage.terminated[:, 0].tolist() == [False, True, False, False, False]
    assert storage.truncated[:, 0].tolist() == [False, False, False, True, False]
    assert storage.num_valid == 5


def test_the_last_observation_of_a_truncated_episode_is_asked_for_and_bootstrapped() -> None:
    storage = one_environment()
    assert storage.observations()[:, 0].tolist() == [10.0, 11.0, 20.0, 21.0, 30.0, 31.0, 22.0]
    # values are the observations; with lambda 1 and gamma 1/2 returns are discounted sums up to the bootstrap
    storage.finish(storage.observations()[:, 0], gamma=0.5, lam=1.0)
    # 2; 1 + 1;  4 + 22 / 2 = 15; 3 + 15 / 2 = 10.5;  5 + 31 / 2 = 20.5
    assert storage.ret[:, 0].tolist() == [2.0, 2.0, 10.5, 15.0, 20.5]
    assert storage.value[:, 0].tolist() == [10.0, 11.0, 20.0, 21.0, 30.0]
    assert storage.adv[:, 0].tolist() == [-8.0, -9.0, -9.5, -6.0, -9.5]


def test_an_episode_both_terminated_and_truncated_has_no_bootstrap() -> None:
    storage = RolloutStorage(1, 1, 1)
    storage.start(np.zeros(1))
    storage.put(0, Outcome(np.ones(1, np.float32), 1.0, True, True, True, None))
    storage.finish(np.array([0.0, 100.0]), gamma=0.5, lam=1.0)
    assert storage.ret.tolist() == [[1.0]]


def test_the_next_block_goes_on_from_the_last_observation() -> None:
    storage = one_environment()
    storage.finish(np.zeros(7), gamma=0.9, lam=0.9)
    storage.valid[2] = False
    storage.start()
    assert storage.num_valid == 5
    assert (storage.length, storage.obs[0].tolist()) == (0, [[31.0]])
    assert storage.observations().shape == (6, 1)


def many(obs: tuple[float, float], reward: tuple[float, float], valid: tuple[bool, bool], ended: str = "") -> Outcome:
    """A step of two environments; the second one's episode may end."""
    return Outcome(
        np.array(obs, np.float32)[:, None],
        np.array(reward),
        np.array([False, ended == "terminated"]),
        np.array([False, ended == "truncated"]),
        np.array(valid),
        None,
    )


def two_environments(ended: str) -> RolloutStorage:
    """The second environment ends with observation 7, spends a step on its restart, and goes on from 8 to 9."""
    storage = RolloutStorage(3, 2, 1)
    storage.start(np.array([[1.0], [6.0]]))
    storage.put(np.array([0, 1]), many((2.0, 7.0), (1.0, 2.0), (True, True), ended))
    storage.put(np.array([1, 1]), many((3.0, 8.0), (1.0, 0.0), (True, False)))
    storage.put(np.array([0, 0]), many((4.0, 9.0), (1.0, 3.0), (True, True)))
    return storage


@pytest.mark.parametrize(("ended", "first_return"), [("truncated", 2.0 + 0.5 * 7.0), ("terminated", 2.0)])
def test_a_restart_row_carries_the_bootstrap_and_reaches_no_batch(ended: str, first_return: float) -> None:
    storage = two_environments(ended)
    storage.finish(storage.observations()[:, 0], gamma=0.5, lam=1.0, logp=np.arange(6.0))
    assert storage.num_valid == 5
    batch = storage.batch(("obs", "action", "logp", "ret"))
    assert batch["obs"].tolist() == [[1.0], [6.0], [2.0], [3.0], [8.0]]
    assert batch["action"].tolist() == [0, 1, 1, 0, 0]
    assert batch["logp"].tolist() == [0.0, 1.0, 2.0, 4.0, 5.0]
    # first environment: 1 + 4 / 2 = 3; 1 + 3 / 2; 1 + 2.5 / 2; second, after the restart: 3 + 9 / 2
    assert batch["ret"].tolist() == [2.25, first_return, 2.5, 3.0, 7.5]
    for minibatch in storage.minibatches(2, np.random.default_rng(0)):
        assert 7.0 not in minibatch["obs"]


def test_a_batch_of_all_valid_rows_is_a_view() -> None:
    storage = one_environment()
    batch = storage.batch()
    assert all(np.shares_memory(batch[key], getattr(storage, key)) for key in batch)
    assert batch["obs"].shape == (5, 1)


def filled(num_steps: int, num_envs: int) -> RolloutStorage:
    storage = RolloutStorage(num_steps, num_envs, 1, action_shape=(2,), action_dtype=np.float32)
    storage.start(np.zeros((num_envs, 1)))
    count = np.arange(num_steps * num_envs, dtype=np.float32).reshape(num_steps, num_envs)
    false = np.zeros(num_envs, np.bool_)
    for t in range(num_steps):
        action = np.stack([count[t], -count[t]], axis=-1)
        storage.put(action, Outcome(count[t, :, None], count[t], false, false, ~false, None))
    return storage


def test_minibatches_hold_every_row_once_and_keep_rows_together() -> None:
    storage = filled(10, 3)
    minibatches = list(storage.minibatches(8, np.random.default_rng(0), ("reward", "action")))
    assert [len(minibatch["reward"]) for minibatch in minibatches] == [7, 8, 7, 8]
    rewards = np.concatenate([minibatch["reward"] for minibatch in minibatches])
    assert rewards.tolist() != sorted(rewards.tolist())
    assert sorted(rewards.tolist()) == list(range(30))
    for minibatch in minibatches:
        np.testing.assert_array_equal(minibatch["action"], np.stack([minibatch["reward"], -minibatch["reward"]], -1))
        assert all(column.flags.c_contiguous for column in minibatch.values())


def test_minibatches_are_drawn_anew_by_the_generator_alone() -> None:
    storage = filled(10, 3)

    def order(rng: np.random.Generator) -> list[float]:
        return [x for minibatch in storage.minibatches(8, rng, ("reward",)) for x in minibatch["reward"].tolist()]

    rng = np.random.default_rng(5)
    first, second = order(rng), order(rng)
    assert first != second
    assert order(np.random.default_rng(5)) == first


def test_the_number_of_minibatches_does_not_depend_on_restarts() -> None:
    storage = filled(10, 3)
    storage.valid[::2, :2] = False
    sizes = [len(minibatch["obs"]) for minibatch in storage.minibatches(8, np.random.default_rng(0))]
    assert sizes == [5, 5, 5, 5]


def test_with_fewer_rows_than_minibatches_some_rows_come_twice_and_none_is_left_out() -> None:
    storage = filled(4, 3)
    storage.valid[::2] = False
    valid = storage.reward[1::2].reshape(-1).tolist()
    minibatches = [m["reward"].tolist() for m in storage.minibatches(1, np.random.default_rng(0), ("reward",))]
    assert [len(minibatch) for minibatch in minibatches] == [1] * 12
    assert {row for minibatch in minibatches for row in minibatch} == set(valid)


def test_a_minibatch_larger_than_the_block_is_the_block() -> None:
    assert [len(minibatch["obs"]) for minibatch in filled(4, 1).minibatches(64, np.random.default_rng(0))] == [4]


def test_a_full_block_takes_no_more_and_a_part_of_one_is_not_finished() -> None:
    storage = one_environment()
    with pytest.raises(ShapeError, match="holds 5 steps"):
        storage.put(0, step(0.0, 0.0))
    storage.start()
    storage.put(0, step(0.0, 0.0))
    with pytest.raises(NotEnoughData, match="holds 1 of 5 steps"):
        storage.finish(np.zeros(6), gamma=0.9, lam=0.9)


def test_values_of_another_length_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"value \[6\]: \[7\] is needed"):
        one_environment().finish(np.zeros(6), gamma=0.9, lam=0.9)
    with pytest.raises(ShapeError, match=r"value \[7, 1\]: \[7\] is needed"):
        one_environment().finish(np.zeros((7, 1)), gamma=0.9, lam=0.9)


def test_a_truncation_whose_last_observation_was_lost_is_refused() -> None:
    storage = RolloutStorage(2, 1, 1)
    storage.start(np.zeros(1))
    storage.put(0, step(1.0, 1.0, "truncated"))
    storage.put(0, step(2.0, 1.0))
    with pytest.raises(ShapeError, match="Step 0 of environment 0 was truncated"):
        storage.finish(np.zeros(3), gamma=0.9, lam=0.9)


def filled_by(worlds: Worlds, num_steps: int, seed: int = 0) -> RolloutStorage:
    rng = np.random.default_rng(seed)
    choices = int(worlds.action_dim)
    storage = RolloutStorage(num_steps, worlds.num_envs, worlds.observation.dim)
    storage.start(worlds.reset(seed))
    while not storage.is_full:
        action = rng.integers(choices, size=worlds.num_envs)
        storage.put(action, worlds.step(action if worlds.num_envs > 1 else action[0]))
    return storage


def learned_value(worlds: Worlds, *, cut_is_death: bool = False) -> float:
    """The fixed point that lambda returns of the one-state world lead to, starting from a value of 0."""
    storage = filled_by(worlds, num_steps=100)
    if cut_is_death:
        storage.terminated |= storage.truncated
        storage._cut, storage._final = [], []
    value = 0.0
    for _ in range(100):
        storage.finish(np.full(len(storage.observations()), value), GAMMA, lam=0.95)
        value = float(storage.batch(("ret",))["ret"].mean(dtype=np.float64))
    return value


@pytest.mark.parametrize("num_envs", [1, 3])
def test_an_endless_world_is_worth_one_over_one_minus_gamma(num_envs: int) -> None:
    assert learned_value(make_worlds(ENDLESS, num_envs)) == pytest.approx(1 / (1 - GAMMA), rel=1e-5)


@pytest.mark.parametrize("num_envs", [1, 3])
def test_it_would_be_worth_less_if_a_time_limit_were_a_death(num_envs: int) -> None:
    assert learned_value(make_worlds(ENDLESS, num_envs), cut_is_death=True) < 0.9 / (1 - GAMMA)


def test_the_true_value_of_the_endless_world_leaves_no_advantage() -> None:
    storage = filled_by(make_worlds(ENDLESS, 2, max_ep_len=7), num_steps=50)
    assert storage.num_valid < 100
    storage.finish(np.full(len(storage.observations()), 10.0), GAMMA, lam=0.95)
    np.testing.assert_allclose(storage.batch(("adv",))["adv"], 0.0, atol=1e-5)


def episode_by_episode(storage: RolloutStorage, value_of: dict[int, float], env: int) -> list[float]:
    """Advantages of one environment of a vector block, each episode cut out and handed to gae by itself."""
    valid, done = storage.valid[:, env], (storage.terminated | storage.truncated)[:, env]
    value = np.array([value_of[int(obs)] for obs in storage.obs[:, env, 0]])
    adv: list[float] = []
    begin = 0
    for t in range(storage.num_steps):
        if not valid[t]:
            begin = t + 1
        elif done[t] or t == storage.num_steps - 1:
            rows = slice(begin, t + 1)
            adv += gae(
                storage.reward[rows, env],
                value[rows],
                value[begin + 1 : t + 2],
                storage.terminated[rows, env],
                np.zeros(t + 1 - begin),
                gamma=0.9,
                lam=0.8,
            ).tolist()
    return adv


def test_a_vector_block_with_restarts_equals_its_episodes_one_by_one() -> None:
    rng = np.random.default_rng(1)
    storage = filled(60, 2)
    storage.obs[..., 0] = np.arange(61 * 2).reshape(61, 2)
    for env in range(2):
        t = int(rng.integers(4))
        while t < 59:
            storage.terminated[t, env], storage.truncated[t, env] = [(True, False), (False, True)][rng.integers(2)]
            storage.valid[t + 1, env] = False
            t += int(rng.integers(2, 9))
    value: Array = rng.normal(size=61 * 2).astype(np.float32)
    storage.finish(value, gamma=0.9, lam=0.8)
    value_of = dict(enumerate(value.tolist()))
    for env in range(2):
        expected = episode_by_episode(storage, value_of, env)
        np.testing.assert_allclose(storage.adv[storage.valid[:, env], env], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_envs", [1, 2])
def test_cut_walks_are_bootstrapped_from_where_they_were_cut(num_envs: int) -> None:
    worlds = make_worlds(env_fn("gridrl.envs.toy:GridrlChain-v0"), num_envs, max_ep_len=6)
    storage = filled_by(worlds, num_steps=400)
    storage.finish(storage.observations() @ np.arange(1.0, 6.0), gamma=0.9, lam=1.0)
    episodes = worlds.finished_episodes()
    assert all(episode.length == 6 or episode.ret == 1.0 for episode in episodes)
    assert {episode.ret for episode in episodes} == {0.0, 1.0}
    assert storage.ret[storage.terminated].tolist() == [1.0] * int(storage.terminated.sum())
    cut = storage.truncated & ~storage.terminated
    # cell i is worth i + 1; the last step of a cut walk pays nothing and leads one cell on or back, never off the edge
    last_cell = np.maximum(storage.obs[:-1][cut].argmax(-1) + 2 * storage.action[cut] - 1, 0)
    np.testing.assert_allclose(storage.ret[cut], 0.9 * (last_cell + 1), rtol=1e-6)
    assert len(set(last_cell.tolist())) > 2
