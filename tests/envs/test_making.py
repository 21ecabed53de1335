from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.error import DependencyNotInstalled
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gridrl.envs.making import EnvFn, check_env_id, env_fn, limited, make_vector
from gridrl.errors import BadValue, GridRLWarning

Register = Callable[..., None]


def test_an_env_fn_makes_a_new_environment_each_time() -> None:
    make = env_fn("CartPole-v1")
    first, second = make(), make()
    assert first is not second
    assert isinstance(first.unwrapped, CartPoleEnv)


def test_keyword_arguments_reach_the_environment() -> None:
    env = env_fn("Pendulum-v1", g=9.81, max_episode_steps=7)()
    assert env.unwrapped.g == 9.81
    assert env.spec is not None
    assert env.spec.max_episode_steps == 7
    assert env_fn("CartPole-v1")(render_mode="rgb_array").render_mode == "rgb_array"


def test_an_env_fn_survives_pickling_and_compares_by_what_it_makes() -> None:
    make = env_fn("CartPole-v1", max_episode_steps=50)
    copy = pickle.loads(pickle.dumps(make))
    assert copy == make
    assert hash(copy) == hash(make)
    assert copy != env_fn("CartPole-v1")
    assert copy().spec.max_episode_steps == 50


def test_the_repr_is_the_expression_that_makes_it() -> None:
    make = env_fn("CartPole-v1", max_episode_steps=50, render_mode="ansi")
    assert repr(make) == "env_fn('CartPole-v1', max_episode_steps=50, render_mode='ansi')"


def test_a_module_in_front_is_imported_first() -> None:
    assert check_env_id("gridrl.envs.toy:GridrlBandit-v0") is None
    env = env_fn("gridrl.envs.toy:GridrlBandit-v0", payoffs=(0.0, 2.0))()
    assert env.action_space == gym.spaces.Discrete(2)


@pytest.mark.parametrize("name", ["CartPole-v1", "CartPole", "CartPole-v0", "HalfCheetah-v5"])
def test_registered_names_have_no_fault(name: str) -> None:
    assert check_env_id(name) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "CartPole-v7",
            "Environment 'CartPole-v7' is not registered, but CartPole is, as v0, v1. Did you mean 'CartPole-v1'?",
        ),
        ("cartpole-v1", "Environment 'cartpole-v1' is not registered. Did you mean 'CartPole-v1'?"),
        ("HalfCheeta-v5", "Environment 'HalfCheeta-v5' is not registered. Did you mean 'HalfCheetah-v5'?"),
        (
            "gridrl.envs.toy:GridrlBandid-v0",
            "Environment 'gridrl.envs.toy:GridrlBandid-v0' is not registered. "
            "Did you mean 'gridrl.envs.toy:GridrlBandit-v0'?",
        ),
        (
            "phys2/CartPole-v1",
            "Environment 'phys2/CartPole-v1' is not registered: nothing is in a namespace 'phys2'. "
            "Did you mean 'phys2d'?",
        ),
        (
            "ALE/Pong-v5",
            "Environment 'ALE/Pong-v5' is not registered: nothing is in a namespace 'ALE'. "
            "Install the package that registers it, and name its module: 'module:ALE/Pong'.",
        ),
        (
            "qqqqqqqqqq-v0",
            "Environment 'qqqqqqqqqq-v0' is not registered. An environment of your own is named with its module: "
            "'module:Env-v0'.",
        ),
        (
            "Cart Pole!",
            "Environment 'Cart Pole!' is no environment id: 'Env-v0', 'namespace/Env-v0' or 'module:Env-v0' is meant.",
        ),
        ("", "Environment '' is no environment id: 'Env-v0', 'namespace/Env-v0' or 'module:Env-v0' is meant."),
        ("a:b:C-v0", "Environment 'a:b:C-v0' has more than one colon: 'module:Env-v0' or 'Env-v0' is meant."),
        (
            "no_such_module_here:Env-v0",
            "Environment 'no_such_module_here:Env-v0': there is no module 'no_such_module_here' "
            "(looked for in the current directory and on sys.path).",
        ),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(name: str, message: str) -> None:
    assert check_env_id(name) == message
    with pytest.raises(BadValue) as told:
        env_fn(name)()
    assert str(told.value) == message


