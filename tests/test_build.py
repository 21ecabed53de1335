from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.build import Builder, Reference, recursive_update, replace_references, resolve_references
from gridrl.errors import BadValue, BuildError

LEAVES = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3)
NESTED: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), LEAVES | inner, max_size=3),
    max_leaves=8,
)


class Recorder:
    """Remembers what it was made from."""

    def __init__(self, a: Any = None, b: Any = None, **more: Any) -> None:
        self.given = {"a": a, "b": b, **more}


def strict(alpha: int, beta: int = 2) -> tuple[int, int]:
    return alpha, beta


# --- recursive_update ---


@pytest.mark.parametrize(
    ("original", "update", "expected"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 3}, {"a": 3, "b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": {"x": {"p": 1}}}, {"a": {"x": {"q": 2}}}, {"a": {"x": {"p": 1, "q": 2}}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": 5}, {"a": {}}, {"a": {}}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": "text"}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [1, 2]}, {"a": {}}, {"a": {}}),
        ({"a": [1, 2]}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": {0: 9}}, {"a": [9, 2]}),
        ({"a": [1, {"x": 1, "y": 2}]}, {"a": {"1": {"y": 3}}}, {"a": [1, {"x": 1, "y": 3}]}),
        ({"a": [1, 2]}, {"a": {-1: 9}}, {"a": [1, 9]}),
        ({"a": [1]}, {"a": {True: 9}}, {"a": {True: 9}}),
    ],
)
def test_dicts_merge_and_everything_else_replaces(
    original: dict[str, Any], update: dict[str, Any], expected: dict[str, Any]
) -> None:
    before = copy.deepcopy(update)
    result = recursive_update(original, update)
    assert result is original
    assert result == expected
    assert update == before


def test_a_read_only_mapping_is_merged_into_a_copy() -> None:
    fixed = MappingProxyType({"x": 1})
    assert recursive_update({"a": fixed}, {"a": {"y": 2}}) == {"a": {"x": 1, "y": 2}}
    assert fixed == {"x": 1}


def test_a_place_that_a_list_does_not_have_is_told() -> None:
    with pytest.raises(BuildError, match=r"there is no place 2 in a list of 2: \[1, 2\]"):
        recursive_update({"a": [1, 2]}, {"a": {2: 9}})


def test_dicts_of_the_update_are_copied_and_its_lists_shared() -> None:
    inner: dict[str, Any] = {"x": [1]}
    result = recursive_update({}, {"a": inner})
    assert result["a"] == inner
    assert result["a"] is not inner
    assert result["a"]["x"] is inner["x"]


def test_the_list_that_an_index_changes_is_a_copy() -> None:
    shared = [1, 2]
    assert recursive_update({"a": shared}, {"a": {0: 9}}) == {"a": [9, 2]}
    assert shared == [1, 2]


@given(NESTED, NESTED)
def test_updating_twice_changes_nothing_more(original: dict[str, Any], update: dict[str, Any]) -> None:
    once = recursive_update(copy.deepcopy(original), update)
    twice = recursive_update(copy.deepcopy(once), update)
    assert once == twice


