"""Takes the state of an environment and puts it back, so that a resumed run meets the very world it left.

Only environments that this module knows, or that speak for themselves, have a state here: everything that their next
steps depend on, the generators and the counters of their wrappers included, is listed by hand. Of any other
environment nothing is assumed: `get_state` gives None, and it is never stepped or copied.

States are plain values (dicts, lists, strings, numbers), so that they can stand in a checkpoint that is read without
trusting it. An environment or wrapper of your own takes part by two methods:

    def __gridrl_state__(self) -> dict: ...               # plain values and numpy arrays
    def __gridrl_set_state__(self, state: dict) -> None: ...

Its generator `np_random` is kept with it, without their doing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import PassiveEnvChecker

from gridrl.envs.physics import get_physics, set_physics
from gridrl.errors import VersionMismatch

State: TypeAlias = dict[str, Any]

# environment or wrapper -> the attributes that change while it runs (what is drawn on a screen aside)
_KNOWN: dict[str, tuple[str, ...]] = {
    "gymnasium.envs.classic_control.acrobot:AcrobotEnv": ("state",),
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": ("state", "steps_beyond_terminated"),
    "gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv": ("state", "steps", "prev_done", "low", "high"),
    "gymnasium.envs.classic_control.continuous_mountain_car:Continuous_MountainCarEnv": ("state",),
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": ("state",),
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": ("state", "last_u"),
    "gymnasium.envs.mujoco.ant_v5:AntEnv": (),
    "gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv": (),
    "gymnasium.envs.mujoco.hopper_v5:HopperEnv": (),
    "gymnasium.envs.mujoco.humanoid_v5:HumanoidEnv": (),
    "gymnasium.envs.mujoco.humanoidstandup_v5:HumanoidStandupEnv": (),
    "gymnasium.envs.mujoco.inverted_double_pendulum_v5:InvertedDoublePendulumEnv": (),
    "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv": (),
    "gymnasium.envs.mujoco.pusher_v5:PusherEnv": ("init_qpos", "cylinder_pos", "goal_pos"),
    "gymnasium.envs.mujoco.reacher_v5:ReacherEnv": ("goal",),
    "gymnasium.envs.mujoco.swimmer_v5:SwimmerEnv": (),
    "gymnasium.envs.mujoco.walker2d_v5:Walker2dEnv": (),
    "gymnasium.envs.toy_text.blackjack:BlackjackEnv": (
        "player",
        "dealer",
        "dealer_top_card_suit",
        "dealer_top_card_value_str",
    ),
    "gymnasium.envs.toy_text.cliffwalking:CliffWalkingEnv": ("s", "lastaction"),
    "gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv": ("s", "lastaction"),
    "gymnasium.envs.toy_text.taxi:TaxiEnv": ("s", "lastaction", "fickle_step", "taxi_orientation"),
    "gymnasium.wrappers.common:Autoreset": ("autoreset",),
    "gymnasium.wrappers.common:OrderEnforcing": ("_has_reset",),
    "gymnasium.wrappers.common:PassiveEnvChecker": (),
    "gymnasium.wrappers.common:TimeLimit": ("_elapsed_steps",),
    "gymnasium.wrappers.transform_action:ClipAction": (),
    "gymnasium.wrappers.transform_action:RescaleAction": (),
    "gymnasium.wrappers.transform_observation:DtypeObservation": (),
    "gymnasium.wrappers.transform_observation:FilterObservation": (),
    "gymnasium.wrappers.transform_observation:FlattenObservation": (),
    "gymnasium.wrappers.transform_observation:RescaleObservation": (),
    "gymnasium.wrappers.transform_observation:ReshapeObservation": (),
}
_PHYSICS = "physics"


def get_state(env: Any) -> State | None:
    """Everything that the next steps of an environment depend on.

    Args:
        env: a single environment with its wrappers, a `SyncVectorEnv` of such, or gymnasium's vector CartPole.
            Known are classic control, toy text, MuJoCo (v5) and our toy worlds. It is looked at, never stepped or
            copied.

    Returns:
        Plain values for `set_state`; None where the environment, or one of its wrappers, is not known.
    """
    if type(env) is SyncVectorEnv:
        parts = [get_state(part) for part in env.envs]
        if any(part is None for part in parts):
            return None
        return {"kind": _kind(env), "parts": parts, "restarting": env._autoreset_envs.tolist()}
    values = _own_values(env)
    if values is None:
        return None
    state = {"kind": _kind(env), "values": values, "generator": _generator_state(env)}
    if isinstance(env, gym.Wrapper):
        state["inner"] = get_state(env.env)
        return state if state["inner"] is not None else None
    return state


def set_state(env: Any, state: State) -> None:
    """Puts back what `get_state` took, into an environment made in the same way; it need not have been reset.

    Raises:
        VersionMismatch: if the environment is wrapped or made otherwise than the one that the state was taken from.
    """
    if _kind(env) != state["kind"]:
        raise VersionMismatch(
            f"The state was taken from {state['kind']}, and the environment at hand is {_kind(env)}: "
            "make it as it was made then."
        )
    if "parts" in state:
        _set_parts(env, state)
        return
    _set_own_values(env, _decoded(state["values"]))
    _set_generator(env, state["generator"])
    if "inner" in state:
        set_state(env.env, state["inner"])


def _set_parts(env: SyncVectorEnv[Any, Any], state: State) -> None:
    if len(state["parts"]) != env.num_envs:
        raise VersionMismatch(f"The state holds {len(state['parts'])} environments, {env.num_envs} are at hand.")
    for part, part_state in zip(env.envs, state["parts"], strict=True):
        set_state(part, part_state)
    env._autoreset_envs = np.array(state["restarting"], np.bool_)


def _kind(env: Any) -> str:
    return f"{type(env).__module__}:{type(env).__qualname__}"


def _own_values(env: Any) -> Any:
    """What changes in the environment itself, or in the wrapper itself; None if that is not known."""
    if hasattr(env, "__gridrl_state__"):
        return _encoded(env.__gridrl_state__())
    names = _KNOWN.get(_kind(env))
    if names is None:
        return None
    values = {name: getattr(env, name) for name in names if hasattr(env, name)}
    return _encoded({**values, _PHYSICS: get_physics(env)} if _is_simulated(env) else values)


def _set_own_values(env: Any, values: State) -> None:
    if hasattr(env, "__gridrl_set_state__"):
        env.__gridrl_set_state__(values)
        return
    if _is_simulated(env):
        set_physics(env, values.pop(_PHYSICS))
    for name, value in values.items():
        setattr(env, name, value)
    if type(env) is PassiveEnvChecker:  # it warns at the first calls, and would compare them with calls never made here
        env.checked_reset = env.checked_step = env.checked_data_reuse = True


def _is_simulated(env: Any) -> bool:
    return type(env).__module__.startswith("gymnasium.envs.mujoco.")


def _generator_state(env: Any) -> State | None:
    generator = vars(env).get("_np_random")  # a wrapper's property would reach through to the world's
    if generator is None:
        return None
    return {"seed": env._np_random_seed, "state": _encoded(generator.bit_generator.state)}


def _set_generator(env: Any, state: State | None) -> None:
    if state is None:
        return
    kept = _decoded(state["state"])
    bit_generator: np.random.BitGenerator = getattr(np.random, kept["bit_generator"])()
    bit_generator.state = kept
    env._np_random, env._np_random_seed = np.random.Generator(bit_generator), state["seed"]


def _encoded(value: Any) -> Any:
    """The value in dicts, lists, strings and numbers, arrays and tuples recognisable."""
    match value:
        case np.ndarray():
            return {"array": value.reshape(-1).tolist(), "dtype": value.dtype.str, "shape": list(value.shape)}
        case np.generic():
            return {"scalar": value.item(), "dtype": value.dtype.str}
        case tuple():
            return {"tuple": [_encoded(part) for part in value]}
        case list():
            return [_encoded(part) for part in value]
        case dict():
            return {"dict": [[_encoded(key), _encoded(part)] for key, part in value.items()]}
    return value


def _decoded(value: Any) -> Any:
    match value:
        case {"array": numbers, "dtype": dtype, "shape": shape}:
            return np.array(numbers, np.dtype(dtype)).reshape(shape)
        case {"scalar": number, "dtype": dtype}:
            return np.dtype(dtype).type(number)
        case {"tuple": parts}:
            return tuple(_decoded(part) for part in parts)
        case {"dict": pairs}:
            return {_decoded(key): _decoded(part) for key, part in pairs}
        case list():
            return [_decoded(part) for part in value]
    return value
