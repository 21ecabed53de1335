"""Several networks of one shape as one: stacked linear layers, evaluated by one batched matrix product a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, ShapeError
from gridrl.nn.initialization import INITIALIZATIONS, Affine, as_generator


class EnsembleLinearLayer(nn.Module):
    """`num_members` linear layers of one shape: twin critics, ensembles of models, variants.

    Member `k` computes `x @ weight[k] + bias[k]`; its weight is the transpose of an `nn.Linear`'s. The members' weights
    are drawn one member after the other, each as `nn.Linear`'s would be.

    Attributes:
        weight: [K, in_size, out_size].
        bias: [K, 1, out_size], None without biases.

    >>> layer = EnsembleLinearLayer(2, 3, 4)
    >>> layer(torch.zeros(5, 3)).shape  # all members read the same input
    torch.Size([2, 5, 4])
    >>> layer(torch.zeros(2, 5, 3)).shape  # each reads its own
    torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        num_members: int,
        in_size: int,
        out_size: int,
        *,
        bias: bool = True,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        """Draws the weights and biases, uniform in +-1/sqrt(in_size).

        Args:
            num_members: K, how many layers there are.
            in_size: numbers that each reads.
            out_size: numbers that each gives.
            bias: whether there are biases.
            rng: what is drawn from, or a seed for it; None takes a seed from torch's generator, which is how torch's
                own layers follow `torch.manual_seed`.

        Raises:
            BadValue: for sizes that are no positive whole numbers.
        """
        super().__init__()
        for name, size in (("num_members", num_members), ("in_size", in_size), ("out_size", out_size)):
            if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
                raise BadValue(f"{name} of an ensemble's layer is a whole number from 1 on; {size!r} is none.")
        self.num_members, self.in_size, self.out_size = int(num_members), int(in_size), int(out_size)
        self.weight = nn.Parameter(torch.empty(self.num_members, self.in_size, self.out_size))
        self.bias = nn.Parameter(torch.empty(self.num_members, 1, self.out_size)) if bias else None
        generator = as_generator(rng)
        for member in self.members():
            INITIALIZATIONS["uniform"](member, generator, 1.0)

    def members(self) -> list[Affine]:
        """Views of each member's weight [out_size, in_size] and bias [out_size], as an `nn.Linear` has them."""
        biases = [None] * self.num_members if self.bias is None else [bias[0] for bias in self.bias.detach()]
        return [Affine(weight.T, bias) for weight, bias in zip(self.weight.detach(), biases, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """What each member gives.

        Args:
            x: [B, in_size], read by all members, or [K, B, in_size], where member `k` reads `x[k]`.

        Returns:
            [K, B, out_size].

        Raises:
            ShapeError: for any other shape.
        """
        if x.ndim == 2:
            x = x.expand(self.num_members, *x.shape)
        if x.ndim != 3 or x.shape[0] != self.num_members or x.shape[2] != self.in_size:
            raise ShapeError(
                f"x {list(x.shape)}: {self.num_members} members read [B, {self.in_size}] together or "
                f"[{self.num_members}, B, {self.in_size}] each its own."
            )
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        """The sizes, for `print(module)`."""
        return f"num_members={self.num_members}, in_size={self.in_size}, out_size={self.out_size}"


def ensemble_mlp(
    num_members: int, sizes: Sequence[int], activation: Callable[[], nn.Module] = nn.Tanh
) -> nn.Sequential:
    """`num_members` multi-layer perceptrons as one: [B, inputs] or [K, B, inputs] -> [K, B, outputs].

    Its parameters are not drawn yet: `gridrl.nn.initialization.initialize` does that, for the first member first. The
    numbers are the ones that as many `mlp`s get one after the other.

    Args:
        num_members: K, how many there are.
        sizes: of the input, the hidden layers and the output.
        activation: class of the hidden layers' activation, such as `torch.nn.ReLU`.

    >>> ensemble_mlp(2, [3, 8, 1])(torch.zeros(5, 3)).shape
    torch.Size([2, 5, 1])
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [EnsembleLinearLayer(num_members, inputs, outputs, rng=0), activation()]
    return nn.Sequential(*layers[:-1])
