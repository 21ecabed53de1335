"""Files of rows of any program: what is read, what is tolerated, what is refused."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gridrl.log import tables
from gridrl.log.progress import read_progress
from gridrl.log.tables import Unreadable, read_layout, read_table


def read(path: Path, content: str | bytes, name: str = "progress.txt", **options: object) -> tables.Table:
    file = path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file, **options)  # type: ignore[arg-type]


def lists(table: tables.Table) -> dict[str, list[object]]:
    return {name: [None if cell != cell else cell for cell in column] for name, column in table.columns.items()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("progress.txt", "a\tb\n1\t2\n3\t4\n"),
        ("progress.csv", "a,b\n1,2\n3,4\n"),
        ("progress.txt", "a,b\n1,2\n3,4\n"),
        ("progress.csv", "a\tb\n1\t2\n3\t4\n"),
        ("progress.csv", "a;b\n1;2\n3;4\n"),
        ("progress.csv", "a|b\n1|2\n3|4\n"),
        ("progress.txt", "  a   b\n  1   2\n  3   4\n"),
        ("progress.txt", "\ufeffa\tb\r\n1\t2\r\n3\t4\r\n"),
        ("progress.txt", "\n\na\tb\n\n1\t2\n\n3\t4\n\n"),
        ("progress.txt", " a \t b \n 1 \t 2 \n3\t4\n"),
        ("progress.csv", '"a","b"\n1,2\n3,4\n'),
    ],
)
def test_separators_blank_lines_and_marks_are_tolerated(tmp_path: Path, name: str, content: str) -> None:
    table = read(tmp_path, content, name)
    assert (table.names, table.rows, lists(table)) == (("a", "b"), 2, {"a": [1, 3], "b": [2, 4]})
    assert table.notes == ()


def test_a_name_may_hold_what_separates_elsewhere(tmp_path: Path) -> None:
    assert read(tmp_path, "loss, total\tb\n1\t2\n").names == ("loss, total", "b")
    assert read(tmp_path, "average return\n1\n").names == ("average return",)


def test_lines_in_front_of_the_header_are_left_out_on_request(tmp_path: Path) -> None:
    table = read(tmp_path, '#{"t_start": 1}\nr,l\n1,2\n', "monitor.csv", comment="#")
    assert lists(table) == {"r": [1], "l": [2]}


def test_short_rows_and_empty_cells_have_no_value(tmp_path: Path) -> None:
    table = read(tmp_path, "a\tb\tc\n1\n2\t\t5\n\t7\n")
    assert lists(table) == {"a": [1, 2, None], "b": [None, None, 7], "c": [None, 5, None]}


def test_cells_beyond_the_header_are_left_out(tmp_path: Path) -> None:
    assert lists(read(tmp_path, "a\tb\n1\t2\n3\t4\t5\n")) == {"a": [1, 3], "b": [2, 4]}


def test_of_two_columns_with_one_name_the_first_counts_and_nameless_ones_do_not(tmp_path: Path) -> None:
    assert lists(read(tmp_path, "\ta\ta\tb\n0\t1\t2\t3\n")) == {"a": [1], "b": [3]}


def test_text_stays_between_numbers(tmp_path: Path) -> None:
    table = read(tmp_path, "a\tb\n1\tlow\n2\tnan\n3\t\n4\t-inf\n")
    assert table.columns["b"].tolist()[0] == "low"
    assert np.isnan(table.columns["b"][1])
    assert table.columns["b"].tolist()[2:] == [None, -np.inf]


def test_half_a_row_at_the_end_is_left_out_and_told(tmp_path: Path) -> None:
    for content in ("a\tb\n1\t2\n3\t4", 'a\tb\n1\t2\n3\t"x\ny'):
        table = read(tmp_path, content)
        assert (lists(table), table.notes) == ({"a": [1], "b": [2]}, ("half a row at its end is left out",))


def test_a_header_in_the_middle_is_no_row(tmp_path: Path) -> None:
    table = read(tmp_path, "a\tb\n1\t2\na\tb\n3\t4\n")
    assert lists(table) == {"a": [1, 3], "b": [2, 4]}
    assert table.notes == ("its header stands in the middle again",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a\tb", "holds half a header"),
        (b",,\n1,2,3\n", "has no header"),
        (b"1\t2\n3\t4\n", "has no header: its first line holds numbers"),
        (bytes(range(256)) * 3, "is no table: its first line is no text"),
        (b"x" * (1 << 20), "is no table: its first line does not end"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as told:
        read(tmp_path, content)
    assert str(told.value) == reason
    with pytest.raises(Unreadable, match=reason):
        read_layout(tmp_path / "progress.txt")


@given(content=st.binary(max_size=300) | st.text('ab01.\t,;\n\r" -', max_size=60).map(str.encode))
@example(b'"')
@example(b'a\t"\n1\t2\n')
@example(b"a\n\n")
@example(b"a b\n\n \n")
@example(b"a\tb\n\xff\t1\n")
def test_any_bytes_are_a_table_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(content)
    assert len({len(column) for column in read_progress(file).values()}) <= 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            table = read_table(file)
        except Unreadable:
            return
    assert table.names
    assert set(table.columns) == set(table.names)
    assert {len(column) for column in table.columns.values()} == {table.rows}


cells = st.floats(width=64).map(repr) | st.sampled_from(["", "text", "1e5", " 7 ", "1_0", "inf", "0x1p3"])


@given(rows=st.lists(st.lists(cells, max_size=4), max_size=12), piece=st.integers(1, 40))
def test_pieces_and_numpys_reader_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], piece: int
) -> None:
    """However a file is cut into pieces, it reads as a plain reading of its lines does."""
    file = tmp_path_factory.getbasetemp() / "pieces.txt"
    file.write_text("\n".join(["a\tb\tc", *("\t".join(row) for row in rows)]) + "\n")
    whole, tables.PIECE = tables.PIECE, piece
    try:
        table = read_table(file)
    finally:
        tables.PIECE = whole
    kept = [row for row in rows if "\t".join(row)]
    for place, name in enumerate("abc"):
        expected = [row[place] if place < len(row) else "" for row in kept]
        assert [repr(cell) for cell in table.columns[name]] == [repr(_plain(cell, table, name)) for cell in expected]


def _plain(cell: str, table: tables.Table, name: str) -> object:
    is_text = table.columns[name].dtype == object
    try:
        number = float(cell or "nan")
    except ValueError:
        return cell
    return (number if cell or not is_text else None) if is_text else np.float64(number)


def test_a_million_rows_need_memory_for_the_wanted_columns_alone(tmp_path: Path) -> None:
    file = tmp_path / "progress.txt"
    row = "\t".join(["0.123456789"] * 5)
    with open(file, "w") as opened:
        opened.write("\t".join(f"c{place}" for place in range(5)) + "\n")
        for _ in range(100):
            opened.write(f"{row}\n" * 10_000)
    assert file.stat().st_size > 55e6
    tracemalloc.start()
    try:
        table = read_table(file, ["c3"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (table.rows, table.columns["c3"].sum()) == (10**6, pytest.approx(123456.789))
    assert peak < 40e6  # 8 MB of numbers, and a piece of the file with its lines
