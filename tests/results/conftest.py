"""A data directory, and what fills it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.made_runs import MakeRun


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory."""
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture
def make_run(data: Path) -> MakeRun:
    """Writes run directories into it."""
    return MakeRun(data)
