from __future__ import annotations

import errno
import io
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.errors import BadValue, CheckpointError, DiskFull
from gridrl.log.progress import ProgressFile, read_progress


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    progress = ProgressFile(path)
    for row in rows:
        progress.append(row)
    progress.close()
    return path


def cells_of(path: Path) -> dict[str, list[Any]]:
    return {name: column.tolist() for name, column in read_progress(path).items()}


def scratch(tmp_path_factory: pytest.TempPathFactory, name: str = "progress.txt") -> Path:
    return tmp_path_factory.mktemp("progress") / name


def test_a_file_has_a_header_and_one_line_a_row(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", [{"Epoch": 0, "Loss": 0.1}, {"Epoch": 1, "Loss": 1e-7}])
    assert path.read_bytes() == b"Epoch\tLoss\n0\t0.1\n1\t1e-07\n"


def test_a_csv_has_commas(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.csv", [{"a": 1, "b": "x,y"}])
    assert path.read_text() == 'a,b\n1,"x,y"\n'
    assert cells_of(path) == {"a": [1.0], "b": ["x,y"]}


def test_a_row_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "progress.txt")
    for epoch in range(3):
        progress.append({"Epoch": epoch})
        assert read_progress(progress.path)["Epoch"].tolist() == list(range(epoch + 1))
    progress.close()


@given(numbers=st.lists(st.floats(width=64), min_size=1))
def test_numbers_read_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, numbers: list[float]) -> None:
    path = write(scratch(tmp_path_factory), [{"x": number} for number in numbers])
    found = read_progress(path)["x"]
    assert found.dtype == np.float64
    for expected, read in zip(numbers, found, strict=True):
        assert struct.pack("d", expected) == struct.pack("d", read) or (math.isnan(expected) and math.isnan(read))


anything = st.text(alphabet=st.characters()) | st.sampled_from(
    ["", "1.5", "nan", " 7 ", "1_000", "1\0", '"', "\r\n", "\r"]
)


@given(
    names=st.lists(anything.filter(bool), min_size=1, max_size=4, unique=True),
    data=st.data(),
    suffix=st.sampled_from([".txt", ".csv"]),
)
def test_text_reads_back_to_the_last_letter(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: Any, suffix: str
) -> None:
    cell = anything | st.none()
    rows = data.draw(st.lists(st.tuples(*[cell for _ in names]), min_size=1, max_size=5))
    path = write(scratch(tmp_path_factory, f"p{suffix}"), [dict(zip(names, row, strict=True)) for row in rows])
    found = read_progress(path)
    assert list(found) == names
    for place, name in enumerate(names):
        expected = [row[place] for row in rows]
        if any(isinstance(value, str) for value in expected):
            assert found[name].tolist() == expected
            assert all(type(value) is str for value in found[name] if value is not None)
        else:
            assert np.isnan(found[name]).all()


