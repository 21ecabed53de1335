"""How far a policy of whatever kind has moved, and the Fisher information of its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, distributions

from gridrl.errors import BadValue
from gridrl.nn.policies import CategoricalHead, Distribution, GaussianHead
from gridrl.ops.curvature import Product, gauss_newton_product, hessian_product
from gridrl.ops.divergences import categorical_kl, categorical_metric, gaussian_kl, gaussian_metric

_KL: dict[type, Callable[..., Tensor]] = {CategoricalHead: categorical_kl, GaussianHead: gaussian_kl}


class Neighbourhood:
    """A policy on a batch of observations as it is now, and what lies around it.

    Softmax and Gaussian policies are known, ours and torch's `Categorical` and `Normal`; for others
    `torch.distributions.kl_divergence` is asked.

    >>> policy = torch.nn.Linear(3, 2)
    >>> obs = torch.randn(5, 3)
    >>> around = Neighbourhood(lambda: distributions.Categorical(logits=policy(obs)))
    >>> around.kl(distributions.Categorical(logits=policy(obs))).item()
    0.0
    """

    def __init__(self, evaluate: Callable[[], Any]) -> None:
        """Looks at the policy.

        Args:
            evaluate: gives the policy's distribution for the batch, [B], with its graph.
        """
        self._evaluate = evaluate
        self._now = evaluate()
        self._kind, self._outputs = _described(self._now)
        with torch.no_grad():
            self._old = [output.detach().clone() for output in self._outputs]
            # parameters that a distribution holds would move with the policy: hence a copy of all that it has
            self._old_distribution: Any = None if self._kind else copy.deepcopy(evaluate())

    def kl(self, new: Any) -> Tensor:
        """Mean KL(old || new) over the rows in nats, a scalar; `old` is the policy as it was when this was made.

        Args:
            new: the distribution for the same batch that the policy has moved to.

        Raises:
            BadValue: nobody knows the divergence of such distributions.
        """
        kind, outputs = _described(new)
        if kind is not None and kind is self._kind:
            return _KL[kind](*self._old, *outputs)
        try:
            kl = distributions.kl_divergence(self._old_distribution, new)
        except (NotImplementedError, AttributeError) as error:
            raise BadValue(
                f"the KL divergence between policies of type {type(self._now).__name__} is not known. The policy `pi` "
                "has to give a distribution that torch.distributions.kl_divergence knows, such as Categorical or "
                "Normal; torch.distributions.kl.register_kl makes it know one of your own."
            ) from error
        return kl.reshape(len(kl), -1).sum(1).mean()  # some give a number for each dimension of an action

    def fisher_product(self, parameters: Sequence[Tensor]) -> Product:
        """The Fisher information of the policy's parameters as a function `v -> F v`, flat vectors [P].

        F is the Hessian of `kl` here. It is taken as `J^T M J` where M, the information of the distribution itself,
        is known, elsewhere by differentiating `kl` twice; either way through one graph that is kept.

        Args:
            parameters: of the policy, in their order in the vectors.

        Raises:
            BadValue: nobody knows the divergence of such distributions.
        """
        if self._kind is None:
            return hessian_product(self.kl(self._now), parameters)
        return gauss_newton_product(self._outputs, parameters, self._metric)

    def _metric(self, directions: Sequence[Tensor]) -> Sequence[Tensor]:
        if self._kind is CategoricalHead:
            return [categorical_metric(*self._old, *directions)]
        return gaussian_metric(*self._old, *directions)


def _described(distribution: Any) -> tuple[type | None, Sequence[Tensor]]:
    """The head that a distribution over rows [B] belongs to, and the numbers that describe it; None for others."""
    if type(distribution) is Distribution and distribution.out.ndim == 2:
        head = distribution.head
        if type(head) is CategoricalHead:
            return CategoricalHead, (distribution.out,)
        if type(head) is GaussianHead:
            return GaussianHead, (distribution.out, head.log_std)
    if type(distribution) is distributions.Independent and distribution.reinterpreted_batch_ndims == 1:
        inner = distribution.base_dist
        distribution = inner if type(inner) is distributions.Normal else distribution
    if type(distribution) is distributions.Categorical and distribution.logits.ndim == 2:
        return CategoricalHead, (distribution.logits,)
    if type(distribution) is distributions.Normal and distribution.loc.ndim == 2:
        return GaussianHead, (distribution.loc, distribution.scale.log())
    return None, ()
