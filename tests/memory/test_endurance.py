"""Random operations leave nothing behind; a million of them are done by `make bench` (benchmarks/endurance.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gridrl.build import load_file

FILE = Path(__file__).parents[2] / "benchmarks" / "endurance.py"


@pytest.fixture
def endurance(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FILE.parent))
    module = load_file(FILE)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("seed", [0, 1])
def test_random_operations_leave_nothing_behind(endurance: ModuleType, seed: int) -> None:
    worn = endurance.wear(2500, seed)
    assert worn.operations == 2500
    assert worn.is_steady


def test_what_grows_is_told(endurance: ModuleType) -> None:
    assert not endurance.Wear(10, 1.0, 17.0, (5, 5)).is_steady
    assert not endurance.Wear(10, 1.0, 0.0, (5, 11)).is_steady


def test_a_checkpoint_costs_what_has_come(endurance: ModuleType, tmp_path: Path) -> None:
    cost = endurance.cost(50_000, tmp_path)
    assert cost.commit_mb < 0.2 < 4 < cost.whole_mb
    assert cost.restore_mb < cost.table_mb
