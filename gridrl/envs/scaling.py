"""Between actions in [-1, 1], which off-policy policies give and memories keep, and those of an environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from gridrl.envs.making import spaces_of
from gridrl.errors import BadValue

Array = npt.NDArray[Any]

# A bound farther out means that there is none: some worlds say so by the greatest float32.
_WIDEST = 1e30


class ActionScale:
    """Stretches [-1, 1]^A over the bounds of a Box.

    >>> scale = ActionScale(spaces.Box(np.float32([0.0]), np.float32([10.0])))
    >>> scale(np.float32([[-1.0], [0.5]])).tolist()
    [[0.0], [7.5]]
    """

    def __init__(self, space: gym.Space[Any], algorithm: str = "this algorithm") -> None:
        """Reads the bounds.

        Args:
            space: of one action.
            algorithm: who asks, for the message.

        Raises:
            BadValue: it is no Box, or has no bounds.
        """
        if not isinstance(space, spaces.Box):
            raise BadValue(
                f"{algorithm} needs continuous actions, a Box with bounds; this environment's are {space}. "
                "ppo, trpo, vpg and dqn take Discrete ones."
            )
        if not (space.is_bounded() and np.abs([space.low, space.high]).max(initial=0.0) <= _WIDEST):
            raise BadValue(
                f"{algorithm} needs bounds for its actions, and this environment's have none: {space}. Wrap it in a "
                "gymnasium.ActionWrapper whose action_space is a Box with bounds."
            )
        low, high = space.low.reshape(-1).astype(np.float32), space.high.reshape(-1).astype(np.float32)
        self._centre, self._half = (high + low) / 2, (high - low) / 2
        self._is_identity = bool((low == -1.0).all() and (high == 1.0).all())

    def __call__(self, action: Array) -> Array:
        """The environment's actions [A] or [N, A] for some in [-1, 1]."""
        return action if self._is_identity else self._centre + self._half * action


def action_maker(algorithm: str, space: gym.Space[Any], discrete: bool) -> Callable[[Any], Any] | None:
    """What makes the environment's actions of an explorer's; None where they are the same.

    Args:
        algorithm: who asks, for the message.
        space: of one action.
        discrete: whether the algorithm takes Discrete actions, else Box ones.

    Raises:
        BadValue: the algorithm cannot serve the space.
    """
    if not discrete:
        return ActionScale(space, algorithm)
    if not isinstance(space, spaces.Discrete):
        raise BadValue(
            f"{algorithm} needs Discrete actions; this environment's are {space}. ppo, trpo, vpg, sac, td3 and ddpg "
            "take a Box."
        )
    return None


def action_fault(algorithm: str, env_id: str, kind: str) -> str | None:
    """Why an algorithm cannot act in an environment; None where it can, or the environment cannot be made, which is
    told elsewhere.

    Args:
        algorithm: its name.
        env_id: of the environment.
        kind: of actions that the algorithm takes, "Box" or "Discrete".
    """
    try:
        _, space = spaces_of(env_id)
    except Exception:
        return None
    try:
        action_maker(algorithm, space, discrete=kind == "Discrete")
    except BadValue as error:
        return f"{env_id}: {error}"
    return None
