"""The examples in the docstrings of networks, trainer, collectors and algorithms are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import gridrl

ROOT = Path(gridrl.__file__).parent
FILES = [path for package in ("nn", "train", "collect", "algos") for path in (ROOT / package).glob("[a-z]*.py")]
MODULES = sorted(".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in FILES)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
