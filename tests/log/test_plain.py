"""States that are saved without torch."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gridrl.errors import CheckpointError
from gridrl.log import checkpoints
from gridrl.log.checkpoints import Checkpoints
from gridrl.log.current import CurrentRun
from gridrl.log.plain import read_plain, write_plain

STATE = {
    "numbers": (1, 2.5, 1j, True, None, 2**80),
    "text": ["a", b"b", ""],
    3: {"nested": [(), {}, []]},
    "nan": float("inf"),
}
ARRAYS = [
    np.arange(6.0).reshape(2, 3),
    np.arange(6, dtype=">i4")[::2],
    np.array(True),
    np.zeros((0, 3), np.float32),
    np.array([1 + 2j]),
    np.random.default_rng(3).integers(0, 2**32, 5, np.uint32),
]


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write_plain(tmp_path / "x", {**STATE, "arrays": ARRAYS, "number": np.float64(0.25)})
    found = read_plain(tmp_path / "x")
    arrays = found.pop("arrays")
    assert found.pop("number") == 0.25
    assert found == STATE
    for array, expected in zip(arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype.newbyteorder("="))
        assert array.flags.writeable


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (object(), r"state\['deep'\]\[0\] is of type object"),
        (np.array([object()]), r"state\['deep'\]\[0\] is of type ndarray of object"),
        (np.array(["text"]), "ndarray of <U4"),
        (os.getpid, "builtin_function_or_method"),
    ],
)
def test_anything_else_is_refused_by_its_key_path(tmp_path: Path, odd: object, told: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        write_plain(tmp_path / "x", {"deep": [odd]})
    assert list(tmp_path.iterdir()) == []


class Evil:
    def __reduce__(self) -> object:
        return os.system, ("touch was_here",)


def test_reading_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match=r"it names posix\.system"):
        read_plain(tmp_path / "x")
    (tmp_path / "state_000001.plain").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="Remove it to begin from the start"):
        Checkpoints(tmp_path, "state").load()
    assert not (tmp_path / "was_here").exists()


LOOP = """
import sys, numpy, gridrl
from pathlib import Path
from gridrl.log.current import CurrentRun
run = CurrentRun(Path(sys.argv[1]), logger_kwargs={"quiet": True})
state, step = run.load() or ({"w": numpy.zeros(2)}, 0)
run.log(Step=step)
run.save({"w": state["w"] + 1, "name": ("a", 1)}, step + 1)
assert "torch" not in sys.modules
print(state["w"].tolist(), step, numpy.random.random())
"""


def test_a_thunk_without_torch_saves_without_it(tmp_path: Path) -> None:
    told = []
    for _ in range(3):
        command = [sys.executable, "-c", LOOP, str(tmp_path)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        told.append(ended.stdout.split())
    assert [" ".join(words[:3]) for words in told] == ["[0.0, 0.0] 0", "[1.0, 1.0] 1", "[2.0, 2.0] 2"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["state_000003.plain"]


def test_either_kind_is_read_and_makes_room_for_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    state = {"w": np.arange(3), "n": 1}
    run = CurrentRun(tmp_path, logger_kwargs={"quiet": True})
    for step, is_loaded in ((1, True), (2, False), (2, True), (3, False)):
        modules = dict(sys.modules)
        if not is_loaded:
            del modules["torch"]
        monkeypatch.setattr(checkpoints.sys, "modules", modules)
        run.save(state, step)
        monkeypatch.undo()
        (only,) = (tmp_path / "checkpoints").iterdir()
        assert only.name == f"state_{step:06d}.{'pt' if is_loaded else 'plain'}"
        found = run.load()
        assert found is not None
        np.testing.assert_array_equal(found[0]["w"], state["w"])
        assert (type(found[0]["w"]), found[0]["n"], found[1]) == (np.ndarray, 1, step)
    run.save({"t": torch.ones(2)}, 4)
    found = run.load()
    assert found is not None
    assert found[0]["t"].tolist() == [1.0, 1.0]
