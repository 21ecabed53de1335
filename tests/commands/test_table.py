"""The command `table`; what stands in it is tested with `gridrl.results`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridrl.commands.table import fitting
from gridrl.results.table import Column
from gridrl.run import main
from tests.results.grids import NASTY, write_grid, write_run

ROOT = Path(__file__).parent.parent.parent


def table(*words: str) -> int:
    return main(["table", *words])


def test_the_table_is_printed_with_what_its_numbers_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for seed in range(2):
        write_run(tmp_path, "a", seed, level=5.0, variant={"lr": 0.1})
        write_run(tmp_path, "b", seed, level=3.0, variant={"lr": 0.2})
    write_run(tmp_path, "b", 2, level=3.0, variant={"lr": 0.2}, state="queued", rows=0)
    assert table(str(tmp_path), "--last", "3") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "variant  lr     return per episode  seeds  steps    time  runs              against the best",
        "a        0.1  5.5 [-0.8531, 11.85]      2  1,200  24.0 s  2 done            best",
        "b        0.2   3.5 [-2.853, 9.853]      2  1,200  24.0 s  2 done, 1 queued  not told apart (p = 0.11)",
        "Score: mean over seeds of each run's mean of its last 3 rows, with its 95 % interval (Student's t).",
        "Against the best: Welch's t test, corrected after Holm for all pairs of variants, since the best is known "
        "from these very scores; worse: p < 0.05.",
    ]
    assert err == f"Warning: left out {tmp_path}/b/s2: no row yet (queued)\n"


def test_plot_and_table_tell_alike_what_was_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "a", 0, level=5.0)
    write_run(tmp_path, "a", 1, level=5.0, rows=0)
    (tmp_path / "a" / "s2").mkdir()
    (tmp_path / "a" / "s2" / "progress.txt").write_text("")
    told = []
    for words in (["table"], ["plot", "--save", str(tmp_path / "a.svg")]):
        assert main([words[0], str(tmp_path), *words[1:]]) == 0
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert told[0].count("left out") == 2


def test_formats_go_to_standard_output_or_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "data", "a", 0, level=5.0)
    for kind, start in (("markdown", "| variant "), ("latex", "% "), ("csv", "variant,"), ("text", "variant  ")):
        assert table("data", "--format", kind) == 0
        assert capsys.readouterr().out.startswith(start)
    assert table("data", "--save", "a.md", "b.tex", "c.csv", "d.txt") == 0
    assert capsys.readouterr().out == "Wrote a.md\nWrote b.tex\nWrote c.csv\nWrote d.txt\n"
    assert Path("b.tex").read_text().splitlines()[-1] == r"\end{tabular}"
    assert table("data", "--format", "csv", "--save", "e.data") == 0
    assert Path("e.data").read_text() == Path("c.csv").read_text()


def test_what_is_typed_wrong_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table(str(tmp_path), "--format", "latx", "--save", "a.doc") == 2
    assert "`--format`: there is no 'latx'. Did you mean 'latex'?" in capsys.readouterr().err
    assert table(str(tmp_path), "--save", "a.doc") == 2
    assert (
        "`--save`: a.doc: the ending is the format, .md, .tex, .csv, .txt; or give `--format`."
        in capsys.readouterr().err
    )
    write_run(tmp_path, "a", 0, level=5.0)
    assert table(str(tmp_path), "--save", str(tmp_path / "a" / "s0" / "progress.txt" / "x.md")) == 2
    assert "/x.md cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize("width", [200, 100, 70, 50, 30])
def test_a_narrow_terminal_gets_narrow_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    write_grid(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    assert table(str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()[:7]
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("g_lr")


@pytest.mark.parametrize("width", [160, 60])
def test_a_terminal_gets_a_table_by_rich(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr("gridrl.commands.table.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    write_run(tmp_path, "[bold]x[/bold]\x1b[2J" + NASTY, 0, level=5.0)
    write_run(tmp_path, "b", 0, level=3.0)
    assert table(str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "───" in out
    assert "\x1b[2J" not in out
    assert "[bold]x" in out  # its marks are text
    assert max(map(len, out.split("Score:")[0].splitlines())) <= width
    assert ("No room for:" in out) == (width == 60)


def test_columns_go_in_the_order_of_what_matters_least() -> None:
    columns = [Column(kind, kind, ("x" * 10,)) for kind in ("variant", "setting", "score", "time", "verdict")]
    kinds = [[column.kind for column in fitting(columns, width)] for width in (65, 52, 39, 10)]
    assert kinds == [
        ["variant", "setting", "score", "time", "verdict"],
        ["variant", "setting", "score", "verdict"],
        ["variant", "score", "verdict"],
        ["variant", "score"],
    ]


def test_the_table_in_the_documents_is_what_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)
    text = (ROOT / "docs" / "plotting.md").read_text()
    shown = re.search(r"```sh\npython -m gridrl.run (table [^\n]*)\n```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    assert main(shown[1].split()) == 0
    assert capsys.readouterr().out == shown[2]
