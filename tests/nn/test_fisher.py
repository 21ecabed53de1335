"""The Fisher information of policies, ours and users': the matrix itself, and the divergence differentiated twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium import spaces
from torch import Tensor, distributions, nn

from gridrl.errors import BadValue
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.evaluation import make_evaluation
from gridrl.nn.fisher import Neighbourhood
from gridrl.nn.flat import FlatParameters

OBS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A policy with layers that are not plain, as users write them."""

    def __init__(self, make: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Tanh(), nn.Linear(6, 2))
        self.spread = nn.Parameter(torch.tensor([0.7, 1.3]))
        self.unused = nn.Parameter(torch.ones(2))
        self.make = make

    def forward(self, obs: Tensor) -> Any:
        return self.make(self.net(obs), self.spread)


OWN: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "logits": lambda out, spread: distributions.Categorical(logits=out * spread),
    "probabilities": lambda out, spread: distributions.Categorical(probs=torch.softmax(out * spread, 1)),
    "normal": lambda out, spread: distributions.Normal(out, spread),
    "independent": lambda out, spread: distributions.Independent(distributions.Normal(out, spread), 1),
    "deviation by row": lambda out, spread: distributions.Normal(out, spread * torch.exp(0.3 * out)),
    "multivariate": lambda out, spread: distributions.MultivariateNormal(out, torch.diag(spread)),
    "beta": lambda out, spread: distributions.Independent(distributions.Beta(out.exp(), spread), 1),
}


def twice_differentiated(evaluate: Callable[[], Any], parameters: list[nn.Parameter], v: Tensor) -> Tensor:
    """The double-backward form that makes its graph for each product."""
    now = evaluate()
    if hasattr(now, "head"):
        now = torch_form(now)
    old = type(now)(**{name: getattr(now, name).detach().clone() for name in PARTS[type(now)]})
    divergence = distributions.kl_divergence(old, now)
    mean = divergence.reshape(len(divergence), -1).sum(1).mean()
    first = torch.autograd.grad(mean, parameters, create_graph=True, materialize_grads=True)
    slope = torch.cat([piece.reshape(-1) for piece in first]) @ v
    second = torch.autograd.grad(slope, parameters, materialize_grads=True)
    return torch.cat([piece.reshape(-1) for piece in second])


PARTS: dict[type, tuple[str, ...]] = {
    distributions.Categorical: ("logits",),
    distributions.Normal: ("loc", "scale"),
    distributions.MultivariateNormal: ("loc", "scale_tril"),
    distributions.Beta: ("concentration1", "concentration0"),
}


def torch_form(ours: Any) -> Any:
    if hasattr(ours.head, "log_std"):
        return distributions.Normal(ours.out, ours.head.log_std.exp())
    return distributions.Categorical(logits=ours.out)


@pytest.mark.parametrize("name", OWN)
def test_the_product_is_the_divergence_differentiated_twice(name: str) -> None:
    policy = Own(OWN[name])
    parameters, v = list(policy.parameters()), torch.randn(54, generator=torch.Generator().manual_seed(1))

    def bare() -> Any:
        found = policy(OBS)
        return found.base_dist if isinstance(found, distributions.Independent) else found

    product = Neighbourhood(lambda: policy(OBS)).fisher_product(parameters)
    torch.testing.assert_close(product(v), twice_differentiated(bare, parameters, v), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("action_space", [spaces.Discrete(4), spaces.Box(-1.0, 1.0, (2,))], ids=["softmax", "Gauss"])
@pytest.mark.parametrize("rows", [40, 4000])
def test_of_our_networks_too_whichever_tanh_they_use(action_space: Any, rows: int) -> None:
    net = MLPActorCritic(spaces.Box(-1.0, 1.0, (3,)), action_space, hidden_sizes=(8, 8))
    evaluation = make_evaluation(net, FlatParameters([net.pi, net.v]))
    obs = OBS.repeat(rows // 40, 1)
    parameters = list(net.pi.parameters())
    v = torch.randn(sum(parameter.numel() for parameter in parameters), generator=torch.Generator().manual_seed(1))
    product = Neighbourhood(lambda: evaluation.distribution(obs)).fisher_product(parameters)
    expected = twice_differentiated(lambda: net.pi(obs)[0], parameters, v)
    torch.testing.assert_close(product(v), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(product(v), product(v)), "the graph is kept"


def test_of_a_tiny_network_it_is_the_mean_of_squared_scores() -> None:
    """F = E_s sum_a p(a|s) g g^T, g being the gradient of log p(a|s): row by row, action by action."""
    net = MLPActorCritic(spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(3), hidden_sizes=(3,))
    obs, parameters = OBS[:7, :2], list(net.pi.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    fisher = torch.zeros(size, size)
    for row in obs:
        logp = torch.log_softmax(net.pi.net(row), 0)
        for number in logp:
            score = torch.cat([g.reshape(-1) for g in torch.autograd.grad(number, parameters, retain_graph=True)])
            fisher += number.exp().detach() * torch.outer(score, score) / len(obs)
    product = Neighbourhood(lambda: net.pi(obs)[0]).fisher_product(parameters)
    columns = torch.stack([product(unit) for unit in torch.eye(size)], 1)
    torch.testing.assert_close(columns, fisher, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OWN)
def test_the_policy_of_before_stays_where_it_was(name: str) -> None:
    policy = Own(OWN[name])
    around = Neighbourhood(lambda: policy(OBS))
    with torch.no_grad():
        assert around.kl(policy(OBS)).item() == pytest.approx(0.0, abs=1e-6)
        for parameter in policy.parameters():
            parameter += 0.1
        assert around.kl(policy(OBS)).item() > 1e-3


def test_a_distribution_that_nobody_knows_is_told() -> None:
    class Secret:
        pass

    around = Neighbourhood(Secret)
    with pytest.raises(BadValue, match=r"divergence between policies of type Secret is not known\. .*register_kl"):
        around.kl(Secret())
