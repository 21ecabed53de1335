from __future__ import annotations

import io
import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import ClipAction, FlattenObservation, NormalizeObservation, RescaleAction

from gridrl.envs.making import env_fn
from gridrl.envs.state import get_state, set_state
from gridrl.errors import VersionMismatch

TOY = "gridrl.envs.toy:"
KNOWN = [
    ("CartPole-v1", {}),
    ("CartPole-v1", {"max_episode_steps": 9}),
    ("Pendulum-v1", {}),
    ("Acrobot-v1", {}),
    ("MountainCar-v0", {}),
    ("MountainCarContinuous-v0", {}),
    ("FrozenLake-v1", {}),
    ("CliffWalking-v1", {}),
    ("CliffWalkingSlippery-v1", {}),
    ("Taxi-v4", {"is_rainy": True, "fickle_passenger": True, "fickle_probability": 1.0}),
    ("Blackjack-v1", {}),
    (f"{TOY}GridrlBandit-v0", {}),
    (f"{TOY}GridrlChain-v0", {}),
    (f"{TOY}GridrlEndless-v0", {}),
    (f"{TOY}GridrlSignpost-v0", {}),
    (f"{TOY}GridrlTarget-v0", {}),
]


def plain(value: Any) -> Any:
    """What can be compared: arrays as lists."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def trajectory(env: Any, steps: int, seed: int) -> list[Any]:
    """What a single environment answers to `steps` chosen actions, starting anew where an episode ends."""
    env.action_space.seed(seed)
    rows = []
    for _ in range(steps):
        obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rows.append(plain((obs, reward, terminated, truncated)))
        if terminated or truncated:
            rows.append(plain(env.reset()[0]))
    return rows


def attributes(env: Any) -> dict[str, Any]:
    """Everything that stands in an environment, so that no part of its state is forgotten."""
    attributes = dict(vars(env.unwrapped))
    del attributes["action_space"]  # has a generator of its own, for samples that no step depends on
    generator = attributes.pop("_np_random", None)
    return {"generator": generator and plain(generator.bit_generator.state), **plain(attributes)}


@pytest.mark.parametrize(("name", "kwargs"), KNOWN)
@pytest.mark.parametrize("steps_before", [0, 1, 43])
def test_a_new_environment_goes_on_where_the_state_was_taken(
    name: str, kwargs: dict[str, Any], steps_before: int
) -> None:
    env = env_fn(name, **kwargs)()
    env.reset(seed=5)
    trajectory(env, steps_before, seed=1)
    state = get_state(env)
    assert state is not None
    text = json.dumps(state)
    again = env_fn(name, **kwargs)()
    set_state(again, json.loads(text))
    assert attributes(again) == attributes(env)
    expected = trajectory(env, 120, seed=2)
    assert trajectory(again, 120, seed=2) == expected
    assert json.dumps(state) == text


MUJOCO = [
    "Ant",
    "HalfCheetah",
    "Hopper",
    "Humanoid",
    "HumanoidStandup",
    "InvertedDoublePendulum",
    "InvertedPendulum",
    "Pusher",
    "Reacher",
    "Swimmer",
    "Walker2d",
]


@pytest.mark.parametrize("name", MUJOCO)
def test_a_simulation_goes_on_to_the_last_digit(name: str) -> None:
    env, again = (env_fn(f"{name}-v5", max_episode_steps=40)() for _ in range(2))
    env.reset(seed=5)
    trajectory(env, 30, seed=1)
    set_state(again, json.loads(json.dumps(get_state(env))))
    # crosses an end, so that a reset from the kept generator is compared too
    assert trajectory(again, 60, seed=2) == trajectory(env, 60, seed=2)


def test_the_comparison_would_notice_another_state() -> None:
    first, second = env_fn("Pendulum-v1")(), env_fn("Pendulum-v1")()
    first.reset(seed=5)
    second.reset(seed=6)
    assert trajectory(first, 20, seed=2) != trajectory(second, 20, seed=2)


def test_a_state_is_read_from_a_checkpoint_that_is_not_trusted() -> None:
    env = env_fn("CartPole-v1")()
    env.reset(seed=5)
    trajectory(env, 7, seed=1)
    file = io.BytesIO()
    torch.save({"env": get_state(env)}, file)
    file.seek(0)
    again = env_fn("CartPole-v1")()
    set_state(again, torch.load(file, weights_only=True)["env"])
    assert trajectory(again, 100, seed=2) == trajectory(env, 100, seed=2)


def test_the_time_limit_goes_on_counting() -> None:
    env = env_fn("Pendulum-v1", max_episode_steps=10)()
    env.reset(seed=0)
    trajectory(env, 7, seed=0)
    again = env_fn("Pendulum-v1", max_episode_steps=10)()
    set_state(again, get_state(env) or {})
    truncated = [bool(again.step(np.zeros(1, np.float32))[3]) for _ in range(3)]
    assert truncated == [False, False, True]


def vector_trajectory(env: Any, steps: int, seed: int) -> list[Any]:
    env.action_space.seed(seed)
    return [plain(env.step(env.action_space.sample())[:4]) for _ in range(steps)]


@pytest.mark.parametrize("steps_before", [0, 12, 60])
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1", f"{TOY}GridrlSignpost-v0"])
def test_vector_environments_go_on_too(name: str, steps_before: int) -> None:
    env = env_fn(name).vector(3, max_ep_len=20)
    env.reset(seed=5)
    vector_trajectory(env, steps_before, seed=1)
    state = json.loads(json.dumps(get_state(env)))
    again = env_fn(name).vector(3, max_ep_len=20)
    set_state(again, state)
    assert vector_trajectory(again, 100, seed=2) == vector_trajectory(env, 100, seed=2)


def test_a_vector_goes_on_in_the_middle_of_a_restart() -> None:
    env, again = (env_fn(f"{TOY}GridrlEndless-v0").vector(2, max_ep_len=4) for _ in range(2))
    env.reset(seed=0)
    assert vector_trajectory(env, 4, seed=0)[-1][3] == [True, True]
    set_state(again, get_state(env) or {})
    # the first step restarts and pays nothing, the next four are the episode
    assert [row[1] for row in vector_trajectory(again, 5, seed=0)] == [[0.0, 0.0]] + [[1.0, 1.0]] * 4


def test_wrappers_that_only_translate_are_known() -> None:
    def wrapped() -> gym.Env[Any, Any]:
        return FlattenObservation(ClipAction(RescaleAction(env_fn("Pendulum-v1")(), np.float32(-1), np.float32(1))))

    env, again = wrapped(), wrapped()
    env.reset(seed=0)
    set_state(again, get_state(env) or {})
    assert trajectory(again, 20, seed=2) == trajectory(env, 20, seed=2)


class Unknown(gym.Env[Any, Any]):
    """An environment that must not be touched."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def step(self, action: Any) -> Any:
        raise AssertionError("stepped uninvited")

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        raise AssertionError("reset uninvited")

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError("copied uninvited")

    def __reduce__(self) -> Any:
        raise AssertionError("pickled uninvited")


