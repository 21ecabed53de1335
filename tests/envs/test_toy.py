from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gridrl.envs.making import env_fn

NAMES = ["GridrlBandit-v0", "GridrlChain-v0", "GridrlEndless-v0", "GridrlSignpost-v0", "GridrlTarget-v0"]
MIDDLE = "GridrlHitTheMiddle-v0"


def toy(name: str, **kwargs: Any) -> gym.Env[Any, Any]:
    return env_fn(f"gridrl.envs.toy:{name}", **kwargs)()


@pytest.mark.parametrize("name", [*NAMES, MIDDLE])
def test_toy_worlds_keep_gymnasiums_rules(name: str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not within the range|.*render")
        check_env(toy(name).unwrapped, skip_render_check=True)


def best_actions(name: str) -> Any:
    return {
        "GridrlBandit-v0": lambda obs: 3,
        "GridrlChain-v0": lambda obs: 1,
        "GridrlEndless-v0": lambda obs: 0,
        "GridrlSignpost-v0": lambda obs: obs["sign"],
        "GridrlTarget-v0": lambda obs: obs,
    }[name]


def episode(env: gym.Env[Any, Any], act: Any, seed: int) -> tuple[float, int]:
    obs, _ = env.reset(seed=seed)
    total, steps, done = 0.0, 0, False
    while not done:
        obs, reward, terminated, truncated, _ = env.step(act(obs))
        total, steps, done = total + float(reward), steps + 1, terminated or truncated
    return total, steps


@pytest.mark.parametrize("name", NAMES)
def test_the_best_policy_gets_the_best_return(name: str) -> None:
    env = toy(name)
    for seed in range(3):
        total, _ = episode(env, best_actions(name), seed)
        assert total == pytest.approx(env.unwrapped.best_return, abs=1e-6)


def test_the_chain_is_as_long_as_asked_and_its_left_end_is_a_wall() -> None:
    assert episode(toy("GridrlChain-v0", length=7), lambda obs: 1, seed=0) == (1.0, 6)
    assert episode(toy("GridrlChain-v0"), lambda obs: 0, seed=0) == (0.0, 50)


def test_answering_zero_to_every_target_costs_what_is_documented() -> None:
    env = toy("GridrlTarget-v0")
    returns = [episode(env, lambda obs: np.zeros(1, np.float32), seed)[0] for seed in range(300)]
    assert np.mean(returns) == pytest.approx(-10 * 0.64 / 3, abs=0.15)


def test_chance_gets_a_third_of_the_signs() -> None:
    env = toy("GridrlSignpost-v0")
    rng = np.random.default_rng(0)
    returns = [episode(env, lambda obs: int(rng.integers(3)), seed)[0] for seed in range(300)]
    assert np.mean(returns) == pytest.approx(8 / 3, abs=0.25)


def test_the_ball_costs_its_distance_and_is_thrown_back_by_the_walls() -> None:
    env = toy(MIDDLE).unwrapped
    env.reset(seed=0)
    env.place, env.velocity = 8.0, 1.0
    steps = [env.step(np.array([push], np.float32)) for push in (0.5, 0.0, -0.5)]
    assert [obs.tolist() for obs, *_ in steps] == [[9.5, 1.5], [10.0, -1.5], [8.0, -2.0]]
    assert [reward for _, reward, *_ in steps] == [-90.25, -100.0, -64.0]


def test_the_middle_costs_about_1000_where_nothing_is_done_and_much_less_where_the_ball_is_held() -> None:
    def returns(act: Any) -> list[float]:
        found = [episode(toy(MIDDLE), act, seed) for seed in range(50)]
        assert {steps for _, steps in found} == {30}
        return [total for total, _ in found]

    assert np.mean(returns(lambda obs: np.zeros(1))) == pytest.approx(-1000.0, abs=300.0)
    held = returns(lambda obs: np.clip([-0.3 * obs[0] - 0.9 * obs[1]], -1.0, 1.0))
    assert np.mean(held) > -300.0
