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
    assert "a (n=1)" in Path("two.svg").read_text()


def test_all_options_reach_the_figure(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "plot data/a data/b -l x y -x Loss -y AverageEpRet Loss --count -s 2 --select a --est median"
    assert main([*words.split(), "--exclude", "zzz", "b_s", "--save", "f.svg"]) == 2
    assert "`--legend`: 2 given." in capsys.readouterr().err  # select and exclude have left one directory
    assert main([*words.replace("x y", "x").split(), "--exclude", "b_s", "--save", "f.svg"]) == 0
    text = Path("f.svg").read_text()
    assert "x, seed 0" in text
    assert "moving mean of 2 rows" in text
    assert text.count("Loss") >= 3  # below both plots, and beside one


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks with three learning rates on two environments, a seed each but for one that has failed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for env in ("x", "y"):
        for hid in (8, 64):
            for lr in (1e-4, 1e-3, 1e-2):
                name = f"a_env{env}_hid{hid}_lr{lr}"
                path = tmp_path / "data" / name / f"{name}_s0"
                path.mkdir(parents=True)
                (path / "progress.txt").write_text("TotalEnvInteracts\tAverageEpRet\tTime\n10\t1\t4\n20\t2\t9\n")
                variant = {"env_name": env, "ac_kwargs": {"hidden_sizes": [hid]}, "pi_lr": lr, "seed": 0}
                config = {"exp_name": name, "seed": 0, "env": {"id": env, "kwargs": {}}, "variant": variant}
                (path / "config.json").write_text(json.dumps(config))
    return tmp_path / "data"


def drawn_text(words: str) -> str:
    """The words on the figure that a command line draws."""
    assert main(["plot", *words.split(), "--save", "f.svg"]) == 0
    return Path("f.svg").read_text()


def test_a_plot_for_each_value_of_a_key(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = drawn_text("data --by hid --where env=x pi_lr=1e-3 --metric median --band range --x Time --log y")
    assert ">hidden_sizes = [8]<" in text
    assert ">hidden_sizes = [64]<" in text
    assert ">a_envx_lr0.001 (n=1)<" in text
    assert ">wall time (s)<" in text
    assert capsys.readouterr() == ("Wrote f.svg\n", "")


def test_final_scores_side_by_side(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = drawn_text("data --compare --last 1 --where env=y --width 5")
    assert text.count("(n=1)<") == 6
    assert "n=1: no interval" in text
    assert capsys.readouterr().err == ""


def test_a_heatmap_over_two_keys(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = drawn_text("data --heatmap hid pi-lr --by env --last 1")
    assert text.count(">n=1<") == 12
    assert ">hidden_sizes<" in text
    assert ">pi_lr<" in text
    assert main(["plot", "data", "--heatmap", "hid", "pi_lr", "--save", "g.svg"]) == 2
    assert "`--by env_name`" in capsys.readouterr().err
    assert not Path("g.svg").exists()


def test_environments_on_one_axis_are_told(grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn_text("data")
    assert capsys.readouterr().err == (
        "Warning: returns of 2 environments share an axis: x, y; `--by env_name` gives each a plot of its own\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--by env_nam", "`--by`: no run's config has a key 'env_nam'. Did you mean 'env_name'?"),
        ("--where pi_lr=5", "None of the 12 runs that were found is wanted in data."),
        ("--metric iqn", "`--metric`: there is no 'iqn'. Did you mean 'iqm'?"),
        ("-y Loss", "`--value`: no run has a column `Loss`."),
        ("--width wide", "`--width`: wants a number of inches, got 'wide'."),
        ("--heatmap hid", "`--heatmap`: expected 2 arguments."),
        ("--last 0 --log z", "`--last`: wants at least 1 row, got 0.\n`--log`: there is no axis 'z'."),
        ("--profile --metric iqm", "`--metric`: a profile shows all runs and puts none together; leave it out."),
        ("--profile --band std", "`--band` std: a profile has `ci`, the percentile interval, or `none`."),
        ("--profile --compare", "`--compare` and `--profile`: give one; each is a figure of its own."),
        ("--compare --est max", "`--est` max: final scores have mean, median, iqm."),
    ],
)
def test_what_is_typed_wrong_is_told(grid: Path, capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    assert main(["plot", "data", *words.split(), "--save", "f.svg"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(message), told
    assert not Path("f.svg").exists()


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