@given(NESTED, NESTED)
def test_every_leaf_of_the_update_stands_in_the_result(original: dict[str, Any], update: dict[str, Any]) -> None:
    def leaves(node: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
        if not isinstance(node, dict):
            return {path: node}
        return {key: leaf for name, value in node.items() for key, leaf in leaves(value, (*path, name)).items()}

    result = leaves(recursive_update(copy.deepcopy(original), update))
    assert {path: result.get(path, "missing") for path in leaves(update)} == leaves(update)


# --- Builder ---


def test_the_call_comes_before_kwargs_and_these_before_default() -> None:
    builder = Builder(Recorder, {"b": "kwargs", "c": "kwargs"}, {"a": "default", "b": "default", "c": "default"})
    assert builder(c="call").given == {"a": "default", "b": "kwargs", "c": "call"}


def test_dicts_merge_at_every_level() -> None:
    builder = Builder(Recorder, {"a": {"x": {"p": 2}}}, {"a": {"x": {"p": 1, "q": 1}, "y": 1}})
    assert builder(a={"z": 3}).given["a"] == {"x": {"p": 2, "q": 1}, "y": 1, "z": 3}


def test_building_changes_nothing_that_was_given() -> None:
    default, kwargs, call = {"a": {"x": 1}}, {"a": {"y": 2}}, {"z": 3}
    builder = Builder(Recorder, kwargs, default)
    built = builder(a=call).given["a"]
    built["x"] = "changed"
    assert (default, kwargs, call) == ({"a": {"x": 1}}, {"a": {"y": 2}}, {"z": 3})
    assert builder().given["a"] == {"x": 1, "y": 2}


def test_values_of_default_are_fresh_each_time_and_those_of_kwargs_are_shared() -> None:
    kwargs, default = {"a": [1]}, {"b": [2]}
    builder = Builder(Recorder, kwargs, default)
    first, second = builder().given, builder().given
    assert first["a"] is second["a"] is kwargs["a"]
    assert first["b"] == second["b"] == [2]
    assert first["b"] is not second["b"]
    assert first["b"] is not default["b"]


def test_any_callable_can_be_built() -> None:
    assert Builder(strict, {"alpha": 1})(beta=5) == (1, 5)
    assert Builder(lambda **given: given)(a=1) == {"a": 1}


def test_a_reference_is_resolved_when_it_is_called() -> None:
    assert Builder(Reference("fractions.Fraction"), {"numerator": 3})() == Fraction(3)


def test_a_builder_is_the_tuple_of_its_parts() -> None:
    builder = Builder(Recorder, {"a": 1})
    assert builder == (Recorder, {"a": 1}, {})
    assert builder[0] is builder.class_type is Recorder
    assert builder[1] is builder.kwargs
    assert builder[2] is builder.default
    with pytest.raises(TypeError):
        hash(builder)


def test_the_parts_cannot_be_set_apart_from_the_tuple() -> None:
    builder = Builder(Recorder)
    with pytest.raises(AttributeError):
        builder.kwargs = {"a": 1}  # type: ignore[misc]


def test_a_builder_can_be_subscripted_with_the_type_that_it_builds() -> None:
    assert Builder[Fraction](Fraction, {"numerator": 2})() == 2


class Special(Builder[Recorder]):
    """A builder of one's own."""


@pytest.mark.parametrize("kind", [Builder, Special])
@pytest.mark.parametrize(
    "transport",
    [copy.copy, copy.deepcopy, lambda b: cloudpickle.loads(cloudpickle.dumps(b))]
    + [lambda b, p=protocol: pickle.loads(pickle.dumps(b, p)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)],
)
def test_a_builder_survives_pickling_and_copying(kind: type[Builder[Any]], transport: Any) -> None:
    builder = kind(Recorder, {"a": {"x": [1]}}, {"b": 2})
    other = transport(builder)
    assert type(other) is kind
    assert tuple(other) == tuple(builder) == (Recorder, {"a": {"x": [1]}}, {"b": 2})
    assert other == builder
    assert other().given == builder().given


def test_a_deep_copy_shares_no_dict() -> None:
    builder = Builder(Recorder, {"a": [1]})
    assert copy.deepcopy(builder).kwargs["a"] is not builder.kwargs["a"]


def test_the_text_of_a_builder_is_honest_and_holds_no_address() -> None:
    assert repr(Builder(Fraction)) == "Builder(fractions.Fraction)"
    assert (
        repr(Builder(Fraction, {"n": 1}, {"d": 2})) == "Builder(fractions.Fraction, kwargs={'n': 1}, default={'d': 2})"
    )
    assert repr(Special(Recorder)) == f"Special({__name__}.Recorder)"
    assert repr(Builder(Reference("torch.nn.ReLU"))) == "Builder(torch.nn.ReLU)"
    assert " at 0x" not in repr(Builder(lambda: 0))


def test_arguments_that_do_not_fit_are_told_with_a_near_match() -> None:
    with pytest.raises(BuildError) as caught:
        Builder(strict, {"alpha": 1})(betta=3)
    assert str(caught.value) == (
        f"Builder: {__name__}.strict cannot be called so: got an unexpected keyword argument 'betta'. "
        "Did you mean 'beta'? It takes alpha, beta."
    )
    with pytest.raises(BuildError, match="missing a required argument: 'alpha'"):
        Builder(strict)()


def test_a_type_error_inside_the_constructor_is_its_own() -> None:
    def broken(a: int) -> str:
        return "a" + a  # type: ignore[operator]

    with pytest.raises(TypeError) as caught:
        Builder(broken, {"a": 1})()
    assert not isinstance(caught.value, BuildError)


@pytest.mark.parametrize("arguments", [(3,), (Recorder, [1]), (Recorder, None, 5)])
def test_what_cannot_be_a_builder_is_told_at_once(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(BuildError):
        Builder(*arguments)


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        Builder(Recorder)(1)  # type: ignore[call-arg]


# --- references in values ---


def test_references_are_resolved_wherever_they_stand() -> None:
    fraction, ordered = Reference("fractions.Fraction"), Reference("collections:OrderedDict")
    value = {"a": fraction, "b": [1, (ordered, {"c": fraction})], "d": Builder(fraction, {"e": ordered})}
    resolved = resolve_references(value)
    assert resolved["a"] is Fraction
    assert resolved["b"] == [1, (OrderedDict, {"c": Fraction})]
    assert resolved["d"] == Builder(Fraction, {"e": OrderedDict})
    assert type(resolved["d"]) is Builder
    assert value["a"] is fraction


def test_what_holds_no_reference_comes_back_itself() -> None:
    value = {"a": [1, (2, {3})], "b": Builder(Recorder, {"c": [1]}), "d": OrderedDict(e=1)}
    assert resolve_references(value) is value


def test_a_mapping_with_references_keeps_its_kind() -> None:
    reference = Reference("fractions.Fraction")
    value = OrderedDict(b=1, a=reference)
    resolved = resolve_references(value)
    assert type(resolved) is OrderedDict
    assert list(resolved.items()) == [("b", 1), ("a", Fraction)]
    assert value["a"] is reference


def test_references_can_become_anything_else() -> None:
    value = {"a": [Reference("x.y")], "b": 1}
    assert replace_references(value, lambda reference: reference.last) == {"a": ["y"], "b": 1}


def test_references_in_sets_and_named_tuples_are_resolved() -> None:
    from collections import namedtuple

    Pair = namedtuple("Pair", "x y")
    reference = Reference("fractions.Fraction")
    assert resolve_references(frozenset([reference])) == frozenset([Fraction])
    assert resolve_references(Pair(reference, 1)) == Pair(Fraction, 1)


def test_a_reference_that_names_nothing_is_told() -> None:
    with pytest.raises(BadValue, match="Did you mean 'Fraction'"):
        resolve_references([Reference("fractions.Fractoin")])
