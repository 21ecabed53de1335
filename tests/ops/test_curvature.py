"""Products with curvature matrices equal those with the matrices, written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gridrl.ops.curvature import gauss_newton_product, hessian_product


def parameters_of(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def matrix_of(product: object, size: int) -> Tensor:
    """The matrix whose columns the product gives."""
    assert callable(product)
    return torch.stack([product(unit) for unit in torch.eye(size, dtype=torch.float64)], 1)


def test_gauss_newton_by_hand() -> None:
    # outputs (w x, w + b) at w = 2, b = 0, x = 3: J = ((3, 0), (1, 1)), M = diag(1, 10), J^T M J = ((19, 10), (10, 10))
    w, b = (torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in (2.0, 0.0))
    product = gauss_newton_product([3.0 * w, w + b], [w, b], lambda u: [u[0], 10.0 * u[1]])
    assert matrix_of(product, 2).tolist() == [[19.0, 10.0], [10.0, 10.0]]
    assert matrix_of(product, 2).tolist() == [[19.0, 10.0], [10.0, 10.0]], "the graph is kept"


def test_gauss_newton_is_the_product_with_the_jacobian_on_both_sides() -> None:
    weight, bias, last = parameters_of((4, 3), (4,), (2, 4))
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def outputs(weight: Tensor, bias: Tensor, last: Tensor) -> Tensor:
        return torch.tanh(x @ weight.T + bias) @ last.T

    root = torch.randn(12, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    metric = root @ root.T
    product = gauss_newton_product(
        [outputs(weight, bias, last)], [weight, bias, last], lambda u: [(metric @ u[0].reshape(12)).view(6, 2)]
    )
    pieces = torch.autograd.functional.jacobian(outputs, (weight, bias, last))
    jacobian = torch.cat([piece.reshape(12, -1) for piece in pieces], 1)
    torch.testing.assert_close(matrix_of(product, 24), jacobian.T @ metric @ jacobian)


def test_parameters_without_effect_and_outputs_without_parameters_count_for_nothing() -> None:
    w, unused = parameters_of((2,), (3,))
    fixed = torch.ones(2, dtype=torch.float64)
    product = gauss_newton_product([w * fixed, fixed], [w, unused], lambda u: [2.0 * u[0], u[1] + 9.0])
    assert torch.equal(matrix_of(product, 5), torch.diag(torch.tensor([2.0, 2.0, 0.0, 0.0, 0.0], dtype=torch.float64)))
    still = gauss_newton_product([w.detach(), fixed * 2.0 + 0.0 * unused.sum()], [w], lambda u: list(u))
    assert still(torch.ones(2, dtype=torch.float64)).tolist() == [0.0, 0.0]


def test_hessian_is_the_matrix_of_second_derivatives() -> None:
    w, v, unused = parameters_of((3,), (2,), (2,))

    def value(w: Tensor, v: Tensor) -> Tensor:
        return (w.exp().sum() * v.prod()).sin() + 0.0 * v.sum()

    rows = torch.autograd.functional.hessian(value, (w, v))
    expected = torch.zeros(7, 7, dtype=torch.float64)
    expected[:5, :5] = torch.cat([torch.cat(row, 1) for row in rows])
    product = hessian_product(value(w, v), [w, v, unused])
    torch.testing.assert_close(matrix_of(product, 7), expected)


def test_a_straight_line_has_no_curvature() -> None:
    w = parameters_of((3,))[0]
    assert hessian_product((2.0 * w).sum(), [w])(torch.ones(3, dtype=torch.float64)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.SiLU, nn.Softplus])
def test_any_module_will_do(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), activation(), nn.Linear(3, 2)).double()
    x, parameters = torch.randn(5, 2, dtype=torch.float64), list(net.parameters())
    product = gauss_newton_product([net(x)], parameters, lambda u: [u[0]])
    columns = [
        torch.cat([piece.reshape(-1) for piece in torch.autograd.grad(number, parameters, retain_graph=True)])
        for number in net(x).reshape(-1)
    ]
    jacobian = torch.stack(columns)
    torch.testing.assert_close(matrix_of(product, jacobian.shape[1]), jacobian.T @ jacobian)
