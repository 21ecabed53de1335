"""Actions in [-1, 1] are stretched over the bounds of a space, and other spaces are refused with their reason."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from gridrl.envs.scaling import ActionScale, action_fault, action_maker
from gridrl.errors import BadValue

LOW, HIGH = np.array([-2.0, 1.0], np.float32), np.array([6.0, 1.5], np.float32)


def test_the_ends_and_the_middle_are_those_of_the_bounds() -> None:
    scale = ActionScale(spaces.Box(LOW, HIGH))
    actions = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [0.5, -0.5]], np.float32)
    assert scale(actions).tolist() == [[-2.0, 1.0], [2.0, 1.25], [6.0, 1.5], [4.0, 1.125]]
    assert scale(actions[3]).tolist() == [4.0, 1.125]
    assert scale(actions).dtype == np.float32


def test_bounds_of_one_are_left_alone() -> None:
    actions = np.array([[0.3, -0.7]], np.float32)
    assert ActionScale(spaces.Box(-1.0, 1.0, (2,), np.float64))(actions) is actions


def test_a_box_of_several_axes_is_read_flat() -> None:
    scale = ActionScale(spaces.Box(LOW.reshape(2, 1), HIGH.reshape(2, 1)))
    assert scale(np.ones(2, np.float32)).tolist() == [6.0, 1.5]


def test_spaces_that_an_algorithm_cannot_serve_are_refused() -> None:
    with pytest.raises(BadValue, match=r"sac needs continuous actions.* are Discrete\(2\)\. ppo, trpo, vpg and dqn"):
        action_maker("sac", spaces.Discrete(2), discrete=False)
    with pytest.raises(BadValue, match=r"td3 needs bounds for its actions, .* have none"):
        action_maker("td3", spaces.Box(-np.inf, 1.0, (2,)), discrete=False)
    with pytest.raises(BadValue, match=r"td3 needs bounds for its actions, .* have none"):
        action_maker("td3", spaces.Box(-1.0, float(np.finfo(np.float32).max), (2,)), discrete=False)
    with pytest.raises(BadValue, match=r"dqn needs Discrete actions; .* are Box"):
        action_maker("dqn", spaces.Box(LOW, HIGH), discrete=True)
    assert action_maker("dqn", spaces.Discrete(2), discrete=True) is None
    fault = action_fault("sac", "CartPole-v1", "Box")
    assert fault is not None
    assert fault.startswith("CartPole-v1: sac needs continuous actions")
