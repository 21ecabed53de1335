from __future__ import annotations

import numpy as np
import pytest
import torch

from gridrl.errors import ShapeError
from gridrl.ops.updates import clip_norm, clip_norm_there


def test_a_long_gradient_is_shortened_in_place_and_its_length_told() -> None:
    gradient = np.array([3.0, 0.0, 4.0], np.float32)
    assert clip_norm(gradient, 2.5) == 5.0
    assert gradient.tolist() == [1.5, 0.0, 2.0]


def test_torch_is_clipped_like_numpy() -> None:
    gradient = torch.tensor([3.0, 0.0, 4.0])
    assert clip_norm(gradient, 2.5) == 5.0
    assert gradient.tolist() == [1.5, 0.0, 2.0]


def test_a_short_gradient_is_left_alone() -> None:
    gradient = np.array([0.3, 0.4], np.float32)
    assert clip_norm(gradient, 0.5000001) == pytest.approx(0.5)
    assert gradient.tolist() == np.array([0.3, 0.4], np.float32).tolist()


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_is_told_and_not_touched(fault: float) -> None:
    gradient = np.array([1.0, fault], np.float32)
    assert not np.isfinite(clip_norm(gradient, 0.5))
    np.testing.assert_array_equal(gradient, [1.0, fault])


def test_a_gradient_of_two_axes_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"flat_grad \[2, 2\]: 1 dimension"):
        clip_norm(np.zeros((2, 2)), 1.0)


@pytest.mark.parametrize("limit", [2.5, 5.0, 7.0, float("inf")])
def test_what_is_clipped_without_looking_is_clipped_alike(limit: float) -> None:
    looked, unseen = torch.tensor([3.0, 0.0, 4.0]), torch.tensor([3.0, 0.0, 4.0])
    assert clip_norm_there(unseen, limit).item() == clip_norm(looked, limit)
    assert unseen.tolist() == looked.tolist()
    zero = torch.zeros(2)
    assert clip_norm_there(zero, limit).item() == 0.0
    assert zero.tolist() == [0.0, 0.0]
    assert not clip_norm_there(torch.tensor([1.0, np.nan]), limit).isfinite()