class MyCartPole(type(env_fn("CartPole-v1")().unwrapped)):
    """A subclass may have more state than its parent."""


class MyWrapper(gym.Wrapper[Any, Any, Any, Any]):
    pass


def test_what_is_not_known_has_no_state_and_is_left_alone() -> None:
    assert get_state(Unknown()) is None
    assert get_state(gym.wrappers.TimeLimit(Unknown(), 5)) is None
    assert get_state(SyncVectorEnv([Unknown, Unknown])) is None
    assert get_state(MyCartPole()) is None
    assert get_state(MyWrapper(env_fn("CartPole-v1")())) is None
    assert get_state(NormalizeObservation(env_fn("CartPole-v1")())) is None


class Speaking(gym.Env[Any, Any]):
    """Speaks for itself: a random walk, whose generator is kept without its doing."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place = np.zeros(2, np.float32)
        return self.place.copy(), {}

    def step(self, action: Any) -> Any:
        self.place += self.np_random.normal(size=2).astype(np.float32) * (action + 1)
        return self.place.copy(), 0.0, bool(self.place[0] > 5), False, {}

    def __gridrl_state__(self) -> dict[str, Any]:
        return {"place": self.place, "seen": {(1, 2): np.float32(0.5)}}

    def __gridrl_set_state__(self, state: dict[str, Any]) -> None:
        assert state["seen"] == {(1, 2): np.float32(0.5)}
        self.place = state["place"]


def test_an_environment_that_speaks_for_itself_is_kept_with_its_generator() -> None:
    env, again = gym.wrappers.TimeLimit(Speaking(), 30), gym.wrappers.TimeLimit(Speaking(), 30)
    env.reset(seed=3)
    trajectory(env, 11, seed=1)
    set_state(again, json.loads(json.dumps(get_state(env))))
    assert again.unwrapped.place.dtype == np.float32
    assert trajectory(again, 60, seed=2) == trajectory(env, 60, seed=2)


def test_a_state_of_another_environment_is_refused() -> None:
    env = env_fn("CartPole-v1")()
    env.reset(seed=0)
    state = get_state(env) or {}
    with pytest.raises(VersionMismatch) as refused:
        set_state(env.unwrapped, state)
    assert str(refused.value) == (
        "The state was taken from gymnasium.wrappers.common:TimeLimit, and the environment at hand is "
        "gymnasium.envs.classic_control.cartpole:CartPoleEnv: make it as it was made then."
    )
    with pytest.raises(VersionMismatch, match=r"cartpole:CartPoleEnv, and .* pendulum:PendulumEnv|pendulum"):
        set_state(env_fn("Pendulum-v1")(), state)


def test_a_state_of_another_number_of_environments_is_refused() -> None:
    env = env_fn("Pendulum-v1").vector(3)
    env.reset(seed=0)
    with pytest.raises(VersionMismatch, match="The state holds 3 environments, 2 are at hand"):
        set_state(env_fn("Pendulum-v1").vector(2), get_state(env) or {})


def test_the_other_generators_of_numpy_are_kept_too() -> None:
    env, again = Speaking(), Speaking()
    env.reset()
    env.np_random = np.random.Generator(np.random.MT19937(4))
    set_state(again, json.loads(json.dumps(get_state(env))))
    assert again.np_random.random(5).tolist() == env.np_random.random(5).tolist()
