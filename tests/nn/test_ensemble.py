"""Stacked layers: member for member what separate layers give, forward, backward and at the start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, ShapeError
from gridrl.nn.ensemble import EnsembleLinearLayer, ensemble_mlp
from gridrl.nn.flat import FlatParameters
from gridrl.nn.initialization import initialize
from gridrl.nn.mlp import mlp


def as_linears(layer: EnsembleLinearLayer) -> list[nn.Linear]:
    linears = []
    for weight, bias in layer.members():
        linears.append(nn.Linear(layer.in_size, layer.out_size, bias=bias is not None))
        linears[-1].weight.data.copy_(weight)
        if bias is not None:
            linears[-1].bias.data.copy_(bias)
    return linears


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_members_give_what_linear_layers_give_with_the_same_gradients(bias: bool, shared: bool) -> None:
    layer = EnsembleLinearLayer(3, 4, 2, bias=bias, rng=0)
    linears = as_linears(layer)
    x = torch.randn((5, 4) if shared else (3, 5, 4), generator=torch.Generator().manual_seed(1)).requires_grad_()
    out = layer(x)
    expected = torch.stack([linear(x if shared else x[k]) for k, linear in enumerate(linears)])
    torch.testing.assert_close(out, expected)

    (of_x,) = torch.autograd.grad(expected.square().sum(), x, retain_graph=True)
    expected.square().sum().backward()
    theirs = torch.stack([linear.weight.grad for linear in linears if linear.weight.grad is not None])
    x.grad = None
    out.square().sum().backward()
    torch.testing.assert_close(x.grad, of_x)
    torch.testing.assert_close(layer.weight.grad, theirs.transpose(1, 2))


def test_a_layer_takes_the_documented_arguments_by_position() -> None:
    layer = EnsembleLinearLayer(7, 3, 2)
    assert layer.weight.shape == (7, 3, 2)
    assert layer.bias is not None
    assert layer.bias.shape == (7, 1, 2)
    assert "num_members=7, in_size=3, out_size=2" in repr(layer)


def test_members_start_as_linear_layers_drawn_one_after_the_other() -> None:
    stacked = ensemble_mlp(2, [3, 5, 1])
    for how in ("uniform", "orthogonal"):
        initialize(stacked, how, np.random.default_rng(9), last_gain=0.5)
        rng, x = np.random.default_rng(9), torch.randn(4, 3)
        alone: list[Tensor] = []
        for _ in range(2):
            net = mlp([3, 5, 1])
            initialize(net, how, rng, last_gain=0.5)
            alone.append(net(x))
        torch.testing.assert_close(stacked(x), torch.stack(alone))
        assert not torch.equal(alone[0], alone[1])


def test_the_seed_is_all_that_a_layer_depends_on() -> None:
    one, other = EnsembleLinearLayer(2, 3, 4, rng=5), EnsembleLinearLayer(2, 3, 4, rng=np.random.default_rng(5))
    assert torch.equal(one.weight, other.weight)
    # without one it follows torch's seed, as torch's own layers do, and two layers differ
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights += [EnsembleLinearLayer(1, 2, 2).weight, EnsembleLinearLayer(1, 2, 2).weight]
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.parametrize("shape", [(4,), (5, 3), (3, 5, 4), (2, 5, 3), (1, 2, 5, 4)])
def test_an_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"2 members read \[B, 4\] together or \[2, B, 4\] each its own"):
        EnsembleLinearLayer(2, 4, 1)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("sizes", "name"), [((0, 1, 1), "num_members"), ((1, 2.0, 1), "in_size"), ((1, 1, True), "out_size")]
)
def test_sizes_that_are_none_are_refused(sizes: tuple[int, int, int], name: str) -> None:
    with pytest.raises(BadValue, match=f"{name} of an ensemble's layer is a whole number"):
        EnsembleLinearLayer(*sizes)


def test_a_stack_lives_in_a_flat_buffer_and_saves_like_any_module() -> None:
    net = ensemble_mlp(2, [3, 8, 1], nn.ReLU)
    flat = FlatParameters([net])
    net(torch.ones(4, 3)).sum().backward()
    assert flat.grad.abs().sum() > 0
    other = ensemble_mlp(2, [3, 8, 1], nn.ReLU)
    initialize(other, "uniform", np.random.default_rng(1), last_gain=1.0)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(torch.ones(4, 3)), net(torch.ones(4, 3)))