def test_a_module_that_needs_a_missing_package_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worlds_that_need_more.py").write_text("import a_package_nobody_has\n")
    (tmp_path / "worlds_that_are_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert check_env_id("worlds_that_need_more:Env-v0") == (
        "Environment 'worlds_that_need_more:Env-v0': its module 'worlds_that_need_more' needs the package "
        "'a_package_nobody_has', which is not installed."
    )
    assert check_env_id("worlds_that_are_broken:Env-v0") == (
        "Environment 'worlds_that_are_broken:Env-v0': its module 'worlds_that_are_broken' cannot be imported: "
        "ZeroDivisionError: division by zero."
    )


def needs_a_package() -> gym.Env[Any, Any]:
    raise DependencyNotInstalled("box2d is not installed, run `pip install box2d`")


def raises_a_fault_of_its_own() -> gym.Env[Any, Any]:
    raise gym.error.Error("this world was given up")


def test_an_environment_that_needs_a_missing_package_says_which(register: Register) -> None:
    register("NeedsMore-v0", entry_point=needs_a_package)
    with pytest.raises(BadValue) as told:
        env_fn("NeedsMore-v0")()
    assert str(told.value) == (
        "Environment 'NeedsMore-v0' needs a package that is not installed: "
        "box2d is not installed, run `pip install box2d`"
    )
    register("GivenUp-v0", entry_point=raises_a_fault_of_its_own)
    with pytest.raises(BadValue, match="'GivenUp-v0' cannot be made: this world was given up"):
        env_fn("GivenUp-v0")()


def test_an_unknown_keyword_argument_is_told_with_the_known_ones() -> None:
    message = (
        "Environment 'Pendulum-v1' has no argument 'gg': it takes disable_env_checker, g, max_episode_steps, "
        "render_mode. Did you mean 'g'?"
    )
    assert check_env_id("Pendulum-v1", {"g": 9.81, "gg": 9.81}) == message
    with pytest.raises(BadValue) as told:
        env_fn("Pendulum-v1", gg=9.81)()
    assert str(told.value) == message
    assert check_env_id("Pendulum-v1", {"g": 9.81, "max_episode_steps": 5}) is None


