"""What a loss takes up of saved state, part by part, and that what does not fit is told and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, CheckpointError
from gridrl.nn.flat import FlatParameters
from gridrl.nn.optimizers import FlatAdam
from gridrl.schedules import LinearSchedule
from gridrl.train.averaging import rows_of
from gridrl.train.loss import LossCallback
from gridrl.train.trainer import Trainer

BATCH = {"default": {"obs": torch.ones(1, 1)}, "batch_size": 1}
Make = Callable[[nn.Module], Any]


class Fit(LossCallback):
    def __init__(self, optimizer: Make, schedule: Callable[[Any], Any] | None = None, weight: float = 1.0) -> None:
        self.net = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.net.weight, weight)
        made = optimizer(self.net)
        super().__init__(schedule and schedule(made), name="fit", network=self.net, optimizer=made)

    def loss(self, obs: Tensor) -> Tensor:
        return self.net(obs).pow(2)[:, 0]


def sgd(net: nn.Module) -> Any:
    return torch.optim.SGD(net.parameters(), 0.1, momentum=0.5)


def adam(net: nn.Module) -> Any:
    return torch.optim.Adam(net.parameters(), 0.1)


def flat_adam(net: nn.Module) -> Any:
    return FlatAdam(FlatParameters([net]).segments[0], 0.1)


def halving(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)


def falling(optimizer: Any) -> Any:
    return LinearSchedule(0.1, 0.0, 4)


def learned(fit: Fit, updates: int) -> Fit:
    Trainer([fit], [BATCH] * updates).train()
    return fit


def lr(fit: Fit) -> float:
    return float(fit.optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize(("schedule", "after_2", "after_3"), [(halving, 0.025, 0.0125), (falling, 0.05, 0.025)])
def test_a_schedule_that_comes_back_alone_gives_the_learning_rate(
    schedule: Any, after_2: float, after_3: float
) -> None:
    fresh = Fit(sgd, schedule)
    fresh.load_state_dict(learned(Fit(sgd, schedule), 2).state_dict(), load_optimizer=False)
    assert lr(fresh) == pytest.approx(after_2)
    assert lr(learned(fresh, 1)) == pytest.approx(after_3)
    assert fresh.optimizer.state_dict()["state"].keys() == {0}, "the momentum is that of the one update"


@pytest.mark.parametrize(("schedule", "after_1"), [(halving, 0.05), (falling, 0.075)])
def test_a_schedule_that_stays_where_it_is_keeps_its_learning_rate(schedule: Any, after_1: float) -> None:
    trained, fresh = learned(Fit(sgd, schedule), 2), Fit(sgd, schedule)
    fresh.load_state_dict(trained.state_dict(), load_hparams=False)
    assert lr(fresh) == pytest.approx(0.1)
    momentum = [fit.optimizer.state_dict()["state"][0]["momentum_buffer"].item() for fit in (fresh, trained)]
    assert momentum[0] == momentum[1] != 0.0
    assert lr(learned(fresh, 1)) == pytest.approx(after_1)


@pytest.mark.parametrize(
    ("saved", "here"), [(sgd, adam), (adam, sgd), (flat_adam, adam), (adam, flat_adam), (flat_adam, sgd)]
)
def test_the_state_of_another_kind_of_optimiser_is_told_and_nothing_is_changed(saved: Make, here: Make) -> None:
    state, fresh = learned(Fit(saved), 1).state_dict(), Fit(here, weight=3.0)
    before = repr(fresh.optimizer.state_dict())
    kind = type(fresh.optimizer).__name__
    with pytest.raises(CheckpointError, match=rf"^fit: this is not the state of an optimiser of the kind {kind}\. Bui"):
        fresh.load_state_dict(state)
    assert fresh.net.weight.item() == 3.0
    assert repr(fresh.optimizer.state_dict()) == before
    fresh.load_state_dict(state, load_optimizer=False)
    learned(fresh, 1)


def test_an_optimiser_of_a_torch_with_fewer_or_more_settings_is_the_same_kind() -> None:
    state = learned(Fit(adam, halving), 2).state_dict()
    (group,) = state["optimizer"]["param_groups"]
    assert group.pop("maximize") is False
    fresh = Fit(adam)
    fresh.load_state_dict(state)
    assert fresh.optimizer.param_groups[0]["initial_lr"] == 0.1
    group["new_one"] = 1
    group["maximize"] = False
    fresh.load_state_dict(state)
    assert lr(learned(fresh, 1)) == pytest.approx(0.025)


def test_a_part_that_was_not_saved_is_told_and_nothing_is_changed() -> None:
    state, fresh = learned(Fit(sgd), 1).state_dict(), Fit(sgd, halving, weight=3.0)
    expected = r"^fit: the state holds no 'lr_schedule', but 'logs', 'optimizer', 'updates', 'network': it was saved by"
    with pytest.raises(CheckpointError, match=expected):
        fresh.load_state_dict(state)
    assert (fresh.net.weight.item(), fresh.optimizer.state_dict()["state"]) == (3.0, {})
    fresh.load_state_dict(state, load_hparams=False)
    assert fresh.net.weight.item() == pytest.approx(1.0 - 0.1 * 2.0)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_longest_gradient_of_nothing_is_refused(limit: float) -> None:
    net = nn.Linear(1, 1)
    expected = rf"^max_grad_norm={limit} of loss 'fit': a number above 0 is needed, or None\.$"
    with pytest.raises(BadValue, match=expected):
        LossCallback(name="fit", network=net, optimizer=sgd(net), max_grad_norm=limit)


def test_the_rows_of_a_batch_are_those_of_its_first_tensor() -> None:
    rows = torch.zeros(5, 2)
    assert rows_of([torch.tensor(1.0), rows, torch.zeros(3)]) == 5
    assert rows_of([{"noise": 0.1, "x": rows}, torch.zeros(3)]) == 5
    assert rows_of([0.5, {}]) == 1
