"""What stands in a report, without a browser."""

from __future__ import annotations

import base64
import doctest
import gzip
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridrl.results import page_charts
from gridrl.results.page_again import snapshots_of
from gridrl.results.page_charts import POINTS, rounded, thinned
from gridrl.results.page_details import LOG_LINES, MOST_LOGS
from gridrl.results.reader import find_runs
from gridrl.results.report import report
from gridrl.results.stats import interval
from gridrl.utils.files import GridPaths, SnapshotPaths
from tests.results.grids import NASTY, write_grid, write_run

EMPTY = ("meta", "input", "br", "col", "hr")


class Page(HTMLParser):
    """A page as a browser reads it: what is open and shut, the attributes, the texts of scripts."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.text = file.read_text()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)

    @property
    def data(self) -> Any:
        """What the page's program draws."""
        return json.loads(self.scripts[0][1])


def made(data: Path, **options: Any) -> Page:
    return Page(report(data, data / "report.html", **options))


def test_every_element_is_closed_and_nothing_is_fetched(data: Path) -> None:
    write_grid(data)
    page = made(data)
    assert page.open == []
    references = [value for _, name, value in page.attributes if name in ("src", "href", "action", "srcset", "data")]
    assert references
    assert all(value and value.startswith("#") for value in references)
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    css = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert css is not None
    assert "url(" not in css[1]
    assert "@import" not in css[1]


def test_the_page_allows_its_own_programs_alone(data: Path) -> None:
    write_grid(data)
    page = made(data)
    [policy] = [value for tag, name, value in page.attributes if name == "content" and value and "default-src" in value]
    (kind, _), (_, packed), (none, program) = page.scripts
    assert (kind["type"], none) == ("application/json", {})
    plotly = gzip.decompress(base64.b64decode(packed)).decode()
    assert plotly.startswith("/**\n* plotly.js v")
    for text in (program, plotly):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy.partition("style-src")[0]
    assert policy.startswith("default-src 'none'; ")


def test_hostile_texts_stay_texts_wherever_they_come_from(data: Path) -> None:
    bad = f"{NASTY}\x00\ud800"
    told = {"command": bad, "thunk": bad, "versions": {bad: bad}, "preset": bad}
    variant, status = {bad: bad, "b": [bad]}, {"error": bad, "host": bad}
    root = write_run(data, bad, 0, level=1.0, state="failed", env=bad, variant=variant, status=status, **told)
    (root / "progress.txt").write_text(f"TotalEnvInteracts\tAverageEpRet\t{NASTY}\n1\t2\t3\n")
    (root / "stdout.log").write_bytes(b"\xff\xfe" + NASTY.encode())
    (root / "error.txt").write_text(NASTY)
    write_run(data, "other", 0, level=2.0, variant={bad: 1, "b": 2})
    page = made(data, title=bad)
    assert page.open == []
    tags = {tag for tag, _, _ in page.attributes}
    assert not tags & {"img", "iframe", "object", "link"}
    assert len(page.scripts) == 3
    assert NASTY not in page.text
    assert page.text.count(html.escape(NASTY)) > 12
    assert {one["label"][: len(NASTY)] for one in page.data["variants"]} == {NASTY, "other"}
    page.text.encode()


def test_the_end_of_a_traceback_and_of_the_rank_that_failed_stand_there(data: Path) -> None:
    root = write_run(data, "a", 0, level=1.0, state="failed", status={"error": "E: bad", "rank": 2})
    (root / "stdout.log").write_text("rank 0 says\n")
    (root / "stdout.rank2.log").write_text("".join(f"\x1b[31mrow {row}\x1b[0m\n" for row in range(100)))
    (root / "error.txt").write_text("Traceback\nE: bad\n")
    text = made(data).text
    assert "The end of its log (rank 2)" in text
    assert f"row {100 - LOG_LINES}\n" in text
    assert f"row {99 - LOG_LINES}\n" not in text
    assert "rank 0 says" not in text
    assert "\x1b" not in text


def test_many_failures_do_not_swell_the_page(data: Path) -> None:
    for seed in range(MOST_LOGS + 3):
        write_run(data, "a", seed, level=1.0, rows=1, state="killed")
    text = made(data).text
    assert text.count('class="failed-run"') == MOST_LOGS
    assert "3 more went wrong; their logs stand in their directories." in text


