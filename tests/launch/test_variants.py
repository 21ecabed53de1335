"""Keys, values, and the nested dicts that they span."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gridrl.errors import BadValue, ClashingKeys, DuplicateKey, EmptyGrid
from gridrl.launch.variants import Parameter, check_parameter, expand, nest, own_copy, value_at


def parameter(key: str, *values: Any, **more: Any) -> Parameter:
    return Parameter(key, values, **more)


def test_the_first_key_varies_slowest() -> None:
    grid = [parameter("a", 1, 2), parameter("b", "x", "y")]
    assert list(expand(grid)) == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_colons_nest() -> None:
    (variant,) = expand([parameter("base:param:a", 1), parameter("base:param:b", 2), parameter("c", 3)])
    assert variant == {"base": {"param": {"a": 1, "b": 2}}, "c": 3}


@pytest.mark.parametrize("turned", [False, True])
def test_a_dict_and_a_nested_key_merge_in_either_order(turned: bool) -> None:
    grid = [parameter("a", {"z": 1}), parameter("a:b", 2)]
    (variant,) = expand(grid[::-1] if turned else grid)
    assert variant == {"a": {"z": 1, "b": 2}}


def test_the_users_dicts_are_not_changed_and_variants_share_nothing() -> None:
    mine: dict[str, Any] = {"z": [1]}
    first, second = expand([parameter("a", mine), parameter("a:b", 2, 3)])
    first["a"]["z"].append(9)
    assert mine == {"z": [1]}
    assert second == {"a": {"z": [1], "b": 3}}


def test_what_cannot_be_copied_is_shared_and_what_is_around_it_is_not() -> None:
    lock = threading.Lock()
    mine = {"lock": lock, "list": [1]}
    copied = own_copy(mine)
    copied["list"].append(2)
    assert copied["lock"] is lock
    assert mine["list"] == [1]


def test_an_empty_grid_has_nothing_to_run() -> None:
    with pytest.raises(EmptyGrid, match=r"^The grid has no keys, so there is nothing to run\."):
        list(expand([]))


def test_a_key_without_values_is_refused() -> None:
    with pytest.raises(EmptyGrid, match=r"^`lr`: an empty list of values leaves nothing to run\.$"):
        check_parameter(parameter("lr"), [])


@pytest.mark.parametrize("key", ["", "a:", ":a", "a::b"])
def test_a_key_with_an_empty_part_is_refused(key: str) -> None:
    with pytest.raises(BadValue, match="a part of this key is empty"):
        check_parameter(parameter(key, 1), [])


def test_a_key_added_twice_is_refused() -> None:
    with pytest.raises(DuplicateKey, match="`a` was added already; give all its values in one list"):
        check_parameter(parameter("a", 2), [parameter("a", 1)])


def test_two_equal_numbers_hint_at_the_list_that_was_meant() -> None:
    with pytest.raises(DuplicateKey) as told:
        check_parameter(parameter("ac_kwargs:hidden_sizes", 64, 64), [])
    assert str(told.value) == (
        "`ac_kwargs:hidden_sizes`: the value 64 stands there twice. A list is several values; for one value that is a "
        "list, write [[64, 64]]."
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (("x", "x"), "the value 'x' stands there twice.$"),
        (((64, 64), [64, 64]), r"the value \(64, 64\), also written \[64, 64\], stands there twice.$"),
        ((lambda: 1, lambda: 1), "stands there twice"),
        (({"a": 1, "b": 2}, {"b": 2, "a": 1}), "stands there twice"),
    ],
)
def test_values_that_mean_the_same_are_refused(values: tuple[Any, ...], told: str) -> None:
    with pytest.raises(DuplicateKey, match=told):
        check_parameter(parameter("key", *values), [])


def test_values_that_only_look_alike_are_different() -> None:
    check_parameter(parameter("key", 1, 1.0, True, "1", None, "None", "none", (1,), lambda: 1, lambda: 2), [])


def test_objects_without_a_form_of_their_own_equal_themselves_alone() -> None:
    lock = threading.Lock()
    check_parameter(parameter("key", lock, threading.Lock()), [])
    with pytest.raises(DuplicateKey):
        check_parameter(parameter("key", lock, lock), [])


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (("a", 1), ("a:b", 2), "`a` and `a:b` clash: `a` would be the value 1 and a dict at once."),
        (("a:b", 2), ("a", 1), "`a` and `a:b` clash: `a` would be the value 1 and a dict at once."),
        (("a", {"b": 1}), ("a:b", 2), "`a` and `a:b` clash: `a:b` is given twice, as 1 and as 2."),
        (("a:b", 2), ("a", {"b": 1}), "`a` and `a:b` clash: `a:b` is given twice, as 2 and as 1."),
        (("a", {"b": 1}), ("a:b:c", 2), "`a` and `a:b:c` clash: `a:b` would be the value 1 and a dict at once."),
        (("a", {"b": {"c": 1}}), ("a:b", 2), "`a` and `a:b` clash: `a:b` would be the value 2 and a dict at once."),
        (("a", None), ("a:b", 2), "`a` and `a:b` clash: `a` would be the value None and a dict at once."),
    ],
)
def test_a_value_against_a_dict_is_refused(first: tuple[str, Any], second: tuple[str, Any], told: str) -> None:
    with pytest.raises(ClashingKeys) as error:
        check_parameter(parameter(*second), [parameter(*first)])
    assert str(error.value) == told


def test_one_clashing_value_among_many_is_found() -> None:
    with pytest.raises(ClashingKeys, match="the value 5 and a dict at once"):
        check_parameter(parameter("a:b", 1), [parameter("a", {"z": 1}, 5)])


def test_all_faults_of_a_key_are_told_at_once() -> None:
    with pytest.raises(ClashingKeys, match=r"(?s)`a` and `a:b` clash.*the value 3 stands there twice"):
        check_parameter(parameter("a:b", 3, 3), [parameter("a", 1)])


def test_keys_that_only_begin_alike_go_together() -> None:
    grid = [parameter("a", 1), parameter("ab:c", 2), parameter("a_b", 3)]
    for index, one in enumerate(grid):
        check_parameter(one, grid[:index])
    assert nest([(p.path, p.values[0]) for p in grid]) == {"a": 1, "ab": {"c": 2}, "a_b": 3}


def test_a_missing_key_of_a_variant_is_named() -> None:
    assert value_at({"a": {"b": None}}, ("a", "b")) is None
    with pytest.raises(BadValue, match="The variant has no 'a:c'"):
        value_at({"a": {"b": 1}}, ("a", "c"))
