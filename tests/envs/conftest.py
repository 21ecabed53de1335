from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest


@pytest.fixture
def register() -> Iterator[Callable[..., None]]:
    """`gymnasium.register`, undone after the test."""
    added: list[str] = []

    def registered(env_id: str, **kwargs: Any) -> None:
        gym.register(env_id, **kwargs)
        added.append(env_id)

    yield registered
    # Only these: what a module registered meanwhile would not be registered again by its next import.
    for env_id in added:
        del gym.registry[env_id]


@pytest.fixture(autouse=True)
def _logs_of_mujoco_land_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """MuJoCo writes MUJOCO_LOG.TXT to the current directory."""
    monkeypatch.chdir(tmp_path)
