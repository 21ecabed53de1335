"""Where a launcher can be asked to stop: signals reach no thread but the main one, and may mean something else there.

A socket that only the same user is heard at, there while the launch lasts. On Linux it has a name and no file, so that
nothing is left of it whatever ends the launcher; elsewhere it is in a directory that only the same user may enter.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from types import TracebackType

_STOP, _CLOSE = b"stop", b"shut"
_ANSWER_S = 5.0
_HAS_NAMES = sys.platform == "linux"
_NAMED = "@"  # begins the path of a socket that has a name and no file; the kernel wants a zero byte there


class Door:
    """Calls a function whenever somebody asks for a stop, while the block lasts.

    Attributes:
        path: where to knock; "" outside the block, and where there can be no such socket.
    """

    def __init__(self) -> None:
        self.path = ""
        self._asked: Callable[[], None] | None = None
        self._unheard = 0
        self._lock = threading.Lock()  # of the two before
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def lead_to(self, asked: Callable[[], None]) -> None:
        """From here on `asked` is called; at once for those who have asked before.

        Args:
            asked: is called in a thread of the door's own.
        """
        with self._lock:
            self._asked = asked
            for _ in range(self._unheard):
                asked()

    def __enter__(self) -> Door:
        if not hasattr(socket, "AF_UNIX"):
            return self
        path = _new_path()
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.bind(_address(path))
            self._socket.listen()
        except OSError:  # a path that is too long for a socket: signals have to do
            self._leave(path)
            return self
        self.path = path
        self._thread = threading.Thread(target=self._answer, name="gridrl-door", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            _say(self.path, _CLOSE)
            self._thread.join(_ANSWER_S)
            self._leave(self.path)
            self.path = ""

    def _leave(self, path: str) -> None:
        if self._socket is not None:
            self._socket.close()
        if not path.startswith(_NAMED):
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)

    def _answer(self) -> None:
        assert self._socket is not None
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_ANSWER_S)
                word = connection.recv(len(_STOP)) if _is_heard(connection) else b""
                if word == _CLOSE:
                    return
                if word == _STOP:
                    self._hear()
                    connection.sendall(_STOP)

    def _hear(self) -> None:
        with self._lock:
            if self._asked is None:
                self._unheard += 1
            else:
                self._asked()


def _new_path() -> str:
    if _HAS_NAMES:
        return f"{_NAMED}gridrl-{os.getpid()}-{secrets.token_hex(8)}"
    return os.path.join(tempfile.mkdtemp(prefix="gridrl-"), "door")


def _address(path: str) -> str:
    return f"\0{path.removeprefix(_NAMED)}" if path.startswith(_NAMED) else path


def _is_heard(connection: socket.socket) -> bool:
    """Whether it is this user, or root, who knocks: a name, unlike a directory, keeps nobody out."""
    if not _HAS_NAMES:
        return True
    form = "3i"  # struct ucred: pid, uid, gid
    sent = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(form))
    return struct.unpack(form, sent)[1] in (0, os.geteuid())


def ask_to_stop(path: str) -> bool:
    """Asks the launcher behind a door to stop as after a Ctrl-C, a second time: at once; gives whether it heard."""
    return _say(path, _STOP)


def _say(path: str, word: bytes) -> bool:
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.settimeout(_ANSWER_S)
            knock.connect(_address(path))
            knock.sendall(word)
            return knock.recv(len(word)) == word
    except OSError:
        return False
