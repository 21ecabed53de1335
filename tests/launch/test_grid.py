"""The documented face of `ExperimentGrid`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridrl import ExperimentGrid
from gridrl.errors import BadValue, ClashingKeys, DuplicateKey, EmptyGrid


def grid_of(name: str = "g", **keys: Any) -> ExperimentGrid:
    grid = ExperimentGrid(name)
    for key, values in keys.items():
        grid.add(key, values)
    return grid


def test_the_documented_example_nests() -> None:
    grid = ExperimentGrid(name="documented")
    grid.add("base:param:a", 1)
    grid.add("base:param:b", 2)
    assert grid.variants() == [{"base": {"param": {"a": 1, "b": 2}}}]


def test_a_list_is_several_values_and_anything_else_is_one() -> None:
    array = range(3)
    grid = grid_of(a=[1, 2], b=(1, 2), c=array, d="text", e=[[64, 64]], f={1, 2})
    assert [len(values) for values in grid.vals] == [2, 1, 1, 1, 1, 1]
    assert grid.variants()[1] == {"a": 2, "b": (1, 2), "c": array, "d": "text", "e": [64, 64], "f": {1, 2}}


def test_the_four_lists_tell_what_was_added_and_cannot_change_it() -> None:
    grid = ExperimentGrid()
    grid.add("clip_ratio", [0.1, 0.2])
    grid.add("lr", 1, shorthand="rate", in_name=True)
    assert (grid.keys, grid.vals) == (["clip_ratio", "lr"], [[0.1, 0.2], [1]])
    assert (grid.shs, grid.in_names) == (["cli", "rate"], [False, True])
    grid.keys.append("more")
    grid.vals[0].clear()
    assert (grid.keys, grid.vals) == (["clip_ratio", "lr"], [[0.1, 0.2], [1]])
    with pytest.raises(AttributeError):
        grid.keys = []  # type: ignore[misc]


def test_the_default_shorthand_is_the_documented_one() -> None:
    assert ExperimentGrid()._default_shorthand("ac_kwargs:hidden_sizes") == "ac-hid"
    assert ExperimentGrid()._default_shorthand("q_lr") == "ql"


def test_default_shorthands_can_be_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "user_config.py"
    config.write_text("DEFAULT_SHORTHAND = False\n")
    monkeypatch.setenv("GRIDRL_USER_CONFIG", str(config))
    grid = grid_of(clip_ratio=[0.1, 0.2])
    assert grid.shs == [None]
    assert grid.variant_name(grid.variants()[0]) == "g_clip_ratio0-1"


def test_a_grid_can_be_renamed() -> None:
    grid = grid_of(lr=[1, 2])
    assert grid.variant_name({"lr": 1}) == "g_lr1"
    grid.name("h")
    assert grid.variant_name({"lr": 1}) == "h_lr1"
    grid.add("size", [3, 4])
    assert grid.variant_name({"lr": 1, "size": 3}) == "h_lr1_siz3"


def test_a_variant_that_lacks_a_key_has_no_name() -> None:
    with pytest.raises(BadValue, match="The variant has no 'lr'"):
        grid_of(lr=[1, 2]).variant_name({"size": 1})


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (lambda: ExperimentGrid(3), "Name has to be a string, not 3."),  # type: ignore[arg-type]
        (lambda: ExperimentGrid().add(3, 1), "Key must be a string, not 3."),  # type: ignore[arg-type]
        (lambda: ExperimentGrid().add("a", 1, 3), "Shorthand must be a string, not 3."),  # type: ignore[arg-type]
    ],
)
def test_names_keys_and_shorthands_are_text(add: Any, told: str) -> None:
    with pytest.raises(BadValue) as error:
        add()
    assert str(error.value) == told


def test_a_refused_key_leaves_the_grid_as_it_was() -> None:
    grid = grid_of(a=1)
    with pytest.raises(DuplicateKey):
        grid.add("a", 2)
    with pytest.raises(ClashingKeys):
        grid.add("a:b", 2)
    with pytest.raises(EmptyGrid):
        grid.add("b", [])
    assert grid.variants() == [{"a": 1}]


def test_an_empty_grid_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmptyGrid, match="The grid has no keys"):
        ExperimentGrid("empty").run(lambda: None, data_dir=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_print_shows_keys_values_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    grid = ExperimentGrid("mine")
    grid.add("ac_kwargs:hidden_sizes", [[64, 64], [32]], "hid")
    grid.add("seed", [0, 1, 2])
    grid.print()
    assert capsys.readouterr().out.splitlines() == [
        "=" * 80,
        "ExperimentGrid [mine] runs over parameters:",
        "",
        " ac_kwargs:hidden_sizes                   [hid]",
        "",
        "\t[64, 64]",
        "\t[32]",
        "",
        " seed                                     [see]",
        "",
        "\t0",
        "\t1",
        "\t2",
        "",
        " Variants, counting seeds:               6",
        " Variants, not counting seeds:           2",
        "=" * 80,
    ]


def test_print_gives_a_long_name_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    ExperimentGrid("x" * 60).print()
    out = capsys.readouterr().out
    assert f"ExperimentGrid [{'x' * 60}]\nruns over parameters:\n" in out
    assert " Variants, counting seeds:               0\n" in out


def test_control_characters_are_shown_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    grid_of("a\nb\x1b[2J", note=["two\nlines"]).print()
    out = capsys.readouterr().out
    assert "ExperimentGrid [a\\nb\\x1b[2J] runs over parameters:" in out
    assert "\ttwo\\nlines\n" in out
