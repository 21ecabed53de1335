from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gridrl.errors import ShapeError
from gridrl.ops import losses

ZEROS = torch.zeros(4)


def logs(*ratios: float) -> Tensor:
    return torch.tensor([math.log(ratio) for ratio in ratios], requires_grad=True)


def test_clipped_surrogate_by_hand() -> None:
    # min(1.5, 1.2) = 1.2; min(0.5, 0.8) = 0.5; min(-0.5, -0.8) = -0.8; min(-3, -2.4) = -3: the mean is -0.525
    loss = losses.clipped_surrogate(logs(1.5, 0.5, 0.5, 1.5), ZEROS, torch.tensor([1.0, 1.0, -1.0, -2.0]), 0.2)
    assert loss.item() == pytest.approx(0.525)


def test_clipped_surrogate_has_no_gradient_beyond_the_clip_range() -> None:
    logp = logs(1.5, 0.5, 0.5, 1.5)
    losses.clipped_surrogate(logp, ZEROS, torch.tensor([1.0, 1.0, -1.0, -2.0]), 0.2).backward()
    # where it is not clipped the derivative of -r A / 4 is -r A / 4
    assert logp.grad is not None
    assert logp.grad.tolist() == pytest.approx([0.0, -0.125, 0.0, 0.75])


def test_clipped_surrogate_at_the_old_policy_has_the_policy_gradient() -> None:
    adv = torch.tensor([1.0, -2.0, 3.0, 0.5])
    logp, same = logs(0.3, 0.2, 0.9, 0.5), logs(0.3, 0.2, 0.9, 0.5)
    losses.clipped_surrogate(logp, same.detach(), adv, 0.2).backward()
    losses.policy_gradient(same, adv).backward()
    torch.testing.assert_close(logp.grad, same.grad)


def test_policy_gradient_by_hand() -> None:
    logp, adv = torch.tensor([-1.0, -2.0]), torch.tensor([3.0, -1.0])
    assert losses.policy_gradient(logp, adv).item() == 0.5
    assert losses.policy_gradient(logp, adv, torch.tensor([1.0, 0.0])).item() == 3.0


def test_mean_squared_by_hand() -> None:
    value, ret = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([2.0, 4.0, 5.0])
    assert losses.mean_squared(value, ret).item() == pytest.approx(5 / 3)
    assert losses.mean_squared(value, ret, torch.tensor([1.0, 1.0, 0.0])).item() == 2.5


