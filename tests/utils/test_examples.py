"""The examples in the docstrings of the ground floor do what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import gridrl.utils

MODULES = ["gridrl.errors", "gridrl.build", "gridrl.references", "gridrl.schedules", "gridrl.signature"]
MODULES += [f"gridrl.utils.{module.name}" for module in pkgutil.iter_modules(gridrl.utils.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
