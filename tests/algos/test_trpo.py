"""TRPO: what each step promises, and that the natural gradient without a line search promises nothing."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions, nn

from gridrl.algos.assembly import make_networks
from gridrl.algos.trpo import TrustRegionStep
from gridrl.errors import BadValue, NotFinite
from gridrl.log.progress import read_progress
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.natural_gradient import NaturalGradient
from gridrl.signature import read_signature
from gridrl.train.trainer import Trainer
from tests.algos.short_runs import Separate, Short

# Too far for a quadratic model with next to no damping: the whole step ends outside.
BOLD = {"delta": 0.1, "damping_coeff": 1e-3, "epochs": 4}


@pytest.mark.parametrize("more", [{}, {"actor_critic": Separate, "ac_kwargs": {}}, {"num_envs": 3}])
def test_the_policy_stays_within_delta_and_its_objective_never_gets_worse(short: Short, more: dict[str, Any]) -> None:
    columns = read_progress(short(algorithm="trpo", **BOLD, **more) / "progress.txt")
    assert (columns["KL"] <= 0.1).all()
    assert columns["KL"].max() > 0.02
    assert (columns["DeltaLossPi"] <= 1e-6).all()
    assert columns["BacktrackIters"].max() > 0


def test_without_the_line_search_it_leaves_the_region(short: Short) -> None:
    columns = read_progress(short(algorithm="trpo", algo="npg", **BOLD) / "progress.txt")
    assert columns["KL"].max() > 0.1
    assert columns["DeltaLossPi"].max() > 0
    assert "BacktrackIters" not in columns


def batch(rows: int = 200) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    return {
        "obs": torch.from_numpy(normal((rows, 3), np.float32)),
        "action": torch.from_numpy(normal((rows, 2), np.float32)),
        "adv": torch.from_numpy(normal(rows, np.float32)),
    }


def one_step(adv: float = 1.0, backtrack_iters: int | None = 10, **kwargs: Any) -> tuple[Any, TrustRegionStep, Any]:
    """Parameters before one step on a fixed batch, what took the step, and the networks."""
    box = spaces.Box(-1.0, 1.0, (3,))
    networks = make_networks(
        MLPActorCritic, {"hidden_sizes": (8,)}, box, spaces.Box(-1.0, 1.0, (2,)), seed=0, device="cpu"
    )
    data = batch()
    with torch.no_grad():
        data["logp"] = networks.evaluation.policy(data["obs"], data["action"], False)[0]
    data["adv"] = adv * data["adv"]
    before = networks.flat.param.clone()
    step = TrustRegionStep(
        networks,
        0.0,
        backtrack_iters,
        0.8,
        name="policy",
        optimizer=NaturalGradient(networks.flat.segments[0], **{"delta": 1e-4, "damping_coeff": 0.0, **kwargs}),
        data_group="policy",
    )
    Trainer([step], [{"policy": data, "batch_size": 200}]).train()
    return before, step, networks


def test_a_small_step_ends_where_the_model_says() -> None:
    _, step, _ = one_step(backtrack_iters=None)
    assert step.kl == pytest.approx(1e-4, rel=0.05)
    _, longer, _ = one_step(backtrack_iters=None, delta=4e-4)
    assert longer.kl == pytest.approx(4 * step.kl, rel=0.1)


def test_the_value_function_is_left_alone_and_the_policy_moves() -> None:
    before, step, networks = one_step()
    policy, value = networks.flat.segments
    begin = value.param.storage_offset()
    assert not torch.equal(policy.param, before[: len(policy.param)])
    assert torch.equal(value.param, before[begin : begin + len(value.param)])
    assert step.grad_norm > 0


def test_the_step_does_not_depend_on_the_scale_of_the_advantages() -> None:
    once, ten = one_step()[2].flat.param, one_step(adv=10.0)[2].flat.param
    torch.testing.assert_close(once, ten, rtol=1e-4, atol=1e-5)


def test_where_no_length_is_good_or_nothing_is_to_gain_the_policy_stays() -> None:
    before, step, networks = one_step(delta=1e4, backtrack_iters=2)
    assert torch.equal(networks.flat.param, before)
    assert (step.kl, step.shortened) == (0.0, 2)
    before, step, networks = one_step(adv=0.0)
    assert torch.equal(networks.flat.param, before)
    assert step.grad_norm == 0.0


def test_advantages_that_are_no_numbers_end_the_training_and_leave_the_policy() -> None:
    with pytest.raises(NotFinite, match="loss 'policy' is nan and its gradient's length nan at its update 1"):
        one_step(adv=np.nan)


def test_damping_makes_steps_smaller() -> None:
    free, damped = (one_step(backtrack_iters=None, damping_coeff=coeff)[1].kl for coeff in (0.0, 10.0))
    assert damped < 0.5 * free


class Bounded(nn.Module):
    """A policy whose divergence torch knows and we do not: a Beta for actions between 0 and 1."""

    def __init__(self, observation_space: Any, action_space: Any) -> None:
        super().__init__()
        self.pi = BetaPolicy(observation_space.shape[0])
        self.v = nn.Sequential(nn.Linear(observation_space.shape[0], 1), nn.Flatten(0))

    def act(self, obs: torch.Tensor) -> Any:
        return self.pi(obs)[0].sample().numpy()


class BetaPolicy(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, 2), nn.Softplus())

    def forward(self, obs: torch.Tensor, act: torch.Tensor | None = None) -> Any:
        first, second = (1.0 + self.net(obs)).unsqueeze(-1).unbind(-2)
        distribution = distributions.Independent(distributions.Beta(first, second), 1)
        return distribution, None if act is None else distribution.log_prob(act)


class Guess(gym.Env[Any, Any]):
    """The reward is how near the action is to the observation, both between 0 and 1."""

    observation_space = spaces.Box(0.0, 1.0, (1,))
    action_space = spaces.Box(0.0, 1.0, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left, self.shown = 10, self.np_random.random(1, np.float32)
        return self.shown, {}

    def step(self, action: Any) -> Any:
        reward = -float(abs(action - self.shown).item())
        self.left, self.shown = self.left - 1, self.np_random.random(1, np.float32)
        return self.shown, reward, self.left == 0, False, {}


def test_a_policy_of_ones_own_kind_is_trained(short: Short) -> None:
    own = {"env_fn": Guess, "actor_critic": Bounded, "ac_kwargs": {}, "gamma": 0.0, "delta": 0.2, "epochs": 6}
    columns = read_progress(short(algorithm="trpo", **own) / "progress.txt")
    assert (columns["KL"] <= 0.2).all()
    assert columns["AverageEpRet"][-1] > columns["AverageEpRet"][0] + 0.4


def test_it_learns_the_bandit_either_way(short: Short) -> None:
    for algo in ("trpo", "npg"):
        directory = short(algo, "trpo", env="gridrl.envs.toy:GridrlBandit-v0", epochs=15, algo=algo, delta=0.05)
        returns = read_progress(directory / "progress.txt")["AverageEpRet"]
        assert returns[0] < 0.6
        assert returns[-1] > 0.9


def test_minibatches_are_for_the_value_function_alone(short: Short) -> None:
    whole, parts = short("whole", "trpo", epochs=1), short("parts", "trpo", epochs=1, minibatch_size=50)
    columns = [read_progress(run / "progress.txt") for run in (whole, parts)]
    assert columns[0]["KL"] == columns[1]["KL"]
    assert columns[1]["DeltaLossV"] < columns[0]["DeltaLossV"], "four times the updates"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"algo": "trop"}, r"algo='trop': 'trpo' or 'npg' is needed\. Did you mean 'trpo'\?"),
        ({"delta": 0}, "delta=0: a number above 0 is needed"),
        ({"damping_coeff": -0.1}, "damping_coeff=-0.1: a number from 0 on is needed"),
        ({"cg_iters": 0}, "cg_iters=0: a whole number from 1 on is needed"),
        ({"backtrack_iters": 2.5}, "backtrack_iters=2.5: a whole number from 1 on is needed"),
        ({"backtrack_coeff": 1.0}, "backtrack_coeff=1.0: a number above 0 and below 1 is needed"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_bad_values_are_told(short: Short, tmp_path: Any, kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        short(algorithm="trpo", **kwargs)
    assert list(tmp_path.iterdir()) == []


def test_the_documented_defaults_in_the_documented_order() -> None:
    documented: dict[str, Any] = {
        "seed": 0,
        "steps_per_epoch": 4000,
        "epochs": 50,
        "gamma": 0.99,
        "delta": 0.01,
        "vf_lr": 1e-3,
        "train_v_iters": 80,
        "damping_coeff": 0.1,
        "cg_iters": 10,
        "backtrack_iters": 10,
        "backtrack_coeff": 0.8,
        "lam": 0.97,
        "max_ep_len": 1000,
        "logger_kwargs": {},
        "save_freq": 10,
        "algo": "trpo",
    }
    ours = {parameter.name: parameter.default for parameter in read_signature("gridrl.algos.trpo:trpo").params}
    assert list(ours)[:3] == ["env_fn", "actor_critic", "ac_kwargs"]
    assert list(ours.items())[3:19] == list(documented.items())