class Passing(CartPoleEnv):
    """Takes anything, and hands it on to one who does not."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


def test_an_unknown_keyword_argument_is_told_where_only_the_environment_can_know(register: Register) -> None:
    register("Passing-v0", entry_point=Passing)
    assert check_env_id("Passing-v0", {"gg": 1}) is None
    with pytest.raises(BadValue, match=r"'Passing-v0' cannot be made: .*unexpected keyword argument 'gg'"):
        env_fn("Passing-v0", gg=1)()


def test_an_entry_point_that_cannot_be_imported_is_told_without_making_anything(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_world_that_needs_more.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    register("NeedsMore-v1", entry_point="a_world_that_needs_more:World")
    register("Misspelt-v0", entry_point="gridrl.envs.toy:Bandid")
    assert check_env_id("NeedsMore-v1") == (
        "Environment 'NeedsMore-v1' needs a package that is not installed: No module named 'a_package_nobody_has'"
    )
    assert check_env_id("Misspelt-v0") == (
        "Environment 'Misspelt-v0' cannot be made: its entry point is wrong: "
        "module 'gridrl.envs.toy' has no attribute 'Bandid'"
    )


def test_the_registrys_vector_environment_is_taken_where_there_is_one() -> None:
    assert isinstance(env_fn("CartPole-v1").vector(3), CartPoleVectorEnv)
    pendulum = env_fn("Pendulum-v1", g=9.81).vector(3)
    assert isinstance(pendulum, SyncVectorEnv)
    assert [env.unwrapped.g for env in pendulum.envs] == [9.81] * 3
    assert pendulum.autoreset_mode is AutoresetMode.NEXT_STEP


def test_any_callable_makes_a_vector_of_single_environments() -> None:
    vector = make_vector(lambda: gym.make("CartPole-v1"), 2, max_ep_len=30)
    assert isinstance(vector, SyncVectorEnv)
    assert [limit_of(env) for env in vector.envs] == [30, 30]


def limit_of(env: Any) -> int | None:
    return env.spec.max_episode_steps


@pytest.mark.parametrize(
    ("max_episode_steps", "max_ep_len", "limit"), [(None, None, 500), (None, 60, 60), (40, 60, 40), (700, 600, 600)]
)
def test_the_shorter_of_two_limits_holds(max_episode_steps: int | None, max_ep_len: int | None, limit: int) -> None:
    make = env_fn("CartPole-v1", **({"max_episode_steps": max_episode_steps} if max_episode_steps else {}))
    assert limit_of(limited(make(), max_ep_len)) == limit
    vector = make_vector(make, 2, max_ep_len=max_ep_len)
    assert vector.max_episode_steps == limit


def test_a_limit_that_is_short_enough_needs_no_further_wrapper() -> None:
    env = env_fn("CartPole-v1")()
    assert limited(env, 500) is env
    assert limited(env, 499) is not env


class Restless(SyncVectorEnv):
    """A vector environment that restarts episodes within the same step."""

    def __init__(self, num_envs: int, max_episode_steps: int) -> None:
        super().__init__([CartPoleEnv] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


class Unasked(SyncVectorEnv):
    def __init__(self, num_envs: int, max_episode_steps: int) -> None:
        raise AssertionError("made although it does not take what is asked for")


def test_a_vector_environment_with_another_way_to_restart_is_not_used_and_it_is_said(register: Register) -> None:
    register("Restless-v0", entry_point=CartPoleEnv, vector_entry_point=Restless, max_episode_steps=20)
    with pytest.warns(GridRLWarning, match=r"Restless-v0 starts episodes again by AutoresetMode.SAME_STEP, not by"):
        vector = env_fn("Restless-v0").vector(2)
    assert type(vector) is SyncVectorEnv
    assert limit_of(vector.envs[0]) == 20


def test_a_vector_environment_that_does_not_take_the_arguments_is_not_used(register: Register) -> None:
    register("Unasked-v0", entry_point=CartPoleEnv, vector_entry_point=Unasked, max_episode_steps=20)
    assert type(env_fn("Unasked-v0", sutton_barto_reward=True).vector(2)) is SyncVectorEnv


def test_an_environment_made_without_a_limit_gets_none_in_a_vector() -> None:
    vector = env_fn("CartPole-v1", max_episode_steps=-1).vector(2)
    assert isinstance(vector, SyncVectorEnv)
    assert limit_of(vector.envs[0]) is None
    limited_vector = env_fn("CartPole-v1", max_episode_steps=-1).vector(2, max_ep_len=30)
    assert isinstance(limited_vector, SyncVectorEnv)
    assert limit_of(limited_vector.envs[0]) == 30


def test_an_episode_without_a_step_is_refused() -> None:
    cartpole = env_fn("CartPole-v1")
    for make in (lambda: limited(cartpole(), 0), lambda: make_vector(cartpole, 2, max_ep_len=0)):
        with pytest.raises(BadValue, match="max_ep_len is 0: an episode has at least one step"):
            make()


def test_what_is_no_single_environment_is_refused() -> None:
    with pytest.raises(BadValue, match=r"env_fn made a CartPoleVectorEnv: a single gymnasium\.Env is needed"):
        limited(env_fn("CartPole-v1").vector(2), None)
    with pytest.raises(BadValue, match="env_fn made a str"):
        make_vector(lambda: "CartPole-v1", 2)


def test_no_environment_at_all_is_refused() -> None:
    with pytest.raises(BadValue, match="num_envs is 0"):
        EnvFn("CartPole-v1").vector(0)


def test_a_wrong_name_is_told_for_vectors_too() -> None:
    with pytest.raises(BadValue, match="Did you mean 'CartPole-v1'"):
        env_fn("CartPole-v7").vector(2)


def test_a_made_vector_steps() -> None:
    vector = env_fn("CartPole-v1").vector(2)
    vector.reset(seed=0)
    obs, reward, *_ = vector.step(np.array([0, 1]))
    assert obs.shape == (2, 4)
    assert reward.tolist() == [1.0, 1.0]
