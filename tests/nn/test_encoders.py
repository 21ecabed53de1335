"""Convolutional encoders: their sizes for every shape, both orders of axes, first weights, refusals."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gridrl.errors import BadValue, ShapeError
from gridrl.nn.encoders import Conv1dEncoder, Conv2dEncoder

# with 12 places or more, three such layers always leave something: 12 -> 5 -> 2 -> 1
LAYER = st.tuples(st.integers(1, 5), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(12, 20), st.integers(12, 20), st.integers(1, 3), st.lists(LAYER, min_size=1, max_size=3), st.booleans()
)
def test_the_size_told_is_the_size_given(
    height: int, width: int, inputs: int, layers: list[tuple[int, int, int, int]], flatten: bool
) -> None:
    lists = [list(numbers) for numbers in zip(*layers, strict=True)]
    encoder = Conv2dEncoder((height, width, inputs), *lists, flatten=flatten, rng=0)
    series = Conv1dEncoder((width, inputs), *lists, flatten=flatten, rng=0)
    for one, obs in ((encoder, torch.zeros(2, height, width, inputs)), (series, torch.zeros(2, width, inputs))):
        size = one.get_encoder_output_size()
        assert one(obs).shape == (2, *([size] if isinstance(size, int) else size))
        assert isinstance(size, int) == flatten


def test_the_networks_of_the_well_known_paper() -> None:
    encoder = Conv2dEncoder(
        input_shape=(84, 84, 4), channels=[32, 64, 64], kernels=[8, 4, 3], strides=[4, 2, 1], padding=[0, 0, 0]
    )
    assert encoder.get_encoder_output_size() == 64 * 7 * 7  # Mnih et al. 2015
    assert [type(layer) for layer in encoder.layers] == [nn.Conv2d, nn.ReLU] * 3


def test_channels_first_and_last_are_one_network() -> None:
    last = Conv2dEncoder((9, 7, 3), [4, 5], [3, 2], [2, 1], [1, 0], rng=0)
    first = Conv2dEncoder((3, 9, 7), [4, 5], [3, 2], [2, 1], [1, 0], channels_last=False, rng=0)
    image = torch.rand(2, 9, 7, 3)
    torch.testing.assert_close(last(image), first(image.permute(0, 3, 1, 2)))
    series_last = Conv1dEncoder((9, 3), [4], [3], [2], [1], rng=0)
    series_first = Conv1dEncoder((3, 9), [4], [3], [2], [1], channels_last=False, rng=0)
    series = torch.rand(2, 9, 3)
    torch.testing.assert_close(series_last(series), series_first(series.mT))


def test_a_convolution_by_hand() -> None:
    encoder = Conv1dEncoder((4, 1), [1], [2], [1], [0], activation=nn.Identity)
    encoder.layers[0].weight.data.copy_(torch.tensor([[[1.0, 10.0]]]))
    assert encoder(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]])).tolist() == [[21.0, 32.0, 43.0]]
    assert encoder.name == "conv1d"
    assert Conv1dEncoder((4, 1), [1], [2], [1], [0], nn.ReLU, True, "lidar").name == "lidar"


def test_bytes_of_an_image_are_read_as_they_are() -> None:
    encoder = Conv2dEncoder((2, 2, 1), [1], [2], [1], [0], activation=nn.Identity)
    encoder.layers[0].weight.data.fill_(1.0)
    assert encoder(torch.full((1, 2, 2, 1), 200, dtype=torch.uint8)).item() == 800.0


def test_weights_start_orthogonal_from_the_seed_alone() -> None:
    before = torch.get_rng_state()
    one, other = (Conv2dEncoder((8, 8, 3), [4, 4], [3, 3], [1, 1], [0, 0], rng=7) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    weight = one.layers[0].weight.detach().flatten(1)
    torch.testing.assert_close(weight @ weight.T, 2 * torch.eye(4), atol=1e-5, rtol=0)
    assert one.layers[0].bias.eq(0).all()


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(BadValue, match=r"layer 1 with kernel 9, stride 1 and padding 0 has nothing left"):
        Conv2dEncoder((8, 8, 3), [4, 4], [3, 9], [1, 1], [0, 0])
    with pytest.raises(BadValue, match=r"channels has 2, kernels has 1, strides has 2, padding has 2"):
        Conv2dEncoder((8, 8, 3), [4, 4], [3], [1, 1], [0, 0])
    with pytest.raises(BadValue, match=r"input_shape \[8, 8\]: 3 numbers are needed"):
        Conv2dEncoder((8, 8), [4], [3], [1], [0])  # type: ignore[arg-type]
    for channels, kernel, stride, padding in ((0, 3, 1, 0), (4, 0, 1, 0), (4, 3, 0, 0), (4, 3, 1, -1)):
        with pytest.raises(
            BadValue, match=r"(channels|kernels|strides) \[0\] .* from 1 on|padding \[-1\] .* from 0 on"
        ):
            Conv2dEncoder((8, 8, 3), [channels], [kernel], [stride], [padding])
    with pytest.raises(BadValue, match=r"at least one layer"):
        Conv1dEncoder((8, 8), [], [], [], [])
    with pytest.raises(ShapeError, match=r"obs \[2, 3, 8, 8\]: \[B, 8, 8, 3\] is needed"):
        Conv2dEncoder((8, 8, 3), [4], [3], [1], [0])(torch.zeros(2, 3, 8, 8))
