"""Q-learning by numbers worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gridrl.errors import ShapeError
from gridrl.ops.q_learning import double_value, dueling, greedy_value, taken, td_loss, td_target


def floats(*numbers: float) -> Tensor:
    return torch.tensor(numbers)


def test_the_values_of_the_actions_taken_are_picked_out() -> None:
    q = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert taken(q, torch.tensor([2, 0])).tolist() == [3.0, 4.0]


def test_plain_and_double_values_differ_where_the_networks_disagree() -> None:
    by_target = torch.tensor([[1.0, 5.0], [7.0, 2.0]])
    by_learner = torch.tensor([[9.0, 8.0], [3.0, 1.0]])  # likes action 0 in both states
    assert greedy_value(by_target).tolist() == [5.0, 7.0]
    assert double_value(by_target, by_learner).tolist() == [1.0, 7.0]


def test_targets_stop_at_a_death_alone_and_discount_by_the_steps_taken() -> None:
    reward, next_value = floats(1.0, 1.0, 2.71), floats(10.0, 10.0, 10.0)
    mask = floats(1.0, 0.0, 1.0)
    assert td_target(reward, next_value, mask, 0.9).tolist() == pytest.approx([10.0, 1.0, 11.71])
    by_row = floats(0.9, 0.9, 0.729)  # the last one three steps ahead
    assert td_target(reward, next_value, mask, by_row).tolist() == pytest.approx([10.0, 1.0, 10.0])


def test_the_squared_loss_and_its_gradient() -> None:
    value = floats(1.0, 4.0).requires_grad_()
    loss = td_loss(value, floats(2.0, 1.0))
    loss.backward()
    assert loss.item() == pytest.approx((1 + 9) / 2)
    assert value.grad is not None
    assert value.grad.tolist() == [-1.0, 3.0]  # 2 e / B


def test_the_huber_loss_is_half_the_square_up_to_delta_and_a_line_beyond() -> None:
    value = floats(1.5, 4.0).requires_grad_()
    loss = td_loss(value, floats(1.0, 1.0), huber_delta=1.0)
    loss.backward()
    assert loss.item() == pytest.approx((0.125 + (3.0 - 0.5)) / 2)
    assert value.grad is not None
    assert value.grad.tolist() == [0.25, 0.5]  # the error of 3 counts as 1
    wider = td_loss(floats(1.5, 4.0), floats(1.0, 1.0), huber_delta=2.0)
    assert wider.item() == pytest.approx((0.125 + 2.0 * (3.0 - 1.0)) / 2)


def test_weights_multiply_each_sample_and_the_mean_is_over_the_batch() -> None:
    value, target, weight = floats(1.5, 4.0), floats(1.0, 1.0), floats(1.0, 0.1)
    assert td_loss(value, target, weight).item() == pytest.approx((0.25 + 0.1 * 9.0) / 2)
    assert td_loss(value, target, weight, 1.0).item() == pytest.approx((0.125 + 0.1 * 2.5) / 2)
    assert td_loss(value, target, torch.ones(2), 1.0) == td_loss(value, target, None, 1.0)


def test_dueling_values_average_to_the_value_and_keep_the_order_of_the_advantages() -> None:
    q = dueling(torch.tensor([[10.0]]), torch.tensor([[1.0, 2.0, 6.0]]))
    assert q.tolist() == [[8.0, 9.0, 13.0]]
    shifted = dueling(torch.tensor([[10.0]]), torch.tensor([[101.0, 102.0, 106.0]]))
    assert torch.equal(q, shifted)


def test_shapes_that_broadcasting_would_hide_are_told() -> None:
    with pytest.raises(ShapeError, match=r"value \[2\], target \[2, 1\]"):
        td_loss(torch.zeros(2), torch.zeros(2, 1))
    with pytest.raises(ShapeError, match=r"value \[2\], weight \[1\]"):
        td_loss(torch.zeros(2), torch.zeros(2), torch.zeros(1))
    with pytest.raises(ShapeError, match=r"reward \[2\], next_value \[2, 1\]"):
        td_target(torch.zeros(2), torch.zeros(2, 1), torch.zeros(2), 0.9)
    with pytest.raises(ShapeError, match=r"reward \[2\], discount \[1\]"):
        td_target(torch.zeros(2), torch.zeros(2), torch.zeros(2), torch.zeros(1))
    with pytest.raises(ShapeError, match=r"q_target \[2, 3\], q \[2, 2\]"):
        double_value(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(ShapeError, match="action"):
        taken(torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.int64))
