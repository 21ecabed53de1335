"""What the tests of the log share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridrl.log.logger import EpochLogger


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[EpochLogger]:
    """A silent logger in `tmp_path / "run"`."""
    with EpochLogger(tmp_path / "run", exp_name="test", quiet=True) as made:
        yield made
