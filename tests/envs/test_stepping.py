from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from gridrl.envs.making import env_fn
from gridrl.envs.stepping import Episode, Worlds, make_worlds
from gridrl.errors import BadValue

CARTPOLE = env_fn("CartPole-v1")
ENDLESS = env_fn("gridrl.envs.toy:GridrlEndless-v0")
SIGNPOST = env_fn("gridrl.envs.toy:GridrlSignpost-v0")


class Recorder(gym.Env[Any, Any]):
    """Counts its steps in its observation, remembers the actions it got, and ends after `length` steps."""

    def __init__(self, action_space: gym.Space[Any], length: int = 1000) -> None:
        self.observation_space = spaces.Box(0, 1e6, (1,))
        self.action_space = action_space
        self.length = length
        self.actions: list[Any] = []
        self.resets = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.resets += 1
        self.steps = 100 * self.resets
        return self._obs(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(action)
        self.steps += 1
        return self._obs(), 0.5, self.steps % 100 == self.length, False, {}

    def _obs(self) -> Any:
        return np.array([self.steps], np.float32)


def recorder(length: int = 1000) -> Recorder:
    return Recorder(spaces.Discrete(2), length)


def test_one_environment_has_no_leading_axis_and_starts_again_at_once() -> None:
    worlds = make_worlds(lambda: recorder(length=2))
    assert worlds.reset(seed=0).tolist() == [100.0]
    first = worlds.step(0)
    assert (first.obs.tolist(), first.reward, first.terminated, first.truncated) == ([101.0], 0.5, False, False)
    assert first.valid is True
    second = worlds.step(1)
    # the episode ended with 102, and the observation to act on is the next one's
    assert (second.obs.tolist(), second.terminated, second.truncated) == ([200.0], True, False)
    assert second.final_obs is None
    assert worlds.obs.tolist() == [200.0]


def test_a_truncated_episode_of_one_environment_hands_over_its_last_observation() -> None:
    worlds = make_worlds(lambda: recorder(), max_ep_len=3)
    worlds.reset(seed=0)
    outcomes = [worlds.step(0) for _ in range(3)]
    assert [(outcome.terminated, outcome.truncated) for outcome in outcomes] == [(False, False)] * 2 + [(False, True)]
    assert outcomes[2].final_obs is not None
    assert (outcomes[2].final_obs.tolist(), outcomes[2].obs.tolist()) == ([103.0], [200.0])
    assert worlds.finished_episodes() == [Episode(1.5, 3)]


class Reusing(Recorder):
    """Writes every observation into the same array."""

    def _obs(self) -> Any:
        self.buffer = getattr(self, "buffer", np.zeros(1, np.float32))
        self.buffer[0] = self.steps
        return self.buffer


def test_the_last_observation_survives_an_environment_that_reuses_its_array() -> None:
    worlds = make_worlds(lambda: Reusing(spaces.Discrete(2)), max_ep_len=1)
    worlds.reset(seed=0)
    outcome = worlds.step(0)
    assert outcome.final_obs is not None
    assert (outcome.final_obs.tolist(), outcome.obs.tolist()) == ([101.0], [200.0])


def test_several_environments_spend_a_step_on_starting_again_which_is_not_valid() -> None:
    lengths = iter([2, 1000])
    worlds = make_worlds(lambda: recorder(next(lengths)), 2)
    assert worlds.reset(seed=0).tolist() == [[100.0], [100.0]]
    outcomes = [worlds.step(np.zeros(2, np.int64)) for _ in range(4)]
    assert [outcome.obs[:, 0].tolist() for outcome in outcomes] == [[101, 101], [102, 102], [200, 103], [201, 104]]
    terminated = [outcome.terminated.tolist() for outcome in outcomes]
    assert terminated == [[False, False], [True, False], [False, False], [False, False]]
    assert [outcome.valid.tolist() for outcome in outcomes] == [[True] * 2, [True] * 2, [False, True], [True] * 2]
    assert [outcome.reward.tolist() for outcome in outcomes] == [[0.5, 0.5], [0.5, 0.5], [0.0, 0.5], [0.5, 0.5]]
    assert worlds.finished_episodes() == [Episode(1.0, 2)]


@pytest.mark.parametrize("num_envs", [1, 3])
def test_max_ep_len_truncates_and_does_not_terminate(num_envs: int) -> None:
    for make in (ENDLESS, CARTPOLE, lambda: recorder()):
        worlds = make_worlds(make, num_envs, max_ep_len=4)
        worlds.reset(seed=0)
        outcomes = [worlds.step(np.arange(num_envs) % 2 if num_envs > 1 else 0) for _ in range(4)]
        assert np.all(outcomes[3].truncated)
        assert not np.any([outcome.truncated for outcome in outcomes[:3]])
        assert not np.any([outcome.terminated for outcome in outcomes])
        assert [episode.length for episode in worlds.finished_episodes()] == [4] * num_envs


@pytest.mark.parametrize("num_envs", [1, 3])
def test_the_environments_own_limit_stays_if_it_is_shorter(num_envs: int) -> None:
    worlds = make_worlds(ENDLESS, num_envs, max_ep_len=1000)
    worlds.reset(seed=0)
    for _ in range(60):
        worlds.step(np.zeros(num_envs, np.int64) if num_envs > 1 else 0)
    assert worlds.finished_episodes() == [Episode(25.0, 25)] * (2 * num_envs)


def test_finished_episodes_are_told_once() -> None:
    worlds = make_worlds(lambda: recorder(length=1))
    worlds.reset(seed=0)
    worlds.step(0)
    worlds.step(0)
    assert worlds.finished_episodes() == [Episode(0.5, 1), Episode(0.5, 1)]
    assert worlds.finished_episodes() == []


def test_a_reset_forgets_the_unfinished_episode() -> None:
    for num_envs, action in ((1, 0), (2, np.zeros(2, np.int64))):
        worlds = make_worlds(lambda: recorder(length=3), num_envs)
        worlds.reset(seed=0)
        worlds.step(action)
        worlds.reset(seed=0)
        for _ in range(3):
            worlds.step(action)
        assert worlds.finished_episodes() == [Episode(1.5, 3)] * num_envs


def test_continuous_actions_are_clipped_for_the_environment_alone() -> None:
    space = spaces.Box(np.array([-1.0, -2.0], np.float32), np.array([1.0, 2.0], np.float32))
    worlds = make_worlds(lambda: Recorder(space))
    worlds.reset(seed=0)
    action = np.array([-3.0, 1.5], np.float32)
    worlds.step(action)
    assert worlds.env.unwrapped.actions[0].tolist() == [-1.0, 1.5]
    assert action.tolist() == [-3.0, 1.5]

    several = make_worlds(lambda: Recorder(space), 2)
    several.reset(seed=0)
    several.step(np.array([[-3.0, 1.5], [0.5, 9.0]], np.float32))
    got = [env.unwrapped.actions[0].tolist() for env in several.env.envs]
    assert got == [[-1.0, 1.5], [0.5, 2.0]]


def test_a_flat_action_gets_the_shape_and_type_of_the_space() -> None:
    worlds = make_worlds(lambda: Recorder(spaces.Box(-1, 1, (2, 2), np.float64)))
    worlds.reset(seed=0)
    worlds.step(np.array([0.1, 0.2, 0.3, 9.0], np.float32))
    got = worlds.env.unwrapped.actions[0]
    assert (got.shape, got.dtype, got[1, 1]) == ((2, 2), np.float64, 1.0)


def test_discrete_actions_count_from_zero_whatever_the_space() -> None:
    worlds = make_worlds(lambda: Recorder(spaces.Discrete(3, start=5)))
    worlds.reset(seed=0)
    worlds.step(np.int64(2))
    assert worlds.env.unwrapped.actions == [7]
    assert type(worlds.env.unwrapped.actions[0]) is int
    several = make_worlds(lambda: Recorder(spaces.Discrete(3, start=5)), 2)
    several.reset(seed=0)
    several.step(np.array([0, 2]))
    assert [env.unwrapped.actions for env in several.env.envs] == [[5], [7]]


def test_composite_observations_are_flat_for_one_and_for_many() -> None:
    one, many = make_worlds(SIGNPOST), make_worlds(SIGNPOST, 3)
    assert one.observation.dim == 5
    assert one.reset(seed=0).shape == (5,)
    assert many.reset(seed=0).shape == (3, 5)
    outcome = many.step(np.zeros(3, np.int64))
    assert (outcome.obs.shape, outcome.obs.dtype) == ((3, 5), np.float32)
    np.testing.assert_array_equal(outcome.obs[:, 2:].sum(axis=1), 1.0)


def trajectory(worlds: Worlds, seed: int, steps: int = 60) -> list[list[float]]:
    rng = np.random.default_rng(7)
    rows = [worlds.reset(seed).reshape(-1).tolist()]
    for _ in range(steps):
        action = rng.integers(2, size=worlds.num_envs)
        rows.append(worlds.step(action if worlds.num_envs > 1 else action[0]).obs.reshape(-1).tolist())
    return rows


@pytest.mark.parametrize(("make", "num_envs"), [(CARTPOLE, 1), (CARTPOLE, 3), (lambda: CARTPOLE(), 3)])
def test_a_seed_repeats_and_another_does_not(make: Any, num_envs: int) -> None:
    first = trajectory(make_worlds(make, num_envs), seed=3)
    assert trajectory(make_worlds(make, num_envs), seed=3) == first
    assert trajectory(make_worlds(make, num_envs), seed=4) != first


def test_neighbouring_seeds_share_no_world() -> None:
    worlds = make_worlds(lambda: CARTPOLE(), 4)
    assert isinstance(worlds.env, SyncVectorEnv)
    first, second = (worlds.reset(seed).tolist() for seed in (0, 1))
    assert len({tuple(obs) for obs in first + second}) == 8


def test_spaces_that_are_not_supported_are_told() -> None:
    with pytest.raises(BadValue, match="Actions of MultiBinary"):
        make_worlds(lambda: Recorder(spaces.MultiBinary(2)))


@pytest.mark.parametrize("num_envs", [1, 2])
def test_a_state_goes_on_in_new_worlds_with_its_unfinished_episodes(num_envs: int) -> None:
    rng = np.random.default_rng(0)
    actions = rng.integers(2, size=(200, num_envs))

    def run(worlds: Worlds, rows: Any) -> list[Any]:
        outcomes = [worlds.step(action if num_envs > 1 else action[0]) for action in rows]
        seen = [np.column_stack([outcome.obs.reshape(num_envs, -1), outcome.valid]).tolist() for outcome in outcomes]
        return [*seen, worlds.finished_episodes()]

    for make in (CARTPOLE, lambda: CARTPOLE(), SIGNPOST):
        worlds = make_worlds(make, num_envs, max_ep_len=17)
        worlds.reset(seed=0)
        run(worlds, actions[:111])
        state = worlds.get_state()
        assert state is not None
        again = make_worlds(make, num_envs, max_ep_len=17)
        again.set_state(state)
        np.testing.assert_array_equal(again.obs, worlds.obs)
        assert run(again, actions[111:]) == run(worlds, actions[111:])


def test_a_state_taken_between_an_end_and_its_restart_knows_that_the_restart_is_not_valid() -> None:
    worlds, again = (make_worlds(ENDLESS, 2, max_ep_len=3) for _ in range(2))
    worlds.reset(seed=0)
    for _ in range(3):
        worlds.step(np.zeros(2, np.int64))
    again.set_state(worlds.get_state() or {})
    assert [again.step(np.zeros(2, np.int64)).valid.tolist() for _ in range(2)] == [[False, False], [True, True]]


def test_worlds_that_are_not_known_have_no_state() -> None:
    assert make_worlds(lambda: recorder()).get_state() is None
    assert make_worlds(lambda: recorder(), 2).get_state() is None
