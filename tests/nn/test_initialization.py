"""First weights: their distribution, their gain, and that a seed is all they depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gridrl.errors import BadValue
from gridrl.nn.initialization import initialize, orthogonal, uniform
from gridrl.nn.mlp import mlp


def test_uniform_weights_and_biases_fill_the_interval_of_torchs_default() -> None:
    layer = nn.Linear(100, 400)
    uniform(layer, np.random.default_rng(0))
    for parameter in (layer.weight, layer.bias):
        assert parameter.abs().max().item() <= 0.1
        assert parameter.abs().max().item() > 0.099
        # a uniform distribution on [-a, a] has the deviation a / sqrt(3)
        assert parameter.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 7), (7, 3), (4, 4)])
def test_orthogonal_weights_are_orthonormal_times_the_gain(inputs: int, outputs: int) -> None:
    layer = nn.Linear(inputs, outputs)
    orthogonal(layer, np.random.default_rng(0), gain=2.0)
    weight = layer.weight.detach() / 2.0
    product = weight @ weight.T if outputs <= inputs else weight.T @ weight
    assert torch.allclose(product, torch.eye(min(inputs, outputs)), atol=1e-6)
    assert layer.bias.eq(0).all()


def test_the_gains_are_sqrt_2_for_hidden_layers_and_the_given_one_for_the_last() -> None:
    net = mlp([4, 8, 8, 2])
    initialize(net, "orthogonal", np.random.default_rng(0), last_gain=0.01)
    norms = [torch.linalg.matrix_norm(layer.weight, 2).item() for layer in net if isinstance(layer, nn.Linear)]
    assert norms == pytest.approx([math.sqrt(2), math.sqrt(2), 0.01], rel=1e-5)


def test_the_same_generator_gives_the_same_network_and_torchs_own_is_not_touched() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    nets = []
    for _ in range(2):
        nets.append(mlp([3, 5, 2]))
        initialize(nets[-1], "uniform", np.random.default_rng(9), last_gain=1.0)
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_unknown_initialisation_is_told_with_the_nearest() -> None:
    expected = r"no initialisation 'orthogonl': uniform, orthogonal\. Did you mean 'orthogonal'"
    with pytest.raises(BadValue, match=expected):
        initialize(mlp([1, 1]), "orthogonl", np.random.default_rng(0), last_gain=1.0)
