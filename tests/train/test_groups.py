"""Data groups: who reads which, when hooks are passed over, and groups that callbacks make anew for each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from gridrl.errors import BindingError
from gridrl.train.callback import Callback
from gridrl.train.trainer import Trainer


def test_hooks_of_a_group_that_a_batch_lacks_are_passed_over_where_the_source_declares_its_groups() -> None:
    class Source:
        data_groups: Mapping[str, tuple[str, ...]] = {"policy": ("obs",), "value": ("ret",)}

        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield {"policy": {"obs": 1}, "batch_size": 1}
            yield {"value": {"ret": 2}, "batch_size": 1}
            yield {"policy": {"obs": 3}, "value": {"ret": 4}, "batch_size": 1}

    seen: list[tuple[str, int]] = []

    class Policy(Callback):
        data_group = "policy"

        def backward(self, obs: int) -> None:
            seen.append(("policy", obs))

    class Value(Callback):
        data_group = "value"

        def backward(self, ret: int) -> None:
            seen.append(("value", ret))

    Trainer([Policy(), Value()], Source()).train()
    assert seen == [("policy", 1), ("value", 2), ("policy", 3), ("value", 4)]


def test_a_group_that_vanishes_without_being_declared_is_told_and_nothing_is_learned_twice() -> None:
    seen = []

    class Learn(Callback):
        data_group = "default"

        def backward(self, obs: int) -> None:
            seen.append(obs)

    with pytest.raises(BindingError, match="Learn reads the data group 'default', which earlier batches had and this"):
        Trainer([Learn()], [{"default": {"obs": 1}, "batch_size": 1}, {"batch_size": 1}]).train()
    assert seen == [1]


def test_all_declared_groups_are_checked_before_the_first_update() -> None:
    class Source:
        data_groups: Mapping[str, tuple[str, ...]] = {"policy": ("obs",), "value": ("ret",)}

        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield {"policy": {"obs": 1}, "batch_size": 1}

    class Value(Callback):
        data_group = "value"

        def backward(self, retrun: int) -> None:
            raise AssertionError

    with pytest.raises(BindingError, match=r"Value.backward asks for 'retrun'"):
        Trainer([Value()], Source()).train()


class Imagine(Callback):
    """Makes a data group of its own from each batch."""

    data_group = "default"
    provides_groups: Mapping[str, tuple[str, ...]] = {"imagined": ("obs",)}

    def begin_batch(self, obs: int) -> dict[str, Any]:
        return {"imagined": {"obs": -obs}}


class Dream(Callback):
    data_group = "imagined"
    provides = ("double",)

    def __init__(self, seen: list[tuple[str, Any]]) -> None:
        super().__init__(cycle=2)
        self.seen = seen

    def begin_batch(self, obs: int) -> dict[str, int]:
        return {"double": 2 * obs}

    def backward(self, obs: int, double: int) -> dict[str, Any]:
        self.seen.append(("backward", (obs, double)))
        return {"imagined": {"later": obs}}

    def end_cycle(self, obs: int) -> None:
        self.seen.append(("end_cycle", obs))


def test_a_callback_can_make_a_data_group_for_those_behind_it() -> None:
    seen: list[tuple[str, Any]] = []
    dataloader = [{"default": {"obs": number}, "batch_size": 1} for number in (1, 2)]
    trainer = Trainer([Imagine(), Dream(seen)], dataloader)
    trainer.train()
    assert seen == [("backward", (-1, -2)), ("backward", (-2, -4)), ("end_cycle", -2)]
    assert trainer.state["imagined"] == {"obs": -2, "double": -4, "later": -2}


def test_a_data_group_that_is_asked_for_before_it_is_made_is_told() -> None:
    with pytest.raises(
        BindingError, match=r"Dream.begin_batch reads the data group 'imagined', which nobody has made wh"
    ):
        Trainer([Dream([]), Imagine()], [{"default": {"obs": 1}, "batch_size": 1}]).train()


class Alternating:
    """Batches with and without the group that `Imagine` reads."""

    data_groups: Mapping[str, tuple[str, ...]] = {"default": ("obs",), "other": ("x",)}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in range(1, 5):
            group = {"default": {"obs": number}} if number % 2 else {"other": {"x": number}}
            yield {**group, "batch_size": 1}


def test_who_reads_a_group_that_was_not_made_for_this_batch_is_passed_over() -> None:
    seen: list[tuple[str, Any]] = []

    class Deeper(Callback):
        data_group = "imagined"
        provides_groups: Mapping[str, tuple[str, ...]] = {"deeper": ("obs",)}

        def begin_batch(self, obs: int) -> dict[str, Any]:
            return {"deeper": {"obs": 10 * obs}}

    class Deepest(Callback):
        data_group = "deeper"

        def end_batch(self, obs: int) -> None:
            seen.append(("deepest", obs))

    Trainer([Imagine(), Deeper(), Deepest(), Dream(seen)], Alternating()).train()
    # updates 2 and 4 have nothing to imagine from, and the cycle of 2 ends there
    assert seen == [("backward", (-1, -2)), ("deepest", -10), ("backward", (-3, -6)), ("deepest", -30)]


def test_a_group_is_not_read_a_second_time_where_its_maker_makes_none() -> None:
    class Once(Imagine):
        def begin_batch(self, obs: int) -> dict[str, Any] | None:  # type: ignore[override]
            return super().begin_batch(obs) if obs == 1 else None

    seen: list[tuple[str, Any]] = []
    dataloader = [{"default": {"obs": number}, "batch_size": 1} for number in (1, 2)]
    with pytest.raises(BindingError, match=r"Dream.begin_batch reads the data group 'imagined', which nobody has made"):
        Trainer([Once(), Dream(seen)], dataloader).train()
    assert seen == [("backward", (-1, -2))]


def test_a_group_that_was_made_can_be_read_in_the_end() -> None:
    class Last(Callback):
        data_group = "imagined"
        seen = 0

        def end_training(self, obs: int) -> None:
            self.seen = obs

    last = Last()
    Trainer([Imagine(), last], [{"default": {"obs": 3}, "batch_size": 1}]).train()
    assert last.seen == -3