def test_what_a_launch_has_kept_is_told(data: Path) -> None:
    paths = SnapshotPaths(GridPaths.of_grid(data, "g").snapshots / "abc123")
    paths.root.mkdir(parents=True)
    tree = {"root": "/home/me/code", "commit": "f00dbeef", "branch": "main", "dirty": True}
    known = {"git": [tree], "cpu": "Z80", "cores": 1, "packages": {"torch": "2.13"}, "variables": {"TZ": NASTY}}
    paths.description.write_text(json.dumps(known))
    paths.diff.write_text("-old\n+new " + "x" * 200_000)
    for seed in range(2):
        write_run(data, "a", seed, level=1.0, grid="g", snapshot="abc123")
    write_run(data, "b", 0, level=1.0, grid="g", snapshot="../../b")
    write_run(data, "c", 0, level=1.0, grid="g", snapshot="gone")
    assert [(kept.paths.root, kept.runs) for kept in snapshots_of(find_runs([data]))] == [(paths.root, 2)]
    text = made(data).text
    assert "Kept at the launch of 2 runs" in text
    assert "f00dbeef</code> (main) of /home/me/code, with changes that were not committed" in text
    for told in ("Z80", "1 packages", "+new xxx", f"The rest stands in {paths.diff}"):
        assert told in text
    assert NASTY not in text


def test_five_seeds_have_a_band_and_three_have_lines(data: Path) -> None:
    for name, seeds in (("few", 3), ("many", 5), ("one", 1)):
        for seed in range(seeds):
            write_run(data, name, seed, level=1.0)
    curves = {made(data).data["variants"][one["variant"]]["label"]: one for one in _curves(data)}
    assert curves["few"]["low"] is None
    assert (curves["few"]["few"], curves["many"]["few"], curves["one"]["few"]) == (True, False, False)
    assert curves["many"]["mean"] == [0.0, *[3.0] * 11]
    at_each_step = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert at_each_step.low < 3 < at_each_step.high
    assert curves["many"]["high"][1] == pytest.approx(at_each_step.high, rel=0.05)  # drawn anew for the curve
    assert [one["name"] for one in curves["few"]["seeds"]] == ["seed 0", "seed 1", "seed 2"]
    assert curves["one"]["seeds"] == []


def _curves(data: Path) -> Any:
    return made(data).data["curves"]["Performance|TotalEnvInteracts"]


def test_a_curve_has_few_points_and_keeps_its_level() -> None:
    grid = np.arange(1000.0)
    values = np.stack([grid, np.where(grid < 500, 7.0, np.nan)])
    places, means = thinned(grid, values, POINTS)
    assert places.size == POINTS
    np.testing.assert_allclose(means[0], places)
    np.testing.assert_allclose(places[:2], [2.0, 7.0])
    np.testing.assert_array_equal(means[1], [7.0] * 100 + [np.nan] * 100)
    few = np.arange(5.0)
    assert thinned(few, few[None], 5)[0] is few


def test_many_runs_have_fewer_points_each() -> None:
    assert doctest.testmod(page_charts).failed == 0
    assert [page_charts.points_for(curves) for curves in (0, 2000, 2001, 10**9)] == [200, 200, 199, 50]


def test_numbers_have_few_digits() -> None:
    values = np.array([[0.1 + 0.2, 1 / 3, -123456.789, 1e-30, 5e20], [np.nan, np.inf, 0.0, 1e22, 99999.96]])
    assert rounded(values) == [[0.3, 0.33333, -123460.0, 1e-30, 5e20], [None, None, 0.0, 1e22, 100000.0]]
    assert json.dumps(rounded(np.array([0.30000000000000004, 2 / 3]))) == "[0.3, 0.66667]"


def test_columns_worth_a_curve_are_found(data: Path) -> None:
    write_grid(data)
    assert list(made(data).data["axes"]) == ["Performance", "LossPi"]  # no spreads, no places
    assert page_charts.MOST_COLUMNS == 9


def test_variants_that_differ_in_their_environment_alone_look_alike(data: Path) -> None:
    for env in ("A-v0", "B-v0"):
        for lr in (0.1, 0.2):
            write_run(data, f"{env}{lr}", 0, level=lr, env=env, variant={"lr": lr})
    colors = {one["label"]: one["color"] for one in made(data).data["variants"]}
    assert colors["A-v00.1"] == colors["B-v00.1"] != colors["A-v00.2"] == colors["B-v00.2"]


def test_very_many_hyperparameters_do_not_swell_the_table(data: Path) -> None:
    for value in (1, 2):
        write_run(data, f"v{value}", 0, level=1.0, variant={f"k{index}": value for index in range(20)})
    page = made(data)
    assert [value for _, name, value in page.attributes if name == "data-key"] == [f"k{index}" for index in range(12)]
    assert "8 more hyperparameters differ: see Configurations." in page.text
    assert page.text.count('<td class="setting">2</td>') == 20  # below Configurations


def test_only_the_best_are_drawn_at_first(data: Path) -> None:
    for index in range(page_charts.MOST_SHOWN + 3):
        write_run(data, f"v{index}", 0, level=float(index))
    page = made(data)
    assert [one["isShown"] for one in page.data["variants"]] == [True] * page_charts.MOST_SHOWN + [False] * 3
    assert [value for _, name, value in page.attributes if name == "aria-pressed"].count("false") == 3
    assert "drawn at first" in page.text
