"""Rollouts: what is stored is what was seen and done, normalised as it was acted upon."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gridrl.collect.rollout import RolloutCollector
from gridrl.envs.making import env_fn
from gridrl.envs.stepping import Outcome, Worlds, make_worlds
from gridrl.envs.wrappers import RewardNormalizer, RunningNormalizer
from gridrl.memory.rollout import RolloutStorage
from gridrl.nn.acting import make_actor
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.flat import FlatParameters
from gridrl.ops.returns import gae


class Seen:
    """What worlds gave, as they gave it."""

    def __init__(self, worlds: Worlds) -> None:
        self.obs = [np.array(worlds.obs)]
        self.outcomes: list[Outcome] = []
        step = worlds.step

        def watched(action: Any) -> Outcome:
            outcome = step(action)
            self.outcomes.append(outcome)
            self.obs.append(np.array(outcome.obs))
            return outcome

        worlds.step = watched  # type: ignore[method-assign]


def collector(
    env: str, num_envs: int, num_steps: int, max_ep_len: int | None = None, **normalizers: Any
) -> tuple[RolloutCollector, Worlds, MLPActorCritic]:
    worlds = make_worlds(env_fn(env), num_envs, max_ep_len=max_ep_len)
    worlds.reset(seed=0)
    net = MLPActorCritic(worlds.observation.space, worlds.action_space, hidden_sizes=(8,))
    actor = make_actor(net, FlatParameters([net.pi, net.v]))
    discrete = isinstance(worlds.action_space, gym.spaces.Discrete)
    storage = RolloutStorage(
        num_steps,
        num_envs,
        worlds.observation.dim,
        action_shape=() if discrete else (worlds.action_dim,),
        action_dtype=np.int64 if discrete else np.float32,
    )
    rng = np.random.default_rng(0)
    return RolloutCollector(worlds, actor, storage, rng, gamma=0.9, lam=0.8, **normalizers), worlds, net


@pytest.mark.parametrize(("env", "num_envs"), [("CartPole-v1", 1), ("CartPole-v1", 3), ("Pendulum-v1", 2)])
def test_what_is_stored_is_what_was_seen_and_done(env: str, num_envs: int) -> None:
    collect, worlds, _ = collector(env, num_envs, 40)
    seen = Seen(worlds)
    for _ in range(2):
        collect.collect()
    storage = collect.storage
    assert np.array_equal(storage.obs.reshape(41, -1), np.array(seen.obs[40:]).reshape(41, -1))
    for name in ("reward", "terminated", "truncated", "valid"):
        given = np.array([getattr(outcome, name) for outcome in seen.outcomes[40:]]).reshape(40, num_envs)
        assert getattr(storage, name) == pytest.approx(given, rel=1e-6)


def test_log_probabilities_values_and_advantages_are_those_of_the_policy_that_acted() -> None:
    collect, worlds, net = collector("CartPole-v1", 3, 60)
    episodes = collect.collect()
    storage = collect.storage
    assert not storage.valid.all()
    assert len(episodes) == int((storage.terminated | storage.truncated).sum())
    actor = make_actor(net, FlatParameters([net.pi, net.v]))
    batch = storage.batch(["obs", "action", "logp", "value"])
    logp, _ = actor.look(batch["obs"], batch["action"])
    assert batch["logp"] == pytest.approx(logp, abs=1e-6)
    assert batch["value"] == pytest.approx(actor.value(batch["obs"]), abs=1e-6)
    values = actor.value(storage.obs.reshape(-1, 4)).reshape(61, 3)
    done = storage.terminated | storage.truncated
    expected = gae(storage.reward, values[:-1], values[1:], storage.terminated, done, gamma=0.9, lam=0.8)
    assert storage.adv[storage.valid] == pytest.approx(expected[storage.valid], abs=1e-5)
    collect.normalize_advantages()
    assert storage.adv[storage.valid].mean() == pytest.approx(0.0, abs=1e-6)
    assert storage.adv[storage.valid].std() == pytest.approx(1.0, abs=1e-6)
    worlds.close()


def test_the_first_observations_are_normalised_by_few_and_later_ones_by_all_before_them() -> None:
    """A constant observation of 1 is 1 before there are statistics, and 0 as soon as there are."""
    normalizer = RunningNormalizer((1,))
    collect, _, _ = collector("gridrl.envs.toy:GridrlEndless-v0", 1, 100, obs_normalizer=normalizer)
    collect.collect()
    assert collect.storage.obs[:, 0, 0].tolist() == [1.0] * 16 + [0.0] * 85
    assert normalizer.moments.num_samples == 100
    collect.collect()
    assert collect.storage.obs.tolist() == [[[0.0]]] * 101
    assert normalizer.moments.num_samples == 200


@pytest.mark.parametrize("num_envs", [1, 3])
def test_the_statistics_are_those_of_all_observations_that_were_acted_upon(num_envs: int) -> None:
    normalizer = RunningNormalizer((4,))
    collect, worlds, _ = collector("CartPole-v1", num_envs, 50, obs_normalizer=normalizer)
    seen = Seen(worlds)
    valid = []
    for _ in range(2):
        collect.collect()
        valid.append(collect.storage.valid.copy())
    raw = np.array(seen.obs[:-1]).reshape(100, num_envs, 4)[np.concatenate(valid)]
    assert normalizer.moments.num_samples == len(raw)
    assert normalizer.moments.mean == pytest.approx(raw.mean(0), abs=1e-6)
    assert normalizer.moments.std(0.0) == pytest.approx(raw.std(0), rel=1e-5)


def test_in_a_later_rollout_all_is_normalised_by_what_came_before_it() -> None:
    normalizer = RunningNormalizer((4,))
    collect, worlds, _ = collector("CartPole-v1", 1, 50, max_ep_len=7, obs_normalizer=normalizer)
    collect.collect()
    before = RunningNormalizer((4,))
    before.load_state_dict(normalizer.state_dict())
    seen = Seen(worlds)
    collect.collect()
    storage = collect.storage
    assert np.array_equal(storage.obs[:50, 0], before(np.array(seen.obs[:50])))
    # the last observations of truncated episodes stand in no row, and are normalised too
    last = [outcome.final_obs for outcome in seen.outcomes if outcome.final_obs is not None]
    assert len(last) == int(storage.truncated.sum()) > 0
    assert storage.observations()[51:].shape == (len(last), 4)
    values = collect._actor.value(normalizer(np.array(last)))
    times = np.flatnonzero(storage.truncated[:, 0])
    delta = storage.reward[times, 0] + 0.9 * values - storage.value[times, 0]
    assert storage.adv[times, 0] == pytest.approx(delta, abs=1e-4)


def test_rewards_are_scaled_for_learning_and_counted_as_they_are() -> None:
    normalizer = RewardNormalizer(1, gamma=0.9)
    collect, _, _ = collector("gridrl.envs.toy:GridrlEndless-v0", 1, 50, reward_normalizer=normalizer)
    episodes = collect.collect()
    assert [(episode.ret, episode.length) for episode in episodes] == [(25.0, 25)] * 2
    returns = np.tile((1 - 0.9 ** np.arange(1, 26)) / 0.1, 2)
    assert collect.storage.reward[:, 0] == pytest.approx(np.full(50, 1.0 / returns.std()), rel=1e-5)


def test_noise_is_drawn_in_blocks_that_do_not_repeat() -> None:
    collect, _, _ = collector("gridrl.envs.toy:GridrlTarget-v0", 1, 2500)
    collect.collect()
    action = collect.storage.action[:, 0, 0]
    assert len(np.unique(action)) > 2400
