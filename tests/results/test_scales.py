"""Numbers on axes, units of time, logarithms."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridrl.results.scales import axis_number, finish_axes, set_scales, time_unit
from tests.results.drawn import tick_labels


@pytest.mark.parametrize(
    ("value", "largest", "text"),
    [
        (0, 5e6, "0"),
        (0.30000000000000004, 1, "0.3"),
        (-200, 500, "−200"),
        (9000, 9999, "9,000"),
        (2500, 2e4, "2.5k"),
        (100_000, 300_000, "100k"),
        (500000, 3e6, "0.5M"),
        (1e6, 1e6, "1M"),
        (-1.5e9, 4e9, "−1.5G"),
        (1e-8, 2e-8, "1e−08"),
    ],
)
def test_numbers_on_an_axis_are_short(value: float, largest: float, text: str) -> None:
    assert axis_number(value, largest) == text


def drawn(x: list[float], y: list[float], log: str = "") -> Axes:
    ax = Figure(figsize=(6, 4)).subplots()
    set_scales(ax, log)
    ax.plot(x, y)
    return ax


def test_steps_are_counted_from_zero() -> None:
    ax = drawn([4000, 1_000_000], [0, 1])
    finish_axes([ax], "TotalEnvInteracts", "return")
    assert ax.get_xlim() == (0, pytest.approx(1_015_000))
    assert tick_labels(ax, "x") == ["0", "0.2M", "0.4M", "0.6M", "0.8M", "1M"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("environment steps", "return")


def test_what_begins_far_from_zero_is_not_squeezed() -> None:
    ax = drawn([800, 1000], [0, 1])
    finish_axes([ax], "TotalEnvInteracts", "return")
    assert ax.get_xlim()[0] > 790


def test_plots_of_one_column_have_the_limits_of_all() -> None:
    axes = [drawn([100, 1000], [0, 1]), drawn([100, 3000], [0, 1]), Figure().subplots()]
    finish_axes(axes, "Epoch", "return")
    assert [ax.get_xlim() for ax in axes] == [(0, pytest.approx(3045))] * 3


@pytest.mark.parametrize(
    ("seconds", "label", "ticks"),
    [
        (90, "wall time (s)", ["0", "20", "40", "60", "80"]),
        (3000, "wall time (min)", ["0", "10", "20", "30", "40", "50"]),
        (36_000, "wall time (h)", ["0", "2", "4", "6", "8", "10"]),
        (864_000, "wall time (d)", ["0", "2", "4", "6", "8", "10"]),
    ],
)
def test_time_has_the_unit_that_suits_it(seconds: float, label: str, ticks: list[str]) -> None:
    ax = drawn([1, seconds], [0, 1])
    finish_axes([ax], "Time", "return")
    assert ax.get_xlabel() == label
    assert tick_labels(ax, "x") == ticks


def test_a_unit_is_used_once_its_numbers_are_not_small() -> None:
    assert [time_unit(seconds)[1] for seconds in (299, 300, 3 * 3600 - 1, 3 * 3600, 3 * 86400)] == [
        "s", "min", "min", "h", "d",
    ]  # fmt: skip


def test_logarithmic_axes_have_plain_numbers() -> None:
    ax = drawn([1000, 1e6], [0.01, 10], log="xy")
    finish_axes([ax], "TotalEnvInteracts", "loss")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert tick_labels(ax, "x") == ["1,000", "10k", "100k", "1M"]
    assert tick_labels(ax, "y") == ["0.01", "0.1", "1", "10"]
    assert not any(label.get_text() for label in ax.yaxis.get_minorticklabels())


def test_a_short_logarithmic_axis_still_has_numbers() -> None:
    ax = drawn([1, 2], [20, 90], log="y")
    finish_axes([ax], "Epoch", "loss")
    assert tick_labels(ax, "y") == ["20", "50"]
    longer = drawn([1, 2], [20, 700], log="y")
    finish_axes([longer], "Epoch", "loss")
    assert tick_labels(longer, "y") == ["20", "50", "100", "200", "500"]


def test_time_on_a_logarithmic_axis_is_in_seconds() -> None:
    ax = drawn([1, 100_000], [0, 1], log="x")
    finish_axes([ax], "Time", "loss")
    assert ax.get_xlabel() == "wall time (s)"
    assert np.all(np.isfinite(ax.get_xlim()))
