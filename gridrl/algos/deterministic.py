"""What TD3 and DDPG learn by: a target from a target policy, and the deterministic policy gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.algos.continuous import frozen
from gridrl.nn.continuous import critic_values, first_value
from gridrl.nn.targets import Following, target_of
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback


class DeterministicTarget(Callback):
    """Gives every batch its `q_target` by target networks, which it keeps.

    `r + gamma (1 - terminated) min_k Q'_k(s', clip(pi'(s') + noise))`; without noise and with one critic that is the
    target of DDPG (Lillicrap et al. 2016, algorithm 1), else of TD3 (Fujimoto et al. 2018, algorithm 1).

    Attributes:
        targets: the target policy and the target critics.
    """

    provides = ("q_target",)

    def __init__(
        self,
        pi: nn.Module,
        q: nn.Module,
        *,
        gamma: float,
        tau: float,
        every: int = 1,
        noise: float = 0.0,
        noise_clip: float = 0.0,
        data_group: str = "default",
    ) -> None:
        """Takes the networks, and makes their targets.

        Args:
            pi: gives actions [B, A] in [-1, 1].
            q: gives the values of actions, [B] or, of K critics, [K, B].
            gamma: discount per step.
            tau: share of the newest parameters that an update of the targets mixes into them.
            every: how many updates there are for each of the targets.
            noise: deviation of the noise of the target policy's actions.
            noise_clip: where it is cut off.
            data_group: the batch that is read and added to.
        """
        super().__init__()
        self.data_group = data_group
        self._pi, self._q = target_of(pi, q)
        self.targets = nn.ModuleDict({"pi": self._pi, "q": self._q})
        self._following = [Following(pi, self._pi), Following(q, self._q)]
        self._gamma, self._tau, self._every = gamma, tau, every
        self._noise, self._clip = noise, noise_clip
        self._batches = 0

    @torch.no_grad()
    def begin_batch(self, next_obs: Tensor, reward: Tensor, terminated: Tensor) -> dict[str, Tensor]:
        """The targets [B] of a batch, from what followed [B, D], rewards [B], and 1 where a death ended it [B]."""
        action = self._pi(next_obs)
        if self._noise:
            noise = torch.randn_like(action).mul_(self._noise).clamp_(-self._clip, self._clip)
            action = noise.add_(action).clamp_(-1.0, 1.0)
        value = critic_values(self._q, action, next_obs).amin(0)
        return {"q_target": reward + self._gamma * (1.0 - terminated) * value}

    def end_batch(self) -> None:
        """Moves the targets, at every so many batches."""
        self._batches += 1
        if self._batches % self._every == 0:
            for following in self._following:
                following.move(self._tau)

    def state_dict(self) -> dict[str, Any]:
        """The targets, and how many batches there were."""
        return {"targets": self.targets.state_dict(), "batches": self._batches}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        if load_network:
            self.targets.load_state_dict(state_dict["targets"])
        if load_hparams:
            self._batches = state_dict["batches"]


class DeterministicPolicyLoss(LossCallback):
    """Moves a deterministic policy to actions of greater value: the mean of `-Q_1(s, pi(s))` (Silver et al. 2014)."""

    def __init__(self, pi: nn.Module, q: nn.Module, *, every: int = 1, **kwargs: Any) -> None:
        """Takes the networks, and the keyword arguments of `LossCallback`.

        Args:
            pi: gives actions [B, A] in [-1, 1].
            q: gives the values of actions, [B] or, of several critics, [K, B], of which the first counts.
            every: how many batches there are for each that is learned from.
            kwargs: for `LossCallback`.
        """
        super().__init__(network=pi, **kwargs)
        self._pi, self._q, self._every = pi, q, every
        self._batches = 0

    def loss(self, obs: Tensor) -> Tensor | None:
        """The loss on a batch of observations, in which the critics are constants; None where it is left out."""
        self._batches += 1
        if self._batches % self._every:
            return None
        with frozen(self._q):
            return -first_value(self._q, self._pi(obs), obs).mean()

    def state_dict(self) -> dict[str, Any]:
        """What every loss keeps, and how many batches there were."""
        return {**super().state_dict(), "batches": self._batches}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)
        if load_hparams:
            self._batches = state_dict["batches"]
