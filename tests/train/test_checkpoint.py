"""Checkpoints: whole or not at all, readable without trust, and generators that go on where they stood."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from gridrl.errors import CheckpointError, VersionMismatch
from gridrl.train.checkpoint import Checkpoints, generators_state, set_generators_state


def test_the_newest_state_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.load() is None
    checkpoints.save(1, {"weights": torch.tensor([1.0]), "epoch": 1})
    checkpoints.save(12, {"weights": torch.tensor([2.0]), "lists": [(1, "a"), None], "array": np.arange(3)})
    found = checkpoints.load()
    assert found is not None
    number, state = found
    assert number == 12
    assert state["weights"].item() == 2.0
    assert state["lists"] == [(1, "a"), None]
    assert state["array"].tolist() == [0, 1, 2]


def test_only_the_newest_is_kept_and_other_files_are_left_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".checkpoint_000002.pt.0123abcd.tmp").write_text("half of one, whose process was killed")
    for number in (1, 2, 3):
        checkpoints.save(number, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_000003.pt", "notes.txt"]


def test_a_save_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"x": 1})
    with pytest.raises(CheckpointError, match="'x'"):
        checkpoints.save(2, {"x": object()})
    assert checkpoints.load() == (1, {"x": 1})


def test_a_broken_file_and_another_format_are_told_with_what_to_do(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / "checkpoint_000001.pt").write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match=r"checkpoint_000001.pt cannot be read: .* Remove it to begin from the s"):
        checkpoints.load()
    (tmp_path / "checkpoint_000001.pt").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"checkpoint_000001.pt cannot be read: EOFError\. Remove it to begin from"
    ):
        checkpoints.load()
    torch.save({"format": 0, "number": 1, "state": {}}, tmp_path / "checkpoint_000001.pt")
    with pytest.raises(VersionMismatch, match="has format 0, this gridrl reads 1"):
        checkpoints.load()


def test_generators_go_on_where_they_stood(tmp_path: Path) -> None:
    own = np.random.default_rng(3)
    own.standard_normal(5)

    def draw(generator: np.random.Generator) -> list[float]:
        return [generator.random(), random.random(), float(np.random.random()), torch.rand(1).item()]

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, generators_state(own=own))
    first = draw(own)
    draw(own)
    found = checkpoints.load()
    assert found is not None
    other = np.random.default_rng(4)
    set_generators_state(found[1], own=other)
    assert draw(other) == first


def test_generators_of_gpus_in_use_are_kept_and_put_back_on_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, put = [torch.tensor([1], dtype=torch.uint8), torch.tensor([2], dtype=torch.uint8)], {}
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: put.update({device: state.tolist()}))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, generators_state())
    found = checkpoints.load()
    assert found is not None
    set_generators_state(found[1])
    assert put == {0: [1]}
