"""The squashed head: numpy acts as torch learns, within bounds, with the numbers worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gridrl.errors import BadValue, ShapeError
from gridrl.nn.squashed import SquashedGaussianHead


def test_numpy_and_torch_draw_the_same_actions_from_the_same_noise() -> None:
    head, rng = SquashedGaussianHead(3), np.random.default_rng(0)
    out, noise = rng.standard_normal((50, 6), np.float32) * 3, head.draw(rng, 50)
    assert noise.dtype == np.float32
    drawn = head.sample(out, noise)
    action, logp = head.rsample(torch.from_numpy(out), torch.from_numpy(noise))
    assert drawn == pytest.approx(action.numpy(), abs=1e-6)
    assert drawn.dtype == np.float32
    assert logp.shape == (50,)
    assert head.sample(out[0], noise[0]) == pytest.approx(drawn[0], abs=1e-6)
    assert head.mode(out) == pytest.approx(head.best(torch.from_numpy(out)).numpy(), abs=1e-6)


def test_an_action_and_its_log_probability_by_hand() -> None:
    # mean 0.3, deviation 2, noise 0.5: u = 1.3
    out, noise = torch.tensor([[0.3, math.log(2.0)]]), torch.tensor([[0.5]])
    action, logp = SquashedGaussianHead(1).rsample(out, noise)
    assert action.item() == pytest.approx(math.tanh(1.3), rel=1e-6)
    expected = -0.125 - math.log(2.0) - 0.5 * math.log(2 * math.pi) - math.log(1 - math.tanh(1.3) ** 2)
    assert logp.item() == pytest.approx(expected, rel=1e-5)
    assert SquashedGaussianHead(1).logp(out, torch.tensor([[1.3]])).item() == pytest.approx(expected, rel=1e-5)


def test_the_deviation_stays_within_its_bounds_and_has_no_gradient_beyond() -> None:
    head = SquashedGaussianHead(1, log_std_min=-1.0, log_std_max=0.5)
    for log_std, kept in [(-7.0, -1.0), (0.2, 0.2), (3.0, 0.5)]:
        out = torch.tensor([[0.0, log_std]], requires_grad=True)
        action, logp = head.rsample(out, torch.tensor([[1.0]]))
        assert action.item() == pytest.approx(math.tanh(math.exp(kept)), rel=1e-6)
        assert head.sample(out.detach().numpy(), np.ones((1, 1), np.float32)).item() == pytest.approx(action.item())
        logp.sum().backward()
        assert out.grad is not None
        assert (out.grad[0, 1] != 0) == (kept == log_std)
    with pytest.raises(BadValue, match=r"log_std_min 1\.0 is greater than log_std_max 0\.0"):
        SquashedGaussianHead(1, 1.0, 0.0)


def test_outputs_without_deviations_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"out \[4, 1\]: 1 means and as many deviations"):
        SquashedGaussianHead(1).rsample(torch.zeros(4, 1), torch.zeros(4, 1))
