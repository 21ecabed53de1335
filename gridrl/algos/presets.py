"""Published sets of hyperparameters, as values for an algorithm's parameters. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridrl.errors import BadValue, did_you_mean

Preset = Mapping[str, Any]

# stable-baselines3 2.x, PPO with MlpPolicy. Its epsilon of Adam (1e-5), its value coefficient (0.5, without effect on
# a network of its own under Adam), its one limit on the length of both networks' gradient together (here each has its
# own) and its normalisation of advantages by minibatch have no parameter here. It has no limit on episodes but the
# environment's own; our 1000 steps stay, which matter in few environments.
_SB3_PPO: Preset = {
    "steps_per_epoch": 2048,
    "minibatch_size": 64,
    "train_pi_iters": 10,
    "gamma": 0.99,
    "lam": 0.95,
    "clip_ratio": 0.2,
    "target_kl": None,
    "pi_lr": 3e-4,
    "vf_lr": 3e-4,
    "ent_coef": 0.0,
    "max_grad_norm": 0.5,
    "ac_kwargs:init": "orthogonal",
    "ac_kwargs:log_std": 0.0,
}

# sb3-contrib 2.x, TRPO with MlpPolicy; of episodes as for PPO.
_SB3_TRPO: Preset = {
    "steps_per_epoch": 2048,
    "minibatch_size": 128,
    "train_v_iters": 10,
    "gamma": 0.99,
    "lam": 0.95,
    "delta": 0.01,
    "vf_lr": 1e-3,
    "cg_iters": 15,
    "damping_coeff": 0.1,
    "backtrack_iters": 10,
    "backtrack_coeff": 0.8,
    "ac_kwargs:init": "orthogonal",
    "ac_kwargs:log_std": 0.0,
}

# stable-baselines3 2.x with MlpPolicy, one environment: an update per step from the 101st on, no limit on episodes but
# the environment's own. Its critics' losses are halved, which Adam does not notice.
_SB3_SAC: Preset = {
    "ac_kwargs:hidden_sizes": (256, 256),
    "replay_size": 1_000_000,
    "gamma": 0.99,
    "polyak": 0.995,
    "lr": 3e-4,
    "alpha": 1.0,
    "adaptive_temperature": True,
    "batch_size": 256,
    "start_steps": 100,
    "update_after": 100,
    "update_every": 1,
    "max_ep_len": None,
}
_SB3_TD3: Preset = {
    "ac_kwargs:hidden_sizes": (400, 300),
    "replay_size": 1_000_000,
    "gamma": 0.99,
    "polyak": 0.995,
    "pi_lr": 1e-3,
    "q_lr": 1e-3,
    "batch_size": 256,
    "start_steps": 100,
    "update_after": 100,
    "update_every": 1,
    "act_noise": 0.0,
    "max_ep_len": None,
}

# stable-baselines3 2.x, DQN with MlpPolicy; its target network is renewed every 10 000 steps, which are 2500 updates.
_SB3_DQN: Preset = {
    "ac_kwargs:hidden_sizes": (64, 64),
    "replay_size": 1_000_000,
    "gamma": 0.99,
    "polyak": 0.0,
    "lr": 1e-4,
    "batch_size": 32,
    "start_steps": 100,
    "update_after": 100,
    "update_every": 4,
    "updates_per_cycle": 1,
    "target_update_every": 2500,
    "double": False,
    "dueling": False,
    "n_step": 1,
    "epsilon_start": 1.0,
    "epsilon_end": 0.05,
    "epsilon_steps": 0.1,
    "huber_delta": 1.0,
    "max_grad_norm": 10.0,
    "lr_schedule": None,
    "max_ep_len": None,
}
# CleanRL's dqn.py, whose target network is renewed every 500 steps.
_CLEANRL_DQN: Preset = {
    **_SB3_DQN,
    "ac_kwargs:hidden_sizes": (120, 84),
    "replay_size": 10_000,
    "lr": 2.5e-4,
    "batch_size": 128,
    "start_steps": 0,
    "update_after": 10_000,
    "update_every": 10,
    "target_update_every": 50,
    "epsilon_steps": 0.5,
    "huber_delta": None,
    "max_grad_norm": None,
}

PRESETS: Mapping[str, Mapping[str, Preset]] = {
    "ddpg": {"spinningup": {}, "sb3": _SB3_TD3},
    "dqn": {"spinningup": {}, "sb3": _SB3_DQN, "cleanrl": _CLEANRL_DQN},
    "ppo": {"spinningup": {}, "sb3": _SB3_PPO},
    "sac": {"spinningup": {}, "sb3": _SB3_SAC},
    "td3": {"spinningup": {}, "sb3": {**_SB3_TD3, "target_noise": 0.2, "noise_clip": 0.5, "policy_delay": 2}},
    "trpo": {"spinningup": {}, "sb3": _SB3_TRPO},
    "vpg": {"spinningup": {}},
}


def presets_of(algorithm: str) -> dict[str, dict[str, Any]]:
    """The presets of an algorithm, by name; none for a function that is not ours.

    Args:
        algorithm: `"ppo"` or `"gridrl.algos.ppo:ppo"`.
    """
    module, _, name = algorithm.rpartition(":")
    if module not in ("", f"gridrl.algos.{name}"):
        return {}
    return {preset: dict(values) for preset, values in PRESETS.get(name, {}).items()}


def preset(algorithm: str, name: str) -> dict[str, Any]:
    """The values of one preset, with colons in the keys of nested ones (`ac_kwargs:init`).

    Args:
        algorithm: `"ppo"` or `"gridrl.algos.ppo:ppo"`.
        name: the preset; "spinningup" is the documented defaults and changes nothing.

    Raises:
        BadValue: the algorithm has no preset of that name, or none at all.

    >>> preset("ppo", "sb3")["minibatch_size"]
    64
    """
    known = presets_of(algorithm)
    if not known:
        raise BadValue(f"preset {name!r}: {algorithm} has no presets; {', '.join(PRESETS)} have.")
    if name not in known:
        short = algorithm.rpartition(":")[2]
        raise BadValue(f"preset {name!r}: {short} has {', '.join(known)}.{did_you_mean(name, known)}")
    return known[name]
