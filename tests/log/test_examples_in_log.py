"""The examples in the docstrings of the log are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ("cells", "disk", "logger", "metrics", "places", "progress", "record", "rows", "saving", "sinks")


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_docstrings_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"gridrl.log.{name}")).failed == 0
