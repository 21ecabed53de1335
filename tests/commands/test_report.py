"""The command `report`; the page is tested with `gridrl.results`, in a browser too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gridrl.run import main
from tests.results.grids import write_grid, write_run


def report(*words: str) -> int:
    return main(["report", *words])


def test_one_file_is_written_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_grid(tmp_path / "data")
    assert report("data") == 0
    out, err = capsys.readouterr()
    assert out.startswith("Wrote report.html (2.")
    assert "left out data/g_lr0.1_hid8/s2/progress.txt: has no final score, since it is not finished (failed)" in err
    text = Path("report.html").read_text()
    assert "<title>data</title>" in text
    assert "has no final score" in text
    assert os.listdir(tmp_path) == ["data", "report.html"] or sorted(os.listdir(tmp_path)) == ["data", "report.html"]


def test_options_reach_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_grid(tmp_path)
    out = str(tmp_path / "deep" / "r.html")
    words = (
        "-y LossPi --curves EpLen --last 2 --smaller_is_better --metric median -s 3 --where lr=0.1 --title T&C --out"
    )
    assert report(str(tmp_path), *words.split(), out) == 2
    assert "`--value`: no run has a column `EpLen`" in capsys.readouterr().err
    assert report(str(tmp_path), *words.replace("EpLen", "AverageEpRet").split(), out) == 0
    text = Path(out).read_text()
    assert "<h1>T&amp;C</h1>" in text
    assert "median over seeds of each run&#x27;s mean of its last 2 rows" in text
    assert "Moving mean of 3 rows." in text
    assert "g_lr0.01" not in text
    assert "LossPi|TotalEnvInteracts" in text
    assert "AverageEpRet|TotalEnvInteracts" in text


def test_only_a_report_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "data", "a", 0, level=1.0)
    thesis = tmp_path / "thesis.html"
    thesis.write_text("<!DOCTYPE html>\n<html>my thesis</html>")
    assert report(str(tmp_path / "data"), "--out", str(thesis)) == 2
    assert f"`--out`: {thesis} is there already and no report of gridrl's; it stands." in capsys.readouterr().err
    assert "my thesis" in thesis.read_text()
    assert report(str(tmp_path / "data"), "--out", str(tmp_path)) == 2
    assert f"is a directory. Give a file: `--out {tmp_path}/report.html`." in capsys.readouterr().err
    for title in ("first", "second"):
        assert report(str(tmp_path / "data"), "--out", str(tmp_path / "r.html"), "--title", title) == 0
    assert "<h1>second</h1>" in (tmp_path / "r.html").read_text()


def test_a_full_disk_is_told_and_the_old_report_stands(
    tiny_disk: Path, fill: Callable[[Path, int], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "data", "a", 0, level=1.0)
    out = tiny_disk / "r.html"
    out.write_text('<!DOCTYPE html>\n<meta name="generator" content="gridrl report 0">')
    fill(tiny_disk, 8192)
    assert report(str(tmp_path / "data"), "--out", str(out)) == 2
    assert f"`--out`: {out} cannot be written: No space left on device." in capsys.readouterr().err
    assert out.read_text().endswith('gridrl report 0">')
    assert sorted(os.listdir(tiny_disk)) == ["filler", "r.html"]


def test_without_plotly_it_says_what_to_install(tmp_path: Path) -> None:
    write_run(tmp_path, "a", 0, level=1.0)
    program = (
        "import sys; sys.modules['plotly'] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        "import gridrl.utils.optional as o; o.find_spec = lambda name: None if name == 'plotly' else find(name)\n"
        "from gridrl.run import main; sys.exit(main(['report', sys.argv[1], '--out', sys.argv[1] + '/r.html']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        "report needs plotly, which is not installed: pip install 'gridrl[report]'. "
        "See `python -m gridrl.run report --help`.\n",
    )
    assert not (tmp_path / "r.html").exists()


def test_directories_without_runs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(str(tmp_path), "--out", str(tmp_path / "r.html")) == 2
    assert f"There is no run in {tmp_path}." in capsys.readouterr().err
    write_run(tmp_path, "a", 0, level=1.0)
    assert report(str(tmp_path), "-s", "0", "--out", str(tmp_path / "r.html")) == 2
    assert "`--smooth`: wants at least 1 row, got 0." in capsys.readouterr().err
