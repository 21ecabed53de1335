"""Acting by numpy gives what the networks give by torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from gridrl.nn.continuous import DeterministicHead, SquashedActorCritic, TwinActorCritic
from gridrl.nn.exploring import CopiedExplorer, PlainExplorer, TorchExplorer, make_explorer

OBS, ACTIONS = spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-1.0, 1.0, (2,))
SEEN = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_numpy_and_torch_draw_the_same_squashed_actions_of_the_same_noise() -> None:
    net: Any = SquashedActorCritic(OBS, ACTIONS, hidden_sizes=(8,))
    explorer = make_explorer(net.pi, 2)
    assert isinstance(explorer, PlainExplorer)
    noise = explorer.draw(np.random.default_rng(1), 5)
    assert noise is not None
    with torch.no_grad():
        wanted, _ = net.pi.head.rsample(net.pi.net(torch.from_numpy(SEEN)), torch.from_numpy(noise))
        best = net.pi.best(torch.from_numpy(SEEN))
    assert np.allclose(explorer.batch(SEEN, noise), wanted, atol=1e-6)
    assert np.allclose([explorer.one(*pair) for pair in zip(SEEN, noise, strict=True)], wanted, atol=1e-6)
    assert np.allclose(explorer.best(SEEN), best, atol=1e-6)


def test_a_deterministic_policy_gets_noise_within_the_bounds() -> None:
    net: Any = TwinActorCritic(OBS, ACTIONS, hidden_sizes=(8,))
    explorer = make_explorer(net.pi, 2, DeterministicHead(2, act_noise=0.5))
    noise = explorer.draw(np.random.default_rng(1), 20_000)
    assert noise is not None
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    with torch.no_grad():
        plain = net.pi(torch.from_numpy(SEEN)).numpy()
    assert np.allclose(explorer.best(SEEN), plain, atol=1e-6)
    assert np.allclose(explorer.batch(SEEN, noise[:5]), np.clip(plain + noise[:5], -1.0, 1.0), atol=1e-6)
    assert explorer.batch(SEEN, np.full((5, 2), 9.0, np.float32)).max() == 1.0


def test_any_other_policy_goes_through_torch() -> None:
    class Mine(type(SquashedActorCritic(OBS, ACTIONS).pi)):  # type: ignore[misc]
        pass

    pi = Mine(3, 2, (8,), torch.nn.ReLU)
    explorer = make_explorer(pi, 2)
    assert isinstance(explorer, TorchExplorer)
    assert explorer.draw(np.random.default_rng(0), 3) is None
    assert explorer.batch(SEEN, None).shape == (5, 2)
    assert explorer.one(SEEN[0], None).shape == (2,)
    with torch.no_grad():
        assert np.allclose(explorer.best(SEEN), pi.best(torch.from_numpy(SEEN)))


def test_a_copy_acts_with_the_weights_of_when_it_was_prepared() -> None:
    net: Any = TwinActorCritic(OBS, ACTIONS, hidden_sizes=(8,))
    explorer = CopiedExplorer(DeterministicHead(2), net.pi, 2)
    before = explorer.best(SEEN)
    with torch.no_grad():
        for parameter in net.pi.parameters():
            parameter += 0.1
    assert np.array_equal(explorer.best(SEEN), before)
    explorer.prepare(0)
    with torch.no_grad():
        assert np.allclose(explorer.best(SEEN), net.pi(torch.from_numpy(SEEN)), atol=1e-6)


def test_uniform_actions_fill_the_range() -> None:
    action = make_explorer(TwinActorCritic(OBS, ACTIONS).pi, 2).random(np.random.default_rng(0), 10_000)
    assert action.shape == (10_000, 2)
    assert (action.min(), action.max()) == pytest.approx((-1.0, 1.0), abs=1e-3)
    assert action.mean() == pytest.approx(0.0, abs=0.02)
