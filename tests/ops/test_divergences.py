"""Divergences and metrics: by hand, beside torch's own, and as each other's second derivative."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, distributions

from gridrl.errors import ShapeError
from gridrl.ops.divergences import categorical_kl, categorical_metric, gaussian_kl, gaussian_metric


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_categorical_by_hand() -> None:
    # (1/2, 1/2) from (1/4, 3/4): log 2 / 2 + log(2/3) / 2; the second row does not differ
    old, new = torch.zeros(2, 2), torch.tensor([[0.0, math.log(3.0)], [1.0, 1.0]])
    assert categorical_kl(old, new).item() == pytest.approx((math.log(2.0) + math.log(2.0 / 3.0)) / 4)
    # p (u - p.u) with p = (1/4, 3/4), u = (4, 0): p.u = 1, so (3/4, -3/4), over two rows
    bent = categorical_metric(new, torch.tensor([[4.0, 0.0], [5.0, 5.0]]))
    assert bent.flatten().tolist() == pytest.approx([0.375, -0.375, 0.0, 0.0])


def test_gaussian_by_hand() -> None:
    # deviation 1 to 2, mean 0 to 3: log 2 + (1 + 9) / 8 - 1/2
    zero, three, log2 = torch.zeros(1, 1), torch.full((1, 1), 3.0), torch.tensor([math.log(2.0)])
    assert gaussian_kl(zero, torch.zeros(1), three, log2).item() == pytest.approx(math.log(2.0) + 0.75)
    mean, log_std = gaussian_metric(torch.zeros(2, 1), log2, torch.tensor([[4.0], [8.0]]), torch.tensor([3.0]))
    assert mean.flatten().tolist() == pytest.approx([0.5, 1.0])  # over 4, and over two rows
    assert log_std.tolist() == [6.0]


def test_they_are_torchs_divergences() -> None:
    old, new = draw(5, 3), draw(5, 3, seed=1)
    torch.testing.assert_close(
        categorical_kl(old, new),
        distributions.kl_divergence(
            distributions.Categorical(logits=old), distributions.Categorical(logits=new)
        ).mean(),
    )
    for log_std_old, log_std in ((draw(3, seed=2), draw(3, seed=3)), (draw(5, 3, seed=2), draw(5, 3, seed=3))):
        theirs = distributions.kl_divergence(
            distributions.Normal(old, log_std_old.exp()), distributions.Normal(new, log_std.exp())
        )
        torch.testing.assert_close(gaussian_kl(old, log_std_old, new, log_std), theirs.sum(1).mean())


def test_nothing_is_no_distance_from_itself() -> None:
    logits, log_std = draw(4, 3), draw(3)
    assert categorical_kl(logits, logits).item() == pytest.approx(0.0, abs=1e-12)
    assert gaussian_kl(logits, log_std, logits, log_std).item() == pytest.approx(0.0, abs=1e-12)


def test_a_metric_is_the_second_derivative_of_its_divergence() -> None:
    logits, direction = draw(4, 3), draw(4, 3, seed=1)
    (bent,) = torch.autograd.functional.hvp(lambda new: categorical_kl(logits, new), (logits,), (direction,))[1]
    torch.testing.assert_close(categorical_metric(logits, direction), bent)
    for shape in ((3,), (4, 3)):
        point, way = (logits, draw(*shape, seed=2)), (direction, draw(*shape, seed=3))
        bent = torch.autograd.functional.hvp(lambda mean, log_std, p=point: gaussian_kl(*p, mean, log_std), point, way)
        torch.testing.assert_close(gaussian_metric(*point, *way), bent[1])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"logits_old \[2, 3\], logits \[2, 1\]"):
        categorical_kl(torch.zeros(2, 3), torch.zeros(2, 1))
    with pytest.raises(ShapeError, match=r"mean_old \[2\], mean \[2\]: 2 dimensions"):
        gaussian_kl(torch.zeros(2), torch.zeros(1), torch.zeros(2), torch.zeros(1))
    with pytest.raises(ShapeError, match=r"log_std \[1\], log_std_direction \[2\]"):
        gaussian_metric(torch.zeros(2, 1), torch.zeros(1), torch.zeros(2, 1), torch.zeros(2))
