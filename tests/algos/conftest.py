"""Short runs of the algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.algos.short_runs import Short, train


@pytest.fixture
def short(tmp_path: Path) -> Short:
    """Trains a little in `tmp_path / name`, quietly, and gives that directory."""

    def run(name: str = "run", algorithm: str = "ppo", env: str = "CartPole-v1", **kwargs: Any) -> Path:
        return train(tmp_path / name, algorithm, env, **kwargs)

    return run
