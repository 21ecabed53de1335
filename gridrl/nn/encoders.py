"""Encoders: convolutions that make vectors of images and of series."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn.utils import skip_init

from gridrl.errors import BadValue, ShapeError
from gridrl.nn.initialization import as_generator, ortho_init_


class _ConvEncoder(nn.Module):
    """What the encoders of all numbers of dimensions share; the spatial shape is what is left without channels."""

    def __init__(
        self,
        convolution: type[nn.Conv1d] | type[nn.Conv2d],
        input_shape: Sequence[int],
        layers: dict[str, Sequence[int]],
        channels_last: bool,
        activation: Callable[[], nn.Module],
        flatten: bool,
        rng: np.random.Generator | int | None,
    ) -> None:
        super().__init__()
        dimensions = 1 if convolution is nn.Conv1d else 2
        _check(input_shape, layers, dimensions)
        self.input_shape, self.channels_last, self.flatten = tuple(input_shape), channels_last, flatten
        if channels_last:
            *spatial, inputs = self.input_shape
        else:
            inputs, *spatial = self.input_shape
        generator = as_generator(rng)
        modules: list[nn.Module] = []
        for number, (outputs, kernel, stride, padding) in enumerate(zip(*layers.values(), strict=True)):
            spatial = [(size + 2 * padding - kernel) // stride + 1 for size in spatial]
            if min(spatial) < 1:
                raise BadValue(
                    f"layer {number} with kernel {kernel}, stride {stride} and padding {padding} has nothing left to "
                    f"read of an input of shape {list(input_shape)}."
                )
            layer = skip_init(convolution, inputs, outputs, kernel, stride=stride, padding=padding)  # type: ignore[no-untyped-call]
            ortho_init_(layer, rng=generator)
            modules += [layer, activation()]
            inputs = outputs
        self.layers = nn.Sequential(*modules)
        self._output_shape = (inputs, *spatial)

    def forward(self, obs: Tensor) -> Tensor:
        """Encodes a batch.

        Args:
            obs: [B, *input_shape]; numbers of another type (bytes of an image) are converted, not scaled.

        Returns:
            [B, size], or [B, channels, *places] if it does not flatten; see `get_encoder_output_size`.

        Raises:
            ShapeError: for observations of another shape.
        """
        if obs.shape[1:] != self.input_shape:
            raise ShapeError(f"obs {list(obs.shape)}: [B, {', '.join(map(str, self.input_shape))}] is needed.")
        x = obs.movedim(-1, 1) if self.channels_last else obs
        y: Tensor = self.layers(x.to(next(self.parameters()).dtype))
        return y.flatten(1) if self.flatten else y

    def get_encoder_output_size(self) -> int | tuple[int, ...]:
        """Numbers of an encoded observation; if it does not flatten, its shape, channels first."""
        return math.prod(self._output_shape) if self.flatten else self._output_shape


def _check(input_shape: Sequence[int], layers: dict[str, Sequence[int]], dimensions: int) -> None:
    if len(input_shape) != dimensions + 1:
        raise BadValue(
            f"input_shape {list(input_shape)}: {dimensions + 1} numbers are needed, the channels among them."
        )
    counts = {name: len(values) for name, values in layers.items()}
    if len(set(counts.values())) > 1 or not counts["channels"]:
        told = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise BadValue(f"an encoder takes one number per layer in each list, and at least one layer: {told}.")
    for name, values in layers.items():
        least = 0 if name == "padding" else 1
        if min(values) < least:
            raise BadValue(f"{name} {list(values)} of an encoder: whole numbers from {least} on are needed.")


class Conv2dEncoder(_ConvEncoder):
    """Convolutions over images, each followed by an activation.

    >>> import torch
    >>> encoder = Conv2dEncoder((84, 84, 3), [32, 64, 64], [8, 4, 3], [4, 2, 1], [0, 0, 0])
    >>> encoder(torch.zeros(5, 84, 84, 3)).shape, encoder.get_encoder_output_size()
    (torch.Size([5, 3136]), 3136)
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        padding: Sequence[int],
        channels_last: bool = True,
        activation: Callable[[], nn.Module] = nn.ReLU,
        flatten: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        """Draws the weights orthogonal, times sqrt(2).

        Args:
            input_shape: of an image, (height, width, channels), or (channels, height, width) without `channels_last`.
            channels: that each layer gives.
            kernels: width and height of each layer's kernel.
            strides: of each layer.
            padding: zeros at each side of each layer's input.
            channels_last: whether the channels are the last axis of an image.
            activation: class of the activation after each layer.
            flatten: whether an image becomes a vector.
            rng: what the weights are drawn from, or a seed for it; None takes a seed from torch's generator.

        Raises:
            BadValue: for lists of different lengths, numbers without meaning, or layers that leave nothing of an image.
        """
        layers = {"channels": channels, "kernels": kernels, "strides": strides, "padding": padding}
        super().__init__(nn.Conv2d, input_shape, layers, channels_last, activation, flatten, rng)


class Conv1dEncoder(_ConvEncoder):
    """Convolutions over series, each followed by an activation.

    Attributes:
        name: to tell encoders apart.

    >>> import torch
    >>> encoder = Conv1dEncoder((20, 6), [16, 16], [5, 3], [2, 1], [0, 1])
    >>> encoder(torch.zeros(5, 20, 6)).shape, encoder.get_encoder_output_size()
    (torch.Size([5, 128]), 128)
    """

    def __init__(
        self,
        input_shape: tuple[int, int],
        channels: Sequence[int],
        kernels: Sequence[int],
        strides: Sequence[int],
        padding: Sequence[int],
        activation: Callable[[], nn.Module] = nn.ReLU,
        flatten: bool = True,
        name: str = "conv1d",
        channels_last: bool = True,
        *,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        """Draws the weights orthogonal, times sqrt(2).

        Args:
            input_shape: of a series, (length, channels), or (channels, length) without `channels_last`.
            channels: that each layer gives.
            kernels: length of each layer's kernel.
            strides: of each layer.
            padding: zeros at each end of each layer's input.
            activation: class of the activation after each layer.
            flatten: whether a series becomes a vector.
            name: to tell encoders apart.
            channels_last: whether the channels are the last axis of a series.
            rng: as in `Conv2dEncoder`.

        Raises:
            BadValue: as in `Conv2dEncoder`.
        """
        layers = {"channels": channels, "kernels": kernels, "strides": strides, "padding": padding}
        super().__init__(nn.Conv1d, input_shape, layers, channels_last, activation, flatten, rng)
        self.name = name
