"""Where a launcher can be asked to stop."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gridrl.launch import door as door_module
from gridrl.launch.door import Door, ask_to_stop
from gridrl.launch.mailbox import Mailbox


@pytest.fixture(params=["named", "in a directory"])
def _kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "named":
        monkeypatch.setattr(door_module, "_HAS_NAMES", False)


@pytest.mark.usefixtures("_kind")
def test_whoever_knocks_is_heard_as_often_as_wanted() -> None:
    heard: list[str] = []
    with Door() as door:
        assert ask_to_stop(door.path)  # before anybody listens
        door.lead_to(lambda: heard.append(threading.current_thread().name))
        assert heard == ["MainThread"]
        assert [ask_to_stop(door.path), ask_to_stop(door.path)] == [True, True]
    assert heard[1:] == ["gridrl-door"] * 2


@pytest.mark.usefixtures("_kind")
def test_a_launch_that_is_over_has_no_door() -> None:
    with Door() as door:
        path = door.path
    assert not ask_to_stop(path)
    assert not os.path.exists(os.path.dirname(path) or path)
    assert not [thread for thread in threading.enumerate() if thread.name == "gridrl-door"]


def test_a_door_leaves_no_file_whatever_ends_its_launcher(tmp_path: Path) -> None:
    code = "from gridrl.launch.door import Door; import os, signal; Door().__enter__(); os.kill(os.getpid(), 9)"
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_directory_lets_nobody_else_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_HAS_NAMES", False)
    with Door() as door:
        assert os.stat(os.path.dirname(door.path)).st_mode & 0o077 == 0


def test_a_name_is_deaf_to_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    with Door() as door:
        uid = os.geteuid()
        monkeypatch.setattr(struct, "unpack", lambda form, sent: (1, uid + 4000, 1))
        assert not ask_to_stop(door.path)
        monkeypatch.undo()


@pytest.mark.usefixtures("_kind")
def test_other_words_and_silence_stop_nothing() -> None:
    heard: list[int] = []
    with Door() as door:
        door.lead_to(lambda: heard.append(1))
        for word in (b"", b"hello"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
                stranger.connect(door_module._address(door.path))
                stranger.sendall(word)
        assert ask_to_stop(door.path)
    assert heard == [1]


def test_a_path_that_is_too_long_for_a_socket_leaves_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr(door_module, "_HAS_NAMES", False)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with Door() as door:
        assert door.path == ""
    assert list(deep.iterdir()) == []


def test_a_closed_mailbox_takes_what_comes_late() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    assert mailbox.get() == 1
    mailbox.close()
    mailbox.put(2)
