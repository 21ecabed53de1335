from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gridrl.errors import BadValue
from gridrl.utils.crud_storage import CRUDStorage, StorageItem, StorageItemHandle
from tests.utils.threads import run_in_threads


def test_an_item_is_created_read_updated_and_deleted(tmp_path: Path) -> None:
    storage: CRUDStorage[bytes] = CRUDStorage(str(tmp_path / "new" / "here"), prefix="model_", extension="onnx")
    item = storage.create_with_data(bytearray(b"one"))
    assert Path(item.filepath).read_bytes() == b"one"
    assert Path(item.filepath).parent == tmp_path / "new" / "here"
    assert re.fullmatch(r"model_\d{4}-\d\d-\d\d_\d\d-\d\d_0\.onnx", Path(item.filepath).name)
    assert abs(datetime.now(UTC) - item.timestamp) < timedelta(minutes=5)
    assert storage.get(item.handle) == item

    storage.update(item.handle, b"two")
    assert Path(item.filepath).read_bytes() == b"two"
    assert storage.delete(item.handle) is True
    assert not Path(item.filepath).exists()
    assert storage.get(item.handle) is None
    assert storage.delete(item.handle) is False
    with pytest.raises(KeyError, match="no item 0"):
        storage.update(item.handle, b"three")


def test_the_latest_is_the_last_of_those_that_are_left(tmp_path: Path) -> None:
    storage: CRUDStorage[bytes] = CRUDStorage(tmp_path)
    assert storage.latest() is None
    first, second = storage.create_with_data(b"1"), storage.create_with_data(b"2")
    assert storage.latest() == second
    listed = storage.items()
    storage.delete(second.handle)
    assert storage.latest() == first
    assert list(listed) == [first, second], "the list is a copy"


def test_a_handle_is_its_text_and_back() -> None:
    handle: StorageItemHandle[int] = StorageItemHandle(17)
    assert StorageItemHandle.from_string(str(handle)) == handle
    for text in ("", "x", "-1", "1.0", " 1", "1_0", "١"):
        assert StorageItemHandle.from_string(text) is None


def test_a_file_that_is_there_can_be_taken_in(tmp_path: Path) -> None:
    storage: CRUDStorage[bytes] = CRUDStorage(tmp_path / "own")
    (tmp_path / "own" / "trained elsewhere").write_bytes(b"x")
    (tmp_path / "outside").write_bytes(b"x")
    item = storage.create_from_filepath(str(tmp_path / "own" / "trained elsewhere"))
    assert storage.latest() == item
    for known in (item, storage.create_with_data(b"y")):
        with pytest.raises(BadValue, match=f"is item {known.handle} of this storage already"):
            storage.create_from_filepath(known.filepath)
    assert storage.delete(item.handle)
    assert [Path(left.filepath).read_bytes() for left in storage.items()] == [b"y"]
    with pytest.raises(FileNotFoundError, match="no file"):
        storage.create_from_filepath(str(tmp_path / "own" / "none"))
    with pytest.raises(BadValue, match=r"not in .*own"):
        storage.create_from_filepath(str(tmp_path / "outside"))
    assert len(storage.items()) == 1


def test_a_saver_writes_the_file_itself_and_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    storage: CRUDStorage[str] = CRUDStorage(tmp_path, extension="txt")

    def saves(path: str) -> None:
        Path(path).write_text("hello")

    item = storage.create_with_saver(saves)
    assert Path(item.filepath).read_text() == "hello"

    def breaks(path: str) -> None:
        Path(path).write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.create_with_saver(breaks)
    with pytest.raises(FileNotFoundError, match="wrote no file"):
        storage.create_with_saver(lambda path: None)
    assert [Path(item.filepath).name] == [path.name for path in tmp_path.iterdir()]
    assert storage.items() == [item]


def test_unknown_files_are_not_overwritten(tmp_path: Path) -> None:
    earlier: CRUDStorage[bytes] = CRUDStorage(tmp_path)
    old = [earlier.create_with_data(b"old") for _ in range(3)]
    later: CRUDStorage[bytes] = CRUDStorage(tmp_path)
    new = [later.create_with_data(b"new") for _ in range(3)]
    assert len({item.filepath for item in old + new}) == 6
    assert all(Path(item.filepath).read_bytes() == b"old" for item in old)


def test_what_something_else_deleted_is_told_and_forgotten(tmp_path: Path) -> None:
    storage: CRUDStorage[bytes] = CRUDStorage(tmp_path / "own")
    item = storage.create_with_data(b"1")
    Path(item.filepath).unlink()
    with pytest.raises(FileNotFoundError, match="deleted by something else"):
        storage.delete(item.handle)
    assert storage.items() == []
    (tmp_path / "own").rmdir()
    with pytest.raises(FileNotFoundError, match="directory"):
        storage.create_with_data(b"2")


def test_places_and_names_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="no directory"):
        CRUDStorage(tmp_path / "file")
    for extension in ("", ".bin", "tar.gz", "a/b"):
        with pytest.raises(BadValue, match=r"extension|parts"):
            CRUDStorage(tmp_path, extension=extension)


def test_threads_share_a_storage(tmp_path: Path) -> None:
    storage: CRUDStorage[bytes] = CRUDStorage(tmp_path)
    created: list[StorageItem[bytes]] = []

    def work(number: int) -> None:
        for turn in range(12):
            item = storage.create_with_data(f"{number} {turn}".encode())
            storage.update(item.handle, b"new")
            if turn % 3 == 0:
                assert storage.delete(item.handle)
            else:
                created.append(item)

    run_in_threads(4, work)
    assert len({item.handle for item in created}) == 32
    assert sorted(str(item.handle) for item in storage.items()) == sorted(str(item.handle) for item in created)
    assert {path.name for path in tmp_path.iterdir()} == {Path(item.filepath).name for item in created}
