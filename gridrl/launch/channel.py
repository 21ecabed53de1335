"""Messages between a launcher and its fork server: JSON behind its length, with file descriptors for runs.

The environment of a run may hold bytes that are no text; JSON carries them as Python does (`surrogateescape`).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

_LENGTH = struct.Struct(">I")


def send(channel: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Sends a message, and copies of file descriptors with it.

    Raises:
        OSError: nobody is there any more, or it takes longer than the channel's timeout.
    """
    body = json.dumps(message).encode()
    head = _LENGTH.pack(len(body))
    if descriptors:
        socket.send_fds(channel, [head], list(descriptors))
        channel.sendall(body)
    else:
        channel.sendall(head + body)


def receive(channel: socket.socket, most_descriptors: int = 0) -> tuple[dict[str, Any], list[int]]:
    """The next message, with the file descriptors that came along; no child process inherits these.

    Raises:
        EOFError: the other side is gone.
        OSError: likewise, or it takes longer than the channel's timeout.
    """
    head, descriptors, _, _ = socket.recv_fds(channel, _LENGTH.size, most_descriptors)
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        head += _exactly(channel, _LENGTH.size - len(head)) if head else b""
        if not head:
            raise EOFError
        message = json.loads(_exactly(channel, *_LENGTH.unpack(head)))
    except BaseException:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        raise
    return message, descriptors


def _exactly(channel: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = channel.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
