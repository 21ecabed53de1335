from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import pytest


@pytest.fixture
def register() -> Iterator[Callable[..., None]]:
    """`gymnasium.register`, undone after the test."""
    before = dict(gym.registry)

    def registered(env_id: str, **kwargs: Any) -> None:
        gym.register(env_id, **kwargs)

    yield registered
    gym.registry.clear()
    gym.registry.update(before)
