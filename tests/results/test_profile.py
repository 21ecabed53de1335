"""Performance profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridrl.results.figure import plot
from gridrl.results.stats import profile_band
from tests.results.drawn import bands, caption_of, curve_lines, legend_of
from tests.results.made_runs import MakeRun


def profiled(data: Path, tmp_path: Path, **options: Any) -> Figure:
    return plot(data, profile=True, save=tmp_path / "figure.png", **{"last": 1, **options})


def shares(ax: Axes, label: str) -> list[tuple[float, float]]:
    """The thresholds at which a line falls, and the share of runs above them."""
    line = next(line for line in curve_lines(ax) if line.get_label() == label)
    x, y = np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)
    falls = [place for place in range(1, len(x)) if y[place] < y[place - 1]]
    return [(round(float(x[place]), 6), float(y[place])) for place in falls]


def make_scores(make_run: MakeRun, name: str, scores: list[float], env: str = "", **variant: Any) -> None:
    for seed, score in enumerate(scores):
        config = {"env": {"id": env}, "variant": {"env_name": env, **variant}} if env else {"variant": variant}
        make_run(name, seed, {"TotalEnvInteracts": [1, 2], "AverageEpRet": [0, score]}, **config)


def test_a_line_falls_at_each_score(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_scores(make_run, "a", [1, 2, 2, 5])
    make_scores(make_run, "b", [3, 3, 3, 3])
    figure = profiled(data, tmp_path)
    (ax,) = figure.axes
    assert shares(ax, "a (n=4)") == [(1, 0.75), (2, 0.25), (5, 0)]
    assert shares(ax, "b (n=4)") == [(3, 0)]
    assert legend_of(figure) == ["a (n=4)", "b (n=4)"]
    assert bands(ax) == 0
    assert caption_of(figure) == "share of n seeds"
    assert ax.get_xlabel() == "return per episode, mean of a run's last 1 rows"
    assert ax.get_ylabel() == "share of runs above"


def test_from_five_seeds_on_there_is_a_band(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    scores = [1.0, 2.0, 3.0, 4.0, 5.0]
    make_scores(make_run, "a", scores)
    make_scores(make_run, "b", scores[:3])
    figure = profiled(data, tmp_path)
    (ax,) = figure.axes
    assert bands(ax) == 1
    corners = ax.collections[0].get_paths()[0].vertices
    expected = profile_band(scores, [2.5])
    heights = {float(y) for x, y in corners if 2.0 < x < 3.0 or x == 2.0}
    assert {float(expected.low[0]), float(expected.high[0])} <= heights
    assert caption_of(figure) == "share of n seeds; band: 95 % interval (stratified bootstrap) from 5 seeds on"
    assert bands(profiled(data, tmp_path, band="none").axes[0]) == 0
    assert bands(profiled(data, tmp_path, band="ci").axes[0]) == 2


def test_environments_are_brought_to_one_scale(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    make_scores(make_run, "p_envx_hid1", [0, 5], "x", hid=1)
    make_scores(make_run, "p_envx_hid2", [10, 10], "x", hid=2)
    make_scores(make_run, "p_envy_hid1", [-500, -500], "y", hid=1)
    make_scores(make_run, "p_envy_hid2", [-100, -200], "y", hid=2)
    figure = profiled(data, tmp_path)
    (ax,) = figure.axes
    assert legend_of(figure) == ["p_hid1 (n=2)", "p_hid2 (n=2)"]
    assert shares(ax, "p_hid1 (n=2)") == [(0, 0.25), (0.5, 0)]
    assert shares(ax, "p_hid2 (n=2)") == [(0.75, 0.75), (1, 0)]
    assert caption_of(figure) == "share of n seeds on each of 2 environments"
    assert ax.get_xlabel().endswith("\n0: the worst run of an environment, 1: its best")
    by_env = profiled(data, tmp_path, by="env_name")
    assert shares(by_env.axes[1], "p_hid2 (n=2)") == [(-200, 0.5), (-100, 0)]
    # a plot for each network, the scale of all
    by_hid = profiled(data, tmp_path, by="hid")
    assert [shares(ax, "p (n=2)") for ax in by_hid.axes] == [[(0, 0.25), (0.5, 0)], [(0.75, 0.75), (1, 0)]]


def test_what_cannot_be_compared_is_told(
    make_run: MakeRun, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_scores(make_run, "p_envx_hid1", [0, 5, 6], "x", hid=1)
    make_scores(make_run, "p_envy_hid1", [0, 1], "y", hid=1)
    make_scores(make_run, "p_envx_hid2", [0, 5], "x", hid=2)
    assert legend_of(profiled(data, tmp_path)) == ["p_hid1 (n=2)"]
    assert capsys.readouterr().err.splitlines() == [
        "Warning: p_hid2 has no profile: there is no run on y",
        "Warning: p_hid1: 2 runs of each environment are taken, one has no more",
    ]
