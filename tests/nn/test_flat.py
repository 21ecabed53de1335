"""One buffer, many views: torch modules, autograd and numpy all see the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gridrl.errors import BadValue
from gridrl.nn.flat import FlatParameters, offset_in


def test_parameters_keep_their_values_and_become_views_of_one_buffer() -> None:
    first, second = nn.Linear(3, 2), nn.Linear(2, 1)
    before = [p.detach().clone() for p in (*first.parameters(), *second.parameters())]
    flat = FlatParameters([first, second])
    after = [*first.parameters(), *second.parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert torch.equal(flat.segments[0].param, torch.cat([p.reshape(-1) for p in before[:2]]))
    flat.param.fill_(7.0)
    assert all((p == 7.0).all() for p in after)
    assert first.weight.detach().numpy()[0, 0] == 7.0
    with torch.no_grad():
        second.bias.fill_(-1.0)
    assert flat.segments[1].param[-1] == -1.0


def test_gradients_land_in_the_flat_gradient() -> None:
    net = nn.Linear(2, 1)
    flat = FlatParameters([net])
    net(torch.tensor([[3.0, 4.0]])).sum().backward()
    assert flat.segments[0].grad.tolist() == [3.0, 4.0, 1.0]
    net(torch.tensor([[1.0, 1.0]])).sum().backward()
    assert flat.segments[0].grad.tolist() == [4.0, 5.0, 2.0]


def test_segments_are_apart_and_a_message_holds_one_number_more_than_gradients() -> None:
    flat = FlatParameters([nn.Linear(15, 1), nn.Linear(1, 1)])  # 16 and 2 parameters
    one, other = flat.segments
    assert [len(segment.message) - len(segment.grad) for segment in flat.segments] == [1, 1]
    one.message[-1] = 5.0
    assert other.grad.eq(0).all()
    assert len(flat.param) == 32 + 16


def test_a_saved_state_can_be_loaded_into_a_flat_network_without_leaving_the_buffer() -> None:
    net, other = nn.Linear(2, 1), nn.Linear(2, 1)
    flat = FlatParameters([net])
    net.load_state_dict(other.state_dict())
    assert torch.equal(flat.segments[0].param[:2], other.weight.detach().reshape(-1))


def test_frozen_parameters_stay_where_they_are() -> None:
    net = nn.Linear(2, 1)
    net.bias.requires_grad_(False)
    flat = FlatParameters([net])
    assert len(flat.segments[0].param) == 2
    assert offset_in(flat.param, net.weight.data) == 0
    assert offset_in(flat.param, net.bias.data) is None


def test_what_cannot_lie_in_one_buffer_is_told() -> None:
    shared = nn.Linear(2, 2)
    with pytest.raises(BadValue, match="the policy and the value function share parameters"):
        FlatParameters([nn.Sequential(shared, nn.Linear(2, 1)), nn.Sequential(shared)])
    with pytest.raises(BadValue, match=r"parameters of type torch.float64: a flat buffer holds float32 only"):
        FlatParameters([nn.Linear(2, 2).double()])
    with pytest.raises(BadValue, match=r"parameters on several devices \(cpu, meta\)"):
        FlatParameters([nn.Linear(2, 2), nn.Linear(2, 2, device="meta")])
