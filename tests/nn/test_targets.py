"""Targets follow, whatever lies in a network and wherever its parameters lie."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gridrl.errors import ShapeError
from gridrl.nn.flat import FlatParameters
from gridrl.nn.targets import Following, soft_update_from_to, target_of


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def test_one_operation_on_flat_buffers_equals_a_step_for_each_parameter() -> None:
    flat, plain = network(), network()
    FlatParameters([flat])
    (flat_target,) = target_of(flat)
    plain_target = network()
    with torch.no_grad():
        for net in (flat, plain):
            for parameter in net.parameters():
                parameter += 1.0
    following = Following(flat, flat_target)
    assert len(following._targets) == 1
    following.move(0.25)
    soft_update_from_to(plain, plain_target, 0.25)
    for one, other, before in zip(
        flat_target.parameters(), plain_target.parameters(), network().parameters(), strict=True
    ):
        assert torch.allclose(one, other)
        assert torch.allclose(one, before + 0.25)


def test_a_target_is_a_copy_without_gradients() -> None:
    net, other = network(), network()
    target, other_target = target_of(net, other)
    assert all(not parameter.requires_grad for parameter in target.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())
    storages = {p.untyped_storage().data_ptr() for p in (*target.parameters(), *other_target.parameters())}
    assert len(storages) == 1


def test_buffers_follow_too() -> None:
    source, target = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    source(torch.tensor([[0.0, 4.0], [2.0, 8.0]]))
    Following(source, target).move(0.5)
    assert target.running_mean is not None
    assert source.running_mean is not None
    assert target.running_mean.tolist() == pytest.approx((0.5 * source.running_mean).tolist())
    assert target.num_batches_tracked is not None
    assert int(target.num_batches_tracked) == 1


def test_networks_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match="differ in the number or shapes"):
        Following(nn.Linear(1, 2), nn.Linear(2, 1))
