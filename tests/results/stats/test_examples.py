"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

from gridrl.results import stats

MODULES = [module.name for module in pkgutil.iter_modules(stats.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name: str) -> None:
    module = importlib.import_module(f"gridrl.results.stats.{name}")
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


def test_the_face_shows_what_the_parts_give() -> None:
    assert all(hasattr(stats, name) for name in stats.__all__)
    assert len(set(stats.__all__)) == len(stats.__all__)
    assert not set(MODULES) & set(stats.__all__)
