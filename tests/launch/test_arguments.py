"""Keywords of a variant against the signature of its thunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gridrl.launch.arguments import Interface
from gridrl.signature import read_signature


class Network:
    """A network builder: the spaces come from the algorithm, the rest from the user."""

    def __init__(self, spaces: Any, hidden_sizes: Sequence[int] = (64, 64), activation: Any = None) -> None:
        self.sizes = hidden_sizes


def algo(
    env_fn: Callable[[], Any],
    actor_critic: type[Network] = Network,
    ac_kwargs: dict[str, Any] = dict(),  # noqa: C408
    seed: int = 0,
    clip_ratio: float = 0.2,
    epochs: int = 50,
    note: str | None = None,
    logger_kwargs: dict[str, Any] = dict(),  # noqa: C408
) -> None:
    """An algorithm's function."""


def interface(function: Callable[..., Any]) -> Interface:
    return Interface(function.__name__, read_signature(function))


def faults(function: Callable[..., Any], **variant: Any) -> list[str]:
    return [message for _, message in interface(function).faults(variant)]


def test_env_name_and_env_kwargs_become_the_environment() -> None:
    variant = {"env_name": "CartPole-v1", "env_kwargs": {"gravity": 9.0}, "seed": 3, "epochs": 2}
    arguments = interface(algo).sort({**variant, "logger_kwargs": {"quiet": True}})
    assert arguments.environment == ("CartPole-v1", {"gravity": 9.0})
    assert arguments.keywords == {"epochs": 2}
    assert arguments.logger_kwargs == {"quiet": True}
    assert arguments.takes_seed
    assert arguments.takes_logger


def test_a_thunk_that_asks_for_the_name_gets_the_name() -> None:
    def own(env_name: str, env_fn: Any = None) -> None: ...

    arguments = interface(own).sort({"env_name": "Mine-v0"})
    assert arguments.environment is None
    assert arguments.keywords == {"env_name": "Mine-v0"}
    assert not arguments.takes_seed
    assert faults(own, env_name="Mine-v0") == []


def test_a_thunk_with_any_keywords_gets_everything() -> None:
    def open_one(**kwargs: Any) -> None: ...

    arguments = interface(open_one).sort({"env_name": "E-v0", "whatever": 1})
    assert arguments.environment == ("E-v0", {})
    assert arguments.keywords == {"whatever": 1}
    assert arguments.takes_seed
    assert arguments.takes_logger
    assert faults(open_one, env_name="E-v0", whatever=1) == []


def test_unknown_keywords_are_told_with_the_nearest() -> None:
    assert faults(algo, env_name="E-v0", clip_ration=0.1, zzz=1) == [
        "`clip_ration`: algo has no such parameter. Did you mean 'clip_ratio'?",
        "`zzz`: algo has no such parameter. It takes env_fn, actor_critic, ac_kwargs, seed, clip_ratio, epochs, note, "
        "logger_kwargs.",
    ]


def test_options_of_the_launcher_are_no_hyperparameters() -> None:
    assert faults(algo, env_name="E-v0", num_cpu=2) == [
        "`num_cpu`: algo has no such parameter. It is no hyperparameter: say it where you start the runs, "
        "`run(..., num_cpu=...)`."
    ]


def test_what_has_no_default_must_be_given() -> None:
    def needy(env_fn: Any, rate: float, seed: int, logger_kwargs: dict[str, Any]) -> None: ...

    assert faults(needy) == [
        "`env_name` is missing: needy needs an environment, such as env_name='CartPole-v1'.",
        "`rate` is missing: needy has no default for it.",
    ]


def test_an_environment_that_nobody_takes_is_told() -> None:
    def plain(rate: float = 1.0) -> None: ...

    assert faults(plain, env_name="E-v0", logger_kwargs={}) == [
        "`logger_kwargs`: plain does not take it, so the keywords below it reach nobody.",
        "`env_name`: plain has no such parameter. It takes neither `env_name` nor `env_fn`.",
    ]


def test_parameters_by_position_only_cannot_be_given() -> None:
    def positional(rate: float, /) -> None: ...

    assert faults(positional, rate=1.0) == [
        "`rate`: positional has no such parameter. It takes no keywords.",
        "`rate`: positional takes it by position only; runs are called by keywords.",
    ]


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ({"clip_ratio": "abc"}, "`clip_ratio`: wants float, got 'abc' (str)."),
        ({"clip_ratio": True}, "`clip_ratio`: wants float, got True (bool)."),
        ({"epochs": 2.5}, "`epochs`: wants int, got 2.5 (float)."),
        (
            {"epochs": (1, 2)},
            "`epochs`: wants int, got (1, 2) (tuple). In a grid several values are a list: [1, 2], not (1, 2) or "
            "range(1, 3).",
        ),
        ({"note": 3}, "`note`: wants str or None, got 3 (int)."),
        ({"env_kwargs": 3}, "`env_kwargs`: wants dict, got 3 (int)."),
        ({"env_name": 3}, "`env_name`: wants str, got 3 (int)."),
        ({"env_fn": print}, "`env_fn` and `env_name` are both given; one of them makes the environment."),
        (
            {"ac_kwargs": {"hidden_sizes": 64}},
            "`ac_kwargs:hidden_sizes`: wants list of int, got 64 (int). In a grid a list is several values; one value "
            "that is a list is written [[64]].",
        ),
        (
            {"ac_kwargs": {"hidden": [64]}},
            "`ac_kwargs:hidden`: Network has no such parameter. Did you mean 'hidden_sizes'?",
        ),
    ],
)
def test_values_of_another_kind_are_told(variant: dict[str, Any], told: str) -> None:
    assert faults(algo, **{"env_name": "E-v0", **variant}) == [told]


@pytest.mark.parametrize(
    "variant",
    [
        {"clip_ratio": 1, "epochs": np.int64(3)},
        {"clip_ratio": np.float32(0.5), "note": None},
        {"ac_kwargs": {"hidden_sizes": np.array([64, 64])}},
        {"ac_kwargs": {"hidden_sizes": (), "activation": print}},
        {"actor_critic": lambda spaces, **kwargs: None, "ac_kwargs": {"anything": 1}},
    ],
)
def test_values_that_fit_are_not_complained_about(variant: dict[str, Any]) -> None:
    assert faults(algo, env_name="E-v0", **variant) == []


def test_a_network_of_the_users_own_is_asked_what_it_takes() -> None:
    def mine(spaces: Any, width: int = 3) -> None: ...

    assert faults(algo, env_name="E-v0", actor_critic=mine, ac_kwargs={"hidden_sizes": [1], "width": "x"}) == [
        "`ac_kwargs:hidden_sizes`: "
        "test_a_network_of_the_users_own_is_asked_what_it_takes.<locals>.mine has no such parameter.",
        "`ac_kwargs:width`: wants int, got 'x' (str).",
    ]


def test_a_function_whose_signature_cannot_be_read_takes_everything() -> None:
    unreadable = Interface("max", read_signature(max))
    assert list(unreadable.faults({"whatever": 1})) == []
