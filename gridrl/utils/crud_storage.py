"""Files in one directory, known by handles that may be shown to anyone: created, read, updated, deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from gridrl.errors import BadValue
from gridrl.utils.files import write_atomic
from gridrl.utils.threading import AtomicInt, LockedResource

T = TypeVar("T")


@dataclass(frozen=True)
class StorageItemHandle(Generic[T]):
    """What stands for an item, also as text: `str(handle)` and `StorageItemHandle.from_string(text)`.

    It can be guessed: it is a name, no secret.

    Attributes:
        handle: the number of the item.
    """

    handle: int

    @staticmethod
    def from_string(value: str) -> StorageItemHandle[T] | None:
        """The handle whose text this is, None for a text that is no handle's."""
        return StorageItemHandle(int(value)) if value.isascii() and value.isdecimal() else None

    def __str__(self) -> str:
        return str(self.handle)


@dataclass(frozen=True)
class StorageItem(Generic[T]):
    """A file of a storage.

    Attributes:
        handle: stands for it.
        timestamp: when it was added, in UTC.
        filepath: where it is.
    """

    handle: StorageItemHandle[T]
    timestamp: datetime
    filepath: str


class CRUDStorage(Generic[T]):
    """Keeps files in one directory, named `{prefix}{local date}_{local time}_{handle}.{extension}`.

    Threads may use it at once. It knows what was added through it; files from before stay untouched, and
    `create_from_filepath` takes one in.

    Attributes:
        directory: where the files lie, absolute.
    """

    def __init__(self, directory: str | os.PathLike[str], prefix: str = "", extension: str = "bin") -> None:
        """Makes the directory if there is none.

        Args:
            directory: where the files lie.
            prefix: what their names begin with.
            extension: what their names end with, without a dot.

        Raises:
            BadValue: for an extension that is empty or has a dot, or a part of a name with a separator.
            NotADirectoryError: something else has the directory's name.
        """
        if not extension or "." in extension:
            raise BadValue(f"the extension {extension!r}: letters without a dot are needed, such as 'bin'.")
        if os.sep in prefix + extension:
            raise BadValue(f"{prefix!r} and {extension!r} are parts of a file's name, and have no {os.sep!r}.")
        self.directory = os.path.abspath(directory)
        if os.path.exists(self.directory) and not os.path.isdir(self.directory):
            raise NotADirectoryError(f"{self.directory} is no directory: a storage cannot keep files there.")
        os.makedirs(self.directory, exist_ok=True)
        self._prefix, self._extension = prefix, extension
        self._next_handle = AtomicInt(0)
        self._items: LockedResource[list[StorageItem[T]]] = LockedResource([])

    def create_with_data(self, data: bytes | bytearray) -> StorageItem[T]:
        """Writes a new file with this content."""
        return self.create_with_saver(lambda path: write_atomic(Path(path), bytes(data)))

    def create_from_filepath(self, filepath: str | os.PathLike[str]) -> StorageItem[T]:
        """Takes in a file that is there, whatever its name; it must lie in the directory.

        Raises:
            FileNotFoundError: there is no such file.
            BadValue: it lies elsewhere, or is an item already.
        """
        path = os.path.abspath(filepath)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path} is no file: there is nothing to take in.")
        if os.path.realpath(os.path.dirname(path)) != os.path.realpath(self.directory):
            raise BadValue(f"{path} is not in {self.directory}, where this storage keeps its files: move it there.")
        item = StorageItem[T](StorageItemHandle(self._next_handle.increment()), datetime.now(UTC), path)
        with self._items as items:
            for known in items:
                if os.path.basename(known.filepath) == os.path.basename(path):
                    raise BadValue(f"{path} is item {known.handle} of this storage already.")
            items.append(item)
        return item

    def create_with_saver(self, saver: Callable[[str], None]) -> StorageItem[T]:
        """Adds a file that `saver`, called with its path, writes.

        Raises:
            FileNotFoundError: the directory is gone, or the saver wrote no file at this path.
        """
        if not os.path.isdir(self.directory):
            raise FileNotFoundError(f"{self.directory} is gone: something deleted the storage's directory.")
        handle, path = self._free_path()
        try:
            saver(path)
        except BaseException:
            Path(path).unlink(missing_ok=True)  # half a file would belong to nobody
            raise
        if not os.path.isfile(path):
            raise FileNotFoundError(f"the saver wrote no file at {path}, the path that it was called with.")
        return self._added(handle, path)

    def update(self, handle: StorageItemHandle[T], data: bytes | bytearray) -> None:
        """Gives a file new content; a reader sees the old or the new, never half of it.

        Raises:
            KeyError: this storage has no such item.
        """
        with self._items as items:  # held while it writes, so that no deletion comes between
            item = _find(items, handle)
            if item is None:
                raise KeyError(f"no item {handle} is in {self.directory}.")
            write_atomic(Path(item.filepath), bytes(data))

    def items(self) -> Sequence[StorageItem[T]]:
        """All items, the oldest first; a copy, which later changes leave alone."""
        with self._items as items:
            return list(items)

    def delete(self, handle: StorageItemHandle[T]) -> bool:
        """Deletes a file.

        Returns:
            Whether there was such an item.

        Raises:
            FileNotFoundError: there was, but something else had deleted the file; the item is gone now, too.
        """
        with self._items as items:
            item = _find(items, handle)
            if item is None:
                return False
            items.remove(item)
            try:
                os.remove(item.filepath)
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{item.filepath} was deleted by something else than its storage.") from error
            return True

    def get(self, handle: StorageItemHandle[T]) -> StorageItem[T] | None:
        """The item that a handle stands for, None if there is none (any more)."""
        return _find(self.items(), handle)

    def latest(self) -> StorageItem[T] | None:
        """The last item added of those that are left, None if there is none."""
        with self._items as items:
            return items[-1] if items else None

    def _free_path(self) -> tuple[StorageItemHandle[T], str]:
        """The next handle whose file name is not taken by a file that is unknown here."""
        now = datetime.now().strftime("%Y-%m-%d_%H-%M")
        while True:
            handle: StorageItemHandle[T] = StorageItemHandle(self._next_handle.increment())
            path = os.path.join(self.directory, f"{self._prefix}{now}_{handle}.{self._extension}")
            if not os.path.exists(path):
                return handle, path

    def _added(self, handle: StorageItemHandle[T], path: str) -> StorageItem[T]:
        item = StorageItem(handle, datetime.now(UTC), path)
        with self._items as items:
            items.append(item)
        return item


def _find(items: Sequence[StorageItem[T]], handle: StorageItemHandle[T]) -> StorageItem[T] | None:
    return next((item for item in items if item.handle == handle), None)
