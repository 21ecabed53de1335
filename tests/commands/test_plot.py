"""The command `plot`; what is drawn is tested with `gridrl.results`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gridrl.commands.plot import can_show
from gridrl.run import main


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs in the working directory, which has no display."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for name in ("a", "b"):
        path = tmp_path / "data" / name / f"{name}_s0"
        path.mkdir(parents=True)
        (path / "progress.txt").write_text("TotalEnvInteracts\tAverageEpRet\tLoss\n10\t1\t4\n20\t2\t3\n")
        (path / "config.json").write_text(json.dumps({"exp_name": name, "seed": 0}))
    return tmp_path / "data"


def test_files_are_written_and_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "data", "--save", "one.png", "two.svg"]) == 0
    assert capsys.readouterr() == ("Wrote one.png\nWrote two.svg\n", "")
    assert Path("one.png").stat().st_size > 10_000
    assert "a (1 seed)" in Path("two.svg").read_text()


def test_all_options_reach_the_figure(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "plot data/a data/b -l x y -x Loss -y AverageEpRet Loss --count -s 2 --select a --est median"
    assert main([*words.split(), "--exclude", "zzz", "b_s", "--save", "f.svg"]) == 2
    assert "`--legend`: 2 given." in capsys.readouterr().err  # select and exclude have left one directory
    assert main([*words.replace("x y", "x").split(), "--exclude", "b_s", "--save", "f.svg"]) == 0
    text = Path("f.svg").read_text()
    assert "x, seed 0" in text
    assert "moving mean of 2 rows" in text
    assert text.count("Loss") >= 3  # below both plots, and beside one


def test_without_a_display_a_file_is_asked_for(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "data"]) == 2
    assert capsys.readouterr().err == (
        "There is no display to open a window on. Give a file: `--save curves.png`. "
        "See `python -m gridrl.run plot --help`.\n"
    )


def test_with_a_display_a_window_is_shown(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr("gridrl.commands.plot.can_show", lambda: True)
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.get_fignums()))
    assert main(["plot", "data"]) == 0
    pyplot.close("all")
    assert len(shown) == 1
    assert len(shown[0]) == 1


def test_a_display_is_one_that_matplotlib_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    assert not can_show()
    monkeypatch.delenv("MPLBACKEND")
    assert can_show()
    monkeypatch.delenv("DISPLAY")
    assert not can_show()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert can_show()
    monkeypatch.delenv("WAYLAND_DISPLAY")
    monkeypatch.setattr("sys.platform", "darwin")
    assert can_show()


def test_a_directory_that_is_not_there_is_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", "dato", "--save", "f.png"]) == 2
    assert capsys.readouterr().err == (
        "dato: . has no directory that starts with 'dato'. Did you mean 'data'? "
        "See `python -m gridrl.run plot --help`.\n"
    )
    assert not Path("f.png").exists()
