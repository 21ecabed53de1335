"""A function of a user's, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gridrl.commands.known import KnownOptions
from gridrl.signature import read_signature

TRAIN = '''
from collections.abc import Callable, Sequence
from typing import Literal


class Net:
    def __init__(self, observation_space, action_space, hidden_sizes: Sequence[int] = (64, 64),
                 activation: Callable | None = None, log_std: float = -0.5):
        pass


def train(
    env_fn,
    actor_critic=Net,
    ac_kwargs: dict = dict(),
    seed: int = 0,
    epochs: int = 10,
    gamma: float = 0.99,
    pi_lr: float = 3e-4,
    device: str = "cpu",
    kind: Literal["linear", "cosine"] | None = None,
    normalize: bool = False,
    schedule: Callable | None = None,
    minibatch: int | None = None,
    free=None,
    logger_kwargs: dict = dict(),
):
    """Trains a net.

    Args:
        epochs: how many rows.
        gamma: the discount.
    """
'''


@pytest.fixture
def train_file(tmp_path: Path) -> Path:
    """A file with the function `train`."""
    path = tmp_path / "algo.py"
    path.write_text(TRAIN)
    return path


@pytest.fixture
def known(train_file: Path) -> KnownOptions:
    """The options of `train`."""
    return KnownOptions("train", read_signature(f"{train_file}:train"))


@pytest.fixture
def known_of(tmp_path: Path) -> Callable[[str], KnownOptions]:
    """Gives the options of a function `f` by its source."""

    def make(source: str) -> KnownOptions:
        path = tmp_path / "other.py"
        path.write_text(source)
        return KnownOptions("f", read_signature(f"{path}:f"))

    return make
