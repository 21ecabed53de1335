"""The payload file: what goes in comes out, and what cannot is told."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

import gridrl
from gridrl.errors import NotPicklable, PayloadError, PayloadVersion
from gridrl.launch.payload import FORMAT, Payload, enter_payload, write_payload


@pytest.fixture(autouse=True)
def _stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a payload moves the process: afterwards everything is as before."""
    monkeypatch.chdir(os.getcwd())
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))


def test_a_lambda_over_a_large_closure_comes_back(tmp_path: Path) -> None:
    import numpy as np

    array = np.arange(2**17, dtype=np.float64)  # 1 MiB: no command line takes that
    write_payload(tmp_path / "p", Payload(lambda shift: float(array.sum()) + shift, {"shift": 1}, seed=3))
    payload = enter_payload(tmp_path / "p")
    assert callable(payload.thunk)
    assert payload.thunk(**payload.keywords) == 2**17 * (2**17 - 1) / 2 + 1
    assert payload.seed == 3


def test_classes_made_inside_a_function_travel_as_values(tmp_path: Path) -> None:
    class Local:
        factor = 3

        def times(self, x: int) -> int:
            return self.factor * x

    write_payload(
        tmp_path / "p", Payload(lambda kind, made: made.times(kind().times(2)), {"kind": Local, "made": Local()})
    )
    payload = enter_payload(tmp_path / "p")
    assert callable(payload.thunk)
    assert payload.thunk(**payload.keywords) == 18


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    write_payload(tmp_path / "p", Payload("json:dumps"))
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o600


def test_reading_goes_to_where_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "th ere"
    there.mkdir()
    monkeypatch.chdir(there)
    monkeypatch.setattr(sys, "path", ["", "relative", *sys.path])
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "1"])
    write_payload(tmp_path / "p", Payload("json:dumps"))
    monkeypatch.chdir(tmp_path)
    sys.path[:2] = []
    sys.argv[:] = ["worker"]
    enter_payload(tmp_path / "p")
    assert Path.cwd() == there
    assert sys.path[:2] == [str(there), str(there / "relative")]
    assert sys.argv == ["train.py", "--lr", "1"]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (Payload("json:dumps", {"ac_kwargs": {"lock": threading.Lock()}}), "`ac_kwargs:lock` cannot be pickled"),
        (Payload("json:dumps", {"rows": [1, (x for x in [1])]}), "`rows:1` cannot be pickled"),
        (Payload("json:dumps", environment=("E-v0", {"lock": threading.Lock()})), "`env_kwargs:lock` cannot be"),
    ],
)
def test_what_cannot_be_pickled_is_named_by_its_key_path(tmp_path: Path, payload: Payload, told: str) -> None:
    with pytest.raises(NotPicklable, match=told):
        write_payload(tmp_path / "p", payload)
    assert list(tmp_path.iterdir()) == []


def test_what_a_thunk_holds_is_named_too(tmp_path: Path) -> None:
    lock = threading.Lock()

    def train() -> Any:
        return lock

    with pytest.raises(NotPicklable, match="`the thunk, closure variable 'lock' of 'train'` cannot be pickled"):
        write_payload(tmp_path / "p", Payload(train))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("format", FORMAT + 1, f"written as format {FORMAT + 1} by"),
        ("gridrl", "0.0.1", "by gridrl 0.0.1 on"),
        ("python", "2.7", "on Python 2.7, but read as"),
    ],
)
def test_another_version_is_refused_before_anything_is_unpickled(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    header = {"format": FORMAT, "gridrl": gridrl.__version__, "python": python, key: value}
    (tmp_path / "p").write_bytes(json.dumps(header).encode() + b"\nno pickle at all")
    with pytest.raises(PayloadVersion, match=told) as error:
        enter_payload(tmp_path / "p")
    assert "Start the run again with the same command." in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"text", b"[1, 2]\n", b"{}\n"])
def test_other_files_are_no_payloads(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(PayloadError, match="this is no payload of gridrl"):
        enter_payload(tmp_path / "p")


def test_a_payload_that_is_cut_short_is_told(tmp_path: Path) -> None:
    write_payload(tmp_path / "p", Payload("json:dumps"))
    whole = (tmp_path / "p").read_bytes()
    (tmp_path / "p").write_bytes(whole[:-10])
    with pytest.raises(PayloadError, match="the payload is damaged"):
        enter_payload(tmp_path / "p")


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    write_payload(tmp_path / "p", Payload("json:dumps"))
    header, _, packed = (tmp_path / "p").read_bytes().partition(b"\n")
    place = zlib.decompress(packed).partition(b"\n")[0]
    import pickle

    (tmp_path / "p").write_bytes(header + b"\n" + zlib.compress(place + b"\n" + pickle.dumps([1])))
    with pytest.raises(PayloadError, match="this holds list, not a payload"):
        enter_payload(tmp_path / "p")