def test_a_column_of_text_and_numbers_keeps_both(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", [{"x": 1}, {"x": "two"}, {"x": "3"}, {"x": None}])
    assert cells_of(path) == {"x": [1.0, "two", "3", None]}


def test_late_columns_widen_the_file_and_missing_ones_are_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", [{"a": 1, "t": "x\ny"}, {"b": 2, "a": 3, "c": "late"}, {"b": 4}])
    assert path.read_text() == 'a\tt\tb\tc\n1\t"x\ny"\t\t\n3\t\t2\tlate\n\t\t4\t\n'
    found = read_progress(path, ["b", "a"])
    assert list(found) == ["b", "a"]
    np.testing.assert_array_equal(found["b"], [math.nan, 2.0, 4.0])
    np.testing.assert_array_equal(found["a"], [1.0, 3.0, math.nan])
    assert list(tmp_path.iterdir()) == [path]


def test_rows_appended_after_a_late_column_go_on_in_the_wider_file(tmp_path: Path) -> None:
    progress = ProgressFile(tmp_path / "progress.txt")
    for epoch in range(40):
        progress.append({f"c{number}": epoch for number in range(1 + epoch // 10)})
    progress.close()
    columns = read_progress(progress.path)
    assert list(columns) == ["c0", "c1", "c2", "c3"]
    for number, column in enumerate(columns.values()):
        np.testing.assert_array_equal(column, [epoch if epoch >= 10 * number else math.nan for epoch in range(40)])


def test_only_wanted_columns_are_read_and_unknown_ones_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", [{"a": 1, "b": "x"}])
    assert list(read_progress(path, ["nothing", "a"])) == ["a"]


ROWS = [
    {"Epoch": 0, "Note": "plain", "Loss": 0.5},
    {"Epoch": 1, "Note": 'tab\t, line\nend and "quote"', "Loss": None},
    {"Epoch": 2, "Note": "", "Loss": 1.25},
    {"Epoch": 3, "Note": "grün \U0001f600", "Loss": math.inf},
]


def test_a_file_cut_at_any_byte_reads_as_its_whole_rows(tmp_path: Path) -> None:
    content = write(tmp_path / "progress.txt", ROWS).read_bytes()
    ends = [len(write(tmp_path / f"{n}.txt", ROWS[:n]).read_bytes()) for n in range(1, len(ROWS) + 1)]
    path = tmp_path / "cut.txt"
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends)
        found = read_progress(path)
        assert [len(column) for column in found.values()] == [whole] * (3 if size >= len("Epoch\tNote\tLoss\n") else 0)
        if whole:
            assert found["Note"].tolist() == [row["Note"] for row in ROWS[:whole]]


def test_a_file_cut_at_any_byte_goes_on_after_its_whole_rows(tmp_path: Path) -> None:
    content = write(tmp_path / "progress.txt", ROWS).read_bytes()
    ends = [len(write(tmp_path / f"{n}.txt", ROWS[:n]).read_bytes()) for n in range(1, len(ROWS) + 1)]
    header = content[: content.index(b"\n") + 1]
    for size in range(ends[0], len(content) + 1):
        directory = tmp_path / f"cut at {size}"
        directory.mkdir()
        path = directory / "progress.txt"
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends)
        progress = ProgressFile(path)
        progress.keep_rows(whole)
        for row in ROWS[whole:]:
            progress.append(row)
        progress.close()
        assert path.read_bytes() == content
        half = content[ends[whole - 1] : size]
        cut = directory / "progress.cut.txt"
        assert (cut.read_bytes() if cut.exists() else b"") == (
            header + half.removesuffix(b"\n") + b"\n" if half else b""
        )


def test_rows_behind_those_kept_move_and_are_computed_again(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", ROWS)
    undisturbed = path.read_bytes()
    progress = ProgressFile(path)
    progress.keep_rows(2)
    assert (progress.rows, list(progress.columns)) == (2, ["Epoch", "Note", "Loss"])
    progress.append(ROWS[2])
    assert read_progress(path)["Epoch"].tolist() == [0.0, 1.0, 2.0]
    progress.append(ROWS[3])
    progress.close()
    assert path.read_bytes() == undisturbed
    assert cells_of(tmp_path / "progress.cut.txt")["Epoch"] == [2.0, 3.0]


def test_without_a_word_about_resuming_old_rows_move_before_the_first_new_one(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", ROWS[:2])
    old = path.read_bytes()
    progress = ProgressFile(path)
    assert path.read_bytes() == old
    progress.append({"other": 1})
    progress.close()
    assert path.read_text() == "other\n1\n"
    assert (tmp_path / "progress.cut.txt").read_bytes() == old


def test_rows_that_are_cut_again_and_again_are_all_kept(tmp_path: Path) -> None:
    for attempt in range(3):
        write(tmp_path / "progress.txt", [{"attempt": attempt}])
    assert (tmp_path / "progress.cut.txt").read_text() == "attempt\n0\nattempt\n1\n"


def test_keeping_no_rows_forgets_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", [{"old": 1}])
    progress = ProgressFile(path)
    progress.keep_rows(0)
    progress.append({"new": 1})
    progress.close()
    assert path.read_text() == "new\n1\n"


def test_more_rows_than_there_are_cannot_be_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "progress.txt", ROWS[:2])
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        ProgressFile(path).keep_rows(3)
    assert str(caught.value) == (
        f"{path}: 2 rows stand there, but the checkpoint was written after 3. "
        "Bring the file back from where it went, or start the run afresh without its checkpoints."
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CheckpointError, match="0 rows stand there"):
        ProgressFile(tmp_path / "missing.txt").keep_rows(1)
    with pytest.raises(BadValue, match="0 or more"):
        ProgressFile(path).keep_rows(-1)


KILLED_WHILE_WRITING_ASIDE = """
import os, signal, sys
from pathlib import Path
from gridrl.log.progress import ProgressFile
progress = ProgressFile(Path(sys.argv[1]))
progress.append({"a": 1})
progress.append({"a": 2})
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
progress.append({"a": 3, "late": 1})
"""


def test_a_kill_while_the_file_is_widened_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "progress.txt"
    ended = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING_ASIDE, str(path)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "a\n1\n2\n"
    assert len(list(tmp_path.iterdir())) == 2
    progress = ProgressFile(path)
    progress.keep_rows(2)
    progress.append({"a": 3, "late": 1})
    progress.close()
    assert path.read_text() == "a\tlate\n1\t\n2\t\n3\t1\n"
    assert list(tmp_path.iterdir()) == [path]


WRITES_FOR_EVER = """
import sys
from pathlib import Path
from gridrl.log.progress import ProgressFile
progress = ProgressFile(Path(sys.argv[1]))
epoch = 0
while True:
    progress.append({"Epoch": epoch, "Note": f"line {epoch}\\nof two", f"late{epoch // 1000}": epoch})
    epoch += 1
"""


def test_a_kill_at_any_moment_leaves_whole_rows_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "progress.txt"
    writer = subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, str(path)])
    try:
        deadline = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 100_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        writer.kill()
        writer.wait(timeout=60)
    found = read_progress(path)
    count = len(found["Epoch"])
    assert count > 1000
    assert found["Epoch"].tolist() == list(range(count))
    assert found["Note"].tolist() == [f"line {epoch}\nof two" for epoch in range(count)]
    progress = ProgressFile(path)
    progress.keep_rows(count)
    progress.append({"Epoch": count, "Note": "after"})
    progress.close()
    assert read_progress(path)["Epoch"].tolist() == list(range(count + 1))


def append_until_it_fails(progress: ProgressFile) -> None:
    for epoch in range(progress.rows, 1000):
        progress.append({"Epoch": epoch, "Note": "x" * 1000})


def test_a_real_full_disk_keeps_the_rows_and_says_what_to_do(
    tiny_disk: Path, fill: Callable[[Path, int], None]
) -> None:
    path = tiny_disk / "run" / "progress.txt"
    progress = ProgressFile(path)
    progress.append({"Epoch": 0, "Note": "x" * 1000})
    fill(tiny_disk, 0)
    with pytest.raises(DiskFull) as caught:
        append_until_it_fails(progress)
    written = progress.rows
    assert written > 1  # the file's last page had room
    assert str(caught.value) == (
        f"{path}: row {written + 1} was not written, the {written} before it stand: no space is left on its file "
        "system (0 KiB free). Make room there, or choose another data_dir; the same command then goes on from the last "
        "checkpoint."
    )
    assert isinstance(caught.value.__cause__, OSError)
    assert path.read_bytes().endswith(b"x\n")
    assert read_progress(path)["Epoch"].tolist() == list(range(written))
    with pytest.raises(DiskFull):
        progress.append({"Epoch": written, "late": 1})  # the wider file has no room either
    assert read_progress(path)["Epoch"].tolist() == list(range(written))
    (tiny_disk / "filler").unlink()
    progress.append({"Epoch": written, "late": 1})
    progress.close()
    assert read_progress(path)["Epoch"].tolist() == list(range(written + 1))
    assert [found.name for found in path.parent.iterdir()] == ["progress.txt"]


def test_a_real_full_disk_keeps_rows_that_should_move(tiny_disk: Path, fill: Callable[[Path, int], None]) -> None:
    path = write(tiny_disk / "progress.txt", [{"Epoch": epoch} for epoch in range(5)])
    fill(tiny_disk, 0)
    with pytest.raises(DiskFull, match=r"progress\.cut\.txt: rows of an earlier attempt could not be moved"):
        ProgressFile(path).keep_rows(2)
    assert read_progress(path)["Epoch"].tolist() == [0, 1, 2, 3, 4]


class FileOnFullDisk(io.FileIO):
    """Takes ten bytes of what it is given, then nothing, as a disk does that fills up."""

    room = 10

    def write(self, content: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(memoryview(content)[: self.room]) or 0
        self.room -= taken
        return taken


def test_a_simulated_full_disk_leaves_no_half_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "progress.txt", [{"Epoch": 0, "Note": "a"}])
    progress = ProgressFile(path)
    progress.keep_rows(1)
    monkeypatch.setattr("gridrl.log.progress.io.FileIO", FileOnFullDisk)
    with pytest.raises(DiskFull, match="row 2 was not written, the 1 before it stand: no space is left"):
        progress.append({"Epoch": 1, "Note": "more than ten bytes"})
    assert path.read_text() == "Epoch\tNote\n0\ta\n"
    monkeypatch.undo()
    progress.close()
    progress.append({"Epoch": 1, "Note": "b"})
    progress.close()
    assert cells_of(path) == {"Epoch": [0.0, 1.0], "Note": ["a", "b"]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {}),
        (b"Epoch\tLo", {}),
        (b"Epoch\tLoss\n", {"Epoch": [], "Loss": []}),
        (b"Epoch\tLoss\r\n1\t2\r\n", {"Epoch": [1.0], "Loss": [2.0]}),
        (b'a\tb\r\n"x\r\ny"\t2\r\n', {"a": ["x\r\ny"], "b": [2.0]}),
        (b"a\tb\n1\t2\n\n3\t4\n", {"a": [1.0, 3.0], "b": [2.0, 4.0]}),
        (b"a\tb\n1\n2\t3\t4\n", {"a": [1.0, 2.0], "b": [None, 3.0]}),
        (b"a\ta\n1\t2\n", {"a": [1.0]}),
        (b'a\tb\ntensor(3.1416)\tsay "x" loud\n', {"a": ["tensor(3.1416)"], "b": ['say "x" loud']}),
        (b'a\tb\n"x" y\t1\n', {"a": ['"x" y'], "b": [1.0]}),
        (b"a\n\xff\n", {"a": ["\ufffd"]}),
        (b"a\n1\n\n3\n", {"a": [1.0, None, 3.0]}),
    ],
)
def test_files_of_others_are_read_as_far_as_they_make_sense(
    tmp_path: Path, content: bytes, expected: dict[str, list[Any]]
) -> None:
    (tmp_path / "progress.txt").write_bytes(content)
    found = cells_of(tmp_path / "progress.txt")
    assert {name: [None if x != x else x for x in column] for name, column in found.items()} == expected


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ProgressFile(tmp_path / "file" / "progress.txt").append({"a": 1})
