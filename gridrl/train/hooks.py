"""Hooks of a `BaseLearner`, in DI-engine's words: what happens before and after a run, and around each iteration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gridrl.errors import BadValue, CheckpointError, did_you_mean
from gridrl.log.floats import as_floats
from gridrl.log.saving import portable, write_torch
from gridrl.log.sinks import format_table
from gridrl.utils.mpi import gather_objects

if TYPE_CHECKING:
    from gridrl.train.learner import BaseLearner

POSITIONS = ("before_run", "after_run", "before_iter", "after_iter")

# averages of a log that are not averaged over ranks begin so
_OWN = "noreduce_"


class Hook(ABC):
    """Something with a name that is called in its turn.

    Attributes:
        name: what it is asked for by.
        priority: hooks with a lower one come first.
    """

    def __init__(self, name: str, priority: int = 100) -> None:
        """Takes its name and turn.

        Raises:
            BadValue: a priority below 0.
        """
        if priority < 0:
            raise BadValue(f"priority={priority} of hook {name!r}: 0 or more is needed.")
        self.name, self.priority = name, priority

    @abstractmethod
    def __call__(self, engine: BaseLearner) -> None:
        """What it does, with the learner that calls it."""


class LearnerHook(Hook):
    """A hook of a learner: a subclass defines `__call__(engine)`.

    The learner's iterations are updates of a `Trainer`, and the four positions are hooks of its callbacks: before_run
    is `begin_training`, before_iter `begin_batch`, after_iter `end_batch`, after_run `end_training`.

    Attributes:
        position: when it is called.

    >>> class Count(LearnerHook):
    ...     def __call__(self, engine):
    ...         print(engine.train_iter)
    >>> Count("count", priority=20, position="after_iter").position
    'after_iter'
    """

    def __init__(self, *args: Any, position: str, **kwargs: Any) -> None:
        """Takes when it is called.

        Args:
            args: for `Hook`: name and priority.
            position: before_run, after_run, before_iter or after_iter.
            kwargs: for `Hook`.

        Raises:
            BadValue: there is no such position.
        """
        super().__init__(*args, **kwargs)
        if position not in POSITIONS:
            raise BadValue(
                f"position={position!r} of hook {self.name!r}.{did_you_mean(position, POSITIONS)} There are: "
                f"{', '.join(POSITIONS)}."
            )
        self.position = position


class _Configured(LearnerHook):
    """A hook with arguments of its own, `ext_args`."""

    def __init__(self, *args: Any, ext_args: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ext_args = dict(ext_args or {})

    def _is_due(self, engine: BaseLearner) -> bool:
        return engine.last_iter.val % int(self.ext_args.get("freq", 1)) == 0


class LoadCkptHook(_Configured):
    """Loads the checkpoint `load_path` of its `ext_args`, nothing where that is empty."""

    def __call__(self, engine: BaseLearner) -> None:
        """Puts policy, iteration and env steps where the checkpoint left them.

        Raises:
            CheckpointError: it cannot be read.
        """
        path = self.ext_args.get("load_path")
        if not path:
            return
        try:
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:
            raise CheckpointError(f"{path} cannot be read: {type(error).__name__}: {error}".splitlines()[0]) from error
        last_iter, envstep = state.pop("last_iter", 0), state.pop("last_step", -1)
        engine.policy.load_state_dict(state)
        engine.last_iter.update(last_iter)
        engine.collector_envstep = envstep
        engine.info(f"{engine.instance_name} load ckpt in {path}")


class SaveCkptHook(_Configured):
    """Saves a checkpoint every `freq` iterations (of its `ext_args`), on the first rank.

    `{exp_name}/ckpt/iteration_{n}.pth.tar` holds the policy's state, the iteration and the env steps; it is written at
    once and loads with `weights_only=True`. A learner of another name has `ckpt_{instance_name}`.
    """

    def __call__(self, engine: BaseLearner) -> None:
        """Saves, if it is time."""
        if engine.rank == 0 and self._is_due(engine):
            path = engine.ckpt_dir / (engine.ckpt_name or f"iteration_{engine.last_iter.val}.pth.tar")
            path.parent.mkdir(parents=True, exist_ok=True)
            state = {
                **engine.policy.state_dict(),
                "last_iter": engine.last_iter.val,
                "last_step": engine.collector_envstep,
            }
            write_torch(path, portable(state))
            engine.info(f"{engine.instance_name} save ckpt in {path}")


class LogShowHook(_Configured):
    """Shows the averages of the last iterations every `freq` iterations, as text and in TensorBoard."""

    def __call__(self, engine: BaseLearner) -> None:
        """Notes the iteration's numbers; shows them if it is time."""
        buffer = engine.log_buffer
        if engine.rank == 0 or not engine.cfg["only_monitor_rank0"]:
            for key, value in buffer["scalar"].items():
                engine.monitor.log_windowed_scalar(key, value)
            if self._is_due(engine):
                self._show(engine)
        for kind in buffer.values():
            kind.clear()

    def _show(self, engine: BaseLearner) -> None:
        iteration, envstep, name = engine.last_iter.val, engine.collector_envstep, engine.instance_name
        averages = {f"{key}_avg": value for key, value in engine.monitor.windowed_means().items()}
        engine.info(f"=== Training Iteration {iteration} Result ===\n{format_table(averages)}")
        axes = [(f"{name}_iter", iteration), *([(f"{name}_step", envstep)] if envstep >= 0 else [])]
        writer, buffer = engine.tb_logger, engine.log_buffer
        if writer is None:
            return
        for prefix, step in axes:
            for key, value in averages.items():
                writer.add_scalar(f"{prefix}/{key}", value, step)
            for key, values in buffer["scalars"].items():
                numbers = {name: float(as_floats(value).mean()) for name, value in values.items()}
                writer.add_scalars(f"{prefix}/{key}", numbers, step)
            for key, values in buffer["histogram"].items():
                writer.add_histogram(f"{prefix}/{key}", as_floats(values), step)
        writer.flush()


