"""Conjugate gradient against a direct solver; the step to the border and the way back, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gridrl.errors import ShapeError
from gridrl.ops.trust_region import backtrack, conjugate_gradient, step_to_border


def positive_definite(size: int, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T + np.eye(size)


@pytest.mark.parametrize("size", [1, 2, 7, 20])
def test_the_solution_is_that_of_a_direct_solver(size: int) -> None:
    matrix, b = positive_definite(size), np.random.default_rng(1).normal(size=size)
    solved = conjugate_gradient(
        lambda v: torch.from_numpy(matrix) @ v, torch.from_numpy(b), iters=3 * size, tolerance=0
    )
    np.testing.assert_allclose(solved.numpy(), np.linalg.solve(matrix, b), rtol=1e-8)


def test_two_iterations_by_hand() -> None:
    # A = diag(1, 3), b = (1, 1). First: b.b / b.Ab = 2 / 4, x = (1/2, 1/2), r = (1/2, -1/2), r.r = 1/2.
    # Then d = r + (1/4) b = (3/4, -1/4), d.Ad = 9/16 + 3/16 = 3/4, x += (2/3) d = (1/2, -1/6): (1, 1/3)
    scale, b = torch.tensor([1.0, 3.0]), torch.ones(2)
    assert conjugate_gradient(lambda v: scale * v, b, iters=1).tolist() == [0.5, 0.5]
    assert conjugate_gradient(lambda v: scale * v, b, iters=2).tolist() == pytest.approx([1.0, 1.0 / 3.0])


def test_it_stops_where_the_residual_is_small_enough() -> None:
    products = []

    def product(v: Tensor) -> Tensor:
        products.append(v)
        return 2.0 * v

    conjugate_gradient(product, torch.tensor([1.0, 2.0, 3.0]), iters=50)
    assert len(products) == 1, "a multiple of the identity is solved at once"


def test_no_gradient_gives_no_direction_and_no_step() -> None:
    zeros = conjugate_gradient(lambda v: 2.0 * v, torch.zeros(3), iters=10)
    assert zeros.tolist() == [0.0, 0.0, 0.0]
    assert step_to_border(zeros, lambda v: 2.0 * v, 0.01).tolist() == [0.0, 0.0, 0.0]


def test_what_is_not_positive_definite_ends_it_before_it_does_harm() -> None:
    scale, b = torch.tensor([1.0, -0.5]), torch.ones(2)
    first = conjugate_gradient(lambda v: scale * v, b, iters=1)
    assert torch.equal(conjugate_gradient(lambda v: scale * v, b, iters=9), first)
    assert conjugate_gradient(lambda v: -v, b, iters=9).tolist() == [0.0, 0.0]
    assert conjugate_gradient(lambda v: v * math.nan, b, iters=9).tolist() == [0.0, 0.0]
    assert step_to_border(b, lambda v: -v, 0.01).tolist() == [0.0, 0.0]


def test_a_product_of_another_length_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"b \[3\], product\(b\) \[1\]"):
        conjugate_gradient(lambda v: v[:1], torch.ones(3), iters=2)


def test_the_step_ends_where_the_quadratic_model_reaches_the_border() -> None:
    # x^T A x = 2 * 9 + 8 * 16 = 146: the factor is sqrt(2 * 73 / 146) = 1
    scale = torch.tensor([2.0, 8.0])
    assert step_to_border(torch.tensor([3.0, 4.0]), lambda v: scale * v, 73.0).tolist() == [3.0, 4.0]
    matrix, b = torch.from_numpy(positive_definite(5)), torch.arange(5, dtype=torch.float64)
    step = step_to_border(b, lambda v: matrix @ v, 0.01)
    assert float(step @ matrix @ step) / 2 == pytest.approx(0.01)
    assert torch.allclose(step / step[1], b)


def test_the_way_back_along_a_quadratic_by_hand() -> None:
    """`f(x) = (x - 1)^2` from x = 0 along a step of 8, which is too far: 8, 4 and 2 are no better than 0, 1 is."""
    asked = []

    def improves(share: float) -> bool:
        asked.append(8 * share)
        return (8 * share - 1) ** 2 < 1

    assert backtrack(improves, 0.5, 10) == (0.125, 3)
    assert asked == [8, 4, 2, 1]


@pytest.mark.parametrize(("good_below", "expected"), [(2.0, (1.0, 0)), (0.9, (0.8, 1)), (0.0, (0.0, 4))])
def test_the_first_length_that_is_good_is_taken(good_below: float, expected: tuple[float, int]) -> None:
    assert backtrack(lambda share: share < good_below, 0.8, 4) == expected
