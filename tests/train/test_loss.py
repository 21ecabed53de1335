"""Losses as callbacks: one update, by hand; what is clipped, saved and left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gridrl.errors import ShapeError
from gridrl.nn.flat import FlatParameters
from gridrl.nn.optimizers import FlatAdam
from gridrl.train.loss import JointLoss, LossCallback, average_gradient
from gridrl.train.trainer import Trainer


class Linear(LossCallback):
    """`(w x - y)^2` for one weight; averaged here or by the callback."""

    def __init__(self, net: nn.Linear, by_row: bool = False, **kwargs: Any) -> None:
        super().__init__(network=net, **kwargs)
        self.net, self.by_row = net, by_row

    def loss(self, obs: Tensor, ret: Tensor) -> Tensor | None:
        squares = (self.net(obs).squeeze(-1) - ret).pow(2)
        return squares if self.by_row else squares.mean()


def one_weight(value: float) -> nn.Linear:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, value)
    return net


def batch(x: list[float], y: list[float]) -> dict[str, Any]:
    return {"default": {"obs": torch.tensor(x).unsqueeze(-1), "ret": torch.tensor(y)}, "batch_size": len(x)}


@pytest.mark.parametrize("by_row", [False, True])
def test_one_update_is_the_one_worked_by_hand(by_row: bool) -> None:
    # w = 1, x = (1, 2), y = (0, 0): loss (1 + 4) / 2 = 2.5, gradient (2 + 8) / 2 = 5, w - 0.1 * 5 = 0.5
    net = one_weight(1.0)
    loss = Linear(net, by_row, name="fit", optimizer=torch.optim.SGD(net.parameters(), 0.1))
    Trainer([loss], [batch([1.0, 2.0], [0.0, 0.0])]).train()
    assert net.weight.item() == pytest.approx(0.5)
    assert loss.loss_value is not None
    assert loss.loss_value.item() == pytest.approx(2.5)


@pytest.mark.parametrize("flat", [False, True])
def test_a_gradient_longer_than_allowed_is_shortened(flat: bool) -> None:
    net = one_weight(1.0)
    optimizer: Any = torch.optim.SGD(net.parameters(), 0.1)
    if flat:
        optimizer = FlatAdam(FlatParameters([net]).segments[0], lr=0.0)
    loss = Linear(net, name="fit", optimizer=optimizer, max_grad_norm=2.0)
    Trainer([loss], [batch([1.0, 2.0], [0.0, 0.0])]).train()
    assert loss.grad_norm == pytest.approx(5.0)
    assert net.weight.grad is not None
    assert net.weight.grad.item() == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("flat", [False, True])
def test_without_a_limit_the_length_of_the_gradient_is_told_and_left(flat: bool) -> None:
    net = one_weight(1.0)
    optimizer: Any = torch.optim.SGD(net.parameters(), 0.1)
    if flat:
        optimizer = FlatAdam(FlatParameters([net]).segments[0])
    loss = Linear(net, name="fit", optimizer=optimizer)
    Trainer([loss], [batch([1.0, 2.0], [0.0, 0.0])]).train()
    assert loss.grad_norm == pytest.approx(5.0)
    assert net.weight.grad is not None
    assert net.weight.grad.item() == pytest.approx(5.0)


def test_a_loss_that_is_none_leaves_the_batch_out() -> None:
    class Never(Linear):
        def loss(self, obs: Tensor) -> Tensor | None:  # type: ignore[override]
            return None

    net = one_weight(1.0)
    loss = Never(net, name="never", optimizer=torch.optim.SGD(net.parameters(), 0.1))
    Trainer([loss], [batch([1.0], [0.0])]).train()
    assert net.weight.item() == 1.0
    assert loss.loss_value is None


def test_a_loss_of_two_dimensions_is_refused() -> None:
    class Wrong(Linear):
        def loss(self, obs: Tensor, ret: Tensor) -> Tensor:
            return self.net(obs) - ret

    net = one_weight(1.0)
    wrong = Wrong(net, name="wrong", optimizer=torch.optim.SGD(net.parameters(), 0.1))
    with pytest.raises(ShapeError, match=r"loss 'wrong' has shape \[2, 2\]: a scalar or \[batch\] is needed"):
        Trainer([wrong], [batch([1.0, 2.0], [0.0, 0.0])]).train()


def test_the_learning_rate_schedule_steps_and_is_saved() -> None:
    def made() -> Linear:
        net = one_weight(1.0)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        return Linear(net, lr_schedule=schedule, name="fit", optimizer=optimizer)

    trained, fresh = made(), made()
    Trainer([trained], [batch([1.0], [0.0])] * 2).train()
    assert trained.optimizer.param_groups[0]["lr"] == pytest.approx(0.025)
    fresh.load_state_dict(trained.state_dict())
    assert fresh.lr_schedule.last_epoch == 2
    assert fresh.optimizer.param_groups[0]["lr"] == pytest.approx(0.025)
    assert fresh.net.weight.item() == trained.net.weight.item()


def test_parts_of_a_state_can_be_left_where_they_are() -> None:
    nets = [one_weight(1.0), one_weight(2.0)]
    losses = [
        Linear(net, name="fit", optimizer=FlatAdam(FlatParameters([net]).segments[0], lr=lr))
        for net, lr in zip(nets, (0.1, 0.2), strict=True)
    ]
    state = losses[0].state_dict()
    losses[1].load_state_dict(state, load_network=False)
    assert nets[1].weight.item() == 2.0
    assert losses[1].optimizer.param_groups[0]["lr"] == 0.1
    losses[1].load_state_dict(state, load_optimizer=False)
    assert nets[1].weight.item() == 1.0


def test_a_joint_loss_takes_the_steps_of_its_parts() -> None:
    def made() -> tuple[list[nn.Linear], FlatParameters, list[Linear]]:
        nets = [one_weight(1.0), one_weight(-3.0)]
        flat = FlatParameters(nets)
        adams = [FlatAdam(segment, lr) for segment, lr in zip(flat.segments, (0.1, 0.01), strict=True)]
        parts = [
            Linear(net, name=name, optimizer=adam, max_grad_norm=2.0)
            for net, adam, name in zip(nets, adams, ("one", "other"), strict=True)
        ]
        return nets, flat, parts

    class Both(JointLoss):
        def losses(self, obs: Tensor, ret: Tensor) -> list[Tensor]:
            found = [part.loss(obs=obs, ret=ret) for part in self.parts]
            return [loss for loss in found if loss is not None]

    alone, _, parts = made()
    Trainer(parts, [batch([1.0, 2.0], [0.5, 0.0])] * 3).train()
    together, flat, joined = made()
    Trainer([Both(joined, flat)], [batch([1.0, 2.0], [0.5, 0.0])] * 3).train()
    for one, other in zip(alone, together, strict=True):
        assert one.weight.item() == other.weight.item()
    assert [part.grad_norm for part in parts] == [part.grad_norm for part in joined]


def test_with_one_rank_an_averaged_gradient_is_what_it_was() -> None:
    message = torch.tensor([1.0, -2.0, 9.0])
    average_gradient(message, rows=7)
    assert message[:2].tolist() == [1.0, -2.0]
