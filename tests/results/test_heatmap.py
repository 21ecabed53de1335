"""Final scores over two hyperparameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridrl.errors import BadValue
from gridrl.results.figure import plot
from gridrl.results.heatmap import cell_number
from tests.results.drawn import caption_of
from tests.results.made_runs import MakeRun


@pytest.fixture
def grid(make_run: MakeRun) -> None:
    """Three learning rates and two networks; one pair is missing, one has a single seed."""
    for lr in (1e-4, 1e-3, 0.01):
        for hid in ([8], [64, 64]):
            for seed in range(1 if lr == 0.01 else 3):
                if (lr, hid) != (1e-3, [8]):
                    make_run(
                        f"a_{lr}_{len(hid)}",
                        seed,
                        {"TotalEnvInteracts": [1, 2], "AverageEpRet": [0, len(hid) * 100 + lr * 1e4 + seed]},
                        variant={"lr": lr, "net": {"hid": hid}, "seed": seed},
                    )


def cells(ax: Axes) -> dict[tuple[int, int], str]:
    """The words in each cell, by row and column."""
    return {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in ax.texts}


def mapped(data: Path, tmp_path: Path, *keys: str, **options: object) -> Figure:
    return plot(data, heatmap=keys, save=tmp_path / "figure.png", **{"last": 1, **options})  # type: ignore[arg-type]


@pytest.mark.usefixtures("grid")
def test_a_cell_has_its_score_and_number_of_seeds(data: Path, tmp_path: Path) -> None:
    figure = mapped(data, tmp_path, "lr", "net:hid")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.0001", "0.001", "0.01"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["[8]", "[64, 64]"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("lr", "hid")
    assert cells(ax) == {
        (0, 0): "102\nn=3", (0, 1): "202\nn=3",
        (1, 0): "no run", (1, 1): "211\nn=3",
        (2, 0): "200\nn=1", (2, 1): "300\nn=1",
    }  # fmt: skip
    np.testing.assert_allclose(ax.images[0].get_array().filled(np.nan), [[102, 202], [np.nan, 211], [200, 300]])  # type: ignore[union-attr]
    assert figure.axes[1].get_ylabel() == "return per episode"
    assert caption_of(figure) == "mean over n runs of the mean of their last 1 rows"


@pytest.mark.usefixtures("grid")
def test_a_missing_cell_is_hatched(data: Path, tmp_path: Path) -> None:
    (patch,) = mapped(data, tmp_path, "lr", "hid").axes[0].patches
    assert patch.get_hatch()
    assert patch.get_x() == -0.5
    assert patch.get_y() == 0.5


@pytest.mark.usefixtures("grid")
def test_letters_can_be_read_on_their_cell(data: Path, tmp_path: Path) -> None:
    ax = mapped(data, tmp_path, "lr", "hid").axes[0]
    colors = {text.get_text(): text.get_color() for text in ax.texts}
    assert (colors["102\nn=3"], colors["300\nn=1"]) == ("white", "black")


@pytest.mark.usefixtures("grid")
def test_a_cell_over_a_third_key_is_told(
    data: Path, tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run("b", 0, variant={"lr": 1e-4, "net": {"hid": [8], "act": "relu"}, "clip": 0.1})
    mapped(data, tmp_path, "lr", "hid")
    assert "each cell of the heatmap takes several values of net:act, clip together" in capsys.readouterr().err


def test_environments_are_never_put_together(make_run: MakeRun, data: Path, tmp_path: Path) -> None:
    for env in ("x", "y"):
        for lr in (1, 2):
            make_run(f"{env}{lr}", 0, env={"id": env}, variant={"env_name": env, "lr": lr, "clip": 3})
    with pytest.raises(BadValue) as told:
        mapped(data, tmp_path, "lr", "clip")
    assert str(told.value) == (
        "`--heatmap`: a cell cannot take scores of 2 environments together: x, y. "
        "Give a plot to each (`--by env_name`), or choose one (`--where env_name=...`)."
    )
    figure = mapped(data, tmp_path, "lr", "clip", by="env_name")
    assert [ax.get_title() for ax in figure.axes[:2]] == ["x", "y"]
    assert len(figure.axes) == 4  # each has a bar of its own
    assert len(mapped(data, tmp_path, "lr", "env_name").axes) == 2


@pytest.mark.usefixtures("grid")
def test_keys_that_make_no_map_are_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match=r"`--heatmap`: wants two keys, got lr\."):
        mapped(data, tmp_path, "lr")
    with pytest.raises(BadValue, match=r"`--heatmap`: wants two keys, got lr, lr\."):
        mapped(data, tmp_path, "lr", "lr")
    with pytest.raises(BadValue, match="Did you mean 'lr'"):
        mapped(data, tmp_path, "lrr", "hid")
    with pytest.raises(BadValue, match="`--compare` and `--heatmap`: give one"):
        mapped(data, tmp_path, "lr", "hid", compare=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (-83.66, "−83.7"), (999.6, "1,000"), (999.4, "999"), (12345, "12,345"), (1.5e6, "1.5M")],
)
def test_numbers_in_cells_are_short(value: float, text: str) -> None:
    assert cell_number(value) == text
