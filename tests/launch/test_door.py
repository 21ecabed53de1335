"""Where a launcher can be asked to stop."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from gridrl.launch.door import Door, ask_to_stop, is_open
from gridrl.launch.mailbox import Mailbox


def test_whoever_knocks_is_heard_as_often_as_wanted() -> None:
    heard: list[str] = []
    with Door(lambda: heard.append(threading.current_thread().name)) as door:
        assert is_open(door.path)
        assert [ask_to_stop(door.path), ask_to_stop(door.path)] == [True, True]
        assert os.stat(os.path.dirname(door.path)).st_mode & 0o077 == 0  # nobody else may
    assert heard == ["gridrl-door"] * 2


def test_a_launch_that_is_over_has_no_door() -> None:
    with Door(lambda: None) as door:
        folder = os.path.dirname(door.path)
    assert not is_open(door.path)
    assert not os.path.exists(folder)
    assert not ask_to_stop(door.path)
    assert not [thread for thread in threading.enumerate() if thread.name == "gridrl-door"]


def test_other_words_and_silence_stop_nothing() -> None:
    heard: list[int] = []
    with Door(lambda: heard.append(1)) as door:
        for word in (b"", b"hello"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
                stranger.connect(door.path)
                stranger.sendall(word)
        assert ask_to_stop(door.path)
    assert heard == [1]


def test_a_path_that_is_too_long_for_a_socket_leaves_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with Door(lambda: None) as door:
        assert door.path == ""
    assert list(deep.iterdir()) == []


def test_a_closed_mailbox_takes_what_comes_late() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    assert mailbox.get() == 1
    mailbox.close()
    mailbox.put(2)