class LogReduceHook(_Configured):
    """Averages an iteration's numbers over the ranks; keys that begin with `noreduce_` stay as they are."""

    def __call__(self, engine: BaseLearner) -> None:
        """Averages; every rank calls it."""
        scalars = engine.log_buffer["scalar"]
        own = {key: float(as_floats(value).mean()) for key, value in scalars.items() if not key.startswith(_OWN)}
        ranks = gather_objects(own)
        for key in own:
            seen = [rank[key] for rank in ranks if key in rank]
            scalars[key] = sum(seen) / len(seen)


hook_mapping: dict[str, type[LearnerHook]] = {
    "load_ckpt": LoadCkptHook,
    "save_ckpt": SaveCkptHook,
    "log_show": LogShowHook,
    "log_reduce": LogReduceHook,
}
"""The kinds of hooks that a configuration can name."""

# short form in a configuration -> kind, position, priority, and the argument that its value is
_SHORT = {
    "load_ckpt_before_run": ("load_ckpt", "before_run", 20, "load_path"),
    "save_ckpt_after_iter": ("save_ckpt", "after_iter", 20, "freq"),
    "save_ckpt_after_run": ("save_ckpt", "after_run", 20, None),
    "log_show_after_iter": ("log_show", "after_iter", 20, "freq"),
    "log_reduce_after_iter": ("log_reduce", "after_iter", 10, None),
}


def register_learner_hook(name: str, hook_type: type[LearnerHook]) -> None:
    """Makes a kind of hook known to `build_learner_hook_by_cfg`.

    Raises:
        BadValue: it is no LearnerHook.
    """
    if not (isinstance(hook_type, type) and issubclass(hook_type, LearnerHook)):
        raise BadValue(f"{name!r}: {hook_type!r} is no subclass of LearnerHook.")
    hook_mapping[name] = hook_type


def add_learner_hook(hooks: dict[str, list[LearnerHook]], hook: LearnerHook) -> None:
    """Puts a hook behind those of its position that have its priority or a lower one.

    Args:
        hooks: position -> hooks in their order, changed in place.
        hook: the new one.
    """
    own = hooks.setdefault(hook.position, [])
    own.append(hook)
    own.sort(key=lambda other: other.priority)


def merge_hooks(
    hooks1: Mapping[str, list[LearnerHook]], hooks2: Mapping[str, list[LearnerHook]]
) -> dict[str, list[LearnerHook]]:
    """The hooks of both by priority, those of the first before equal ones of the second.

    Raises:
        BadValue: they have different positions.
    """
    if hooks1.keys() != hooks2.keys():
        apart = ", ".join(map(repr, sorted(hooks1.keys() ^ hooks2.keys())))
        raise BadValue(f"hooks of the same positions can be merged; these stand in one of the two only: {apart}.")
    return {
        position: sorted([*hooks1[position], *hooks2[position]], key=lambda hook: hook.priority) for position in hooks1
    }


def build_learner_hook_by_cfg(cfg: Mapping[str, Any]) -> dict[str, list[LearnerHook]]:
    """Makes hooks as a configuration says.

    Args:
        cfg: short forms (`log_show_after_iter=100`, `save_ckpt_after_iter=10000`, `save_ckpt_after_run=True`,
            `load_ckpt_before_run="path"`, `log_reduce_after_iter=True`; False for none), and any other key with a dict
            of `type` (in `hook_mapping`), `position`, and maybe `name`, `priority`, `ext_args`. Or `{"hook": that}`.

    Returns:
        For each of the four positions its hooks, by priority.

    Raises:
        BadValue: an entry is neither.
    """
    if list(cfg) == ["hook"]:
        cfg = cfg["hook"]
    hooks: dict[str, list[LearnerHook]] = {position: [] for position in POSITIONS}
    for key, value in cfg.items():
        if isinstance(value, Mapping):
            add_learner_hook(hooks, _from_dict(key, value))
        elif key not in _SHORT:
            raise BadValue(
                f"hook {key!r}: a dict of type and position is needed.{did_you_mean(key, _SHORT)} Short forms: "
                f"{', '.join(_SHORT)}."
            )
        elif value is not False:
            add_learner_hook(hooks, _from_short(key, value))
    return hooks


def _from_short(key: str, value: Any) -> LearnerHook:
    kind, position, priority, argument = _SHORT[key]
    ext_args = {} if argument is None else {argument: value}
    return hook_mapping[kind](key, priority, position=position, ext_args=ext_args)


def _from_dict(key: str, value: Mapping[str, Any]) -> LearnerHook:
    kind = value.get("type")
    if kind not in hook_mapping or "position" not in value:
        raise BadValue(
            f"hook {key!r}: type={kind!r} and position={value.get('position')!r} are needed."
            f"{did_you_mean(str(kind), hook_mapping)} Types: {', '.join(hook_mapping)}; see register_learner_hook."
        )
    more = {name: value[name] for name in ("priority", "position", "ext_args") if name in value}
    return hook_mapping[kind](value.get("name", key), **more)


def checkpoint_directory(exp_name: str, instance_name: str) -> Path:
    """Where a learner's checkpoints are."""
    return Path(exp_name) / ("ckpt" if instance_name == "learner" else f"ckpt_{instance_name}")
