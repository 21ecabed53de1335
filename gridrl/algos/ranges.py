"""What values the arguments of our algorithms may have: a table that is read before a launch too, without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

from gridrl.errors import BadValue, Problems, did_you_mean

# name -> (what it may be, in words, and whether a value is that)
_WHOLE = ("a whole number from 1 on", lambda x: _is_whole(x) and x >= 1)
_WHOLE_OR_NONE = ("a whole number from 0 on", lambda x: _is_whole(x) and x >= 0)
_SHARE = ("a number from 0 to 1", lambda x: 0.0 <= x <= 1.0)
_POSITIVE = ("a number above 0", lambda x: 0.0 < x < math.inf)
_NOT_NEGATIVE = ("a number from 0 on", lambda x: 0.0 <= x < math.inf)
_NUMBER = ("a number", lambda x: math.isfinite(x))
_RANGES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "steps_per_epoch": _WHOLE,
    "epochs": _WHOLE_OR_NONE,
    "gamma": _SHARE,
    "clip_ratio": _POSITIVE,
    "pi_lr": _NOT_NEGATIVE,
    "vf_lr": _NOT_NEGATIVE,
    "train_pi_iters": _WHOLE_OR_NONE,
    "train_v_iters": _WHOLE_OR_NONE,
    "lam": _SHARE,
    "max_ep_len": _WHOLE,
    "target_kl": _POSITIVE,
    "save_freq": _WHOLE,
    "num_envs": _WHOLE,
    "minibatch_size": _WHOLE,
    "replay_size": _WHOLE,
    "batch_size": _WHOLE,
    "start_steps": _WHOLE_OR_NONE,
    "update_after": _WHOLE_OR_NONE,
    "update_every": _WHOLE,
    "updates_per_cycle": _WHOLE,
    "num_test_episodes": _WHOLE_OR_NONE,
    "polyak": _SHARE,
    "lr": _NOT_NEGATIVE,
    "target_update_every": _WHOLE,
    "n_step": _WHOLE,
    "priority_alpha": _SHARE,
    "priority_beta": _SHARE,
    "priority_beta_steps": _NOT_NEGATIVE,
    "epsilon_start": _SHARE,
    "epsilon_end": _SHARE,
    "epsilon_steps": _NOT_NEGATIVE,
    "huber_delta": _POSITIVE,
    "q_lr": _NOT_NEGATIVE,
    "alpha_lr": _NOT_NEGATIVE,
    "alpha": _POSITIVE,
    "target_entropy": _NUMBER,
    "act_noise": _NOT_NEGATIVE,
    "target_noise": _NOT_NEGATIVE,
    "noise_clip": _NOT_NEGATIVE,
    "policy_delay": _WHOLE,
    "ent_coef": _NUMBER,
    "max_grad_norm": _POSITIVE,
    "delta": _POSITIVE,
    "damping_coeff": _NOT_NEGATIVE,
    "cg_iters": _WHOLE,
    "backtrack_iters": _WHOLE,
    "backtrack_coeff": ("a number above 0 and below 1", lambda x: 0.0 < x < 1.0),
}
_MAY_BE_NONE = (
    "max_ep_len",
    "target_kl",
    "minibatch_size",
    "max_grad_norm",
    "updates_per_cycle",
    "alpha_lr",
    "target_entropy",
    "huber_delta",
)


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Looks at an algorithm's arguments before anything is made of them.

    Raises:
        BadValue: with every one that is out of its range.
    """
    problems = Problems()
    for name, (wanted, fits) in _RANGES.items():
        value = arguments.get(name)
        if name not in arguments or (value is None and name in _MAY_BE_NONE):
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
            problems.add(f"{name}={value!r}: {wanted} is needed{', or None' if name in _MAY_BE_NONE else ''}.")
    try:
        check_schedule(arguments.get("lr_schedule"))
    except BadValue as error:
        problems.add(str(error))
    problems.raise_if_any(BadValue)


def check_schedule(lr_schedule: Any) -> None:
    """Looks at what learning rates are multiplied by: None, "linear" or a function of the epoch.

    Raises:
        BadValue: it is something else.
    """
    if lr_schedule is None or lr_schedule == "linear" or callable(lr_schedule):
        return
    near = did_you_mean(str(lr_schedule), ["linear"])
    raise BadValue(f"lr_schedule={lr_schedule!r}: None, 'linear' or a function of the epoch is needed.{near}")


def check_networks(arguments: Mapping[str, Any]) -> None:
    """Looks at the sizes of our networks; those of other classes may mean something else by the name.

    Raises:
        BadValue: a layer without a unit.
    """
    kwargs = arguments.get("ac_kwargs")
    if "actor_critic" in arguments or not isinstance(kwargs, Mapping):
        return
    sizes = kwargs.get("hidden_sizes")
    for size in sizes if isinstance(sizes, (list, tuple)) else ():
        if _is_whole(size) and size < 1:
            raise BadValue(f"hidden_sizes are whole numbers from 1 on, such as [64, 64]; {size!r} is none.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral)
