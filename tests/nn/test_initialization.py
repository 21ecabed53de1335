"""First weights: their distribution, their gain, and that a seed is all they depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from gridrl.errors import BadValue
from gridrl.nn.ensemble import EnsembleLinearLayer
from gridrl.nn.initialization import (
    initialize,
    normal_init,
    normal_init_,
    ortho_init_,
    orthogonal,
    truncated_normal_,
    truncated_normal_init,
    uniform,
    xavier_uniform_init_,
)
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


def every_kind() -> list[nn.Module]:
    return [
        nn.Linear(30, 20),
        nn.Linear(3, 4, bias=False),
        nn.Conv1d(3, 8, 5),
        nn.Conv2d(3, 8, 3, bias=False),
        nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last),
        EnsembleLinearLayer(2, 30, 20),
    ]


def test_orthogonal_weights_for_every_kind_of_layer() -> None:
    for module in every_kind():
        assert isinstance(module.weight, torch.Tensor)
        ortho_init_(module, gain=3.0, rng=0)
        stacked = module.weight.detach() if isinstance(module, EnsembleLinearLayer) else module.weight.detach()[None]
        for weight in stacked:
            matrix = weight.flatten(1) / 3.0
            product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
            torch.testing.assert_close(product, torch.eye(len(product)), atol=1e-5, rtol=0)
        assert module.bias is None or bool((module.bias == 0).all())
    module = nn.Linear(4, 4)
    ortho_init_(module)
    assert torch.linalg.matrix_norm(module.weight, 2).item() == pytest.approx(math.sqrt(2), rel=1e-5)


def test_xavier_weights_fill_their_interval() -> None:
    for module, fans in [
        (nn.Linear(60, 90), 150),
        (nn.Conv2d(8, 32, 3), (8 + 32) * 9),
        (nn.Conv1d(8, 64, 5), (8 + 64) * 5),
        (EnsembleLinearLayer(2, 60, 90), 150),
    ]:
        xavier_uniform_init_(module, 0.5, rng=0)
        assert isinstance(module.weight, torch.Tensor)
        bound = 0.5 * math.sqrt(6.0 / fans)
        assert 0.99 * bound < module.weight.abs().max().item() <= bound * (1 + 1e-6)
        assert module.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert isinstance(module.bias, torch.Tensor)
        assert module.bias.eq(0).all()


def test_small_normal_weights() -> None:
    assert normal_init is normal_init_
    linear, convolution, norm = nn.Linear(200, 100), nn.Conv1d(20, 100, 5), nn.BatchNorm1d(3)
    norm.weight.data.fill_(7.0)
    for module in (linear, convolution, norm):
        normal_init_(module, rng=0)
    assert linear.weight.std().item() == pytest.approx(1e-3, rel=0.03)
    assert convolution.weight.std().item() == pytest.approx(1e-2, rel=0.03)
    assert linear.bias.eq(0).all()
    assert norm.weight.eq(1).all()


def test_truncated_normal_numbers_lie_within_two_deviations() -> None:
    tensor = torch.empty(200, 100)
    assert truncated_normal_(tensor, mean=5.0, std=3.0, rng=0) is tensor
    assert (tensor - 5.0).abs().max().item() <= 6.0 + 1e-5
    assert tensor.mean().item() == pytest.approx(5.0, abs=0.1)
    # the deviation of a standard normal cut off at two is 0.8796
    assert tensor.std().item() == pytest.approx(3 * 0.8796, rel=0.02)
    assert truncated_normal_(torch.empty(50, dtype=torch.float64), rng=0).abs().max() <= 2.0
    assert truncated_normal_(torch.empty(0), rng=0).shape == (0,)


def test_truncated_normal_layers_scale_with_what_they_read() -> None:
    for module in (nn.Linear(100, 50), EnsembleLinearLayer(3, 100, 50)):
        truncated_normal_init(module, rng=0)
        std = 1 / (2 * math.sqrt(100))
        assert module.weight.abs().max().item() <= 2 * std * (1 + 1e-6)
        assert module.weight.std().item() == pytest.approx(0.8796 * std, rel=0.04)
        assert module.bias is not None
        assert module.bias.eq(0).all()


def test_initialisations_are_applied_to_networks_and_follow_a_seed() -> None:
    def drawn(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.LayerNorm(4))
        net.apply(ortho_init_)
        return [parameter.detach() for parameter in net.parameters()]

    assert all(torch.equal(one, other) for one, other in zip(drawn(1), drawn(1), strict=True))
    assert not torch.equal(drawn(1)[0], drawn(2)[0])
    before = torch.get_rng_state()
    one, other = nn.Linear(3, 3, device="meta").to_empty(device="cpu"), nn.Linear(3, 3, device="meta")
    xavier_uniform_init_(one, rng=np.random.default_rng(4))
    other = other.to_empty(device="cpu")
    xavier_uniform_init_(other, rng=4)
    assert torch.equal(one.weight, other.weight)
    nn.ReLU().apply(ortho_init_)  # nothing to draw, and nothing drawn
    assert torch.equal(torch.get_rng_state(), before)
