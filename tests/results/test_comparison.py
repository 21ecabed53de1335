"""Final scores side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridrl.errors import BadValue
from gridrl.log.record import Status, write_status
from gridrl.results.figure import plot
from gridrl.results.looks import PALETTE
from gridrl.results.stats import interval
from tests.results.drawn import caption_of
from tests.results.made_runs import MakeRun

SCORES = {"low": [1.0, 2.0, 3.0], "high": [7.0, 8.0, 9.5], "middle": [4.0, 4.5, 6.0]}


@pytest.fixture
def three_variants(make_run: MakeRun) -> None:
    """Runs whose last two rows have a known mean."""
    for name, scores in SCORES.items():
        for seed, score in enumerate(scores):
            make_run(name, seed, {"TotalEnvInteracts": [1, 2, 3], "AverageEpRet": [100, score - 1, score + 1]})


def rows(ax: Axes) -> list[str]:
    """The names of the rows, from above."""
    return [label.get_text() for label in ax.get_yticklabels()]


def estimates(ax: Axes) -> dict[int, tuple[float, str]]:
    """Place and colour of the large point in each row."""
    points = [line for line in ax.get_lines() if line.get_marker() in ("D", "o") and len(line.get_xdata()) == 1]  # type: ignore[arg-type]
    return {int(line.get_ydata()[0]): (float(line.get_xdata()[0]), str(line.get_color())) for line in points}  # type: ignore[index]


def intervals(ax: Axes) -> dict[int, tuple[float, float]]:
    """The ends of the line in each row."""
    lines = [line for line in ax.get_lines() if line.get_marker() == "None"]
    return {int(line.get_ydata()[0]): tuple(map(float, line.get_xdata())) for line in lines}  # type: ignore[arg-type, index, misc]


def compared(data: Path, tmp_path: Path, **options: object) -> Figure:
    return plot(data, compare=True, save=tmp_path / "figure.png", **{"last": 2, **options})  # type: ignore[arg-type]


@pytest.mark.usefixtures("three_variants")
def test_the_best_stands_first_with_its_interval(data: Path, tmp_path: Path) -> None:
    figure = compared(data, tmp_path)
    (ax,) = figure.axes
    assert rows(ax) == ["high (n=3)", "middle (n=3)", "low (n=3)"]
    for row, name in enumerate(("high", "middle", "low")):
        expected = interval(SCORES[name])
        assert estimates(ax)[row][0] == pytest.approx(np.mean(SCORES[name]))
        assert intervals(ax)[row] == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is above
    assert caption_of(figure) == "large: mean over n seeds; small: single seeds; line: 95 % interval"
    assert ax.get_xlabel() == "return per episode\nmean of a run's last 2 rows"


@pytest.mark.usefixtures("three_variants")
def test_colours_are_those_of_the_curves(data: Path, tmp_path: Path) -> None:
    curves = plot(data, save=tmp_path / "curves.png").legends[0]
    by_name = dict(zip((text.get_text()[:-6] for text in curves.get_texts()), PALETTE, strict=False))
    (ax,) = compared(data, tmp_path).axes
    assert {rows(ax)[row][:-6]: color for row, (_, color) in estimates(ax).items()} == by_name


@pytest.mark.usefixtures("three_variants")
def test_seeds_stand_below_their_estimate(data: Path, tmp_path: Path) -> None:
    (ax,) = compared(data, tmp_path).axes
    small = [sorted(line.get_xdata()) for line in ax.get_lines() if line.get_marker() == "o"]  # type: ignore[arg-type]
    assert small == [pytest.approx(SCORES[name]) for name in ("high", "middle", "low")]


@pytest.mark.usefixtures("three_variants")
def test_other_estimates_and_spreads_can_be_asked_for(data: Path, tmp_path: Path) -> None:
    (ax,) = compared(data, tmp_path, metric="median", band="range").axes
    assert [estimates(ax)[row][0] for row in range(3)] == [8.0, 4.5, 2.0]
    assert intervals(ax)[0] == (7.0, 9.5)
    (ax,) = compared(data, tmp_path, band="std").axes
    assert intervals(ax)[2] == (pytest.approx(1.0), pytest.approx(3.0))
    assert intervals(compared(data, tmp_path, band="none").axes[0]) == {}
    with pytest.raises(BadValue, match="`--est` max: final scores have mean, median, iqm"):
        compared(data, tmp_path, est="max")


def test_one_seed_has_no_interval_and_says_so(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0)
    figure = compared(data, tmp_path)
    assert intervals(figure.axes[0]) == {}
    assert rows(figure.axes[0]) == ["a (n=1)"]
    assert caption_of(figure).endswith("n=1: no interval")


def test_plots_share_their_rows_in_one_order(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for env, scores in {"x": {"a": 1, "b": 2, "c": 3}, "y": {"a": 10, "b": 30}}.items():
        for name, score in scores.items():
            for seed in range(2):
                columns = {"TotalEnvInteracts": [1, 2], "AverageEpRet": [score, score + seed]}
                make_run(f"{name}_env{env}", seed, columns, env={"id": env}, variant={"env_name": env, "name": name})
    figure = compared(data, tmp_path, by="env_name")
    assert [ax.get_title() for ax in figure.axes] == ["x", "y"]
    # b is second and first, c is first and missing, a is third and second
    assert rows(figure.axes[0]) == ["c (n=2)", "b (n=2)", "a (n=2)"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["no run"]
    assert figure.axes[0].get_xlim() != figure.axes[1].get_xlim()  # returns of two environments


def test_runs_that_have_not_finished_have_no_final_score(
    make_run: MakeRun, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, state in enumerate(("done", "failed", "done")):
        write_status(make_run("a", seed, {"TotalEnvInteracts": [1], "AverageEpRet": [seed]}), Status(state))
    write_status(make_run("b", 0, {"TotalEnvInteracts": [1], "AverageEpRet": [9]}), Status("killed"))
    (ax,) = compared(data, tmp_path).axes
    assert rows(ax) == ["b (n=1)", "a (n=2)"]
    assert estimates(ax)[1][0] == 1.0
    told = capsys.readouterr().err
    assert "a_s1/progress.txt: has no final score, since it is not finished (failed)" in told
    assert "b: no run has finished, its newest rows are taken" in told


def test_where_no_run_has_a_score_nothing_is_written(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_run("a", 0, {"TotalEnvInteracts": [1], "AverageEpRet": ["nan"]})
    with pytest.raises(BadValue, match="There is nothing to draw in"):
        compared(data, tmp_path)
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.usefixtures("three_variants")
def test_columns_stand_below_each_other_each_in_its_order(data: Path, tmp_path: Path) -> None:
    figure = compared(data, tmp_path, value=["AverageEpRet", "TotalEnvInteracts"])
    above, below = (ax.get_position() for ax in figure.axes)
    assert above.y0 > below.y1
    assert rows(figure.axes[0])[0] == "high (n=3)"
    assert figure.axes[1].get_xlabel().startswith("environment steps")
