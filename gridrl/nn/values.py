"""Emote's action values: networks that say what an action is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gridrl.errors import ShapeError
from gridrl.nn.initialization import as_generator, initialize
from gridrl.nn.mlp import mlp


class ActionValueMlp(nn.Module):
    """An MLP with ReLU that gives the value of an action; it is called as `q(action, obs)` or `q(action, obs=obs)`.

    >>> q = ActionValueMlp(3, 2, [32, 32])
    >>> q(torch.zeros(5, 2), torch.zeros(5, 3)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        *,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        """Draws the weights orthogonal, the hidden ones times sqrt(2).

        Args:
            observation_dim: numbers of an observation.
            action_dim: numbers of an action.
            hidden_dims: units of each hidden layer.
            rng: what the weights are drawn from, or a seed for it; None takes a seed from torch's generator, so that
                two networks differ.
        """
        super().__init__()
        self.observation_dim, self.action_dim = observation_dim, action_dim
        self.net = mlp([observation_dim + action_dim, *hidden_dims, 1], nn.ReLU)
        initialize(self.net, "orthogonal", as_generator(rng), last_gain=1.0)

    def forward(self, action: Tensor, obs: Tensor) -> Tensor:
        """Values [B, 1] of actions [B, action_dim] taken at observations [B, observation_dim].

        Raises:
            ShapeError: if the shapes are not these.
        """
        expected = ((len(obs), self.action_dim), (len(obs), self.observation_dim))
        if (action.shape, obs.shape) != expected:
            raise ShapeError(
                f"action {list(action.shape)}, obs {list(obs.shape)}: this network reads [B, {self.action_dim}] and "
                f"[B, {self.observation_dim}]."
            )
        value: Tensor = self.net(torch.cat([obs, action], 1))
        return value


class SharedEncoderActionValueNet(nn.Module):
    """Action values of what an encoder makes of observations; several networks may share the encoder.

    The encoder's parameters are among `parameters()` of each of them.

    >>> encoder = nn.Linear(10, 4)
    >>> q1, q2 = (SharedEncoderActionValueNet(encoder, 4, 2, [32]) for _ in range(2))
    >>> q1(torch.zeros(5, 2), torch.zeros(5, 10)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        shared_enc: nn.Module,
        encoder_out_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        *,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        """Puts an `ActionValueMlp` behind the encoder.

        Args:
            shared_enc: observations [B, ...] -> [B, encoder_out_dim].
            encoder_out_dim: numbers that the encoder gives.
            action_dim: numbers of an action.
            hidden_dims: units of each hidden layer.
            rng: as in `ActionValueMlp`.
        """
        super().__init__()
        self.shared_enc = shared_enc
        self.action_value_mlp = ActionValueMlp(encoder_out_dim, action_dim, hidden_dims, rng=rng)

    def forward(self, action: Tensor, obs: Tensor) -> Tensor:
        """Values [B, 1] of actions [B, action_dim] taken at observations [B, ...]."""
        value: Tensor = self.action_value_mlp(action, self.shared_enc(obs))
        return value
