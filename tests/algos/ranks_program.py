"""What `test_ranks` runs once, as two MPI ranks: `python -m tests.algos.ranks_program DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gridrl.algos.assembly import make_networks
from gridrl.algos.continuous import make_continuous
from gridrl.algos.critics import QLoss
from gridrl.algos.deterministic import DeterministicPolicyLoss, DeterministicTarget
from gridrl.algos.ppo import PolicyAndValueLoss, PolicyLoss
from gridrl.algos.trpo import TrustRegionStep
from gridrl.envs.making import env_fn
from gridrl.envs.stepping import make_worlds
from gridrl.errors import CheckpointError
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.continuous import TwinActorCritic
from gridrl.nn.natural_gradient import NaturalGradient
from gridrl.train.loss import LossCallback
from gridrl.train.losses import ValueLoss
from gridrl.train.trainer import Trainer
from gridrl.utils.mpi import num_procs, proc_id
from tests.algos.off_policy_runs import train as train_off_policy
from tests.algos.short_runs import train

RUNS: dict[str, dict[str, Any]] = {
    "ppo": {
        "minibatch_size": 64,
        "num_envs": 2,
        "steps_per_epoch": 400,
        "ent_coef": 0.01,
        "normalize_obs": True,
        "normalize_reward": True,
    },
    "vpg": {"algorithm": "vpg", "env": "Pendulum-v1", "steps_per_epoch": 400},
}


def steps() -> dict[str, Any]:
    """Parameters and gradient norms after three updates, by both ways to update, from 300 stored rows.

    Two ranks have 130 and 170 of them: not the same number, as where environments were restarted.
    """
    rank, ranks = proc_id(), num_procs()
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    batch = {
        "obs": normal((300, 3), np.float32),
        "action": normal((300, 2), np.float32),
        "logp": normal(300, np.float32) * 0.1 - 3.0,
        "adv": normal(300, np.float32),
        "ret": normal(300, np.float32) * 10,
    }
    share = slice(0, 300) if ranks == 1 else (slice(0, 130), slice(130, 300))[rank]
    mine = {name: torch.from_numpy(column[share]) for name, column in batch.items()}
    found: dict[str, Any] = {}
    for way in ("apart", "together"):
        networks = make_networks(
            MLPActorCritic,
            {"hidden_sizes": (16, 16)},
            spaces.Box(-1.0, 1.0, (3,)),
            spaces.Box(-1.0, 1.0, (2,)),
            seed=rank,  # all ranks take up the weights of the first
        )
        common: dict[str, Any] = {"max_grad_norm": 0.5}
        policy = PolicyLoss(
            networks.evaluation,
            0.2,
            0.01,
            9.0,
            name="policy",
            optimizer=networks.policy_adam,
            data_group="policy",
            **common,
        )
        value = ValueLoss(
            networks.evaluation, name="value", optimizer=networks.value_adam, data_group="value", **common
        )
        if way == "apart":
            Trainer([policy, value], [{"policy": mine, "value": mine, "batch_size": 1}] * 3).train()
        else:
            joint = PolicyAndValueLoss(policy, value, networks.flat)
            Trainer([joint], [{"minibatch": mine, "batch_size": 1}] * 3).train()
        found[way] = networks.flat.param.tolist()
        assert policy.loss_value is not None
        found[way + " norms"] = [policy.grad_norm, value.grad_norm]
    return found | steps_in_a_trust_region(mine) | steps_of_a_torch_optimiser(mine)


def steps_in_a_trust_region(mine: dict[str, Tensor]) -> dict[str, Any]:
    """Two steps along the natural gradient, whose lengths all ranks must agree on."""
    box = spaces.Box(-1.0, 1.0, (3,))
    networks = make_networks(MLPActorCritic, {"hidden_sizes": (16,)}, box, spaces.Box(-1.0, 1.0, (2,)), seed=proc_id())
    optimizer = NaturalGradient(networks.flat.segments[0], delta=0.1)
    step = TrustRegionStep(networks, 0.01, 10, 0.8, name="policy", optimizer=optimizer, data_group="policy")
    Trainer([step], [{"policy": mine, "batch_size": 1}] * 2).train()
    return {"region": networks.flat.param.tolist(), "region norms": [step.grad_norm, step.kl], "way": step.shortened}


class Regression(LossCallback):
    """The squared error of a linear network, row by row."""

    def loss(self, obs: Tensor, ret: Tensor) -> Tensor:
        """One number for each row."""
        assert self.network is not None
        squares: Tensor = (self.network(obs).squeeze(-1) - ret).pow(2)
        return squares


def steps_of_a_torch_optimiser(mine: dict[str, Tensor]) -> dict[str, Any]:
    """Three updates by an optimiser that knows nothing of flat buffers."""
    net = nn.Linear(3, 1)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    fit = Regression(name="fit", network=net, optimizer=optimizer, max_grad_norm=5.0, data_group="default")
    Trainer([fit], [{"default": mine, "batch_size": 1}] * 3).train()
    return {"torch": [*net.weight.reshape(-1).tolist(), net.bias.item()], "torch norms": [fit.grad_norm]}


OFF_POLICY: dict[str, dict[str, Any]] = {
    "sac": {"adaptive_temperature": True, "num_envs": 2, "steps_per_epoch": 120},
    "td3": {"algorithm": "td3", "num_test_episodes": 3},
}


def off_policy_steps() -> dict[str, Any]:
    """Parameters after four updates of TD3's losses, without noise, from 32 stored transitions; two ranks have 12 and
    20 of them."""
    rank, ranks = proc_id(), num_procs()
    normal = np.random.default_rng(1).standard_normal
    batch = {
        "obs": normal((32, 3)),
        "action": np.tanh(normal((32, 1))),
        "reward": normal(32),
        "next_obs": normal((32, 3)),
    }
    batch["terminated"] = (normal(32) > 1.0).astype(np.float64)
    share = slice(0, 32) if ranks == 1 else (slice(0, 12), slice(12, 32))[rank]
    mine = {name: torch.from_numpy(column[share].astype(np.float32)) for name, column in batch.items()}
    worlds = make_worlds(env_fn("Pendulum-v1"))
    nets = make_continuous(
        TwinActorCritic, {"hidden_sizes": (16,)}, worlds, seed=rank, device="cpu", pi_lr=0.01, q_lr=0.01
    )
    callbacks = [
        DeterministicTarget(nets.pi, nets.q, gamma=0.9, tau=0.1, every=2),
        QLoss(name="q", q=nets.q, opt=nets.q_adam, max_grad_norm=0.5),
        DeterministicPolicyLoss(nets.pi, nets.q, every=2, name="policy", optimizer=nets.pi_adam),
    ]
    Trainer(callbacks, [{"default": dict(mine), "batch_size": 1} for _ in range(4)]).train()
    worlds.close()
    return {"off policy": torch.cat([nets.pi_adam.segment.param, nets.q_adam.segment.param]).tolist()}


def main(directory: Path) -> None:
    """Does everything that the tests look at, and leaves it in `directory`."""
    found = steps() | off_policy_steps()
    for name, kwargs in OFF_POLICY.items():
        train_off_policy(directory / f"{name} undisturbed", **kwargs)
        for epochs in (1, 2):
            train_off_policy(directory / f"{name} continued", epochs=epochs, **kwargs)
    for name, kwargs in RUNS.items():
        train(directory / f"{name} undisturbed", epochs=3, **kwargs)
        for epochs in (1, 3):
            train(directory / f"{name} continued", epochs=epochs, **kwargs)
    train(directory / "no episode", "vpg", "Pendulum-v1", epochs=1, num_envs=2)
    try:
        train(directory / "one rank", "vpg", epochs=3)
    except CheckpointError as error:
        found["refused"] = str(error)
    (directory / f"found{proc_id()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
