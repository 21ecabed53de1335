"""The help page of an algorithm."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridrl.algos import ALGOS
from gridrl.commands.options import LAUNCHER_OPTIONS, SHORTCUTS
from gridrl.run import main
from gridrl.signature import read_signature


def page(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def row(text: str, option: str) -> list[str]:
    """The cells of an option's row on a wide page."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"  {option} "))
    return [cell for cell in line.strip().split("  ") if cell]


@pytest.fixture
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.usefixtures("_wide")
@pytest.mark.parametrize("name", sorted(ALGOS))
def test_every_parameter_has_a_row_with_type_default_and_meaning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, name, "--help")
    for parameter in read_signature(ALGOS[name]).params:
        if parameter.name not in ("env_fn", "ac_kwargs", "seed", "logger_kwargs"):
            cells = row(text, f"--{parameter.name}")
            assert cells[2].strip() == parameter.default_text
            assert cells[3].strip(), f"{parameter.name} has no meaning"


@pytest.mark.usefixtures("_wide")
def test_rows_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    text = page(capsys, "ppo", "--help")
    assert row(text, "--env")[1:3] == ["str", " required"] or row(text, "--env")[1].strip() == "str"
    assert [cell.strip() for cell in row(text, "--clip_ratio")[1:3]] == ["float", "0.2"]
    assert [cell.strip() for cell in row(text, "--hid")[1:3]] == ["list of int", "(64, 64)"]
    assert row(text, "--hid")[3].strip().startswith("ac_kwargs:hidden_sizes: ")
    for option in LAUNCHER_OPTIONS:
        assert f"--{option}" in text
    for short in SHORTCUTS:
        assert f"--{short}" in text
    for section in ("Options", "Launcher", "Values", "Presets", "Examples"):
        assert any(line.startswith(section) for line in text.splitlines())
    assert "sb3" in text


@pytest.mark.usefixtures("_wide")
def test_what_an_algorithm_sets_in_its_networks_has_no_second_row(capsys: pytest.CaptureFixture[str]) -> None:
    """The network's own defaults (a plain one, generator 0) do not hold there."""
    text = page(capsys, "dqn", "--help")
    assert row(text, "--dueling")[2].strip() == "True"
    assert "--ac_kwargs:init" in text
    assert "--ac_kwargs:dueling" not in text
    assert "--ac_kwargs:rng" not in text


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_lines_fit_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = page(capsys, "ppo", "--help")
    table = text.partition("\nExamples")[0].splitlines()[2:]  # what can be copied is never broken
    assert max(map(len, table)) < columns
    assert not [line for line in text.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("words", [["ppo", "-h"], ["ppo", "help"], ["help", "ppo"], ["ppo", "--gamma", "x", "--help"]])
def test_help_can_be_asked_for_in_many_ways(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert page(capsys, *words) == page(capsys, "ppo", "--help")


def test_a_function_of_the_users_has_a_page(
    train_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = page(capsys, f"{train_file}:train", "--help")
    assert text.splitlines()[:3] == [
        f"python -m gridrl.run {train_file}:train --env ID [--option value ...] [--option value ...]",
        "",
        "Trains a net.",
    ]
    assert [cell.strip() for cell in row(text, "--gamma")] == ["--gamma", "float", "0.99", "the discount."]
    assert [cell.strip() for cell in row(text, "--ac_kwargs:log_std")[1:]] == ["float", "-0.5"]
    assert "Presets" not in text
    assert "--preset" not in text
    assert "--pi_lr 3e-4 0.00015" in text


def test_a_function_without_words_has_a_page_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bare.py"
    path.write_text("def f(x, *args, jobs=3, **kwargs): ...")
    text = page(capsys, f"{path}:f", "--help")
    assert row(text, "--x")[1:] == [" anything", "required"] or "required" in " ".join(row(text, "--x"))
    assert "--ANYTHING" in text
    assert "--jobs" in text


def test_colours_are_for_those_who_see_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = page(capsys, "ppo", "--help")
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = page(capsys, "ppo", "--help")
    assert "\x1b[" not in plain
    assert "\x1b[32m--gamma\x1b[0m" in colored


def test_examples_name_an_environment_that_the_algorithm_can_act_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sac", "--help"]) == 0
    assert "gridrl.run sac --env Pendulum-v1 " in capsys.readouterr().out
    assert main(["dqn", "--help"]) == 0
    assert "gridrl.run dqn --env CartPole-v1 " in capsys.readouterr().out
    assert main(["td3", "--seed", "0"]) == 2
    assert "such as `--env Pendulum-v1`" in capsys.readouterr().err