def test_rows_without_weight_leave_no_trace() -> None:
    weight = torch.tensor([1.0, 0.0, 1.0, 0.0])
    logp, adv = logs(1.5, 0.5, 0.9, 1.1), torch.tensor([1.0, 1e6, -1.0, -1e6])
    weighted = losses.clipped_surrogate(logp, ZEROS, adv, 0.2, weight)
    alone = losses.clipped_surrogate(logp[::2], ZEROS[::2], adv[::2], 0.2)
    assert weighted.item() == pytest.approx(alone.item())
    weighted.backward()
    assert logp.grad is not None
    assert logp.grad[1::2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.mean_squared(torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.policy_gradient(torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.clipped_surrogate(torch.zeros(4), torch.zeros(4, 1), torch.zeros(4), 0.2),
        lambda: losses.mean_squared(torch.zeros(4), torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.approx_kl(torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.approx_kl_k3(torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.clip_fraction(torch.zeros(4), torch.zeros(4, 1), 0.2),
        lambda: losses.normalize(torch.zeros(4), torch.zeros(4, 1)),
        lambda: losses.categorical_logp(torch.zeros(4, 2), torch.zeros(4, 1, dtype=torch.int64)),
        lambda: losses.gaussian_logp(torch.zeros(4, 1), torch.zeros(1), torch.zeros(4, 2)),
    ],
)
def test_a_column_where_a_vector_belongs_is_refused(call: object) -> None:
    with pytest.raises(ShapeError, match=r"\[4, [12]\].*must have one shape"):
        call()


def test_categorical_numbers_by_hand() -> None:
    # probabilities 1/4, 3/4: the entropy is log 4 - 3/4 log 3
    logits = torch.log(torch.tensor([[1.0, 3.0], [3.0, 1.0]])) + torch.tensor([[100.0], [-7.0]])
    logp = losses.categorical_logp(logits, torch.tensor([0, 0]))
    assert logp.tolist() == pytest.approx([math.log(0.25), math.log(0.75)], abs=1e-5)
    assert losses.categorical_entropy(logits).item() == pytest.approx(0.562335, abs=1e-5)


def test_categorical_entropy_takes_weights() -> None:
    logits = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    assert losses.categorical_entropy(logits, torch.tensor([1.0, 0.0])).item() == pytest.approx(math.log(2.0))
    assert losses.categorical_entropy(logits).item() == pytest.approx(math.log(2.0) / 2)


def test_gaussian_numbers_by_hand() -> None:
    # standard normal at 0 and at 1, times a normal of deviation 2 at its mean: log density log(1 / (2 * 2 pi)), - 1/2
    mean, log_std = torch.zeros(2, 2), torch.tensor([0.0, math.log(2.0)])
    logp = losses.gaussian_logp(mean, log_std, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    assert logp.tolist() == pytest.approx([-2.531024, -3.031024])
    # log(2 pi e) + log 2
    assert losses.gaussian_entropy(log_std).item() == pytest.approx(3.531024)
    assert losses.gaussian_entropy(torch.stack([log_std, log_std + 1.0])).item() == pytest.approx(4.531024)


def test_heads_agree_with_torchs_own_distributions() -> None:
    torch.manual_seed(0)
    logits, mean, log_std = torch.randn(16, 5), torch.randn(16, 3), torch.randn(3)
    categorical = torch.distributions.Categorical(logits=logits)
    normal = torch.distributions.Normal(mean, log_std.exp())
    action, vector = categorical.sample(), normal.sample()
    torch.testing.assert_close(losses.categorical_logp(logits, action), categorical.log_prob(action))
    torch.testing.assert_close(losses.categorical_entropy(logits), categorical.entropy().mean())
    torch.testing.assert_close(losses.gaussian_logp(mean, log_std, vector), normal.log_prob(vector).sum(-1))
    torch.testing.assert_close(losses.gaussian_entropy(log_std), normal.entropy().sum(-1).mean())


def test_kl_estimates_by_hand() -> None:
    logp, old = logs(2.0, 0.5), torch.zeros(2)
    # -(log 2 + log 1/2) / 2 = 0;  ((2 - 1 - log 2) + (1/2 - 1 + log 2)) / 2 = 1/4
    assert losses.approx_kl(logp, old).item() == pytest.approx(0.0, abs=1e-7)
    assert losses.approx_kl_k3(logp, old).item() == pytest.approx(0.25)
    assert losses.approx_kl(logs(0.5, 0.5), old).item() == pytest.approx(math.log(2.0))
    assert losses.approx_kl_k3(logp, old, torch.tensor([0.0, 1.0])).item() == pytest.approx(math.log(2.0) - 0.5)


def test_both_kl_estimates_approach_the_divergence_of_two_gaussians() -> None:
    # KL(N(0, 1) || N(0.3, 1)) = 0.3**2 / 2
    sample = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    old = losses.gaussian_logp(torch.zeros_like(sample), torch.zeros(1), sample)
    new = losses.gaussian_logp(torch.full_like(sample, 0.3), torch.zeros(1), sample)
    assert losses.approx_kl(new, old).item() == pytest.approx(0.045, abs=0.003)
    assert losses.approx_kl_k3(new, old).item() == pytest.approx(0.045, abs=0.001)


def test_clip_fraction_counts_what_left_the_range() -> None:
    assert losses.clip_fraction(logs(1.5, 1.1, 0.9, 0.7), ZEROS, 0.2).item() == 0.5
    assert losses.clip_fraction(logs(1.5, 1.1, 0.9, 0.7), ZEROS, 0.2, torch.tensor([0.0, 1, 1, 1])).item() == (
        pytest.approx(1 / 3)
    )


def test_normalize_by_hand_in_numpy_and_torch() -> None:
    # mean 2.5, population deviation sqrt(1.25)
    expected = [-1.3416407, -0.4472136, 0.4472136, 1.3416407]
    assert losses.normalize(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == pytest.approx(expected, rel=1e-6)
    block = losses.normalize(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    assert block.dtype == np.float32
    assert block.reshape(-1).tolist() == pytest.approx(expected, rel=1e-6)


def test_normalize_takes_its_statistics_from_what_has_weight() -> None:
    x, weight = np.array([1.0, 3.0, 99.0]), np.array([1.0, 1.0, 0.0])
    assert losses.normalize(x, weight).tolist() == pytest.approx([-1.0, 1.0, 97.0])
    assert losses.normalize(torch.tensor(x), torch.tensor(weight)).tolist() == pytest.approx([-1.0, 1.0, 97.0])


def test_normalize_is_the_same_off_the_cpu() -> None:
    x, weight = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([1.0, 1.0, 0.5, 0.0])
    for w in (None, weight):
        torch.testing.assert_close(losses._normalize_tensor(x, w, 1e-8), losses.normalize(x, w))


def test_normalize_statistics_are_double_precision() -> None:
    x = np.tile(np.array([10_000.0, 10_001.0], np.float32), 100_000)
    np.testing.assert_allclose(losses.normalize(x), np.tile([-1.0, 1.0], 100_000), rtol=1e-6)


def test_normalize_makes_a_constant_batch_zero_and_leaves_its_argument() -> None:
    x = torch.full((3,), 7.0)
    assert losses.normalize(x).tolist() == [0.0, 0.0, 0.0]
    assert x.tolist() == [7.0, 7.0, 7.0]
