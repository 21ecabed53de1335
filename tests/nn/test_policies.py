"""Heads: what numpy samples and sees is what torch learns from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gridrl.nn.policies import CategoricalHead, Distribution, GaussianHead, Head

LOGITS = np.array([[0.0, math.log(3.0)], [1.0, 1.0]], np.float32)  # probabilities 1/4, 3/4 and 1/2, 1/2


def test_a_categorical_head_sees_the_numbers_worked_by_hand() -> None:
    logp, entropy = CategoricalHead(2).look(LOGITS, np.array([1, 0]))
    assert logp == pytest.approx([math.log(0.75), math.log(0.5)], rel=1e-6)
    first = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert entropy == pytest.approx((first + math.log(2.0)) / 2, rel=1e-6)


def test_a_gaussian_head_sees_the_numbers_worked_by_hand() -> None:
    head = GaussianHead(torch.tensor([0.0, math.log(2.0)]))
    mean = np.array([[1.0, 0.0]], np.float32)
    logp, entropy = head.look(mean, np.array([[2.0, 2.0]], np.float32))
    # one deviation away in each of two dimensions with deviations 1 and 2
    assert logp == pytest.approx([-0.5 - 0.5 - math.log(2.0) - math.log(2 * math.pi)], rel=1e-6)
    assert entropy == pytest.approx(1.0 + math.log(2.0) + math.log(2 * math.pi), rel=1e-6)


@pytest.mark.parametrize("kind", ["categorical", "gaussian"])
def test_numpy_and_torch_agree(kind: str) -> None:
    rng = np.random.default_rng(0)
    out = rng.standard_normal((50, 3)).astype(np.float32) * 3
    head: Head = CategoricalHead(3)
    action = rng.integers(3, size=50)
    if kind == "gaussian":
        head, action = GaussianHead(torch.tensor([-0.5, 0.3, 1.0])), out + rng.standard_normal((50, 3), np.float32)
    logp, entropy = head.look(out, action)
    assert logp.dtype == np.float32
    assert logp == pytest.approx(head.logp(torch.from_numpy(out), torch.from_numpy(action)).numpy(), abs=2e-6)
    assert entropy == pytest.approx(head.entropy(torch.from_numpy(out)).item(), abs=2e-6)


def test_samples_of_a_categorical_head_have_its_probabilities() -> None:
    head, rng = CategoricalHead(3), np.random.default_rng(0)
    probability = np.array([0.6, 0.3, 0.1])
    out = np.tile(np.log(probability).astype(np.float32), (20_000, 1))
    share = np.bincount(head.sample(out, head.draw(rng, len(out))), minlength=3) / len(out)
    assert share == pytest.approx(probability, abs=0.01)  # three deviations of a share of 0.6


def test_samples_of_a_gaussian_head_have_its_mean_and_deviation() -> None:
    head, rng = GaussianHead(torch.tensor([math.log(0.5), math.log(2.0)])), np.random.default_rng(0)
    out = np.tile(np.array([1.0, -3.0], np.float32), (20_000, 1))
    action = head.sample(out, head.draw(rng, len(out)))
    assert action.dtype == np.float32
    assert action.mean(0) == pytest.approx([1.0, -3.0], abs=0.05)
    assert action.std(0) == pytest.approx([0.5, 2.0], rel=0.03)


def test_the_likeliest_action() -> None:
    assert CategoricalHead(2).mode(np.array([[0.0, 1.0], [2.0, 1.0]])).tolist() == [1, 0]
    assert GaussianHead(torch.zeros(1)).mode(np.array([[0.5]], np.float32)).tolist() == [[0.5]]


def test_a_distribution_serves_one_observation_and_many() -> None:
    generator = torch.Generator().manual_seed(0)
    for head in (CategoricalHead(3), GaussianHead(nn.Parameter(torch.zeros(3)))):
        for out in (torch.zeros(3), torch.zeros(5, 3)):
            distribution = Distribution(head, out)
            action = distribution.sample(generator)
            assert not action.requires_grad
            assert action.shape == distribution.mode.shape
            assert distribution.log_prob(action).shape == out.shape[:-1]
            assert distribution.entropy().shape == ()
    assert Distribution(CategoricalHead(3), torch.zeros(5, 3)).entropy().item() == pytest.approx(math.log(3.0))


def test_samples_of_a_distribution_have_its_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    out = torch.tensor([0.0, math.log(3.0)]).repeat(20_000, 1)
    assert Distribution(CategoricalHead(2), out).sample(generator).float().mean().item() == pytest.approx(
        0.75, abs=0.01
    )
    normal = Distribution(GaussianHead(torch.tensor([math.log(2.0)])), torch.ones(20_000, 1)).sample(generator)
    assert normal.mean().item() == pytest.approx(1.0, abs=0.05)
    assert normal.std().item() == pytest.approx(2.0, rel=0.03)
