"""Shared values under real threads that are switched as often as possible."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gridrl.utils.threading import AtomicContainer, AtomicInt, LockedResource, TracedLock, WeakReference
from tests.utils.threads import run_in_threads

THREADS, TIMES = 6, 400


def all_of(numbers: list[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(numbers))


class Slow(int):
    """A number whose sum takes so long that another thread gets its turn."""

    def __add__(self, other: int) -> Slow:
        time.sleep(0)
        return Slow(int(self) + int(other))


def test_no_count_is_lost() -> None:
    counter = AtomicInt(Slow(0))

    def count(number: int) -> None:
        nonlocal counter
        for _ in range(TIMES):
            counter.increment()
            counter += 3
            counter -= 3

    run_in_threads(THREADS, count)
    assert counter.read() == THREADS * TIMES


def test_increments_alone_hand_out_every_number_once() -> None:
    counter = AtomicInt(Slow(10))
    seen: list[list[int]] = [[] for _ in range(THREADS)]
    run_in_threads(THREADS, lambda number: seen[number].extend(counter.increment() for _ in range(TIMES)))
    assert sorted(all_of(seen)) == list(range(10, 10 + THREADS * TIMES))


def test_an_atomic_int_has_the_documented_operations() -> None:
    counter = AtomicInt(5)
    assert counter.increment() == 5
    assert counter.increment(4) == 6
    assert counter.swap(1) == 10
    counter -= 3
    assert (int(counter), repr(counter)) == (-2, "AtomicInt(-2)")
    assert AtomicInt().read() == 0


def test_a_locked_resource_lets_in_one_thread_at_a_time() -> None:
    resource = LockedResource({"sum": 0})

    def add(number: int) -> None:
        for _ in range(TIMES):
            with resource as shared:
                before = shared["sum"]
                time.sleep(0)
                shared["sum"] = before + 1

    run_in_threads(THREADS, add)
    with resource as shared:
        assert shared["sum"] == THREADS * TIMES


def test_a_locked_resource_is_free_again_after_an_error() -> None:
    resource = LockedResource([1])
    with pytest.raises(ZeroDivisionError), resource:
        raise ZeroDivisionError
    assert resource.swap([2]) == [1]
    with resource as numbers:
        assert numbers == [2]


def test_swaps_lose_no_value() -> None:
    resource = LockedResource(-1)
    got: list[list[int]] = [[] for _ in range(THREADS)]

    def swap(number: int) -> None:
        for turn in range(TIMES):
            got[number].append(resource.swap(number * TIMES + turn))

    run_in_threads(THREADS, swap)
    assert sorted([*all_of(got), resource.swap(0)]) == list(range(-1, THREADS * TIMES))


def test_what_is_taken_from_a_container_one_thread_has() -> None:
    container = AtomicContainer()
    taken: list[list[int]] = [[] for _ in range(THREADS)]

    def work(number: int) -> None:
        for turn in range(TIMES):
            container.set(number * TIMES + turn)
            value = container.take()
            if value is not None:
                taken[number].append(value)

    run_in_threads(THREADS, work)
    values = all_of(taken)
    assert len(values) == len(set(values)) > TIMES


def test_a_container_has_the_documented_operations() -> None:
    container = AtomicContainer("first")
    assert (container.read(), container.read()) == ("first", "first")
    container.set("second")
    assert (container.take(), container.take(), container.read()) == ("second", None, None)
    assert AtomicContainer().read() is None


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
def test_a_traced_lock_excludes_and_adds_up_under_threads(kind: Any) -> None:
    lock, shared = TracedLock(kind), SimpleNamespace(count=0)

    def add(number: int) -> None:
        for _ in range(200):
            with lock:
                before = shared.count
                time.sleep(0)
                shared.count = before + 1

    run_in_threads(THREADS, add)
    assert shared.count == THREADS * 200
    assert lock.exec_time_s > 0
    assert lock.block_time_s > 0


def test_a_traced_lock_measures_waiting_and_holding(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("gridrl.utils.threading.time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Slow:
        """A lock for which one waits 3 seconds."""

        def acquire(self) -> bool:
            clock.now += 3.0
            return True

        def release(self) -> None:
            clock.now += 100.0  # counts neither as waiting nor as holding

    lock = TracedLock(Slow)
    with lock:
        clock.now += 2.0
    with lock:
        clock.now += 5.0
    assert (lock.block_time_s, lock.exec_time_s) == (6.0, 7.0)


def test_a_traced_lock_entered_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("gridrl.utils.threading.time", SimpleNamespace(perf_counter=lambda: clock.now))
    lock = TracedLock(threading.RLock)
    with lock:
        clock.now += 1.0
        with lock:
            clock.now += 2.0
        clock.now += 4.0
    assert lock.exec_time_s == 7.0


def test_a_weak_reference_lets_go() -> None:
    class Thing:
        pass

    thing = Thing()
    reference: WeakReference[Thing] = WeakReference(thing)
    assert reference() is thing
    del thing
    gc.collect()
    assert reference() is None
    assert WeakReference[int] is not None
