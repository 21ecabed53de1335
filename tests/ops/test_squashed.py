"""The squashed Gaussian against torch's distributions and against the exact value, far out too."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from gridrl.errors import ShapeError
from gridrl.ops.squashed import log_tanh_slope, squashed_gaussian_logp, squashed_gaussian_sample


def theirs(mean: Tensor, log_std: Tensor) -> TransformedDistribution:
    # the cache keeps the value before tanh, without which their log-probability is infinite far out
    return TransformedDistribution(Independent(Normal(mean, log_std.exp()), 1), [TanhTransform(cache_size=1)])


@pytest.fixture
def wide() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mean, log_std, noise = (torch.randn(64, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    mean[0], mean[1], mean[2, 0] = 20.0, -20.0, 300.0
    return mean * 2, log_std, noise


def test_samples_and_log_densities_agree_with_torchs_distributions(wide: tuple[Tensor, Tensor, Tensor]) -> None:
    mean, log_std, noise = wide
    action, logp = squashed_gaussian_sample(mean, log_std, noise)
    distribution = theirs(mean, log_std)
    u = mean + log_std.exp() * noise
    expected = distribution.transforms[0](u)
    torch.testing.assert_close(action, expected)
    torch.testing.assert_close(logp, distribution.log_prob(expected), rtol=1e-9, atol=1e-7)
    torch.testing.assert_close(squashed_gaussian_logp(mean, log_std, u), logp)


@pytest.mark.parametrize("u", [0.0, 0.5, -3.0, 9.5, 20.0, -20.0, 500.0, -500.0])
def test_the_slope_of_tanh_is_exact_far_out(u: float) -> None:
    # 1 - tanh(u)^2 = 4 / (e^u + e^-u)^2, whose logarithm is 2 log 2 - 2 |u| - 2 log(1 + e^(-2 |u|))
    exact = 2 * math.log(2) - 2 * abs(u) - 2 * math.log1p(math.exp(-2 * abs(u)))
    assert log_tanh_slope(torch.tensor([u], dtype=torch.float64)).item() == pytest.approx(exact, rel=1e-14, abs=1e-15)
    assert log_tanh_slope(torch.tensor([u])).item() == pytest.approx(exact, rel=1e-6, abs=3e-7)


@pytest.mark.parametrize("u", [20.0, -20.0])
def test_where_the_inverse_of_tanh_fails_the_log_density_is_right_in_float32_too(u: float) -> None:
    mean, log_std = torch.tensor([[u]]), torch.tensor([0.0])
    action, logp = squashed_gaussian_sample(mean, log_std, torch.zeros(1, 1))
    assert torch.atanh(action).isinf().all()
    # the density of a standard normal at its mean, over the slope 4 e^(-40)
    assert logp.item() == pytest.approx(-0.5 * math.log(2 * math.pi) - math.log(4) + 40.0, rel=1e-6)
    assert squashed_gaussian_logp(mean, log_std, mean).item() == logp.item()


def test_gradients_agree_with_torchs_distributions(wide: tuple[Tensor, Tensor, Tensor]) -> None:
    mean, log_std, noise = wide
    grads = []
    for ours in (True, False):
        leaves = [mean.clone().requires_grad_(), log_std.clone().requires_grad_()]
        if ours:
            action, logp = squashed_gaussian_sample(leaves[0], leaves[1], noise)
        else:
            distribution = theirs(leaves[0], leaves[1])
            action = distribution.transforms[0](leaves[0] + leaves[1].exp() * noise)
            logp = distribution.log_prob(action)
        grads.append(torch.autograd.grad((logp + action.sum(1)).sum(), leaves))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)
        assert one.isfinite().all()


def test_the_density_integrates_to_one() -> None:
    u = torch.linspace(-12, 12, 200_001, dtype=torch.float64)[:, None]
    density = squashed_gaussian_logp(torch.full_like(u, 0.4), torch.tensor([-0.3], dtype=torch.float64), u).exp()
    assert torch.trapezoid(density, u[:, 0].tanh()).item() == pytest.approx(1.0, abs=1e-6)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"mean \[2, 3\], u \[2, 1\]"):
        squashed_gaussian_logp(torch.zeros(2, 3), torch.zeros(3), torch.zeros(2, 1))
    with pytest.raises(ShapeError, match=r"mean \[3\]"):
        squashed_gaussian_sample(torch.zeros(3), torch.zeros(3), torch.zeros(3))
