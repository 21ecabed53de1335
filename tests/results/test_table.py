"""Tables of variants: what counts as a score, who is best, and every format."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from gridrl.errors import BadValue
from gridrl.results.facets import in_order, short_keys
from gridrl.results.reader import find_runs
from gridrl.results.table import Table, table
from tests.results.grids import NASTY, write_grid, write_run


def column(made: Table, title: str) -> list[str]:
    return list(next(column.cells for column in made.columns() if column.title == title))


def labels(made: Table) -> list[str]:
    return [row.label for row in made.rows]


def test_the_best_variant_comes_first_with_its_score_and_interval(data: Path) -> None:
    write_grid(data)
    made = table(data)
    assert labels(made) == [
        "g_lr0.1_hid16-16",
        "g_lr0.01_hid16-16",
        "g_lr0.1_hid16",
        "g_lr0.1_hid8",
        "g_lr0.01_hid16",
        "g_lr0.01_hid8",
    ]
    best = made.rows[0]
    assert best.scores == [316.0, 317.0, 318.0]  # 200 + 16 + 100, and the seed
    assert best.score is not None
    # mean +- t(0.975, 2) s / sqrt(3), s = 1
    assert (best.score.center, best.score.low, best.score.high) == pytest.approx(
        (317, 317 - 2.4841, 317 + 2.4841), abs=1e-4
    )
    assert column(made, "return per episode")[0] == "317 [314.5, 319.5]"
    assert column(made, "steps")[0] == "1,200"
    assert column(made, "time")[0] == "24.0 s"


def test_the_time_of_a_resumed_run_counts_its_earlier_attempts(data: Path) -> None:
    write_run(data, "resumed", 0, level=1.0, status={"started": 1000.0, "ended": 1003.0})  # its rows tell of 24 s
    write_run(data, "slow", 0, level=1.0, status={"started": 1000.0, "ended": 1030.0})
    assert dict(zip(labels(made := table(data)), column(made, "time"), strict=True)) == {
        "resumed": "24.0 s",
        "slow": "30.0 s",
    }


def test_only_hyperparameters_that_differ_are_columns(data: Path) -> None:
    write_grid(data)
    made = table(data)
    assert made.keys == ["lr", "ac_kwargs:hidden_sizes"]
    assert [one.title for one in made.columns() if one.kind == "setting"] == ["lr", "hidden_sizes"]
    assert column(made, "hidden_sizes")[:3] == ["[16, 16]", "[16, 16]", "[16]"]


def test_a_key_that_some_lack_counts_within_a_function_alone(data: Path) -> None:
    write_run(data, "a", 0, level=1.0, thunk="m:f", variant={"lr": 1, "momentum": 2})
    write_run(data, "b", 0, level=2.0, thunk="m:f", variant={"lr": 1})
    write_run(data, "c", 0, level=3.0, thunk="m:g", variant={"lr": 1, "tau": 5})
    assert table(data).keys == ["thunk", "momentum"]  # what else g has, f may have under another name
    write_run(data, "d", 0, level=3.0, thunk="m:h", variant={"lr": 2, "tau": 6})
    assert sorted(table(data).keys) == ["lr", "momentum", "tau", "thunk"]


def test_short_names_of_keys_are_as_long_as_they_have_to_be() -> None:
    assert short_keys(["a:b:lr", "a:c:lr", "lr2", "x:lr2"]) == ["b:lr", "c:lr", "lr2", "x:lr2"]
    assert short_keys([]) == []


def test_values_stand_in_the_order_of_people() -> None:
    values = ["tanh", "[16, 16]", "1e-3", "[16]", "[8]", "0.1", "1e-4"]
    assert sorted(values, key=in_order) == ["1e-4", "1e-3", "0.1", "[8]", "[16]", "[16, 16]", "tanh"]


def write_scores(data: Path, name: str, scores: Sequence[float], **more: Any) -> None:
    """Runs whose final scores are these."""
    for seed, score in enumerate(scores):
        write_run(data, name, seed, level=score - seed, **more)


def test_each_variant_is_tested_against_the_best(data: Path) -> None:
    best, near, far = [10.0, 12.0, 11.0, 13.0], [9.0, 12.0, 11.0, 10.0], [1.0, 2.0, 1.5, 2.5]
    for name, scores in (("far", far), ("near", near), ("best", best)):
        write_scores(data, name, scores)
    made = table(data, last=3)
    # scipy's Welch tests of all three pairs; Holm: the smallest times 3, the next times 2
    p_near, p_far, p_rest = (
        float(stats.ttest_ind(x, y, equal_var=False).pvalue) for x, y in ((best, near), (best, far), (near, far))
    )
    smallest, middle = sorted([p_far, p_rest])
    expected_far = 3 * smallest if p_far == smallest else max(3 * smallest, 2 * middle)
    assert [(row.label, row.verdict) for row in made.rows] == [
        ("best", "best"),
        ("near", "not told apart"),
        ("far", "worse"),
    ]
    assert made.rows[1].p_value == pytest.approx(max(p_near, 2 * middle), rel=1e-6)
    assert made.rows[2].p_value == pytest.approx(expected_far, rel=1e-6)
    assert column(made, "against the best") == ["best", f"not told apart (p = {p_near:.2g})", "worse (p < 0.001)"]
    assert r"\textbf{best}" in made.latex()
    assert any("Welch's t test" in line and "Holm" in line for line in made.captions())


def test_a_median_has_the_permutation_test(data: Path) -> None:
    write_scores(data, "a", [10.0, 12.0, 11.0])
    write_scores(data, "b", [1.0, 2.0, 3.0])
    made = table(data, metric="median")
    assert [row.score.center for row in made.rows if row.score] == pytest.approx([11.0, 2.0])
    assert made.rows[1].p_value == pytest.approx(0.2)  # 4 of 20 ways to label six runs: 3 and 10 may change sides
    assert made.rows[1].verdict == "not told apart"
    assert any("permutation test" in line for line in made.captions())


def test_what_has_not_finished_is_neither_best_nor_tested(data: Path) -> None:
    write_scores(data, "a", [100.0, 102.0], state="failed")
    write_scores(data, "b", [10.0, 12.0])
    write_scores(data, "c", [1.0, 2.0])
    made = table(data)
    assert [(row.label, row.verdict, row.p_value is None) for row in made.rows] == [
        ("a", "", True),
        ("b", "best", True),
        ("c", "worse", False),
    ]


def test_one_seed_is_not_tested(data: Path) -> None:
    write_scores(data, "a", [10.0, 12.0])
    write_scores(data, "b", [1.0])
    made = table(data)
    assert [(row.verdict, row.p_value) for row in made.rows] == [("best", None), ("", None)]


def test_a_score_that_is_no_number_does_not_count_and_is_told(data: Path) -> None:
    write_scores(data, "a", [10.0, float("inf"), 12.0])
    found = find_runs([data])
    made = table(found)
    assert made.rows[0].scores == [10.0, 12.0]
    assert sum("no finite number at the end of `AverageEpRet`" in line for line in found.told()) == 1


def test_the_score_is_the_mean_of_the_last_rows(data: Path) -> None:
    write_run(data, "a", 0, level=12.0)
    assert table(data, last=1).rows[0].scores == [12.0]
    assert table(data, last=12).rows[0].scores == [11.0]  # the first row has 0
    assert table(data, last=1000).rows[0].scores == [11.0]
    assert "mean of its last 12 rows" in table(data, last=12).captions()[0]
    assert "each run's last row" in table(data, last=1).captions()[0]


def test_a_run_that_has_not_finished_does_not_count(data: Path) -> None:
    write_grid(data)
    made = table(data)
    row = next(row for row in made.rows if row.label == "g_lr0.1_hid8")
    assert row.scores == [208.0, 209.0]
    assert column(made, "runs")[labels(made).index(row.label)] == "2 done, 1 failed"
    assert row.marks == ()


def test_where_no_run_has_finished_the_newest_rows_are_told_as_unfinished(data: Path) -> None:
    write_run(data, "a", 0, level=5.0, state="failed", rows=3)
    write_run(data, "a", 1, level=5.0, state="killed", rows=3)
    write_run(data, "b", 0, level=1.0)
    made = table(data, last=1)
    assert [(row.label, row.scores, row.marks) for row in made.rows] == [
        ("a", [5.0, 6.0], ("unfinished",)),
        ("b", [1.0], ()),
    ]


def test_one_seed_has_no_interval_and_says_so(data: Path) -> None:
    write_run(data, "a", 0, level=5.0)
    made = table(data)
    assert column(made, "return per episode") == ["5"]
    assert "1 seed: no interval and no test; run more seeds to know." in made.captions()


def test_a_run_without_a_row_stands_in_the_table(data: Path) -> None:
    write_run(data, "a", 0, level=5.0)
    write_run(data, "a", 1, level=5.0, state="queued", rows=0)
    write_run(data, "b", 0, level=5.0, state="failed", rows=0)
    found = find_runs([data])
    made = table(found)
    assert [(row.label, dict(row.states), row.score is None) for row in made.rows] == [
        ("a", {"done": 1, "queued": 1}, False),
        ("b", {"failed": 1}, True),
    ]
    assert f"left out {data / 'b' / 's0'}: no row yet (failed)" in found.told()


def test_runs_of_another_program_have_no_state(data: Path) -> None:
    write_run(data, "a", 0, level=5.0, state=None)
    made = table(data)
    assert made.rows[0].states == {"found": 1}
    assert "runs" not in [one.title for one in made.columns()]
    assert column(made, "time") == ["24.0 s"]  # of its own column


def test_environments_are_ranked_apart(data: Path) -> None:
    for env, levels in (("Hard-v0", (3.0, 1.0)), ("Easy-v0", (100.0, 300.0))):
        for name, level in zip("ab", levels, strict=True):
            write_run(data, f"{name}-{env}", 0, level=level, env=env)
    made = table(data)
    assert labels(made) == ["b-Easy-v0", "a-Easy-v0", "a-Hard-v0", "b-Hard-v0"]
    assert any("several environments do not compare" in line for line in made.captions())


def test_smaller_can_be_better(data: Path) -> None:
    write_run(data, "a", 0, level=5.0)
    write_run(data, "b", 0, level=1.0)
    assert labels(table(data)) == ["a", "b"]
    assert labels(table(data, smaller_is_better=True)) == ["b", "a"]


def test_runs_under_two_codes_and_inexact_resumes_are_marked(data: Path) -> None:
    write_run(data, "a", 0, level=5.0, code={"hash": "1" * 16})
    write_run(data, "a", 1, level=5.0, code={"hash": "2" * 16})
    write_run(data, "b", 0, level=1.0, code={"hash": "1" * 16}, status={"attempt": 2, "resume": "inexact"})
    write_run(data, "c", 0, level=0.0, status={"attempt": 1, "resume": "inexact"})
    assert column(table(data), "note") == ["mixes code", "inexact resume", ""]


def test_csv_holds_raw_numbers(data: Path) -> None:
    write_grid(data)
    rows = list(csv.DictReader(io.StringIO(table(data).csv())))
    assert rows[0]["variant"] == "g_lr0.1_hid16-16"
    assert rows[0]["ac_kwargs:hidden_sizes"] == "[16, 16]"
    assert (rows[0]["score"], rows[0]["seeds"], rows[0]["seed_scores"]) == ("317.0", "3", "316.0 317.0 318.0")
    assert float(rows[0]["low"]) == pytest.approx(314.5159, abs=1e-4)
    assert (rows[3]["done"], rows[3]["failed"], rows[3]["fewest_steps"]) == ("2", "1", "1200.0")


def test_a_hostile_name_stays_a_name_in_every_format(data: Path) -> None:
    write_run(data, NASTY + "|%_\n\x1b[2J", 0, level=5.0)
    made = table(data)
    assert "\x1b" not in "".join([*made.lines(), made.markdown(), made.latex()])
    assert len(made.markdown().split("\n\n")[0].splitlines()) == 3
    assert next(csv.DictReader(io.StringIO(made.csv())))["variant"].startswith(NASTY)


def test_captions_stand_below_a_table_in_markdown(data: Path) -> None:
    write_grid(data)
    made = table(data)
    assert made.markdown().split("\n\n")[1:] == [*made.captions()[:-1], f"{made.captions()[-1]}\n"]


def test_what_is_asked_wrong_is_told_at_once(data: Path) -> None:
    write_run(data, "a", 0, level=5.0)
    with pytest.raises(
        BadValue, match=r"(?s)`--last`: wants at least 1 row, got 0.*`--metric`: there is no 'maen'. Did you"
    ):
        table(data, last=0, metric="maen")
    with pytest.raises(BadValue, match=r"`--value`: no run has a column `LosPi`. Did you mean 'LossPi'"):
        table(data, value="LosPi")
    (data / "empty").mkdir()
    with pytest.raises(BadValue, match="There is no run in"):
        table(data / "empty")
