"""What is on a figure, in which order and colour, and the files that it is written to."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridrl.errors import BadValue
from gridrl.log.record import Status, write_status
from gridrl.results.drawing import PALETTE, axis_number
from gridrl.results.figure import plot
from tests.results.made_runs import MakeRun

STEPS = [100, 200, 300]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def caption_of(figure: Figure) -> str:
    return figure.legends[0].get_title().get_text()


def main_lines(ax: Axes) -> list[tuple[list[float], list[float]]]:
    """The thick lines: one for each curve."""
    return [
        (list(line.get_xdata()), list(line.get_ydata()))  # type: ignore[arg-type]
        for line in ax.get_lines()
        if line.get_linewidth() == 2.0
    ]


def drawn(data: Path, tmp_path: Path, **options: Any) -> Figure:
    return plot(data, save=tmp_path / "figure.png", **options)


@pytest.fixture
def three_seeds(make_run: MakeRun) -> None:
    """Two variants with three seeds each."""
    for seed, returns in enumerate([[1, 2, 3], [3, 4, 5], [5, 6, 10]]):
        make_run("a", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": returns, "Loss": [1, 1, 1]})
        make_run("b", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": [0, 0, seed], "Loss": [2, 2, 2]})


@pytest.mark.usefixtures("three_seeds")
def test_a_curve_is_the_mean_with_the_deviation_over_seeds(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path)
    (ax,) = figure.axes
    assert main_lines(ax) == [(STEPS, [3, 4, 6]), (STEPS, [0, 0, 1])]
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (pytest.approx(1), pytest.approx(6 + np.std([3, 5, 10], ddof=1)))
    assert legend_of(figure) == ["a (3 seeds)", "b (3 seeds)"]
    assert caption_of(figure) == "mean and standard deviation over seeds"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("environment steps", "return per episode")


@pytest.mark.usefixtures("three_seeds")
def test_curves_have_colours_that_everybody_can_tell_apart(data: Path, tmp_path: Path) -> None:
    lines = [line for line in drawn(data, tmp_path).axes[0].get_lines() if line.get_linewidth() == 2.0]
    assert [line.get_color() for line in lines] == list(PALETTE[:2])


def test_few_seeds_are_drawn_one_by_one(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for seed, returns in enumerate([[1, 2, 3], [3, 4, 5]]):
        make_run("a", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": returns})
    figure = drawn(data, tmp_path)
    thin = [list(line.get_ydata()) for line in figure.axes[0].get_lines() if line.get_linewidth() < 1]
    assert thin == [[1, 2, 3], [3, 4, 5]]
    assert not figure.axes[0].collections  # no band
    assert main_lines(figure.axes[0]) == [(STEPS, [2, 3, 4])]
    assert caption_of(figure) == "mean over seeds"


def test_one_seed_is_a_line_and_says_so(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0)
    figure = drawn(data, tmp_path)
    assert legend_of(figure) == ["a (1 seed)"]
    assert caption_of(figure) == ""
    assert len(figure.axes[0].get_lines()) == 1


def test_where_a_seed_has_ended_the_curve_is_thin(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, {"TotalEnvInteracts": STEPS, "AverageEpRet": [1, 2, 3]})
    make_run("a", 1, {"TotalEnvInteracts": STEPS[:2], "AverageEpRet": [3, 4]})
    figure = drawn(data, tmp_path)
    ((places, values),) = main_lines(figure.axes[0])
    np.testing.assert_array_equal(values, [2, 3, np.nan])
    thin = [list(line.get_ydata()) for line in figure.axes[0].get_lines() if line.get_linewidth() == 1.0]
    assert thin == [[2, 3, 3]]
    assert caption_of(figure) == "mean over seeds; thin: not all seeds are there"
    assert places == STEPS


def test_a_single_row_is_a_point(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, {"TotalEnvInteracts": [100], "AverageEpRet": [1]})
    (line,) = drawn(data, tmp_path).axes[0].get_lines()
    assert line.get_marker() == "o"


@pytest.mark.usefixtures("three_seeds")
def test_each_value_has_a_plot_and_all_have_one_legend(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, value=["AverageEpRet", "Loss", "Performance", "Loss"], xaxis="AverageEpRet")
    assert [ax.get_ylabel() for ax in figure.axes] == ["return per episode", "Loss", "return per episode"]
    assert {ax.get_xlabel() for ax in figure.axes} == {"return per episode"}
    assert legend_of(figure) == ["a (3 seeds)", "b (3 seeds)"]


@pytest.mark.usefixtures("three_seeds")
def test_options_of_the_documents(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, est="max", smooth=2, legend=["x", "y"])
    assert main_lines(figure.axes[0]) == [(STEPS, [5, 5.5, 8]), (STEPS, [0, 0, 1])]
    assert legend_of(figure) == ["x (3 seeds)", "y (3 seeds)"]
    assert caption_of(figure) == "maximum over seeds; moving mean of 2 rows"
    assert legend_of(drawn(data, tmp_path, count=True, select="a_s")) == ["a, seed 0", "a, seed 1", "a, seed 2"]
    assert legend_of(drawn(data, tmp_path, exclude=["a_s", "_s0"])) == ["b (2 seeds)"]
    assert legend_of(drawn(data, tmp_path, select=["b", "_s2"])) == ["b (1 seed)"]


def test_no_curve_lies_under_the_legend(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for index in range(9):
        make_run(f"a_rather_long_name_of_a_variant_{index}", 0)
    figure = drawn(data, tmp_path)
    figure.canvas.draw()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert legend.y1 < axes.y0
    assert axes.height > 0.55 * figure.bbox.height
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width


def test_a_long_name_is_broken_not_cut(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("name_" * 40, 0)
    figure = drawn(data, tmp_path)
    figure.canvas.draw()
    (label,) = legend_of(figure)
    assert label.replace("\n", "").replace(" ", "") == "name_" * 40 + "(1seed)"
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.width


def test_odd_names_are_shown_as_they_are(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for name in ("_hidden", "$x^2$", "a&b <c>"):
        make_run(name, 0)
    figure = drawn(data, tmp_path)
    assert sorted(label.strip() for label in legend_of(figure)) == [
        r"\$x^2\$ (1 seed)",
        "_hidden (1 seed)",
        "a&b <c> (1 seed)",
    ]


def test_the_environment_is_the_title_where_all_runs_share_it(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, env={"id": "CartPole-v1", "kwargs": {}})
    make_run("b", 0, env="CartPole-v1")
    assert drawn(data, tmp_path).get_suptitle() == "CartPole-v1"
    make_run("c", 0)
    assert drawn(data, tmp_path).get_suptitle() == ""


def test_nan_and_gaps_are_tolerated(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for seed in range(3):
        make_run("a", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": ["nan", "", 3 + seed]})
    assert main_lines(drawn(data, tmp_path, smooth=99).axes[0]) == [(STEPS, [4, 4, 4])]
    assert main_lines(drawn(data, tmp_path).axes[0]) == [([300], [4])]


@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "PNG"])
def test_files_are_what_their_ending_says(make_run: MakeRun, tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"figure.{ending}"
    plot([make_run("a", 0)], save=[path])
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending.lower()]
    assert path.read_bytes().startswith(magic)
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_picture_is_sharp_enough_for_a_page(make_run: MakeRun, tmp_path: Path) -> None:
    plot([make_run("a", 0)], save=tmp_path / "figure.png")
    width, height = struct.unpack(">II", (tmp_path / "figure.png").read_bytes()[16:24])
    assert (width >= 1000, height >= 600) == (True, True)


def test_saving_leaves_pyplot_and_its_settings_alone(make_run: MakeRun, tmp_path: Path) -> None:
    before, settings = pyplot.get_fignums(), dict(pyplot.rcParams)
    plot([make_run("a", 0)], save=tmp_path / "figure.png")
    assert (pyplot.get_fignums(), dict(pyplot.rcParams)) == (before, settings)


def test_without_a_file_pyplot_can_show_the_figure(make_run: MakeRun) -> None:
    figure = plot(make_run("a", 0))
    assert figure.number in pyplot.get_fignums()  # type: ignore[attr-defined]
    pyplot.close(figure)


def test_axes_of_ones_own_are_drawn_into(make_run: MakeRun) -> None:
    path = make_run("a", 0)
    figure = Figure()
    ax = figure.subplots()
    assert plot(path, ax=ax) is figure
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a (1 seed)"]
    with pytest.raises(BadValue, match="ax: takes one value, not 2"):
        plot(path, ax=ax, value=["AverageEpRet", "TotalEnvInteracts"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"est": "maen"}, "`--est`: there is no 'maen'. Did you mean 'mean'? There are: mean, median, max, "),
        ({"smooth": 0}, "`--smooth`: wants at least 1 row, got 0."),
        ({"value": []}, "`--value`: wants at least one column."),
        ({"value": "AverageEpRte"}, "no run has a column `AverageEpRte`. Did you mean 'AverageEpRet'?"),
        ({"xaxis": "Steps"}, "`--xaxis`: no run has a column `Steps`."),
        ({"select": "zzz"}, "`--select` and `--exclude` leave no run of "),
        ({"save": "figure"}, "`--save`: figure: the ending is the format, .png, .svg or .pdf."),
        ({"save": "figure.pgn"}, "`--save`: figure.pgn: the ending is the format, .png, .svg or .pdf. Did you mean "),
    ],
)
def test_what_cannot_be_drawn_is_told(make_run: MakeRun, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue) as told:
        plot(make_run("a", 0), **options)
    assert message in str(told.value)


def test_a_place_that_cannot_be_written_is_told(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadValue, match=r"figure\.png cannot be written: "):
        plot(make_run("a", 0), save=tmp_path / "file" / "figure.png")


def test_no_run_and_no_row_are_told(make_run: MakeRun, data: Path) -> None:
    with pytest.raises(BadValue, match="There is no run in "):
        plot(data)
    with pytest.raises(BadValue, match="There is no run in no directory at all"):
        plot([])
    path = make_run("a", 0, {"Epoch": []})
    with pytest.raises(BadValue) as told:
        plot(data)
    assert str(told.value).splitlines() == [
        f"There is no row in {data}.",
        f"{path}/progress.txt: holds a header and no row",
    ]


def test_where_no_run_has_a_number_nothing_is_written(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    path = make_run("a", 0, {"TotalEnvInteracts": [1, 2], "AverageEpRet": ["nan", ""]})
    with pytest.raises(BadValue) as told:
        drawn(data, tmp_path)
    assert str(told.value).splitlines() == [
        f"There is nothing to draw in {data}.",
        f"{path}/progress.txt: no number in `TotalEnvInteracts` and `AverageEpRet`",
    ]
    assert not (tmp_path / "figure.png").exists()


def test_what_was_left_out_is_said(
    make_run: MakeRun, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("good", 0)
    make_run("bad", 0, {"TotalEnvInteracts": [1], "Loss": [1]})
    (make_run("bad", 1) / "progress.txt").write_text("")
    write_status(make_run("late", 0), Status("failed"))
    figure = drawn(data, tmp_path)
    assert legend_of(figure) == ["good (1 seed)", "late (1 seed)"]
    assert capsys.readouterr().err.splitlines() == [
        f"Warning: left out {data}/bad/bad_s1/progress.txt: is empty",
        f"Warning: left out {data}/bad/bad_s0/progress.txt: no column `Performance`",
        "Warning: not finished: late_s0 (failed)",
    ]


@pytest.mark.parametrize(
    ("value", "largest", "text"),
    [
        (0, 5e6, "0"),
        (0.30000000000000004, 1, "0.3"),
        (-200, 500, "−200"),
        (9000, 9999, "9,000"),
        (2500, 2e4, "2.5k"),
        (500000, 3e6, "0.5M"),
        (-1.5e9, 4e9, "−1.5G"),
        (1e-8, 2e-8, "1e−08"),
    ],
)
def test_numbers_on_an_axis_are_short(value: float, largest: float, text: str) -> None:
    assert axis_number(value, largest) == text


def test_drawing_warns_of_nothing(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, {"TotalEnvInteracts": [0], "AverageEpRet": [5]})
    make_run("b", 0, {"TotalEnvInteracts": [-3, -3], "AverageEpRet": ["inf", 5]})
    for seed in range(3):
        make_run("c", seed, {"TotalEnvInteracts": [0, 1], "AverageEpRet": ["inf", 5]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn(data, tmp_path)


def test_a_curve_whose_seeds_were_made_by_different_code_says_so(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, code in enumerate(["one", "two"]):
        make_run("a", seed, variant={"seed": seed}, code={"hash": code})
        make_run("b", seed, variant={"seed": seed}, code={"hash": "one"})
    figure = drawn(make_run.data, tmp_path)
    assert legend_of(figure) == ["a (2 seeds, mixes code)", "b (2 seeds)"]
    assert "mixes code (its seeds were made by different code): a\n" in capsys.readouterr().err
    merged = drawn(make_run.data, tmp_path, legend=["all", "all"], select="_s0")
    assert legend_of(merged) == ["all (2 seeds)"]
    make_run("c", 0, variant={}, code={"hash": "two", "ran_under": ["one", "two"]})
    assert legend_of(drawn(make_run.data / "c", tmp_path, count=True)) == ["c, seed 0 (mixes code)"]
