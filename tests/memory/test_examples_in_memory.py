"""The examples in the docstrings of the memory are true."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "adaptors",
    "builders",
    "columns",
    "episodes",
    "proxy",
    "rows",
    "segment_tree",
    "staging",
    "starts",
    "strategies",
    "table",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"gridrl.memory.{name}"))
    assert (found.failed, found.attempted > 0) == (0, True)
