"""What is on a figure, in which order and colour, and the files that it is written to."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from gridrl.errors import BadValue
from gridrl.log.record import Status, write_status
from gridrl.results.figure import plot
from gridrl.results.looks import PALETTE
from gridrl.results.stats import band, interval
from tests.results.drawn import bands, caption_of, curve_lines, legend_of, main_lines, seed_lines
from tests.results.made_runs import MakeRun

STEPS = [100, 200, 300]


def drawn(data: Path, tmp_path: Path, **options: Any) -> Figure:
    return plot(data, save=tmp_path / "figure.png", **options)


@pytest.fixture
def three_seeds(make_run: MakeRun) -> None:
    """Two variants with three seeds each."""
    for seed, returns in enumerate([[1, 2, 3], [3, 4, 5], [5, 6, 10]]):
        make_run("a", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": returns, "Loss": [1, 1, 1]})
        make_run("b", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": [0, 0, seed], "Loss": [2, 2, 2]})


RETURNS = [[1, 2, 3], [3, 4, 5], [5, 6, 10], [2, 2, 2], [4, 6, 5]]


@pytest.fixture
def five_seeds(make_run: MakeRun) -> None:
    """One variant with five seeds."""
    for seed, returns in enumerate(RETURNS):
        make_run("a", seed, {"TotalEnvInteracts": STEPS, "AverageEpRet": returns})


def edges(figure: Figure) -> tuple[list[float], list[float]]:
    """The lower and the upper edge of the only band, over `STEPS`."""
    corners = figure.axes[0].collections[0].get_paths()[0].vertices
    by_step = [sorted({round(float(y), 9) for x, y in corners if x == step}) for step in STEPS]
    return [low for low, _ in by_step], [high for _, high in by_step]


@pytest.mark.usefixtures("five_seeds")
def test_a_curve_is_the_mean_over_seeds_with_its_interval(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path)
    (ax,) = figure.axes
    assert main_lines(ax) == [(STEPS, [3, 4, 5])]
    expected = [interval([row[step] for row in RETURNS]) for step in range(3)]
    low, high = edges(figure)
    assert low == pytest.approx([found.low for found in expected])
    assert high == pytest.approx([found.high for found in expected])
    assert legend_of(figure) == ["a (n=5)"]
    assert caption_of(figure) == "mean over n seeds; band: 95 % interval"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("environment steps", "return per episode")
    assert seed_lines(ax) == []


@pytest.mark.usefixtures("five_seeds")
@pytest.mark.parametrize(
    ("name", "low", "high", "words"),
    [
        ("std", 3 - np.sqrt(2.5), 3 + np.sqrt(2.5), "standard deviation"),
        ("se", 3 - np.sqrt(0.5), 3 + np.sqrt(0.5), "standard error"),
        ("range", 1, 5, "lowest to highest seed"),
    ],
)
def test_bands_that_are_asked_for(data: Path, tmp_path: Path, name: str, low: float, high: float, words: str) -> None:
    figure = drawn(data, tmp_path, band=name)
    assert edges(figure)[0][0] == pytest.approx(low)
    assert edges(figure)[1][0] == pytest.approx(high)
    assert caption_of(figure) == f"mean over n seeds; band: {words}"


@pytest.mark.usefixtures("five_seeds")
def test_a_method_of_an_interval_can_be_asked_for(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, band="percentile", metric="iqm")
    expected = band(np.array(RETURNS, dtype=float), "iqm", "percentile")
    assert edges(figure)[0] == pytest.approx(list(expected.low))
    assert main_lines(figure.axes[0])[0][1] == pytest.approx(list(expected.center))
    assert caption_of(figure) == "interquartile mean over n seeds; band: 95 % interval (percentile bootstrap)"


@pytest.mark.usefixtures("five_seeds")
def test_a_band_can_be_left_out(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, band="none", metric="median")
    assert bands(figure.axes[0]) == 0
    assert seed_lines(figure.axes[0]) == []
    assert main_lines(figure.axes[0]) == [(STEPS, [3, 4, 5])]
    assert caption_of(figure) == "median over n seeds"


@pytest.mark.usefixtures("three_seeds")
def test_curves_have_colours_that_everybody_can_tell_apart(data: Path, tmp_path: Path) -> None:
    lines = curve_lines(drawn(data, tmp_path).axes[0])
    assert [line.get_color() for line in lines] == list(PALETTE[:2])


@pytest.mark.usefixtures("three_seeds")
def test_fewer_than_five_seeds_are_drawn_one_by_one(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, select="a_s")
    assert seed_lines(figure.axes[0]) == [[1, 2, 3], [3, 4, 5], [5, 6, 10]]
    assert bands(figure.axes[0]) == 0
    assert main_lines(figure.axes[0]) == [(STEPS, [3, 4, 6])]
    assert caption_of(figure) == "mean over n seeds; thin: single seeds"
    asked = drawn(data, tmp_path, band="ci", select="a_s")
    assert (bands(asked.axes[0]), seed_lines(asked.axes[0])) == (1, [])


def test_few_and_many_seeds_on_one_axis_are_explained(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for seed in range(5):
        make_run("many", seed)
    for seed in range(2):
        make_run("few", seed)
    figure = drawn(data, tmp_path)
    assert legend_of(figure) == ["few (n=2)", "many (n=5)"]
    assert caption_of(figure) == "mean over n seeds; band: 95 % interval from 5 seeds on; thin: single seeds"


def test_one_seed_is_a_line_and_says_so(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0)
    figure = drawn(data, tmp_path)
    assert legend_of(figure) == ["a (n=1)"]
    assert caption_of(figure) == "n=1: a single seed, which says little"
    assert len(figure.axes[0].get_lines()) == 1


def test_where_a_seed_has_ended_the_curve_is_pale(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, {"TotalEnvInteracts": STEPS, "AverageEpRet": [1, 2, 3]})
    make_run("a", 1, {"TotalEnvInteracts": STEPS[:2], "AverageEpRet": [3, 4]})
    figure = drawn(data, tmp_path)
    ((places, values),) = main_lines(figure.axes[0])
    np.testing.assert_array_equal(values, [2, 3, np.nan])
    (pale,) = [line for line in figure.axes[0].get_lines() if line.get_label() == "_fewer seeds"]
    assert list(pale.get_ydata()) == [2, 3, 3]  # type: ignore[arg-type]
    assert legend_of(figure) == ["a (n=1–2)"]
    assert caption_of(figure) == "mean over n seeds; thin: single seeds; pale: not all seeds are there"
    assert places == STEPS


def test_no_band_is_shown_where_few_seeds_are_left(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for seed in range(5):
        rows = 3 if seed < 2 else 2
        make_run("a", seed, {"TotalEnvInteracts": STEPS[:rows], "AverageEpRet": [seed, 2 * seed, 90 * seed][:rows]})
    places = drawn(data, tmp_path).axes[0].collections[0].get_paths()[0].vertices[:, 0]
    assert places.max() == 200
    asked = drawn(data, tmp_path, band="ci").axes[0].collections[0].get_paths()
    assert max(path.vertices[:, 0].max() for path in asked) == 300


def test_a_single_row_is_a_point(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, {"TotalEnvInteracts": [100], "AverageEpRet": [1]})
    (line,) = drawn(data, tmp_path).axes[0].get_lines()
    assert line.get_marker() == "o"


@pytest.mark.usefixtures("three_seeds")
def test_each_value_has_a_plot_and_all_have_one_legend(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, value=["AverageEpRet", "Loss", "Performance", "Loss"], xaxis="AverageEpRet")
    assert [ax.get_ylabel() for ax in figure.axes] == ["return per episode", "Loss", "return per episode"]
    assert {ax.get_xlabel() for ax in figure.axes} == {"return per episode"}
    assert legend_of(figure) == ["a (n=1–2)", "b (n=1–3)"]


@pytest.mark.usefixtures("three_seeds")
def test_options_of_the_documents(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, est="max", smooth=2, legend=["x", "y"])
    assert main_lines(figure.axes[0]) == [(STEPS, [5, 5.5, 8]), (STEPS, [0, 0, 1])]
    assert legend_of(figure) == ["x (n=3)", "y (n=3)"]
    assert caption_of(figure) == "maximum over n seeds; moving mean of 2 rows"
    assert legend_of(drawn(data, tmp_path, count=True, select="a_s")) == ["a, seed 0", "a, seed 1", "a, seed 2"]
    assert legend_of(drawn(data, tmp_path, exclude=["a_s", "_s0"])) == ["b (n=2)"]
    assert legend_of(drawn(data, tmp_path, select=["b", "_s2"])) == ["b (n=1)"]


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
    assert label.replace("\n", "").replace(" ", "") == "name_" * 40 + "(n=1)"
    assert figure.legends[0].get_window_extent().x1 <= figure.bbox.width


def test_odd_names_are_shown_as_they_are(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for name in ("_hidden", "$x^2$", "a&b <c>"):
        make_run(name, 0)
    figure = drawn(data, tmp_path)
    assert sorted(label.strip() for label in legend_of(figure)) == [
        r"\$x^2\$ (n=1)",
        "_hidden (n=1)",
        "a&b <c> (n=1)",
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
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a (n=1)"]
    with pytest.raises(BadValue, match="ax: there are 2 plots and 1 axes; each plot wants its own"):
        plot(path, ax=ax, value=["AverageEpRet", "TotalEnvInteracts"])
    two = Figure(figsize=(7, 3))
    assert plot(path, ax=two.subplots(1, 2), value=["AverageEpRet", "TotalEnvInteracts"]) is two
    assert [ax.get_ylabel() for ax in two.axes] == ["return per episode", "environment steps"]


def test_letters_fit_a_column(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a", 0)
    figure = plot(path, width=3.3, save=tmp_path / "column.png")
    assert figure.get_size_inches()[0] == 3.3
    sizes = {figure.axes[0].xaxis.label.get_fontsize(), figure.axes[0].get_xticklabels()[0].get_fontsize()}
    assert all(7 <= size <= 8.2 for size in sizes)
    mine = Figure(figsize=(7, 3))
    ax = mine.subplots()
    plot(path, ax=ax, width=3.3)
    assert ax.xaxis.label.get_fontsize() == pytest.approx(8.075)
    assert tuple(mine.get_size_inches()) == (7, 3)


def test_without_a_width_axes_keep_their_letters(make_run: MakeRun) -> None:
    ax = Figure(figsize=(7, 3)).subplots()
    ax.xaxis.label.set_fontsize(17)
    plot(make_run("a", 0), ax=ax)
    assert ax.xaxis.label.get_fontsize() == 17
    assert all(spine.get_visible() for spine in ax.spines.values())


def test_pyplot_shows_nothing_unasked(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(True))
    pyplot.close(plot(make_run("a", 0)))
    assert shown == []
    pyplot.close(plot(make_run("b", 0), show=True))
    assert shown == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"est": "maen"}, "`--est`: there is no 'maen'. Did you mean 'mean'? There are: mean, median, max, "),
        ({"metric": "iqr"}, "`--metric`: there is no 'iqr'. Did you mean 'iqm'? There are: mean, median, iqm."),
        ({"band": "sd"}, "`--band`: there is no 'sd'. Did you mean 'std'? There are: ci, std, se, range, none, "),
        ({"metric": "iqm", "est": "max"}, "`--metric` iqm and `--est` max: both say what the line is. Give one."),
        ({"est": "max", "band": "ci"}, "`--band` ci: is for the mean, median, iqm; the max has none."),
        ({"metric": "median", "band": "bca"}, "`--band` bca: is for the mean and the iqm; a median has `percentile`."),
        ({"log": "z"}, "`--log`: there is no axis 'z'. There are: x, y."),
        ({"last": 0}, "`--last`: wants at least 1 row, got 0."),
        ({"width": 0.1}, "`--width`: is in inches, from 1 to 100, got 0.1."),
        ({"by": "lr"}, "`--by`: no run's config has a key 'lr'."),
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


def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dir.png").mkdir()
    with pytest.raises(BadValue) as told:
        plot(tmp_path / "nowhere", save=[tmp_path / "file" / "figure.png", tmp_path / "dir.png", tmp_path / "a.pgn"])
    assert str(told.value).splitlines() == [
        f"`--save`: {tmp_path}/file/figure.png cannot be written: {tmp_path}/file is no directory.",
        f"`--save`: {tmp_path}/dir.png cannot be written: it is a directory.",
        f"`--save`: {tmp_path}/a.pgn: the ending is the format, .png, .svg or .pdf. Did you mean 'png'?",
    ]


DRAW = """
import sys
from gridrl import plot
plot(sys.argv[1], save=[f"{sys.argv[2]}.{kind}" for kind in ("png", "svg", "pdf")])
"""


@pytest.mark.usefixtures("five_seeds")
def test_the_same_runs_give_the_same_bytes(data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        command = [sys.executable, "-c", DRAW, str(data), str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=120)
    for kind in ("png", "svg", "pdf"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes(), kind


@pytest.mark.usefixtures("five_seeds")
def test_a_saved_figure_still_lays_itself_out(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path)
    engine = figure.get_layout_engine()
    assert type(engine).__name__ == "ConstrainedLayoutEngine"
    before = figure.axes[0].get_position().width
    figure.axes[0].set_ylabel("a label\nof two lines")
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width < before


def test_points_that_have_no_logarithm_are_told(
    make_run: MakeRun, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("a", 0, {"TotalEnvInteracts": [0, 10, 20], "AverageEpRet": [5, -1, 3]})
    figure = drawn(data, tmp_path, log=["x", "y"])
    assert main_lines(figure.axes[0]) == [([20], [3])]
    assert "a: 2 of 3 points are not above 0 and have no place on a logarithmic axis" in capsys.readouterr().err
    make_run("b", 0, {"TotalEnvInteracts": [0, -2], "AverageEpRet": [5, 1]})
    with pytest.raises(BadValue, match="There is nothing to draw in"):
        drawn(data, tmp_path, log="x", select="b_s")


@pytest.fixture
def two_envs(make_run: MakeRun) -> None:
    """Ten variants on two environments, the ninth on one of them only."""
    for env in ("x", "y"):
        for index in range(10):
            if (env, index) != ("x", 8):
                scale = 1 if env == "x" else -100
                columns = {"TotalEnvInteracts": STEPS, "AverageEpRet": [scale * index, scale, scale]}
                make_run(f"env{env}_v{index}", 0, columns, env={"id": env}, variant={"env_name": env, "v": index})


@pytest.mark.usefixtures("two_envs")
def test_a_variant_has_one_look_in_all_plots(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, by="env_name")
    assert [ax.get_title() for ax in figure.axes] == ["x", "y"]
    looks = [
        {line.get_label(): (line.get_color(), line.get_linestyle(), line.get_marker()) for line in curve_lines(ax)}
        for ax in figure.axes
    ]
    assert len(looks[0]) == 9
    assert looks[0].items() <= looks[1].items()
    assert len(set(looks[1].values())) == 10
    assert legend_of(figure) == [f"v{index} (n=1)" for index in [*range(8), 9, 8]]


@pytest.mark.usefixtures("two_envs")
def test_environments_have_scales_of_their_own_and_share_the_steps(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, by="env_name")
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert figure.axes[0].get_ylim()[0] > -10 > figure.axes[1].get_ylim()[0]
    assert [ax.get_ylabel() for ax in figure.axes] == ["return per episode", ""]


def test_plots_of_one_environment_share_their_scales(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for lr in range(1, 6):
        make_run(f"a{lr}", 0, {"TotalEnvInteracts": [1, 2 * lr], "AverageEpRet": [0, lr]}, variant={"lr": lr})
    figure = drawn(data, tmp_path, by="lr")
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}) == 1
    assert [ax.get_title() for ax in figure.axes] == [f"lr = {lr}" for lr in range(1, 6)]
    rows = sorted({round(ax.get_position().y0, 3) for ax in figure.axes}, reverse=True)
    assert [sum(round(ax.get_position().y0, 3) == row for ax in figure.axes) for row in rows] == [3, 2]
    shown = [ax.xaxis.get_tick_params()["labelbottom"] for ax in figure.axes]
    assert shown == [False, False, True, True, True]  # nothing stands below the third one


@pytest.mark.usefixtures("two_envs")
def test_each_column_has_a_row_of_plots(data: Path, tmp_path: Path) -> None:
    figure = drawn(data, tmp_path, by="env_name", value=["AverageEpRet", "TotalEnvInteracts"])
    assert [ax.get_ylabel() for ax in figure.axes] == ["return per episode", "", "environment steps", ""]
    assert [ax.get_title() for ax in figure.axes] == ["x", "y", "x", "y"]


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
    assert legend_of(figure) == ["good (n=1)", "late (n=1)"]
    assert capsys.readouterr().err.splitlines() == [
        f"Warning: left out {data}/bad/bad_s1/progress.txt: is empty",
        f"Warning: left out {data}/bad/bad_s0/progress.txt: no column `Performance`",
        "Warning: not finished: late_s0 (failed)",
    ]


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
    assert legend_of(figure) == ["a (n=2, mixes code)", "b (n=2)"]
    assert "mixes code (its seeds were made by different code): a\n" in capsys.readouterr().err
    merged = drawn(make_run.data, tmp_path, legend=["all", "all"], select="_s0")
    assert legend_of(merged) == ["all (n=2)"]
    make_run("c", 0, variant={}, code={"hash": "two", "ran_under": ["one", "two"]})
    assert legend_of(drawn(make_run.data / "c", tmp_path, count=True)) == ["c, seed 0 (mixes code)"]
