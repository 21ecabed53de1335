"""Plain MLPs: numpy and the module give the same numbers, stacked twins the same gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from gridrl.errors import BadValue
from gridrl.nn.flat import FlatParameters
from gridrl.nn.mlp import NumpyMLP, forward, mlp, plain_layers, tanh
from gridrl.nn.twin import twin_of

ACTIVATIONS = [nn.Tanh, nn.ReLU, nn.Sigmoid, nn.SiLU, nn.Identity]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (8,), (16, 5)])
def test_numpy_gives_what_the_module_gives(activation: Callable[[], nn.Module], hidden: tuple[int, ...]) -> None:
    net = mlp([3, *hidden, 2], activation)
    layers = plain_layers(net)
    assert layers is not None
    fast = NumpyMLP(layers)
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32) * 3
    expected = net(torch.from_numpy(x)).detach().numpy()
    assert fast.batch(x) == pytest.approx(expected, abs=1e-6)
    assert fast.one(x[0]) == pytest.approx(expected[0], abs=1e-6)
    assert forward(layers, torch.from_numpy(x)).detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_numpy_sees_new_weights_at_once() -> None:
    net = mlp([2, 1])
    layers = plain_layers(net)
    assert layers is not None
    fast = NumpyMLP(layers)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    assert fast.one(np.array([2.0, 3.0], np.float32)).tolist() == [6.0]


def test_a_numpy_mlp_evaluates_batches_of_many_sizes() -> None:
    net = mlp([2, 4, 1])
    layers = plain_layers(net)
    assert layers is not None
    fast = NumpyMLP(layers)
    x = np.random.default_rng(0).standard_normal((5000, 2), np.float32)
    expected = net(torch.from_numpy(x)).detach().numpy()
    for size in (3, 20, 1, 5000, 2048, 2049, 7):
        assert fast.batch(x[:size]) == pytest.approx(expected[:size], abs=1e-6)


class Own(nn.Linear):
    """A layer that does something else."""


@pytest.mark.parametrize(
    "net",
    [
        nn.Linear(2, 2),
        nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)),
        nn.Sequential(nn.Tanh(), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Tanh()),
        nn.Sequential(nn.Linear(2, 2, bias=False)),
        nn.Sequential(nn.Linear(2, 2).double()),
        nn.Sequential(Own(2, 2)),
        nn.Sequential(),
    ],
    ids=["bare", "dropout", "activation first", "two activations", "no bias", "float64", "subclass", "empty"],
)
def test_what_is_not_plain_is_left_to_torch(net: nn.Module) -> None:
    assert plain_layers(net) is None


def test_a_network_with_hooks_is_left_to_torch() -> None:
    for hooked in ("the layer", "the whole"):
        net = mlp([2, 2])
        part = net[0] if hooked == "the layer" else net
        part.register_forward_hook(lambda module, inputs, output: output * 2)
        assert plain_layers(net) is None
    net = mlp([2, 2])
    net[0].register_full_backward_hook(lambda module, given, gradient: None)
    assert plain_layers(net) is None


@pytest.mark.parametrize("shape", [(4, 4), (200, 64), (2, 128, 64)])
def test_the_fast_tanh_and_its_gradient_are_torchs(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).mul_(2)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    weight = torch.linspace(-1, 1, x.numel()).reshape(shape)
    y, z = tanh(ours), torch.tanh(theirs)
    (y * weight).sum().backward()
    (z * weight).sum().backward()
    assert torch.allclose(y, z, atol=1e-6)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


@pytest.mark.parametrize("rows", [5, 300])
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_twins_give_the_values_and_gradients_of_each_network(rows: int, activation: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    first, second = mlp([3, 64, 32, 2], activation), mlp([3, 64, 32, 1], activation)
    log_std = nn.ParameterList([nn.Parameter(torch.zeros(2))])  # in front of the policy's, as a Gaussian policy has it
    flat = FlatParameters([nn.ModuleList([log_std, first]), second])
    layers = [plain_layers(net) for net in (first, second)]
    assert layers[0] is not None
    assert layers[1] is not None
    twin = twin_of(flat, layers[0], layers[1])
    assert twin is not None
    x, weight = torch.randn(rows, 3), torch.randn(rows, 1)

    ((first(x) * weight).sum() + (second(x) * weight).sum()).backward()
    expected = flat.grad.clone()
    flat.grad.zero_()
    one, other = twin(x)
    ((one * weight).sum() + (other * weight).sum()).backward()

    assert torch.allclose(one, first(x), atol=1e-5)
    assert torch.allclose(other, second(x), atol=1e-5)
    assert torch.allclose(flat.grad, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert expected.abs().max() > 0


@pytest.mark.parametrize(
    "second", [mlp([3, 8, 1]), mlp([3, 4, 4, 1]), mlp([3, 4, 1], nn.ReLU), mlp([2, 4, 1])],
    ids=["width", "depth", "activation", "inputs"],
)  # fmt: skip
def test_networks_with_different_hidden_layers_are_no_twins(second: nn.Sequential) -> None:
    first = mlp([3, 4, 2])
    flat = FlatParameters([first, second])
    layers = [plain_layers(net) for net in (first, second)]
    assert layers[0] is not None
    assert layers[1] is not None
    assert twin_of(flat, layers[0], layers[1]) is None


def test_networks_outside_the_buffer_are_no_twins() -> None:
    first, second = mlp([3, 4, 2]), mlp([3, 4, 1])
    layers = [plain_layers(net) for net in (first, second)]
    assert layers[0] is not None
    assert layers[1] is not None
    assert twin_of(FlatParameters([mlp([3, 4, 2])]), layers[0], layers[1]) is None


@pytest.mark.parametrize("size", [0, -1, 2.5, "64", True])
def test_a_size_that_is_no_number_of_units_is_told(size: object) -> None:
    with pytest.raises(BadValue, match="hidden_sizes are whole numbers from 1 on"):
        mlp([3, size, 2])  # type: ignore[list-item]
