"""Multi-layer perceptrons, and what makes one plain enough to be evaluated without its module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from gridrl.errors import BadValue

Array: TypeAlias = npt.NDArray[np.float32]
NumpyActivation: TypeAlias = Callable[[Array], Any]
TorchActivation: TypeAlias = Callable[[Tensor], Tensor]

# More rows than these are evaluated in parts, whose activations stay in the cache.
_ROWS = 2048
# Where numpy's tanh, which is seven times faster, outweighs the cost of a Python function in the graph.
_LARGE = 12_288


def mlp(sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.Tanh) -> nn.Sequential:
    """Linear layers with an activation after each but the last.

    Args:
        sizes: of the input, the hidden layers and the output.
        activation: class of the hidden layers' activation, such as `torch.nn.ReLU`.

    Raises:
        BadValue: for sizes that are no positive whole numbers.
    """
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise BadValue(f"hidden_sizes are whole numbers from 1 on, such as [64, 64]; {size!r} is none.")
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):  # torch's own first draw is not wanted: it leaves no trace
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(int(inputs), int(outputs)), activation()]
    return nn.Sequential(*layers[:-1])


class _NumpyTanh(torch.autograd.Function):
    """tanh computed by numpy, with torch's own derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.empty_like(x)
        np.tanh(x.detach().numpy(), out=y.numpy())
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        derived: Tensor = torch.ops.aten.tanh_backward(gradient, y)
        return derived


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent; of large float32 tensors on the CPU it is taken by numpy."""
    if x.numel() < _LARGE or x.device.type != "cpu" or x.dtype != torch.float32:
        return torch.tanh(x)
    y: Tensor = _NumpyTanh.apply(x)  # type: ignore[no-untyped-call]
    return y


def _relu(x: Array) -> None:
    np.maximum(x, 0.0, out=x)


def _numpy_tanh(x: Array) -> None:
    np.tanh(x, out=x)


def _sigmoid(x: Array) -> None:
    np.multiply(x, 0.5, out=x)  # 1 / (1 + e^-x) = (1 + tanh(x / 2)) / 2, which cannot overflow
    np.tanh(x, out=x)
    x += 1.0
    x *= 0.5


def _silu(x: Array) -> None:
    gate = x.copy()
    _sigmoid(gate)
    x *= gate


def _nothing(x: Array) -> None:
    pass


@dataclass(frozen=True)
class PlainLayer:
    """A linear layer with the activation that follows it, both for torch and for numpy (there in place)."""

    linear: nn.Linear
    torch_activation: TorchActivation | None
    numpy_activation: NumpyActivation


_ACTIVATIONS: dict[type[nn.Module], tuple[TorchActivation | None, NumpyActivation]] = {
    nn.Tanh: (tanh, _numpy_tanh),
    nn.ReLU: (torch.relu, _relu),
    nn.Sigmoid: (torch.sigmoid, _sigmoid),
    nn.SiLU: (functional.silu, _silu),
    nn.Identity: (None, _nothing),
}


def plain_layers(net: nn.Module) -> list[PlainLayer] | None:
    """The layers of a plain MLP, which numpy can evaluate; None for any other module.

    Plain is a Sequential of Linear layers with biases, float32, each followed by at most one known activation, without
    hooks.
    """
    if type(net) is not nn.Sequential or any(_has_hooks(module) for module in (net, *net)):
        return None
    layers: list[PlainLayer] = []
    open_for_activation = False
    for module in net:
        if type(module) is nn.Linear and module.bias is not None and module.weight.dtype == torch.float32:
            layers.append(PlainLayer(module, None, _nothing))
            open_for_activation = True
        elif type(module) in _ACTIVATIONS and open_for_activation:
            layers[-1] = PlainLayer(layers[-1].linear, *_ACTIVATIONS[type(module)])
            open_for_activation = False
        else:
            return None
    return layers or None


def _has_hooks(module: nn.Module) -> bool:
    kinds = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(kinds)


def forward(layers: Sequence[PlainLayer], x: Tensor) -> Tensor:
    """What the module of these layers gives for `x`, [B, inputs] -> [B, outputs]."""
    for layer in layers:
        x = functional.linear(x, layer.linear.weight, layer.linear.bias)
        if layer.torch_activation is not None:
            x = layer.torch_activation(x)
    return x


class NumpyMLP:
    """A plain MLP evaluated by numpy on the memory of its torch parameters: no copies, always the newest weights.

    The arrays that it returns are its own, and the next call overwrites them.
    """

    def __init__(self, layers: Sequence[PlainLayer]) -> None:
        """Takes numpy views of the layers' parameters, which must be on the CPU and stay where they are."""
        self._layers = [
            (layer.linear.weight.detach().numpy(), layer.linear.bias.detach().numpy(), layer.numpy_activation)
            for layer in layers
        ]
        self._vectors = [(w, b, f, np.empty(len(b), np.float32)) for w, b, f in self._layers]
        self._matrices: list[tuple[Array, Array, NumpyActivation, Array]] = []
        self._make_room(rows=1)

    def one(self, x: Array) -> Array:
        """One input [inputs] -> [outputs]."""
        for weight, bias, activate, out in self._vectors:
            weight.dot(x, out)
            out += bias
            activate(out)
            x = out
        return x

    def batch(self, x: Array) -> Array:
        """Rows [B, inputs] -> [B, outputs]."""
        if len(x) <= _ROWS:
            return self._few(x)
        outputs = len(self._layers[-1][1])
        whole = np.empty((len(x), outputs), np.float32)
        for begin in range(0, len(x), _ROWS):
            whole[begin : begin + _ROWS] = self._few(x[begin : begin + _ROWS])
        return whole

    def _few(self, x: Array) -> Array:
        rows = len(x)
        if rows > len(self._matrices[0][3]):
            self._make_room(rows)
        for weight, bias, activate, room in self._matrices:
            out = room[:rows]
            np.dot(x, weight, out)
            out += bias
            activate(out)
            x = out
        return x

    def _make_room(self, rows: int) -> None:
        self._matrices = [(w.T, b, f, np.empty((rows, len(b)), np.float32)) for w, b, f in self._layers]
