"""Policies for continuous actions: the documented calls, both modes, the log-probability far out, first weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

from gridrl.errors import BadValue
from gridrl.nn.policies import BasePolicy, GaussianMlpPolicy, GaussianPolicyHead


def head_of(mean: float, log_std: float, actions: int = 1) -> GaussianPolicyHead:
    """A head with these outputs whatever it reads."""
    head = GaussianPolicyHead(2, actions, rng=0)
    for layer, value in ((head.mean, mean), (head.log_std, log_std)):
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, value)
    return head


def test_training_gives_actions_and_log_probabilities_evaluation_actions() -> None:
    policy = GaussianMlpPolicy(3, 2, [16, 16], rng=0)
    action, logp = policy(torch.randn(7, 3))
    assert (action.shape, logp.shape) == ((7, 2), (7, 1))
    assert action.requires_grad
    assert logp.requires_grad
    out = policy.eval()(torch.randn(7, 3), torch.randn(7, 2))
    assert isinstance(out, Tensor)
    assert out.shape == (7, 2)


def test_the_same_noise_gives_the_same_actions_in_both_modes() -> None:
    policy, obs, epsilon = GaussianMlpPolicy(3, 2, [8], rng=0), torch.randn(5, 3), torch.randn(5, 2)
    trained, _ = policy(obs, epsilon)
    torch.testing.assert_close(policy.eval()(obs, epsilon=epsilon), trained)
    torch.testing.assert_close(policy(obs), policy(obs, torch.zeros(5, 2)))  # no noise: the middle


def test_an_action_and_its_log_probability_by_hand() -> None:
    action, logp = head_of(0.3, math.log(2.0))(torch.zeros(1, 2), torch.tensor([[0.5]]))
    assert action.item() == pytest.approx(math.tanh(1.3), rel=1e-6)
    expected = -0.125 - math.log(2.0) - 0.5 * math.log(2 * math.pi) - math.log(1 - math.tanh(1.3) ** 2)
    assert logp.item() == pytest.approx(expected, rel=1e-5)


def test_means_and_deviations_are_kept_within_bounds() -> None:
    epsilon = torch.ones(1, 1)
    assert head_of(80.0, 0.0).eval()(torch.zeros(1, 2)).item() == pytest.approx(math.tanh(5.0))
    assert head_of(-80.0, 0.0).eval()(torch.zeros(1, 2)).item() == pytest.approx(-math.tanh(5.0))
    assert head_of(0.0, 9.0).eval()(torch.zeros(1, 2), 0.01 * epsilon).item() == pytest.approx(
        math.tanh(0.01 * math.e**2)
    )
    assert head_of(0.0, -90.0).eval()(torch.zeros(1, 2), 1e6 * epsilon).item() == pytest.approx(
        1e6 * math.exp(-20), rel=1e-4
    )


def test_the_log_probability_is_right_where_the_action_is_rounded_to_one() -> None:
    # u = 5 + 7.389 * 3 = 27.2: tanh of it is 1 in float32, and its inverse infinite
    head, epsilon = head_of(5.0, 2.0), torch.tensor([[3.0]])
    action, logp = head(torch.zeros(1, 2), epsilon)
    assert action.item() == 1.0
    mean, std = torch.tensor([[5.0]], dtype=torch.float64), torch.tensor([[math.e**2]], dtype=torch.float64)
    theirs = TransformedDistribution(Independent(Normal(mean, std), 1), [TanhTransform(cache_size=1)])
    assert logp.item() == pytest.approx(theirs.log_prob(theirs.transforms[0](mean + 3.0 * std)).item(), rel=1e-5)


def test_drawn_actions_follow_the_squashed_gaussian() -> None:
    torch.manual_seed(0)
    head = head_of(0.4, -0.5)
    action, _ = head(torch.zeros(20_000, 2))
    edges = torch.linspace(-1, 1, 11)
    counts = torch.histogram(action.detach()[:, 0], edges)[0] / len(action)
    u = torch.atanh(edges.clamp(-1 + 1e-7, 1 - 1e-7))
    cdf = Normal(0.4, math.exp(-0.5)).cdf(u)
    cdf[0], cdf[-1] = 0.0, 1.0
    torch.testing.assert_close(counts, cdf.diff(), atol=0.012, rtol=0)


def test_weights_start_orthogonal_and_the_heads_small() -> None:
    policy = GaussianMlpPolicy(4, 2, [8, 8], rng=3)
    hidden = [layer for layer in policy.encoder if isinstance(layer, nn.Linear)]
    for layer in hidden:
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(math.sqrt(2), rel=1e-5)
    for layer in (policy.policy.mean, policy.policy.log_std):
        assert 0 < layer.weight.abs().max().item() <= 0.01 * math.sqrt(6 / 10)
        assert layer.bias.eq(0).all()
    assert [type(layer) for layer in policy.encoder] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU]


def test_a_seed_is_all_that_first_weights_depend_on() -> None:
    before = torch.get_rng_state()
    one, other = GaussianMlpPolicy(3, 2, [4], rng=1), GaussianMlpPolicy(3, 2, [4], rng=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.policy.mean.weight, one.policy.log_std.weight)
    torch.manual_seed(5)
    free = [GaussianMlpPolicy(3, 2, [4]) for _ in range(2)]
    assert not torch.equal(free[0].policy.mean.weight, free[1].policy.mean.weight)
    torch.manual_seed(5)
    assert torch.equal(GaussianMlpPolicy(3, 2, [4]).policy.mean.weight, free[0].policy.mean.weight)


def test_a_policy_infers_pre_actions_and_actions() -> None:
    class Choosing(BasePolicy):
        """A reparametrised policy over choices."""

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x * 2, x.sum(1)

        def post_process(self, actions: Tensor) -> Tensor:
            return actions.argmax(1)

    pre, action = Choosing().infer(torch.tensor([[0.0, 3.0, 1.0]], requires_grad=True))
    assert pre.tolist() == [[0.0, 6.0, 2.0]]
    assert not pre.requires_grad
    assert action.tolist() == [1]
    policy = GaussianMlpPolicy(3, 2, [4], rng=0)
    for mode in (True, False):
        pre, action = policy.train(mode).infer(torch.zeros(6, 3))
        assert pre is action
        assert pre.shape == (6, 2)


def test_a_policy_without_hidden_layers_is_refused() -> None:
    with pytest.raises(BadValue, match="hidden_dims are empty"):
        GaussianMlpPolicy(3, 2, [])
