from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from gridrl.envs.wrappers import Moments, RewardNormalizer, RunningNormalizer
from gridrl.errors import VersionMismatch


def test_moments_by_hand() -> None:
    moments = Moments.of(np.array([[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]]))
    assert (moments.num_samples, moments.mean.tolist(), moments.m2.tolist()) == (3.0, [3.0, 1.0], [14.0, 6.0])


def test_merged_moments_are_those_of_all_samples() -> None:
    samples = np.random.default_rng(0).normal(5.0, 3.0, (60, 4))
    parts = [Moments.of(part) for part in np.split(samples, [1, 1, 13, 40])]
    merged = Moments.none((4,))
    for part in parts:
        merged = merged.merged(part)
    whole = Moments.of(samples)
    assert merged.num_samples == whole.num_samples == 60
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.m2, whole.m2, rtol=1e-12)


def test_merging_nothing_changes_nothing() -> None:
    moments = Moments.of(np.array([1.0, 2.0]))
    for merged in (moments.merged(Moments.none(())), Moments.none(()).merged(moments)):
        assert (merged.num_samples, float(merged.mean), float(merged.m2)) == (2.0, 1.5, 0.5)
    assert Moments.none(()).merged(Moments.none(())).num_samples == 0.0


def test_moments_survive_a_large_offset() -> None:
    samples = (1e6 + np.arange(1000.0) % 2).astype(np.float32)
    merged = Moments.none(())
    for part in np.split(samples, 100):
        merged = merged.merged(Moments.of(part))
    assert float(merged.std(0.0)) == pytest.approx(0.5, rel=1e-9)


def test_observations_are_normalised_by_hand() -> None:
    normalizer = RunningNormalizer((2,), eps=0.0)
    normalizer.update(np.array([[0.0, 10.0], [2.0, 10.0], [4.0, 40.0]], np.float32))
    # means 2 and 20, deviations sqrt(8/3) and sqrt(200)
    one = normalizer(np.array([4.0, 20.0], np.float32))
    np.testing.assert_allclose(one, [1.2247449, 0.0], rtol=1e-6)
    assert one.dtype == np.float32
    np.testing.assert_allclose(normalizer(np.array([[4.0, 20.0], [2.0, 10.0]])), [[1.2247449, 0.0], [0.0, -0.7071068]])


def test_observations_are_clipped() -> None:
    normalizer = RunningNormalizer((1,), clip=3.0)
    assert normalizer(np.array([[50.0], [-50.0], [1.0]])).tolist() == [[3.0], [-3.0], [1.0]]
    assert RunningNormalizer((1,))(np.array([50.0])).tolist() == [10.0]


def test_the_observation_itself_is_not_changed() -> None:
    normalizer = RunningNormalizer((1,))
    normalizer.update(np.array([[1.0], [3.0]]))
    obs = np.array([3.0], np.float32)
    normalizer(obs)
    assert obs.tolist() == [3.0]


def test_single_observations_enter_like_a_batch() -> None:
    samples = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    at_once, one_by_one = RunningNormalizer((3,)), RunningNormalizer((3,))
    at_once.update(samples)
    for sample in samples:
        one_by_one.update(sample)
    np.testing.assert_allclose(one_by_one(samples), at_once(samples), rtol=1e-5)


def test_ranks_that_merge_each_others_moments_have_the_statistics_of_one_rank_with_all() -> None:
    rng = np.random.default_rng(0)
    alone, ranks = RunningNormalizer((3,)), [RunningNormalizer((3,)), RunningNormalizer((3,))]
    for _ in range(4):
        batches = [rng.normal(2.0, 3.0, (size, 3)) for size in (5, 9)]
        alone.update(np.concatenate(batches))
        exchanged = [tuple(rank.moments_of(batch)) for rank, batch in zip(ranks, batches, strict=True)]
        for rank in ranks:
            for moments in exchanged:
                rank.merge(moments)
    obs = rng.normal(size=(7, 3))
    np.testing.assert_allclose(ranks[0](obs), alone(obs), rtol=1e-5)
    np.testing.assert_array_equal(ranks[0](obs), ranks[1](obs))


def test_a_frozen_normaliser_learns_nothing_more() -> None:
    normalizer = RunningNormalizer((1,))
    normalizer.update(np.array([[1.0], [3.0]]))
    normalizer.frozen = True
    normalizer.update(np.array([[1000.0]]))
    assert normalizer.moments.num_samples == 2.0
    rewards = RewardNormalizer(1, 0.9)
    rewards.frozen = True
    assert rewards(np.array([[5.0]]), np.array([[False]])).tolist() == [[5.0]]
    assert rewards.moments.num_samples == 0.0


