"""Waiting for threads and signals at one place."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from gridrl.launch.mailbox import Mailbox


@pytest.fixture
def mailbox() -> Iterator[Mailbox[int]]:
    box: Mailbox[int] = Mailbox()
    yield box
    box.close()


def test_items_come_in_the_order_in_which_they_were_put(mailbox: Mailbox[int]) -> None:
    def put_all() -> None:
        for number in range(100_000):  # more than the pipe behind it holds
            mailbox.put(number)

    thread = threading.Thread(target=put_all)
    thread.start()
    assert [mailbox.get() for _ in range(100_000)] == list(range(100_000))
    thread.join()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_heard_while_waiting(mailbox: Mailbox[int], signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    with mailbox.hearing_signals():
        threading.Timer(0.1, os.kill, (os.getpid(), signum)).start()
        assert mailbox.get() is signum
    assert signal.getsignal(signum) is before
    wakeup = signal.set_wakeup_fd(-1)
    assert wakeup == -1


def test_no_signal_is_missed_however_close_it_comes_to_falling_asleep(mailbox: Mailbox[int]) -> None:
    """The kernel may hand the signal to any thread, and the reader may be about to wait."""
    with mailbox.hearing_signals():
        other = threading.Event()
        idle = threading.Thread(target=other.wait)
        idle.start()
        assert idle.ident is not None
        for turn in range(200):
            target = idle.ident if turn % 2 else threading.get_ident()
            timer = threading.Timer(0.0005 * (turn % 3), signal.pthread_kill, (target, signal.SIGINT))
            timer.start()
            assert mailbox.get() is signal.SIGINT
            timer.join()
        other.set()
        idle.join()


def test_a_signal_that_somebody_else_handles_is_left_alone(mailbox: Mailbox[int]) -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("theirs"))
    try:
        with mailbox.hearing_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 5
            while not heard and time.monotonic() < deadline:
                time.sleep(0.001)
            mailbox.put(1)
            assert mailbox.get() == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["theirs"]


def test_another_thread_hears_no_signals(mailbox: Mailbox[int]) -> None:
    before = signal.getsignal(signal.SIGINT)
    inside = []

    def listen() -> None:
        with mailbox.hearing_signals():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert inside == [before]
