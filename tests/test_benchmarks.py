"""The page that the benchmarks share. What they measure is told by `make bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridrl.build import load_file

PAGES = load_file(Path(__file__).parent.parent / "benchmarks" / "pages.py")


def test_each_benchmark_writes_its_own_section(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    PAGES.write_section("One", ["1", "### Inner", "| a |\n|---|"], page)
    PAGES.write_section("Two", ["2"], page)
    assert PAGES.write_section("One", ["new"], page) == "## One\n\nnew"
    assert page.read_text() == f"{PAGES.HEAD}\n\n## One\n\nnew\n\n## Two\n\n2\n"


def test_the_page_holds_what_they_write() -> None:
    text = PAGES.PAGE.read_text()
    assert text.startswith(PAGES.HEAD + "\n\n## ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## PPO against stable-baselines3",
        "## Starting runs",
        "## Reading results",
        "## A report",
        "## Drawing results",
        "## Replay memory",
        "## TRPO's Fisher-vector product",
        "## A memory that lasts",
        "## Off-policy algorithms against stable-baselines3",
        "## Learning beside stable-baselines3",
    ]


def test_versions_are_told_of_what_is_installed() -> None:
    assert PAGES.machine("no-such-package").partition("; ")[2].startswith("Python 3.")
    assert "no-such-package" not in PAGES.machine("no-such-package")


def test_the_runs_that_are_read_are_those_that_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    results = load_file(Path(PAGES.__file__).with_name("results.py"))
    made = results.make_data(tmp_path / "data", variants=2, seeds=2, rows=5)
    assert len(made) == results.read(tmp_path / "data") == 4
    first, again = results.measure_reading(tmp_path / "data", times=1)
    assert min(first, again) > 0
    assert str(results.Line("x", (0.3, 0.1), 2.0)) == "| x | 300 | 100 | 3.0 | 2 |"


def test_a_report_that_is_too_big_or_slow_misses_its_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    benchmark = load_file(Path(PAGES.__file__).with_name("report.py"))
    benchmark.make_data(tmp_path / "data", variants=2, seeds=2, rows=5)
    cost = benchmark.measure(tmp_path / "data", tmp_path / "report.html")
    assert cost.missed == []
    assert 1.5 < cost.size_mb < 2.5
    assert benchmark.Cost(99.0, 15.1, 10.1).missed == ["15.1 CPU seconds, not 15", "10.1 MB, not 10"]


def test_both_sides_of_the_memory_draw_and_add_what_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    benchmark = load_file(Path(PAGES.__file__).with_name("memory.py"))
    found = benchmark.lines(2000, rounds=1, seconds=0.001)
    assert [line.target for line in found] == [0.5, 0.5, 8, 10]
    assert min(min(line.theirs, line.ours) for line in found) > 0
    listed = benchmark.ListOfDicts(100)
    listed.set(7, 900.0)  # of 999
    indices, batch = listed.sample()
    assert 200 < indices.count(7) <= benchmark.BATCH
    assert batch["obs"].shape == (benchmark.BATCH, benchmark.OBS)
    steps = benchmark.steps_of_environments(5)
    staging = benchmark.Staging(benchmark.make_table(2000, tagged=True), 8, first_identity=9)
    benchmark.add_staged(staging, steps)
    staging.flush()
    assert staging.table.storages["actions"][11].tolist() == [step["actions"][2].tolist() for step in steps]


def test_every_gate_of_learning_stands_on_its_page_with_picture_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    learning = load_file(Path(PAGES.__file__).with_name("learning.py"))
    text = (learning.DOCS / "learning.md").read_text()
    assert text.startswith(learning.HEAD + "\n\n## ")
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert sorted(titles) == sorted(gate.title for gate in learning.GATES)
    for gate in learning.GATES:
        section = text.partition(f"## {gate.title}\n")[2].partition("\n## ")[0]
        assert f"```text\n{gate.command}\n```" in section
        assert f"({gate.seeds} of {gate.seeds} pass)" in section
        assert f"(images/learning-{gate.name}.png)" in section
        assert (learning.DOCS / "images" / f"learning-{gate.name}.png").is_file()


def test_a_gate_that_does_not_exist_is_told_with_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    learning = load_file(Path(PAGES.__file__).with_name("learning.py"))
    assert [gate.name for gate in PAGES.chosen(["ppo-pendulum"], learning.GATES, "gate")] == ["ppo-pendulum"]
    with pytest.raises(SystemExit, match=r"^ppo-cartpol: no such gate; .* Did you mean 'ppo-cartpole'\?$"):
        PAGES.chosen(["ppo-cartpol"], learning.GATES, "gate")


def test_both_sides_of_the_fisher_information_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    benchmark = load_file(Path(PAGES.__file__).with_name("trpo.py"))
    monkeypatch.setattr(benchmark, "ROWS", 50)
    found = [benchmark.measure(policy, rounds=1) for policy in benchmark.policies()]
    assert [line.name for line in found] == ["softmax policy", "Gaussian policy", "a user's module"]
    assert str(benchmark.Line("x", 3.0, 1.5)) == "| x | 3.0 | 1.5 | 2.0 | 1.7 |"


def test_both_sides_of_a_comparison_train_as_long_with_one_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(PAGES.__file__).parent))
    rivals = load_file(Path(PAGES.__file__).with_name("rivals.py"))
    entries = PAGES.chosen([], rivals.COMPARISONS, "comparison")
    assert len({entry.name for entry in entries}) == len(entries)
    assert {entry.algorithm for entry in entries} == {"ppo", "dqn", "sac"}
    for entry in entries:
        ours, theirs = entry.values("gridrl"), entry.values("sb3")
        assert [ours[key] for key in ("env_name", "steps_per_epoch", "epochs")] == [
            theirs[key] for key in ("env_name", "steps_per_epoch", "epochs")
        ]
        assert entry.steps_per_epoch * entry.epochs <= 100_000
        assert theirs["algorithm"] == entry.algorithm
        assert entry.last * 5 <= entry.epochs < (entry.last + 1) * 5
    with pytest.raises(SystemExit, match="there are sac-pendulum, "):
        PAGES.chosen(["sac-pendlum"], rivals.COMPARISONS, "comparison")
