"""Where a launcher can be asked to stop: signals reach no thread but the main one, and may mean something else there.

A socket in a directory of its own, which only the same user may enter. It is there while the launch lasts: whoever
finds it gone knows that the process, though it may live on, launches nothing any more.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_STOP, _CLOSE = b"stop", b"shut"
_ANSWER_S = 5.0


class Door:
    """Calls a function whenever somebody asks for a stop, while the block lasts.

    Args:
        asked: is called in a thread of the door's own.
    """

    def __init__(self, asked: Callable[[], None]) -> None:
        self._asked = asked
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.path = ""
        """Where to knock; "" where there can be no such socket."""

    def __enter__(self) -> Door:
        if not hasattr(socket, "AF_UNIX"):
            return self
        folder = tempfile.mkdtemp(prefix="gridrl-")
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(os.path.join(folder, "door"))
            self._socket.listen()
        except OSError:  # a path that is too long for a socket: signals have to do
            self._leave(folder)
            return self
        self.path = os.path.join(folder, "door")
        self._thread = threading.Thread(target=self._answer, name="gridrl-door", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            _say(self.path, _CLOSE)
            self._thread.join(_ANSWER_S)
            self._leave(os.path.dirname(self.path))

    def _leave(self, folder: str) -> None:
        if self._socket is not None:
            self._socket.close()
        shutil.rmtree(folder, ignore_errors=True)

    def _answer(self) -> None:
        assert self._socket is not None
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_ANSWER_S)
                word = connection.recv(len(_STOP))
                if word == _CLOSE:
                    return
                if word == _STOP:
                    self._asked()
                    connection.sendall(_STOP)


def is_open(path: str) -> bool:
    """Whether a launch that has this door still lasts, if its process lives."""
    return Path(path).exists()


def ask_to_stop(path: str) -> bool:
    """Asks the launcher behind a door to stop as after a Ctrl-C, a second time: at once; gives whether it heard."""
    return _say(path, _STOP)


def _say(path: str, word: bytes) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.settimeout(_ANSWER_S)
            knock.connect(path)
            knock.sendall(word)
            return knock.recv(len(word)) == word
    except OSError:
        return False
