"""Values that several threads share: behind a lock, or with operations that no other thread can cut into."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class WeakReference(weakref.ReferenceType[T], Generic[T]):
    """A weak reference that says what it refers to: `WeakReference[Table]`."""

    __slots__ = ()


class LockedResource(Generic[T]):
    """A value that is reachable only while its lock is held.

    >>> resource: LockedResource[list[int]] = LockedResource([])
    >>> with resource as numbers:
    ...     numbers.append(1)

    The lock is released at the end of the block, after an exception too. A thread that is inside must not enter again.
    """

    def __init__(self, data: T) -> None:
        """Puts `data` behind a new lock."""
        self._data = data
        self._lock = threading.Lock()

    def __enter__(self) -> T:
        self._lock.acquire()
        return self._data

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def swap(self, new_resource: T) -> T:
        """Puts `new_resource` in the place of the value and returns the old one, at once."""
        with self._lock:
            old, self._data = self._data, new_resource
            return old


class AtomicContainer:
    """Holds one value, or None."""

    def __init__(self, initial_data: Any = None) -> None:
        """Starts with `initial_data`."""
        self._data = initial_data
        self._lock = threading.Lock()

    def take(self) -> Any:
        """The value, which it holds no more: of several threads one gets it, the others None."""
        with self._lock:
            taken, self._data = self._data, None
            return taken

    def read(self) -> Any:
        """The value, which it goes on holding."""
        with self._lock:
            return self._data

    def set(self, value: Any) -> None:
        """Puts `value` in the place of what it holds."""
        with self._lock:
            self._data = value


class AtomicInt:
    """A whole number that threads count with.

    >>> counter = AtomicInt(5)
    >>> counter.increment(), counter.read()
    (5, 6)
    >>> counter += 4
    >>> int(counter)
    10
    """

    def __init__(self, value: int = 0) -> None:
        """Starts at `value`."""
        self._value = value
        self._lock = threading.Lock()

    def __iadd__(self, value: int) -> AtomicInt:
        self.increment(value)
        return self

    def __isub__(self, value: int) -> AtomicInt:
        self.increment(-value)
        return self

    def __int__(self) -> int:
        return self.read()

    def __repr__(self) -> str:
        return f"AtomicInt({self.read()})"

    def read(self) -> int:
        """The number as it is now."""
        with self._lock:
            return self._value

    def swap(self, value: int) -> int:
        """Sets the number and returns what it was."""
        with self._lock:
            old, self._value = self._value, value
            return old

    def increment(self, value: int = 1) -> int:
        """Adds `value` and returns what the number was before."""
        with self._lock:
            old = self._value
            self._value = old + value
            return old


class Lock(Protocol):
    """What `TracedLock` needs of the lock inside it."""

    def acquire(self) -> bool:
        """Waits until it is held."""
        ...

    def release(self) -> None:
        """Gives it back."""
        ...


class TracedLock:
    """A lock that adds up how long threads waited for it and how long they held it.

    >>> lock = TracedLock()
    >>> with lock:
    ...     pass
    >>> lock.exec_time_s > 0
    True

    Attributes:
        block_time_s: seconds spent waiting, over all threads.
        exec_time_s: seconds for which it was held.
    """

    def __init__(self, lock_class: Callable[[], Lock] = threading.Lock) -> None:
        """Makes the lock inside.

        Args:
            lock_class: `threading.Lock`, or `threading.RLock` where a thread may enter again.
        """
        self.block_time_s = 0.0
        self.exec_time_s = 0.0
        self._lock = lock_class()
        self._depth = 0
        self._entered_at = 0.0

    def __enter__(self) -> TracedLock:
        asked_at = time.perf_counter()
        self._lock.acquire()
        # from here to the release no other thread writes to this object
        self._depth += 1
        if self._depth == 1:
            self._entered_at = time.perf_counter()
            self.block_time_s += self._entered_at - asked_at
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.exec_time_s += time.perf_counter() - self._entered_at
        self._lock.release()
