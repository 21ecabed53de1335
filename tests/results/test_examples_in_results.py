"""The examples in the docstrings of the results are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("choosing", "columns", "identity", "reader")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"gridrl.results.{name}")).failed == 0
