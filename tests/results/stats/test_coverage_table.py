"""The defaults are those that the documents' table calls for, and the table is what the simulation gives."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from scipy import integrate
from scipy import stats as scipy_stats

from gridrl.build import load_file
from gridrl.results.stats import METHODS, default_method
from gridrl.results.stats.advising import DEFAULT_METHODS

ROOT = Path(__file__).parents[3]
COVERAGE = load_file(ROOT / "benchmarks" / "coverage.py")
PAGE = (ROOT / "docs" / "statistics.md").read_text()


def table(name: str) -> list[list[str]]:
    """The rows between the markers."""
    text = PAGE.partition(f"<!-- {name} -->")[2].partition(f"<!-- end of {name} -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [rows[0], *rows[2:]]


def covered() -> dict[tuple[str, int, str], list[float]]:
    """Per cent by statistic, seeds and distribution, in the order of `METHODS`."""
    return {
        (of.lower(), int(seeds), returns): [float(re.findall(r"[\d.]+", cell)[0]) for cell in figures]
        for of, seeds, returns, *figures in table("coverage")[1:]
    }


def test_the_table_is_whole() -> None:
    assert table("coverage")[0][3:] == [COVERAGE.NAMES[method] for method in METHODS]
    assert list(covered()) == [
        (of, seeds, returns)
        for of in ("mean", "iqm")
        for seeds in (3, 5, 10, 30)
        for returns in ("normal", "gamma(2)", "log-normal")
    ]


@pytest.mark.parametrize("statistic", ["mean", "iqm"])
@pytest.mark.parametrize("seeds", [3, 5, 10, 30])
def test_the_default_is_the_method_nearest_to_95_per_cent(statistic: str, seeds: int) -> None:
    rows = [figures for (of, count, _), figures in covered().items() if (of, count) == (statistic, seeds)]
    distance = [sum(abs(row[index] - 95) for row in rows) for index in range(len(METHODS))]
    assert default_method(statistic, seeds) == METHODS[distance.index(min(distance))]


def test_the_defaults_have_the_rows_of_the_table() -> None:
    assert {name: tuple(by_seeds) for name, by_seeds in DEFAULT_METHODS.items()} == {
        "mean": COVERAGE.SEEDS,
        "iqm": COVERAGE.SEEDS,
    }


def test_with_thirty_seeds_the_mean_is_covered() -> None:
    for returns in ("normal", "gamma(2)"):
        chosen = METHODS.index(default_method("mean", 30))
        assert 93 <= covered()["mean", 30, returns][chosen] <= 97


def test_the_default_is_the_one_in_bold() -> None:
    for name in ("coverage", "distances", "tasks"):
        head, *rows = table(name)
        for row in rows:
            bold = [index for index, cell in enumerate(row) if cell.startswith("**")]
            assert bold == [head.index(COVERAGE.NAMES[default_method(row[0].lower(), int(row[1]))])]


@pytest.mark.parametrize(
    ("returns", "distribution"),
    [("normal", scipy_stats.norm()), ("gamma(2)", scipy_stats.gamma(2)), ("log-normal", scipy_stats.lognorm(1))],
)
def test_the_true_values_are_true(returns: str, distribution: scipy_stats.rv_continuous) -> None:
    truth = COVERAGE.RETURNS[returns].truth
    assert truth["mean"] == pytest.approx(distribution.mean())
    middle, _ = integrate.quad(distribution.ppf, 0.25, 0.75)
    assert truth["iqm"] == pytest.approx(2 * middle)


@pytest.mark.parametrize(("statistic", "seeds", "returns"), [("mean", 5, "gamma(2)"), ("iqm", 10, "log-normal")])
def test_a_short_simulation_gives_the_table(statistic: str, seeds: int, returns: str) -> None:
    experiments = 600
    found = COVERAGE.simulate(statistic, seeds, returns, experiments).coverage
    for method, expected in zip(METHODS, covered()[statistic, seeds, returns], strict=True):
        error = 100 * math.sqrt(expected / 100 * (1 - expected / 100) / experiments)
        assert found[method] == pytest.approx(expected, abs=4 * error + 0.5), method


def test_a_table_is_written_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- end of a -->\nafter\n")
    COVERAGE.write_between("a", "new", page)
    COVERAGE.write_between("a", "newer", page)
    assert page.read_text() == "before\n<!-- a -->\n\nnewer\n\n<!-- end of a -->\nafter\n"
    with pytest.raises(ValueError, match="no marker"):
        COVERAGE.write_between("b", "new", page)


def test_a_default_that_is_not_the_nearest_is_a_fault() -> None:
    right = dict.fromkeys(METHODS, 95.0)
    wrong = right | {default_method("mean", 30): 90.0}
    cell = COVERAGE.Cell("mean", 30, "normal", wrong, right)
    assert len(COVERAGE.faults([cell])) == 2
    assert COVERAGE.faults([COVERAGE.Cell("mean", 30, "normal", right, right)]) == []