def test_state_of_normalisers_is_read_from_a_checkpoint_that_is_not_trusted() -> None:
    normalizer, rewards = RunningNormalizer((2,)), RewardNormalizer(2, 0.9)
    normalizer.update(np.random.default_rng(0).normal(size=(9, 2)))
    rewards(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[False, True], [False, False]]))
    file = io.BytesIO()
    torch.save([normalizer.state_dict(), rewards.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    again, rewards_again = RunningNormalizer((2,)), RewardNormalizer(2, 0.9)
    again.load_state_dict(states[0])
    rewards_again.load_state_dict(states[1])
    obs, block, done = np.ones((3, 2)), np.array([[1.0, -1.0]]), np.zeros((1, 2), np.bool_)
    np.testing.assert_array_equal(again(obs), normalizer(obs))
    np.testing.assert_array_equal(rewards_again(block, done), rewards(block, done))
    again.update(obs)
    normalizer.update(obs)
    np.testing.assert_array_equal(again.moments.m2, normalizer.moments.m2)


def test_states_of_another_shape_are_refused() -> None:
    with pytest.raises(VersionMismatch, match=r"of shape \[2\], \[3\] is needed"):
        RunningNormalizer((3,)).load_state_dict(RunningNormalizer((2,)).state_dict())
    with pytest.raises(VersionMismatch, match="of 2 environments, 3 are at hand"):
        RewardNormalizer(3, 0.9).load_state_dict(RewardNormalizer(2, 0.9).state_dict())


def test_rewards_are_scaled_by_hand() -> None:
    normalizer = RewardNormalizer(1, gamma=0.5, eps=0.0)
    # returns 1, 2.5, then 4 alone in the next episode: variance 1.5 about the mean 2.5
    scaled = normalizer(np.array([[1.0], [2.0], [4.0]]), np.array([[False], [True], [False]]))
    np.testing.assert_allclose(scaled[:, 0], np.array([1.0, 2.0, 4.0]) / np.sqrt(1.5), rtol=1e-6)
    # 0.5 * 4 + 1 = 3 joins them: variance (2.640625 + 0.015625 + 1.890625 + 0.140625) / 4
    assert normalizer(np.array([[1.0]]), np.array([[False]])).item() == pytest.approx(1 / np.sqrt(1.171875))


def test_rewards_are_clipped_and_never_shifted() -> None:
    normalizer = RewardNormalizer(1, 0.9, clip=2.0)
    assert normalizer.scale([[100.0], [-100.0], [0.0]]).tolist() == [[2.0], [-2.0], [0.0]]


def test_restarts_count_for_nothing() -> None:
    rewards = np.array([[1.0, 5.0], [0.0, 2.0], [3.0, 1.0]])
    done = np.array([[True, False], [False, False], [False, False]])
    valid = np.array([[True, True], [False, True], [True, True]])
    together, first, second = RewardNormalizer(2, 0.9), RewardNormalizer(1, 0.9), RewardNormalizer(1, 0.9)
    moments = together.observe(rewards, done, valid)
    apart = first.observe(np.array([1.0, 3.0])[:, None], np.array([True, False])[:, None]).merged(
        second.observe(rewards[:, 1:], done[:, 1:])
    )
    assert moments.num_samples == apart.num_samples == 5.0
    assert float(moments.mean) == pytest.approx(float(apart.mean))
    assert float(moments.m2) == pytest.approx(float(apart.m2))


def test_one_step_of_one_environment_needs_no_axes() -> None:
    with_axes, without = RewardNormalizer(1, 0.9), RewardNormalizer(1, 0.9)
    for reward, done in ((1.0, False), (2.0, True), (3.0, False)):
        expected = with_axes(np.array([[reward]]), np.array([[done]]))
        assert without(reward, done).item() == expected.item()


def test_a_forgotten_episode_starts_from_nothing() -> None:
    normalizer = RewardNormalizer(1, 0.9)
    normalizer(np.array([[10.0]]), np.array([[False]]))
    normalizer.forget_episodes()
    assert float(normalizer.observe(np.array([[1.0]]), np.array([[False]])).mean) == 1.0


def test_step_by_step_the_numbers_are_those_of_vec_normalize() -> None:
    """The rule of `VecNormalize.step_wait`, written out with all returns kept in place of running statistics."""
    rng = np.random.default_rng(0)
    ours = RewardNormalizer(3, gamma=0.97)
    running, seen = np.zeros(3), np.zeros((0, 3))
    for _ in range(50):
        reward, done = rng.normal(1.0, 2.0, 3), rng.random(3) < 0.2
        running = running * 0.97 + reward
        seen = np.vstack([seen, running])
        expected = np.clip(reward / np.sqrt(seen.var() + 1e-8), -10.0, 10.0)
        running[done] = 0.0
        np.testing.assert_allclose(ours(reward, done), expected, rtol=1e-5)
