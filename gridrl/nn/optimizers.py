"""Optimisers: Adam over a flat buffer, one call for a whole network; AdamW that spares biases and normalisations."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gridrl.errors import BadValue, CheckpointError, did_you_mean
from gridrl.nn.ensemble import EnsembleLinearLayer
from gridrl.nn.flat import Segment


class FlatAdam:
    """Adam (Kingma & Ba 2015, algorithm 1, https://arxiv.org/abs/1412.6980) on one flat segment of parameters.

    It has the interface of a torch optimiser as far as losses need it, but is none: making a torch optimiser imports
    torch's compiler, a second of start-up. The step is torch's fused kernel on the whole segment (5 times faster than
    numpy at 9000 parameters, and still faster at 140 000), or numpy where a torch lacks the kernel.

    Attributes:
        segment: the parameters and gradients.
        param_groups: one dict whose `lr`, `betas` and `eps` are read at every step.
    """

    def __init__(
        self, segment: Segment, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        """Starts with moments of zero.

        Args:
            segment: from `FlatParameters.segments`.
            lr: step size.
            betas: decay of the first and second moment.
            eps: added to the root of the second moment.
        """
        self.segment = segment
        self.param_groups: list[dict[str, Any]] = [{"params": [segment.param], "lr": lr, "betas": betas, "eps": eps}]
        self._m = torch.zeros_like(segment.param)
        self._v = torch.zeros_like(segment.param)
        self._steps = torch.zeros((), device=segment.param.device)
        self._fused = fused_adam_works(segment.param.device.type)
        self._tmp = None if self._fused else np.empty_like(segment.param.numpy())

    def zero_grad(self) -> None:
        """Sets the gradients to zero, in place."""
        self.segment.grad.zero_()

    def step(self) -> None:
        """Moves the parameters by their gradients."""
        if self._fused:
            self._step_fused()
        else:
            self._step_numpy()

    def _step_fused(self) -> None:
        group, segment = self.param_groups[0], self.segment
        self._steps += 1
        torch._fused_adam_(
            [segment.param],
            [segment.grad],
            [self._m],
            [self._v],
            [],
            [self._steps],
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _step_numpy(self) -> None:
        group, tmp = self.param_groups[0], self._tmp
        param, grad = self.segment.param.numpy(), self.segment.grad.numpy()
        m, v = self._m.numpy(), self._v.numpy()
        (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
        self._steps += 1
        steps = float(self._steps)
        m *= beta1
        m += np.multiply(grad, 1.0 - beta1, out=tmp)
        v *= beta2
        tmp = np.multiply(grad, grad, out=tmp)
        tmp *= 1.0 - beta2
        v += tmp
        np.sqrt(v, out=tmp)
        tmp *= 1.0 / math.sqrt(1.0 - beta2**steps)
        tmp += eps
        np.divide(m, tmp, out=tmp)
        tmp *= lr / (1.0 - beta1**steps)
        param -= tmp

    def state_dict(self) -> dict[str, Any]:
        """Moments (float32 [P]), number of steps and step size."""
        group = self.param_groups[0]
        return {
            "m": self._m.clone(),
            "v": self._v.clone(),
            "steps": float(self._steps),
            "lr": group["lr"],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up the moments, steps and step size that `state_dict` gave.

        Raises:
            CheckpointError: if they are of another number of parameters.
        """
        if state_dict["m"].shape != self._m.shape:
            raise CheckpointError(
                f"the optimiser's state is of {state_dict['m'].numel()} parameters, the network has "
                f"{self._m.numel()}: it was saved with another network."
            )
        self._m.copy_(state_dict["m"])
        self._v.copy_(state_dict["v"])
        self._steps.fill_(state_dict["steps"])
        self.param_groups[0]["lr"] = state_dict["lr"]


@cache
def fused_adam_works(device: str) -> bool:
    """Whether this torch has the fused kernel that `FlatAdam` calls, with the arguments that it passes.

    The kernel is not part of torch's documented interface, so it is tried once: a first step of Adam is -lr sign(g).
    """
    param, grad, m, v = (torch.tensor([1.0, 2.0], device=device) for _ in range(4))
    zero: list[Tensor] = []
    try:
        torch._fused_adam_(
            [param], [grad], [m.zero_()], [v.zero_()], zero, [torch.ones((), device=device)],
            lr=0.5, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=0.0, amsgrad=False, maximize=False,
        )  # fmt: skip
    except (AttributeError, TypeError, RuntimeError, NotImplementedError):
        return False
    return bool(torch.allclose(param.cpu(), torch.tensor([0.5, 1.5]), atol=1e-4))


def separate_modules_for_weight_decay(
    network: nn.Module,
    whitelist_weight_modules: tuple[type[nn.Module], ...],
    blacklist_weight_modules: tuple[type[nn.Module], ...],
    layers_to_exclude: Collection[str] | None = None,
) -> tuple[set[str], set[str]]:
    """Says which parameters of a network decay and which do not; each is one or the other.

    The weights of whitelisted modules decay. Biases, the parameters of blacklisted modules (also of a subclass of what
    is whitelisted), of excluded layers, and of modules that stand in neither list do not.

    Args:
        network: whose parameters are separated.
        whitelist_weight_modules: classes whose `weight` decays.
        blacklist_weight_modules: classes without decay.
        layers_to_exclude: names of layers in the network, `"net.0"` or `"net"` with all in it, without decay.

    Returns:
        Names of the parameters with decay, and of those without; together all of `network.named_parameters()`.

    Raises:
        BadValue: for a class in both lists or a layer that the network does not have.
    """
    both = set(whitelist_weight_modules) & set(blacklist_weight_modules)
    if both:
        raise BadValue(f"{', '.join(sorted(kind.__name__ for kind in both))}: with decay and without; choose one.")
    modules = dict(network.named_modules())
    excluded = set(layers_to_exclude or ())
    unknown = [
        f"no layer {layer!r} to exclude.{did_you_mean(layer, modules)}" for layer in sorted(excluded - set(modules))
    ]
    if unknown:
        raise BadValue(f"the network has {' '.join(unknown)}")
    decay: set[str] = set()
    no_decay: set[str] = set()
    for name, _ in network.named_parameters():
        layer, _, own_name = name.rpartition(".")
        kept_out = isinstance(modules[layer], blacklist_weight_modules) or _is_within(layer, excluded)
        decays = own_name == "weight" and isinstance(modules[layer], whitelist_weight_modules) and not kept_out
        (decay if decays else no_decay).add(name)
    return decay, no_decay


def _is_within(layer: str, excluded: Collection[str]) -> bool:
    return any(layer == name or layer.startswith(f"{name}.") or not name for name in excluded)


class ModifiedAdamW(torch.optim.AdamW):
    """AdamW (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101) that lets only weights of linear layers decay.

    Every parameter of the network is in one of its two groups, in the order of `network.parameters()`, so that its
    state fits the same network in another process.

    >>> net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    >>> optimizer = ModifiedAdamW(net, lr=1e-3, weight_decay=0.1, layers_to_exclude={"2"})
    >>> [(len(group["params"]), group["weight_decay"]) for group in optimizer.param_groups]
    [(1, 0.1), (5, 0.0)]
    """

    def __init__(
        self,
        network: nn.Module,
        lr: float,
        weight_decay: float,
        whitelist_weight_modules: tuple[type[nn.Module], ...] = (nn.Linear, EnsembleLinearLayer),
        blacklist_weight_modules: tuple[type[nn.Module], ...] = (nn.LayerNorm,),
        layers_to_exclude: Collection[str] | None = None,
    ) -> None:
        """Groups the parameters.

        Args:
            network: whose parameters are optimised.
            lr: step size.
            weight_decay: share of a weight, times `lr`, that every step takes away.
            whitelist_weight_modules: classes whose `weight` decays.
            blacklist_weight_modules: classes without decay.
            layers_to_exclude: names of layers without decay, such as the last one of a Q-network.

        Raises:
            BadValue: as in `separate_modules_for_weight_decay`.
        """
        decay, _ = separate_modules_for_weight_decay(
            network, whitelist_weight_modules, blacklist_weight_modules, layers_to_exclude
        )
        parameters = list(network.named_parameters())
        groups = [
            {"params": [p for name, p in parameters if name in decay], "weight_decay": weight_decay},
            {"params": [p for name, p in parameters if name not in decay], "weight_decay": 0.0},
        ]
        super().__init__(groups, lr)
