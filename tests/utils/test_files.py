from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from gridrl.utils.files import RunPaths, atomic_path, read_json, write_atomic, write_json

WEIRD = ["plain", "with space", 'it\'s "quoted"', "new\nline", "back\\slash", "ünï", "-dash", "x" * 200, "a.b.tmp"]


@pytest.fixture(params=WEIRD)
def weird(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def test_a_written_file_holds_exactly_what_was_given(weird: Path) -> None:
    write_atomic(weird, "a\nb\r\né")
    assert weird.read_bytes() == "a\nb\r\né".encode()
    write_atomic(weird, b"\x00\xff")
    assert weird.read_bytes() == b"\x00\xff"
    assert list(weird.parent.iterdir()) == [weird]


def test_missing_directories_are_made(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b" / "file", "x")
    assert (tmp_path / "a" / "b" / "file").read_text() == "x"


def test_after_an_error_the_old_file_stands_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_path(path) as aside:
            aside.write_text("half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_path(path) as aside:
        assert aside.parent == path.parent  # a rename must not cross file systems
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_failed_write_names_the_missing_file_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass  # nothing was written
    assert path.read_text() == "old"


def test_permissions_are_set_before_the_content(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomic(tmp_path / "secret", b"x", mode=0o600)
        write_atomic(tmp_path / "open", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o644


def test_json_comes_back_as_it_was_written(weird: Path) -> None:
    value = {"é": [1, 2.5, None, True, "\n"], "nested": {"a": []}}
    write_json(weird, value)
    assert read_json(weird) == value
    text = weird.read_text(encoding="utf-8")
    assert text == json.dumps(value, indent=4, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("content", [b"", b'{"half": ', b"\xff\xfe", b"not json"])
def test_what_holds_no_json_reads_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert read_json(path) is None


def test_a_missing_file_or_a_directory_reads_as_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "missing") is None
    assert read_json(tmp_path) is None


def test_every_file_of_a_run_has_a_name_of_its_own_inside_its_directory(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    names = [name for name, value in vars(RunPaths).items() if isinstance(value, property)]
    files = [getattr(paths, name) for name in names]
    files += [
        paths.rank_stdout(1),
        paths.model_file(),
        paths.model_file(3),
        paths.model_extras(),
        paths.model_extras(3),
    ]
    assert len(set(files)) == len(files)
    assert all(file.is_relative_to(paths.root) and file != paths.root for file in files)


def test_the_documented_files_have_the_documented_names(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    assert paths.config == tmp_path / "config.json"
    assert paths.status == tmp_path / "status.json"
    assert paths.progress == tmp_path / "progress.txt"
    assert paths.rank_stdout(0) == paths.stdout == tmp_path / "stdout.log"
    assert paths.rank_stdout(2) == tmp_path / "stdout.rank2.log"
    assert paths.model_file(7) == tmp_path / "model" / "model7.pt"
