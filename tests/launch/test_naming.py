"""Names of variants: readable, and different for different variants."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.build import Reference
from gridrl.errors import GridError
from gridrl.launch.naming import Names, label_keys, prefix_shorthand
from gridrl.launch.variants import Parameter, check_parameter, expand


def names_of(name: str, *parameters: Parameter, shorten: bool = True) -> list[str]:
    names = Names(name, parameters, shorten)
    return [names.of(variant) for variant in expand(parameters)]


def key(name: str, *values: Any, **more: Any) -> Parameter:
    return Parameter(name, values, **more)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ([key("clip_ratio", 0.1, 0.2)], ["g_cli0-1", "g_cli0-2"]),
        ([key("q_lr", 1e-3, 1e-10)], ["g_ql0-001", "g_ql1e-10"]),
        ([key("ac_kwargs:hidden_sizes", [64, 64], (32,))], ["g_ac-hid64-64", "g_ac-hid32"]),
        ([key("ac_kwargs:hidden_sizes", [64, 64], [32], shorthand="h")], ["g_h64-64", "g_h32"]),
        ([key("env_name", "CartPole-v1", "Ant-v5", shorthand="")], ["g_cartpole-v1", "g_ant-v5"]),
        ([key("act", Reference("torch.nn.Tanh"), Reference("torch.nn.ReLU"))], ["g_acttanh", "g_actrelu"]),
        ([key("norm", True, False)], ["g_nor", "g"]),
        ([key("lr", 0.1)], ["g"]),
        ([key("lr", 0.1, in_name=True)], ["g_lr0-1"]),
        ([key("seed", 0, 10)], ["g", "g"]),
        ([key("seed", 0, in_name=True)], ["g"]),
        ([key("kw:seed", 0, 1)], ["g_kw-see0", "g_kw-see1"]),
    ],
)
def test_names_are_made_as_documented(parameters: list[Parameter], expected: list[str]) -> None:
    assert names_of("g", *parameters) == expected


def test_without_default_shorthands_the_key_itself_stands_there() -> None:
    assert names_of("g", key("clip_ratio", 1, 2), shorten=False) == ["g_clip_ratio1", "g_clip_ratio2"]


def test_a_grid_without_a_name_has_no_leading_underscore_and_no_empty_name() -> None:
    assert names_of("", key("lr", 1, 2)) == ["lr1", "lr2"]
    assert names_of("", key("flag", True, False)) == ["fla", "default"]


@pytest.mark.parametrize(
    "values",
    [
        ("a/b", "a-b"),
        ("a/b", "A/B"),
        (1.0, "1-0"),
        (None, "none"),
        (True, "true"),
        ([1, 2], "1-2"),
        ("a b", "a\tb"),
    ],
)
def test_values_that_look_alike_get_a_hash_each(values: tuple[Any, Any]) -> None:
    first, second = names_of("g", key("key", *values))
    stem, _, digits = first.rpartition("-")
    assert first != second
    assert second.startswith(f"{stem}-")
    assert re.fullmatch("[0-9a-f]{4}", digits)


def test_only_clashing_names_get_a_hash() -> None:
    first, second, third = names_of("g", key("key", "a/b", "a-b", "c"))
    assert third == "g_keyc"
    assert first != second


def test_the_hash_depends_neither_on_the_order_of_keys_nor_on_the_other_values() -> None:
    def hash_of(name: str) -> str:
        return name.rpartition("-")[2]

    lr, act = key("lr", 1, 2), key("act", "a/b", "a-b")
    one = {hash_of(name) for name in names_of("g", lr, act)}
    other = {hash_of(name) for name in names_of("other", act, lr)}
    assert one == other
    assert len(one) == 4


def test_equal_default_shorthands_are_lengthened() -> None:
    grid = [key("steps_per_epoch", 1, 2), key("steps_warm", 1, 2), key("gamma", 1, 2)]
    assert label_keys(grid, True) == {"steps_per_epoch": "stepsp", "steps_warm": "stepsw", "gamma": "gam"}
    assert label_keys(grid[::-1], True) == label_keys(grid, True)


def test_a_given_shorthand_stays_and_the_default_one_makes_room() -> None:
    assert label_keys([key("gamma", 1, 2, shorthand="lam"), key("lambda", 1, 2)], True) == {
        "gamma": "lam",
        "lambda": "lamb",
    }


def test_shorthands_that_cannot_be_told_apart_get_a_hash_of_their_key() -> None:
    labels = label_keys([key("ab", 1, 2), key("a_b", 1, 2), key("x", 1, 2, shorthand="ab")], True)
    assert labels["ab"] == "ab-fb8e"  # sha256 of "ab" begins with fb8e
    assert len(set(labels.values())) == 3
    assert all(label.startswith("ab-") for label in labels.values())


def test_two_empty_shorthands_stay_empty() -> None:
    assert names_of("g", key("a", 1, 2, shorthand=""), key("b", 1, 3, shorthand="")) == [
        "g_1_1",
        "g_1_3",
        "g_2_1",
        "g_2_3",
    ]


def test_keys_of_one_value_do_not_lengthen_the_others() -> None:
    assert names_of("g", key("steps_warm", 7), key("steps_per_epoch", 1, 2)) == ["g_ste1", "g_ste2"]


def test_long_names_are_cut_and_stay_different() -> None:
    long = [list(range(200)), [*range(199), 7]]
    first, second = names_of("g", key("sizes", *long))
    assert len(first) == len(second) == 150
    assert first != second


def test_a_prefix_shears_off_what_is_no_letter_or_digit() -> None:
    assert [prefix_shorthand("steps_per_epoch", length) for length in (3, 6, 7)] == ["ste", "steps", "stepsp"]


LOOK_ALIKE: list[Any] = ["a/b", "a-b", "A/B", "a b", "1-0", "1", "1_0", "0-1", "none", "None", "true", "x_b1", "x", ""]
LOOK_ALIKE += [1, 1.0, 0.1, None, True, False, (1, 0), [], (), {"a": 1}, "--a---1-"]
NASTY = st.sampled_from(LOOK_ALIKE)
KEYS = st.sampled_from(["ab", "a_b", "a-b", "abc", "abd", "x:ab", "x:abc", "y", "seed"])


@given(
    grid=st.dictionaries(KEYS, st.lists(NASTY, min_size=1, max_size=4), min_size=1, max_size=3),
    shorthand=st.sampled_from([None, "", "ab", "y"]),
    shorten=st.booleans(),
)
def test_different_variants_never_share_a_name(
    grid: dict[str, list[Any]], shorthand: str | None, shorten: bool
) -> None:
    parameters: list[Parameter] = []
    for name, values in grid.items():
        new = Parameter(name, tuple(values), shorthand)
        try:
            check_parameter(new, parameters)
        except GridError:
            continue
        parameters.append(new)
    if not parameters:
        return
    names = Names("g", parameters, shorten)
    unseeded = [Parameter(p.key, p.values if p.key != "seed" else p.values[:1], p.shorthand) for p in parameters]
    told = [names.of(variant).casefold() for variant in expand(unseeded)]
    assert len(set(told)) == len(told)
    assert all(re.fullmatch("[a-z0-9_-]+", name) for name in told)


@given(st.permutations([key("lr", 1.0, "1-0"), key("act", "a/b", "a-b"), key("size", 3, 4)]))
def test_the_order_of_keys_changes_the_order_of_words_alone(parameters: list[Parameter]) -> None:
    names = Names("g", parameters, True)
    reference = Names("g", [key("act", "a/b", "a-b"), key("lr", 1.0, "1-0"), key("size", 3, 4)], True)
    for lr, act, size in itertools.product((1.0, "1-0"), ("a/b", "a-b"), (3, 4)):
        variant = {"lr": lr, "act": act, "size": size}
        assert sorted(re.split("[_-]", names.of(variant))) == sorted(re.split("[_-]", reference.of(variant)))
