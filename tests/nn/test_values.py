from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from gridrl.errors import ShapeError
from gridrl.nn.encoders import Conv2dEncoder
from gridrl.nn.values import ActionValueMlp, SharedEncoderActionValueNet


def test_an_action_value_reads_observation_and_action() -> None:
    q = ActionValueMlp(3, 2, [8, 8], rng=0)
    obs, action = torch.randn(5, 3), torch.randn(5, 2)
    assert q(action, obs).shape == (5, 1)
    torch.testing.assert_close(q(action, obs=obs), q.net(torch.cat([obs, action], 1)))
    assert not torch.equal(q(action, obs), q(action + 1, obs))
    assert not torch.equal(q(action, obs), q(action, obs + 1))


def test_hidden_weights_start_orthogonal_times_sqrt_2_and_the_last_ones_of_length_1() -> None:
    q = ActionValueMlp(3, 2, [8, 8], rng=0)
    norms = [torch.linalg.matrix_norm(layer.weight, 2).item() for layer in q.net if isinstance(layer, nn.Linear)]
    assert norms == pytest.approx([math.sqrt(2), math.sqrt(2), 1.0], rel=1e-5)


def test_two_networks_differ_unless_their_seed_is_one() -> None:
    obs, action = torch.randn(5, 3), torch.randn(5, 2)
    assert not torch.equal(ActionValueMlp(3, 2, [8])(action, obs), ActionValueMlp(3, 2, [8])(action, obs))
    torch.testing.assert_close(
        ActionValueMlp(3, 2, [8], rng=4)(action, obs), ActionValueMlp(3, 2, [8], rng=4)(action, obs)
    )


@pytest.mark.parametrize(("action", "obs"), [((5, 3), (5, 2)), ((5, 2), (4, 3)), ((5,), (5, 3)), ((1, 2), (5, 3))])
def test_inputs_of_other_shapes_are_refused(action: tuple[int, ...], obs: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"this network reads \[B, 2\] and \[B, 3\]"):
        ActionValueMlp(3, 2, [8])(torch.zeros(action), torch.zeros(obs))


def test_networks_share_an_encoder() -> None:
    encoder = Conv2dEncoder((8, 8, 1), [4], [3], [2], [0], rng=0)
    size = encoder.get_encoder_output_size()
    assert isinstance(size, int)
    q1, q2 = (SharedEncoderActionValueNet(encoder, size, 2, [16], rng=seed) for seed in (1, 2))
    action, obs = torch.randn(3, 2), torch.rand(3, 8, 8, 1)
    assert q1(action, obs).shape == (3, 1)
    torch.testing.assert_close(q1(action, obs), q1.action_value_mlp(action, encoder(obs)))
    before = q2(action, obs).detach()
    (q1(action, obs).sum()).backward()
    with torch.no_grad():
        for parameter in encoder.parameters():
            assert parameter.grad is not None
            parameter -= 0.1 * parameter.grad
    assert not torch.equal(q2(action, obs), before)
