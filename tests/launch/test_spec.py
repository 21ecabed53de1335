"""The ids of runs, growing keys, and what is told of a difference."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridrl.build import Reference
from gridrl.errors import BadValue
from gridrl.launch.spec import differences, growth, has_grown, identify_run, keys_outside
from gridrl.launch.thunks import Thunk, read_thunk
from gridrl.signature import grows


@grows("epochs")
def train(lr: float = 0.1, epochs: int = 50, steps: Any = None, logger_kwargs: Any = None) -> None:
    """A thunk of this module."""


def other(lr: float = 0.1) -> None:
    """Another one."""


def ids(
    variant: dict[str, Any], thunk: Any = train, seed: int = 0, ranks: int = 1, varying: Any = ()
) -> tuple[str, str]:
    read = read_thunk(thunk)
    return identify_run(read, variant, seed, ranks, keys_outside(read, varying))


def test_an_id_tells_thunk_variant_seed_and_ranks_apart() -> None:
    base = ids({"lr": 0.1})
    changed = [
        ids({"lr": 0.2}),
        ids({"lr": 0.1, "steps": 1}),
        ids({}),
        ids({"lr": 0.1}, thunk=other),
        ids({"lr": 0.1}, ranks=2),
    ]
    assert len({base, *changed}) == 6
    assert len({variant_id for variant_id, _ in (base, *changed)}) == 6
    with_seed = ids({"lr": 0.1, "seed": 10}, seed=10)
    assert with_seed[0] == base[0]
    assert with_seed[1] != base[1]


def test_an_id_does_not_see_how_a_value_is_written() -> None:
    assert ids({"steps": [1, 2], "lr": 1}) == ids({"lr": 1, "steps": (1, 2)})
    assert ids({"steps": json.JSONDecoder}) == ids({"steps": Reference("json.JSONDecoder", "json.decoder:JSONDecoder")})


@given(
    st.lists(
        st.sampled_from([1, 1.0, True, "1", None, "None", (1,), ("1",), {"a": 1}, {"a": 1.0}, 0.1]), unique_by=repr
    )
)
def test_different_values_have_different_ids(values: list[Any]) -> None:
    assert len({ids({"steps": value})[1] for value in values}) == len(values)


def test_ids_are_the_same_in_every_process() -> None:
    code = (
        "from gridrl.launch.spec import identify_run; from gridrl.launch.thunks import read_thunk;"
        "print(*identify_run(read_thunk('json:dumps'), {'a': [1, {'b', 'c'}], 'f': lambda x: x + 1}, 3, 2, ()))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_values_without_a_canonical_form_are_all_told() -> None:
    with pytest.raises(BadValue) as error:
        ids({"lr": object(), "steps": {"deep": object()}})
    first, second = str(error.value).splitlines()
    assert first.startswith("lr: a builtins.object has no form that is the same in every process")
    assert second.startswith("steps:deep: a builtins.object")


def test_growing_keys_and_the_loggers_are_outside_unless_they_vary() -> None:
    assert ids({"epochs": 5, "logger_kwargs": {"quiet": True}}) == ids({"epochs": 9})
    assert ids({"epochs": 5}, varying={"epochs"}) != ids({"epochs": 9}, varying={"epochs"})
    assert ids({"logger_kwargs": {"quiet": True}}, varying={"logger_kwargs"}) != ids({})


def test_growth_counts_from_the_default() -> None:
    thunk = read_thunk(train)
    assert growth(thunk, {"epochs": 5}, ()) == {"epochs": 5}
    assert growth(thunk, {}, ()) == {"epochs": 50}
    assert growth(thunk, {"epochs": 5}, {"epochs"}) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"epochs": 2}, {"epochs": 4}, True),
        ({"epochs": 4}, {"epochs": 4}, False),
        ({"epochs": 4}, {"epochs": 2}, False),
        ({"epochs": None}, {"epochs": None}, False),
        ({"epochs": 2}, {"epochs": None}, True),
        ({}, {}, False),
    ],
)
def test_a_run_has_grown_when_it_is_to_go_further(old: dict[str, Any], new: dict[str, Any], expected: bool) -> None:
    assert has_grown(old, new) is expected


def test_differences_name_the_key_with_both_values() -> None:
    old = {"gamma": 0.99, "net": {"sizes": [64], "act": "tanh"}, "same": 1, "kind": 1}
    new = {"gamma": 0.9, "net": {"sizes": [32]}, "same": 1, "kind": 1.0, "lam": 0.9}
    assert list(differences(old, new, {"gamma": "0.5", "lam": "0.97"})) == [
        "gamma: 0.99 -> 0.9",
        "kind: 1 -> 1.0",
        "lam: 0.97 by default -> 0.9",
        "net:act: 'tanh' -> not given",
        "net:sizes: [64] -> [32]",
    ]


def test_a_function_and_its_name_are_one_thunk() -> None:
    assert read_thunk(json.dumps).identity == read_thunk("json:dumps").identity == "json:dumps"
    assert read_thunk("gridrl.utils.serialization:canonical").identity == "gridrl.utils.canonical:canonical"


def test_lambdas_and_closures_are_known_by_what_they_do() -> None:
    def scaled(factor: float) -> Callable[[float], float]:
        return lambda lr: lr * factor

    def identity(function: Callable[..., Any]) -> str:
        return read_thunk(function).identity

    assert identity(scaled(2.0)) == identity(scaled(2.0))
    assert identity(scaled(2.0)) != identity(scaled(3.0))
    assert identity(lambda lr: lr) != identity(lambda lr: -lr)


def test_a_partial_and_a_method_are_thunks() -> None:
    import functools

    first = read_thunk(functools.partial(other, lr=0.1))
    second = read_thunk(functools.partial(other, lr=0.2))
    assert first.identity != second.identity
    assert first.label == "other"
    assert read_thunk("text".join).label == "str.join"


@pytest.mark.parametrize(
    ("thunk", "told"),
    [
        (3, "The thunk is a function, 'module:function' or 'file.py:function', not 3."),
        ("json:dmups", "Did you mean 'dumps'"),
        ("no_such_module:f", "there is no module 'no_such_module'"),
        ("nowhere.py:f", "nowhere.py: there is no such file"),
    ],
)
def test_what_is_no_thunk_is_told(thunk: Any, told: str) -> None:
    with pytest.raises(BadValue, match=told):
        read_thunk(thunk)


def test_a_named_thunk_is_not_imported(tmp_path: Any) -> None:
    path = tmp_path / "heavy.py"
    path.write_text("raise RuntimeError('imported')\ndef train(lr=1): ...\n")
    thunk: Thunk = read_thunk(f"{path}:train")
    assert (thunk.identity, thunk.label) == (f"{path}:train", "train")
    assert thunk.signature.names == ("lr",)
