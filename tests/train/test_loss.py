"""Losses as callbacks: one update, by hand; what is clipped, saved and left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gridrl.errors import CheckpointError, NotFinite, ShapeError
from gridrl.nn.flat import FlatParameters
from gridrl.nn.optimizers import FlatAdam
from gridrl.schedules import LinearSchedule
from gridrl.train.averaging import average_gradient
from gridrl.train.loss import JointLoss, LossCallback
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


def test_a_schedule_of_ours_is_the_learning_rate_after_so_many_updates() -> None:
    def made() -> Linear:
        net = one_weight(1.0)
        optimizer = FlatAdam(FlatParameters([net]).segments[0])
        return Linear(net, lr_schedule=LinearSchedule(0.4, 0.0, 4), name="fit", optimizer=optimizer)

    trained, fresh, other = made(), made(), made()
    assert trained.scalar_logs == {}
    assert trained.optimizer.param_groups[0]["lr"] == 0.4
    Trainer([trained], [batch([1.0], [0.0])] * 3).train()
    assert trained.scalar_logs["loss/fit_lr"] == pytest.approx(0.1)
    fresh.load_state_dict(trained.state_dict(), load_optimizer=False)
    assert fresh.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    for loss in (trained, fresh):
        Trainer([loss], [batch([1.0], [0.0])]).train()
        assert loss.optimizer.param_groups[0]["lr"] == 0.0
    other.load_state_dict(trained.state_dict(), load_optimizer=False, load_hparams=False)
    assert other.optimizer.param_groups[0]["lr"] == 0.4


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


def test_the_log_of_a_loss_is_its_newest_update_and_costs_nothing_before_it_is_read() -> None:
    net = one_weight(1.0)
    loss = Linear(net, name="fit", optimizer=torch.optim.SGD(net.parameters(), 0.1))
    assert loss.scalar_logs == {}
    Trainer([loss], [batch([1.0, 2.0], [0.0, 0.0])]).train()
    assert loss._scalars == {}
    expected = {"loss/fit_lr": 0.1, "loss/fit_loss": 2.5, "loss/fit_gradient_norm": 5.0}
    assert loss.scalar_logs == pytest.approx(expected)
    assert loss.hist_logs == {}


@pytest.mark.parametrize("flat", [False, True])
def test_weights_and_gradients_are_logged_by_parameter_on_request(flat: bool) -> None:
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1))
    for parameter in net.parameters():
        nn.init.constant_(parameter, 3.0)
    frozen = nn.ModuleDict({"body": net, "other": nn.Linear(2, 2)})
    optimizer: Any = torch.optim.SGD(net.parameters(), 0.0)
    if flat:
        optimizer = FlatAdam(FlatParameters([net]).segments[0], lr=0.0)

    class Fit(LossCallback):
        def loss(self, obs: Tensor) -> Tensor:
            return net(obs).sum()

    fit = Fit(name="fit", network=frozen, optimizer=optimizer, log_per_param_weights=True, log_per_param_grads=True)
    Trainer([fit], [batch([2.0], [0.0])]).train()
    for parameter in net.parameters():
        parameter.grad = None  # what another loss does to it later does not matter
    histograms, scalars = fit.hist_logs, fit.scalar_logs
    # w2 (w1 x) + b with w1 = w2 = b = 3, x = 2: gradients 6 for w1, 6 for w2, 1 for b
    keys = {"weight": ["fit_body_0_1_1", "fit_body_1_1_1"], "bias": ["fit_body_1_1"]}
    for kind, names in keys.items():
        for name in names:
            assert histograms[f"{kind}/{name}"].tolist() == [3.0]
            assert scalars[f"{kind}_l2/{name}"] == 3.0
            assert histograms[f"{kind}_grads/{name}"].tolist() == [6.0 if kind == "weight" else 1.0]
            assert scalars[f"{kind}_grads_l2/{name}"] == (6.0 if kind == "weight" else 1.0)
    assert len(histograms) == 6


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_ends_the_training_and_leaves_the_network(flat: bool, value: float) -> None:
    net = one_weight(1.0)
    optimizer: Any = torch.optim.SGD(net.parameters(), 0.1)
    if flat:
        optimizer = FlatAdam(FlatParameters([net]).segments[0], lr=0.1)
    loss = Linear(net, name="fit", optimizer=optimizer)
    good, bad = batch([1.0], [0.0]), batch([value], [0.0])
    Trainer([loss], [good]).train()
    weight = net.weight.item()
    with pytest.raises(
        NotFinite, match=r"loss 'fit' is (nan|inf) and its gradient's length (nan|inf) at its update 2: "
    ):
        Trainer([loss], [bad, good]).train()
    assert net.weight.item() == weight
    with pytest.raises(NotFinite) as raised:
        loss.state_dict()
    assert (raised.value.name, raised.value.update) == ("fit", 2)


def test_a_loss_that_is_not_finite_is_told_when_it_is_read_or_saved_though_its_gradient_is() -> None:
    class Offset(Linear):
        def loss(self, obs: Tensor, ret: Tensor) -> Tensor:
            return self.net(obs).mean() + float("inf")

    net = one_weight(1.0)
    loss = Offset(net, name="fit", optimizer=torch.optim.SGD(net.parameters(), 0.1))
    Trainer([loss], [batch([1.0], [0.0])]).train()
    for read in (lambda: loss.scalar_logs, loss.state_dict):
        with pytest.raises(NotFinite, match=r"loss 'fit' is inf and its gradient's length 1 at its update 1"):
            read()


def test_a_loss_that_steps_in_its_own_way_is_logged_and_saved_as_far_as_it_tells() -> None:
    class Own(LossCallback):
        def loss(self, obs: Tensor) -> Tensor:
            return obs.mean()

        @LossCallback.takes_from("loss")
        def backward(self, obs: Tensor) -> None:
            self.loss_value = self.loss(obs)

    class Steps:
        def state_dict(self) -> dict[str, Any]:
            return {}

    own = Own(name="own", optimizer=Steps())
    Trainer([own], [batch([2.0], [0.0])]).train()
    assert own.scalar_logs["loss/own_loss"] == 2.0
    assert "loss/own_lr" not in own.scalar_logs
    assert own.state_dict()["updates"] == 0


def test_weights_are_read_once_for_each_update(monkeypatch: pytest.MonkeyPatch) -> None:
    net, reads = one_weight(1.0), []
    loss = Linear(net, name="fit", optimizer=torch.optim.SGD(net.parameters(), 0.1), log_per_param_weights=True)
    monkeypatch.setattr(loss, "log_per_param_weights_and_grads", lambda: reads.append(1))
    for count in (1, 2):
        Trainer([loss], [batch([1.0], [0.0])]).train()
        assert loss.scalar_logs is not None
        assert loss.hist_logs == {}
        assert len(reads) == count


def test_the_number_of_updates_is_saved() -> None:
    losses = [
        Linear(net, name="fit", optimizer=torch.optim.SGD(net.parameters(), 0.1)) for net in (one_weight(1.0),) * 2
    ]
    Trainer([losses[0]], [batch([1.0], [0.0])] * 3).train()
    losses[1].load_state_dict(losses[0].state_dict())
    assert losses[1].updates == 3
    assert losses[1].scalar_logs == losses[0].scalar_logs


@pytest.mark.parametrize("flat", [False, True])
def test_the_state_of_another_network_is_told_and_nothing_is_changed(flat: bool) -> None:
    def made(hidden: int) -> tuple[nn.Module, LossCallback]:
        net = nn.Sequential(nn.Linear(3, hidden), nn.Linear(hidden, 1))
        optimizer: Any = torch.optim.Adam(net.parameters(), 0.1)
        if flat:
            optimizer = FlatAdam(FlatParameters([net]).segments[0])

        class Fit(LossCallback):
            def loss(self, obs: Tensor) -> Tensor:
                return net(obs).pow(2).mean()

        fit = Fit(name="fit", network=net, optimizer=optimizer)
        Trainer([fit], [{"default": {"obs": torch.ones(2, 3)}, "batch_size": 2}]).train()
        return net, fit

    (_, small), (net, large) = made(4), made(8)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    moments = repr(large.optimizer.state_dict())
    expected = (
        r"^fit: this is the state of another network: 0.weight has shape \[4, 3\] there, \[8, 3\] here; .*nothing "
    )
    with pytest.raises(CheckpointError, match=expected):
        large.load_state_dict(small.state_dict())
    with pytest.raises(CheckpointError, match="it was saved with another network"):
        large.load_state_dict(small.state_dict(), load_network=False)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in before.items())
    assert repr(large.optimizer.state_dict()) == moments


def test_the_state_of_an_optimiser_with_more_parameters_is_told() -> None:
    nets = [nn.Linear(1, 1), nn.Linear(1, 1, bias=False)]
    two, one = (LossCallback(name="fit", optimizer=torch.optim.Adam(net.parameters())) for net in nets)
    with pytest.raises(CheckpointError, match="fit: the optimiser's state is of 2 parameters, the network has 1"):
        one.load_state_dict(two.state_dict())


def test_a_joint_loss_logs_and_saves_its_parts() -> None:
    def made(value: float) -> JointLoss:
        nets = [one_weight(value), one_weight(value)]
        flat = FlatParameters(nets)
        parts = [
            Linear(net, name=name, optimizer=FlatAdam(segment), log_per_param_weights=True)
            for net, segment, name in zip(nets, flat.segments, ("one", "other"), strict=True)
        ]

        class Both(JointLoss):
            def losses(self, obs: Tensor, ret: Tensor) -> list[Tensor]:
                return [part.loss(obs=obs, ret=ret) for part in parts]  # type: ignore[misc]

        return Both(parts, flat)

    joint, other = made(1.0), made(3.0)
    Trainer([joint], [batch([1.0, 2.0], [0.0, 0.0])]).train()
    assert joint.scalar_logs["loss/one_loss"] == joint.scalar_logs["loss/other_loss"] == 2.5
    assert set(joint.hist_logs) == {"weight/one_1_1", "weight/other_1_1"}
    other.load_state_dict(joint.state_dict())
    assert [part.updates for part in other.parts] == [1, 1]
    weights = [[part.network.weight.item() for part in both.parts if part.network] for both in (joint, other)]
    assert weights[0] == weights[1]


def test_an_update_on_another_device_reads_nothing() -> None:
    net = nn.Linear(1, 1, device="meta")  # a device that holds no numbers: reading one is an error

    class Fit(LossCallback):
        def loss(self, obs: Tensor) -> Tensor:
            return net(obs).pow(2).mean()

    fit = Fit(name="fit", network=net, optimizer=torch.optim.SGD(net.parameters(), 0.1), max_grad_norm=1.0)
    Trainer([fit], [{"default": {"obs": torch.ones(2, 1, device="meta")}, "batch_size": 2}]).train()
    assert isinstance(fit.grad_norm, Tensor)
    assert fit.grad_norm.is_meta
    with pytest.raises(RuntimeError, match="meta"):
        _ = fit.scalar_logs
