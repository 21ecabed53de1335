"""A step along the natural gradient, worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gridrl.nn.flat import FlatParameters
from gridrl.nn.natural_gradient import NaturalGradient


def optimizer(gradient: list[float], **kwargs: float) -> NaturalGradient:
    net = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(net.weight)
    natural = NaturalGradient(FlatParameters([net]).segments[0], **{"delta": 1.0, "damping_coeff": 0.0, **kwargs})
    natural.segment.grad.copy_(torch.tensor(gradient))
    natural.fisher = lambda v: torch.tensor([2.0, 8.0]) * v
    return natural


def test_the_step_is_the_one_worked_by_hand() -> None:
    # x = (2 / 2, 8 / 8) = (1, 1), x^T F x = 10: the step is sqrt(2 * 1.25 / 10) x
    natural = optimizer([2.0, 8.0], delta=1.25)
    natural.step()
    assert natural.found.tolist() == pytest.approx([0.5, 0.5])
    assert natural.segment.param.tolist() == pytest.approx([-0.5, -0.5])


def test_damping_is_added_to_the_diagonal() -> None:
    # x = (4 / 4, 10 / 10), x^T (F + 2 I) x = 14
    natural = optimizer([4.0, 10.0], delta=7.0, damping_coeff=2.0)
    natural.step()
    assert natural.found.tolist() == pytest.approx([1.0, 1.0])


def test_without_a_gradient_nothing_moves() -> None:
    natural = optimizer([2.0, 8.0])
    natural.zero_grad()
    natural.step()
    assert natural.segment.param.tolist() == [0.0, 0.0]


def test_its_state_is_the_size_of_the_region() -> None:
    natural, other = optimizer([0.0, 0.0], delta=0.3), optimizer([0.0, 0.0], delta=0.01)
    other.load_state_dict(natural.state_dict())
    assert other.delta == 0.3
