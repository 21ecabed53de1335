"""Names are bound once, before the first update, and what does not fit is told with who asks and what there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gridrl.errors import BindingError
from gridrl.train.callback import BatchCallback, Callback
from gridrl.train.trainer import Trainer

BATCH = {"default": {"obs": 1, "reward": 2.0}, "batch_size": 1}


def train(*callbacks: Callback, batch: dict[str, Any] = BATCH) -> Trainer:
    trainer = Trainer(callbacks, [{key: dict(v) if isinstance(v, dict) else v for key, v in batch.items()}])
    trainer.train()
    return trainer


class InGroup(Callback):
    data_group = "default"
    seen: Any = None


def test_a_name_comes_from_the_data_group_first_and_from_the_state_otherwise() -> None:
    class Ask(InGroup):
        def backward(self, obs: int, bp_step: int, batch_size: int) -> None:
            self.seen = (obs, bp_step, batch_size)

    ask = Ask()
    train(ask, batch={"default": {"obs": 1, "batch_size": 7}, "obs": 5, "batch_size": 1})
    assert ask.seen == (1, 1, 7)


def test_without_a_data_group_the_state_is_all_there_is() -> None:
    class Ask(Callback):
        def backward(self, obs: int) -> None:
            raise AssertionError

    expected = r"^Ask.backward asks for 'obs'; the trainer's state has: batch_size, bp_samples, bp_step, default\.$"
    with pytest.raises(BindingError, match=expected):
        train(Ask())


def test_a_missing_name_is_told_with_the_nearest_one_before_anything_is_learned() -> None:
    learned = []

    class Learn(InGroup):
        def begin_batch(self) -> None:
            learned.append(1)

    class Typo(InGroup):
        def backward(self, rewrd: float) -> None:
            raise AssertionError

    expected = (
        r"^Typo.backward asks for 'rewrd'; the 'default' batch and the trainer's state have: "
        r"batch_size, bp_samples, bp_step, default, obs, reward. Did you mean 'reward'\?$"
    )
    with pytest.raises(BindingError, match=expected):
        train(Learn(), Typo())
    assert learned == []


def test_who_provides_a_missing_name_later_is_told() -> None:
    class Target(InGroup):
        provides = ("q_target",)

        def begin_batch(self, reward: float) -> dict[str, float]:
            return {"q_target": reward}

    class Eager(InGroup):
        def begin_batch(self, q_target: float) -> None:
            self.seen = q_target

    with pytest.raises(BindingError, match="Target provides it, but runs later: move it before Eager, or lower its"):
        train(Eager(), Target())
    eager = Eager()
    train(Target(), eager)
    assert eager.seen == 2.0


def test_what_is_provided_in_another_group_is_told_with_the_group() -> None:
    class Target(InGroup):
        provides = ("q_target",)

        def begin_batch(self, reward: float) -> dict[str, float]:
            return {"q_target": reward}

    class Elsewhere(Callback):
        data_group = "other"

        def backward(self, q_target: float) -> None:
            raise AssertionError

    with pytest.raises(BindingError, match=r"^Elsewhere.*\. Target provides it, but in the data group 'default'\.$"):
        train(Target(), Elsewhere(), batch={**BATCH, "other": {"y": 1}})


def test_what_a_callback_provides_goes_into_its_group_and_the_rest_into_the_state() -> None:
    class Give(InGroup):
        provides = ("q_target",)

        def begin_batch(self) -> dict[str, Any]:
            return {"q_target": 1, "note": 2, "default": {"extra": 3}}

    state = train(Give()).state
    assert state["note"] == 2
    assert state["default"] == {"obs": 1, "reward": 2.0, "q_target": 1, "extra": 3}


def test_an_optional_parameter_may_stay_unfilled_unless_it_looks_misspelt() -> None:
    class Maybe(InGroup):
        def backward(self, obs: int, weight: float = 0.5, reward: float = 0.0) -> None:
            self.seen = (obs, weight, reward)

    class Typo(InGroup):
        def backward(self, rewards_: float = 0.0) -> None:
            raise AssertionError

    maybe = Maybe()
    train(maybe)
    assert maybe.seen == (1, 0.5, 2.0)
    with pytest.raises(BindingError, match=r"optional parameter 'rewards_' that nothing fills. Did you mean 'reward'"):
        train(Typo())


def test_an_optional_parameter_is_no_slip_of_a_name_that_the_hook_asks_for_too() -> None:
    class Maybe(InGroup):
        def backward(self, actions: int, action_mask: int = 7) -> None:
            self.seen = (actions, action_mask)

    class Alone(InGroup):
        def backward(self, action_mask: int = 7) -> None:
            raise AssertionError

    maybe = Maybe()
    batch = {"default": {"action": 1}, "batch_size": 1}
    train(maybe, batch=batch)
    assert maybe.seen == (1, 7)
    with pytest.raises(BindingError, match=r"optional parameter 'action_mask' that nothing fills. Did you mean 'act"):
        train(Alone(), batch=batch)


def test_a_keyword_only_parameter_is_filled_by_keyword() -> None:
    class Ask(InGroup):
        def backward(self, obs: int, *, reward: float) -> None:
            self.seen = (obs, reward)

    ask = Ask()
    train(ask)
    assert ask.seen == (1, 2.0)


def test_a_hook_with_open_keywords_gets_everything_the_group_over_the_state() -> None:
    class Ask(InGroup):
        def backward(self, **everything: Any) -> None:
            self.seen = everything

    ask = Ask()
    train(ask)
    assert ask.seen["obs"] == 1
    assert ask.seen["bp_step"] == 1


def test_named_parameters_beside_open_keywords_are_bound_like_any_other() -> None:
    class Ask(InGroup):
        key = "reward"

        @Callback.keys_from_member(value="key")
        def backward(self, observation: int, value: float, weight: float = 0.5, **everything: Any) -> None:
            self.seen = (observation, value, weight, everything)

    class Typo(InGroup):
        def backward(self, rewrd: float, **everything: Any) -> None:
            raise AssertionError

    ask = Ask()
    train(ask)
    assert ask.seen[:3] == (1, 2.0, 0.5)
    assert ask.seen[3].keys() == {"obs", "reward", "bp_step", "bp_samples", "batch_size", "default"}
    with pytest.raises(BindingError, match=r"^Typo.backward asks for 'rewrd'; .* Did you mean 'reward'\?$"):
        train(Typo())
    later = [{"default": {"obs": 1, "reward": 2.0}, "batch_size": 1}, {"default": {"obs": 1}, "batch_size": 1}]
    with pytest.raises(BindingError, match=r"Ask.backward asks for 'reward', which earlier batches had and"):
        Trainer([Ask()], later).train()


def test_open_positions_get_nothing() -> None:
    class Ask(InGroup):
        def backward(self, obs: int, *more: Any) -> None:
            self.seen = (obs, more)

    ask = Ask()
    train(ask)
    assert ask.seen == (1, ())


def test_keys_can_stand_in_members_with_and_without_a_group() -> None:
    class Ask(Callback):
        def __init__(self, key: str, group: str | None) -> None:
            super().__init__()
            self.key, self.data_group = key, group

        @Callback.keys_from_member(value="key")
        def backward(self, value: Any) -> None:
            self.seen = value

    grouped, plain = Ask("reward", "default"), Ask("batch_size", None)
    train(grouped, plain)
    assert (grouped.seen, plain.seen) == (2.0, 1)


def test_a_member_key_for_a_parameter_that_is_none_is_told() -> None:
    class Ask(InGroup):
        key = "obs"

        @Callback.keys_from_member(vlaue="key")
        def backward(self, value: Any) -> None:
            raise AssertionError

    with pytest.raises(BindingError, match=r"Ask.backward: keys_from_member names 'vlaue', .* it has: value\."):
        train(Ask())


def test_the_documented_names_of_other_libraries_are_served() -> None:
    class Emote(InGroup):
        def backward(self, observation: Any, actions: Any, rewards: Any, masks: Any, next_observation: Any) -> None:
            self.seen = (observation, actions, rewards, masks, next_observation)

    ended = torch.tensor([True, False])
    batch = {"obs": 1, "action": 2, "reward": 3, "terminated": ended, "next_obs": 5}
    emote = Emote()
    train(emote, batch={"default": batch, "batch_size": 2})
    assert emote.seen[:3] == (1, 2, 3)
    assert emote.seen[3].tolist() == [0.0, 1.0]
    assert emote.seen[4] == 5
    train(emote, batch={"default": {**batch, "terminated": np.array([1.0, 0.0])}, "batch_size": 2})
    assert emote.seen[3].tolist() == [0.0, 1.0]


def test_a_name_of_ones_own_goes_before_an_alias() -> None:
    class Ask(InGroup):
        def backward(self, actions: int) -> None:
            self.seen = actions

    ask = Ask()
    train(ask, batch={"default": {"action": 1, "actions": 2}, "batch_size": 1})
    assert ask.seen == 2


def test_a_group_that_no_batch_has_is_told_with_the_nearest() -> None:
    class Ask(Callback):
        data_group = "defualt"

        def backward(self, obs: int) -> None:
            raise AssertionError

    with pytest.raises(BindingError, match=r"^Ask reads the data group 'defualt'; the batch has: default. Did you mea"):
        train(Ask())


def test_a_name_that_a_later_batch_lacks_is_told() -> None:
    class Ask(InGroup):
        def backward(self, obs: int) -> None:
            pass

    later = [{"default": {"obs": 1}, "batch_size": 1}, {"default": {}, "batch_size": 1}]
    with pytest.raises(BindingError, match=r"Ask.backward asks for 'obs', which earlier batches had and this one la"):
        Trainer([Ask()], later).train()


def test_an_error_inside_a_hook_is_not_taken_for_a_missing_name() -> None:
    class Faulty(InGroup):
        def backward(self, obs: int) -> None:
            raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        train(Faulty())


def test_a_hook_takes_arguments_only_from_a_method_that_is_marked() -> None:
    class Unmarked(InGroup):
        def mine(self, obs: int) -> None:
            raise AssertionError

        @Callback.takes_from("mine")
        def backward(self, *args: Any) -> None:
            raise AssertionError

    with pytest.raises(BindingError, match=r"Unmarked.backward takes its arguments from 'mine', which no class of"):
        train(Unmarked())


def test_an_override_of_an_extensible_method_need_not_be_marked_again() -> None:
    class Base(BatchCallback):
        data_group = "default"

        def get_batch(self, obs: int) -> None:
            self.seen = obs

    class Deeper(Base):
        def get_batch(self, reward: float) -> None:  # type: ignore[override]
            self.seen = reward

    deeper = Deeper()
    train(deeper)
    assert deeper.seen == 2.0


def test_a_hook_put_on_the_object_counts_as_one() -> None:
    seen = []
    callback = Callback()
    callback.end_batch = lambda bp_step: seen.append(bp_step)  # type: ignore[method-assign]
    train(callback)
    assert seen == [1]


def test_callbacks_can_be_copied_and_pickled() -> None:
    import copy
    import pickle

    callback = BatchCallback(cycle=3)
    for made in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert (made.cycle, made.name) == (3, "BatchCallback")
        train(made)
