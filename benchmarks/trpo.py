"""TRPO's Fisher-vector products against differentiating the divergence twice: CPU milliseconds, one thread.

    python benchmarks/trpo.py [--rounds 8]

A rollout of 4,000 observations of 4 numbers, hidden layers 64, 64, 2 actions. Both sides take the 11 products of one
epoch, ours with the graph that it makes once for all of them; they take turns in one process, and the best round of
each counts. Both sides' products are compared first. Prints a Markdown table; the exit status is 1 where a target is
missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import spaces
from pages import machine, write_section
from torch import Tensor, distributions, nn

from gridrl.algos.assembly import make_networks
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.fisher import Neighbourhood

ROWS, PRODUCTS, TARGET = 4000, 11, 1.7
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Policy:
    """A policy on a batch: what gives its distribution by its modules, by the way that training takes, and more."""

    name: str
    by_module: Callable[[], Any]
    in_training: Callable[[], Any]
    parameters: list[nn.Parameter]


class TorchPolicy(nn.Module):
    """A policy as users write it, with torch's distribution."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))

    def forward(self, obs: Tensor) -> distributions.Categorical:
        """The distribution over two actions."""
        return distributions.Categorical(logits=self.net(obs))


def policies() -> list[Policy]:
    """A softmax and a Gaussian policy of ours, and a module of a user's."""
    obs = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0))
    found = []
    box = spaces.Box(-1.0, 1.0, (4,))
    for name, actions in (("softmax policy", spaces.Discrete(2)), ("Gaussian policy", spaces.Box(-1.0, 1.0, (2,)))):
        networks = make_networks(MLPActorCritic, {}, box, actions, seed=0)
        pi: Any = networks.module.pi
        head = pi.head

        def by_module(pi: Any = pi, head: Any = head) -> Any:
            out = pi.net(obs)
            if hasattr(head, "log_std"):
                return distributions.Normal(out, head.log_std.exp())
            return distributions.Categorical(logits=out)

        def in_training(evaluation: Any = networks.evaluation) -> Any:
            return evaluation.distribution(obs)

        found.append(Policy(name, by_module, in_training, list(pi.parameters())))
    own = TorchPolicy()
    found.append(Policy("a user's module", lambda: own(obs), lambda: own(obs), list(own.parameters())))
    return found


def twice_differentiated(policy: Policy) -> Product:
    """Makes the graph of the divergence and of its gradient for every product, as Spinning Up's expression does."""

    def product(v: Tensor) -> Tensor:
        now = policy.by_module()
        names = ("logits",) if isinstance(now, distributions.Categorical) else ("loc", "scale")
        old = type(now)(**{name: getattr(now, name).detach() for name in names})
        divergence = distributions.kl_divergence(old, now).reshape(ROWS, -1).sum(1).mean()
        gradient = torch.autograd.grad(divergence, policy.parameters, create_graph=True)
        slope = torch.cat([piece.reshape(-1) for piece in gradient]) @ v
        return torch.cat([piece.reshape(-1) for piece in torch.autograd.grad(slope, policy.parameters)])

    return product


def through_one_graph(policy: Policy) -> Product:
    """Ours: what an epoch of `gridrl.trpo` does."""
    return Neighbourhood(policy.in_training).fisher_product(policy.parameters)


def epoch_ms(make: Callable[[Policy], Product], policy: Policy, v: Tensor) -> float:
    """CPU milliseconds per product of one epoch."""
    begin = time.process_time()
    product = make(policy)
    for _ in range(PRODUCTS):
        product(v)
    return 1e3 * (time.process_time() - begin) / PRODUCTS


@dataclass(frozen=True)
class Line:
    """A row of the table: both sides' milliseconds per product."""

    name: str
    theirs: float
    ours: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.theirs / self.ours

    def __str__(self) -> str:
        return f"| {self.name} | {self.theirs:.1f} | {self.ours:.1f} | {self.ratio:.1f} | {TARGET} |"


def measure(policy: Policy, rounds: int) -> Line:
    """Both sides in turn, after a look at whether they agree."""
    v = torch.randn(sum(p.numel() for p in policy.parameters), generator=torch.Generator().manual_seed(1))
    slow, fast = twice_differentiated(policy)(v), through_one_graph(policy)(v)
    assert (slow - fast).norm() < 1e-5 * slow.norm(), policy.name
    times = [(epoch_ms(twice_differentiated, policy, v), epoch_ms(through_one_graph, policy, v)) for _ in range(rounds)]
    return Line(policy.name, min(theirs for theirs, _ in times), min(ours for _, ours in times))


def section(found: list[Line], rounds: int) -> list[str]:
    """What stands on the page."""
    method = (
        f"4,000 observations of 4 numbers, hidden layers 64, 64, 2 actions; CPU milliseconds per product over the "
        f"{PRODUCTS} of an epoch, the best of {rounds} rounds. The other side differentiates the divergence twice and "
        "makes its graph for every product, as the original's expression does; ours multiplies by the Jacobian, the "
        "distribution's own information and the Jacobian transposed, through one graph whose making is counted."
    )
    rows = ["| | differentiated twice | gridrl | ratio | target |", "|---|---|---|---|---|", *map(str, found)]
    return [method, "\n".join(rows), f"One thread; {machine('torch')}."]


def main() -> int:
    """Measures, prints, and says by its result whether every target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8, help="how often each side is measured (default 8)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [measure(policy, options.rounds) for policy in policies()]
    print(write_section("TRPO's Fisher-vector product", section(found, options.rounds)))
    return 0 if all(line.ratio >= TARGET for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
