from __future__ import annotations

import numpy as np
import pytest
import torch

from gridrl.errors import ShapeError
from gridrl.ops.shapes import has_rank, same_shape


def test_equal_shapes_pass_for_numpy_and_torch() -> None:
    same_shape("a, b, c", np.zeros((2, 3)), torch.zeros(2, 3), np.ones((2, 3)))


def test_a_column_against_a_vector_is_refused_with_both_shapes() -> None:
    with pytest.raises(ShapeError) as refused:
        same_shape("value, ret", torch.zeros(4), torch.zeros(4, 1))
    assert str(refused.value) == "value [4], ret [4, 1]: these must have one shape."


def test_every_array_is_printed_when_the_last_of_three_differs() -> None:
    with pytest.raises(ShapeError) as refused:
        same_shape("logp, logp_old, adv", np.zeros(4), np.zeros(4), np.zeros(3))
    assert str(refused.value) == "logp [4], logp_old [4], adv [3]: these must have one shape."


def test_rank_is_checked() -> None:
    has_rank("logits", 2, np.zeros((4, 2)))
    with pytest.raises(ShapeError) as refused:
        has_rank("logits", 2, np.zeros(4))
    assert str(refused.value) == "logits [4]: 2 dimensions are needed."
