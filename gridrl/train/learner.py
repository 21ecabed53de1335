"""`BaseLearner`: DI-engine's face of a `Trainer`, over a policy that learns from what it is given."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue, TrainingShutdownException, did_you_mean
from gridrl.log.metrics import LoggingMixin
from gridrl.train.callback import Callback
from gridrl.train.fetching import Fetching
from gridrl.train.hooks import (
    POSITIONS,
    LearnerHook,
    SaveCkptHook,
    add_learner_hook,
    build_learner_hook_by_cfg,
    checkpoint_directory,
)
from gridrl.train.learner_settings import CONFIG, CountVar, settings_of
from gridrl.train.trainer import Trainer
from gridrl.utils.mpi import num_procs, proc_id
from gridrl.utils.optional import is_installed

# iterations over which shown numbers are averaged
_WINDOW = 10


class BaseLearner:
    """Lets a policy learn, iteration by iteration, with hooks around: showing numbers, saving checkpoints.

    A serial program calls `train(data)`. A parallel one sets `get_data`, calls `setup_dataloader()` and then `start()`,
    which fetches data itself. Either way an iteration is one update of a `Trainer`.

    Attributes:
        last_iter: counts the iterations that are done.
        monitor: means over the last iterations.
        log_buffer: what the newest iteration logged: "scalar", "scalars", "histogram".
        priority_info: priorities of the newest data, for a replay buffer: None where the policy gives none.
        logger: for text.
        ckpt_name: the name of the next checkpoint, None for one by the number of the iteration.
        get_data: what `start` gets data from: a function of the batch size that gives a list of items, or of functions
            that load one.

    >>> class Mean:
    ...     value = 0.0
    ...     def forward(self, data):
    ...         self.value += 0.5 * (sum(data) / len(data) - self.value)
    ...         return {"value": self.value}
    ...     def state_dict(self):
    ...         return {"value": self.value}
    >>> learner = BaseLearner({"hook": {"log_show_after_iter": False, "save_ckpt_after_iter": False}}, Mean())
    >>> learner.train([1.0, 3.0]), learner.train_iter
    ([{'value': 1.0}], 1)
    """

    config = CONFIG

    def __init__(
        self,
        cfg: Mapping[str, Any],
        policy: Any = None,
        tb_logger: Any = None,
        dist_info: tuple[int, int] | None = None,
        exp_name: str = "default_experiment",
        instance_name: str = "learner",
    ) -> None:
        """Puts the learner together; `cfg` is left as it is.

        Args:
            cfg: what differs from `BaseLearner.config`.
            policy: with `forward(data, **policy_kwargs)`, which gives a dict of numbers or a list of these, and for
                checkpoints `state_dict` and `load_state_dict`. It can be set later.
            tb_logger: a `SummaryWriter`; None: one is made in `{exp_name}/log/{instance_name}` when it is needed.
            dist_info: rank and number of ranks; None: those of MPI.
            exp_name: the directory where everything goes.
            instance_name: differs between the learners of a program.

        Raises:
            BadValue: a hook of `cfg` makes no sense.
        """
        self.cfg = settings_of(cfg)
        self.exp_name, self.instance_name = exp_name, instance_name
        self.rank, self.world_size = dist_info or (proc_id(), num_procs())
        hook = dict(self.cfg["hook"])
        if self.world_size > 1:
            hook.setdefault("log_reduce_after_iter", True)
        self._hooks = build_learner_hook_by_cfg(hook)
        self.logger = logging.getLogger(f"{__name__}.{exp_name}.{instance_name}")
        self.monitor = LoggingMixin(default_window_length=_WINDOW)
        self.log_buffer: dict[str, dict[str, Any]] = {"scalar": {}, "scalars": {}, "histogram": {}}
        self.last_iter = CountVar()
        self.priority_info: dict[str, Any] | None = None
        self.ckpt_name: str | None = None
        self.get_data: Callable[[int], Sequence[Any]] | None = None
        self._tb_logger, self._made_tb_logger = tb_logger, False
        self._collector_envstep, self._is_done = -1, False
        self._dataloader: Fetching | None = None
        self._log_vars: list[dict[str, Any]] = []
        self._trainer = Trainer([_Learn(self)], _Source(self))
        self._policy: Any = None
        if policy is not None:
            self.policy = policy

    def register_hook(self, hook: LearnerHook) -> None:
        """Adds a hook, behind those of its position with its priority or a lower one."""
        add_learner_hook(self._hooks, hook)

    def train(self, data: Any, envstep: int = -1, policy_kwargs: Mapping[str, Any] | None = None) -> list[Any]:
        """Does one iteration, between the hooks of before_iter and after_iter.

        Args:
            data: what the policy learns from.
            envstep: env steps that collectors have done so far; -1: nobody knows.
            policy_kwargs: more arguments of `policy.forward`.

        Returns:
            What the policy logged: a list of dicts, one for each update that it did within the iteration.

        Raises:
            BadValue: there is no policy.
            TypeError: the policy gave neither a dict nor a list of dicts.
        """
        self._collector_envstep = envstep
        self._trainer.step({"data": data, "policy_kwargs": dict(policy_kwargs or {}), "batch_size": _length(data)})
        return self._log_vars

    def start(self) -> None:
        """Trains on what the dataloader gives, `train_iterations` times, between before_run and after_run.

        An error or Ctrl-C leaves a checkpoint, `ckpt_exception.pth.tar` or `ckpt_interrupt.pth.tar`, and is raised.

        Raises:
            BadValue: `setup_dataloader` was not called.
        """
        if self._dataloader is None:
            raise BadValue("start() needs data: set get_data and call setup_dataloader() first.")
        self._trainer.train()

    def setup_dataloader(self) -> None:
        """Makes `start` fetch its data by `get_data`, `dataloader.num_workers` items at a time in threads.

        Raises:
            BadValue: `get_data` was not set.
        """
        if self.get_data is None:
            raise BadValue("setup_dataloader() needs get_data: a function of the batch size that gives a list.")
        batch_size = int(self.cfg.get("batch_size") or self.policy.get_attribute("batch_size"))
        self._dataloader = Fetching(self.get_data, batch_size, int(self.cfg["dataloader"]["num_workers"]))

    def close(self) -> None:
        """Ends threads and the TensorBoard writer that the learner made; a second call does nothing."""
        if self._dataloader is not None:
            self._dataloader.close()
            self._dataloader = None
        if self._made_tb_logger:
            self._tb_logger.close()
            self._tb_logger, self._made_tb_logger = None, False

    def call_hook(self, name: str) -> None:
        """Calls the hooks of a position: before_run, after_run, before_iter or after_iter.

        Raises:
            BadValue: there is no such position.
        """
        if name not in POSITIONS:
            raise BadValue(
                f"{name!r} is no position.{did_you_mean(name, POSITIONS)} There are: {', '.join(POSITIONS)}."
            )
        for hook in self._hooks[name]:
            hook(self)

    def info(self, s: str) -> None:
        """Logs text, with the rank before it."""
        self.logger.info("[RANK%d]: %s", self.rank, s)

    def save_checkpoint(self, ckpt_name: str | None = None) -> None:
        """Saves a checkpoint now, by the hook `save_ckpt_after_run`, or as it would where there is none.

        Args:
            ckpt_name: the file's name; None: by the number of the iteration.
        """
        named = (hook for hook in self._hooks["after_run"] if hook.name == "save_ckpt_after_run")
        hook = next(named, None) or SaveCkptHook("save_ckpt_after_run", position="after_run")
        before, self.ckpt_name = self.ckpt_name, ckpt_name or self.ckpt_name
        try:
            hook(self)
        finally:
            self.ckpt_name = before

    @property
    def policy(self) -> Any:
        """What learns.

        Raises:
            BadValue: it has not been set.
        """
        if self._policy is None:
            raise BadValue("the learner has no policy: give one, or set `learner.policy`.")
        return self._policy

    @policy.setter
    def policy(self, policy: Any) -> None:
        self._policy = policy
        info = getattr(policy, "info", None)
        if self.cfg["log_policy"] and callable(info):
            self.info(str(info()))

    @property
    def train_iter(self) -> int:
        """How many iterations are done."""
        return self.last_iter.val

    @property
    def tb_logger(self) -> Any:
        """The TensorBoard writer, made when it is asked for first; None where tensorboard is not installed."""
        if self._tb_logger is None and is_installed("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._tb_logger = SummaryWriter(str(Path(self.exp_name) / "log" / self.instance_name))
            self._made_tb_logger = True
        return self._tb_logger

    @property
    def ckpt_dir(self) -> Path:
        """Where checkpoints go."""
        return checkpoint_directory(self.exp_name, self.instance_name)

    @property
    def collector_envstep(self) -> int:
        """Env steps that collectors have done so far; -1: nobody knows."""
        return self._collector_envstep

    @collector_envstep.setter
    def collector_envstep(self, value: int) -> None:
        self._collector_envstep = value

    @property
    def learn_info(self) -> dict[str, Any]:
        """What a commander is told: `learner_step`, `priority_info`, `learner_done`."""
        return {
            "learner_step": self.last_iter.val,
            "priority_info": self.priority_info,
            "learner_done": self._is_done,
        }

    def _learn(self, data: Any, policy_kwargs: Mapping[str, Any]) -> None:
        """Lets the policy learn, and sorts what it logs."""
        given = self.policy.forward(data, **policy_kwargs)
        log_vars = [given] if isinstance(given, Mapping) else given
        if not isinstance(log_vars, list) or not all(isinstance(one, Mapping) for one in log_vars):
            raise TypeError(f"policy.forward gives a dict or a list of dicts, not {type(given).__name__}.")
        self._log_vars = [dict(one) for one in log_vars]
        priorities = [one.pop("priority") for one in self._log_vars if "priority" in one]
        if priorities:
            names = ("replay_buffer_idx", "replay_unique_id")
            indices = {name: [item.get(name) for item in data] for name in names}
            self.priority_info = {"priority": priorities[-1], **indices}
        for one in self._log_vars:
            for key, value in one.items():
                kind, name = _kind(key)
                self.log_buffer[kind][name] = value

    def _end(self, exception: BaseException | None) -> None:
        if exception is None or isinstance(exception, TrainingShutdownException):
            self._is_done = True
            self.call_hook("after_run")
        elif self._policy is not None:
            interrupted = not isinstance(exception, Exception)
            self.save_checkpoint("ckpt_interrupt.pth.tar" if interrupted else "ckpt_exception.pth.tar")


class _Source:
    """The data of a learner's `start`, as batches for its trainer."""

    def __init__(self, learner: BaseLearner) -> None:
        self._learner = learner

    def __iter__(self) -> Iterator[dict[str, Any]]:
        learner = self._learner
        for _ in range(int(learner.cfg["train_iterations"])):
            if learner._dataloader is None:
                return
            data = next(learner._dataloader)
            yield {"data": data, "policy_kwargs": {}, "batch_size": _length(data)}


class _Learn(Callback):
    """A learner's iteration as an update of its trainer."""

    def __init__(self, learner: BaseLearner) -> None:
        super().__init__()
        self._learner = learner

    def begin_training(self) -> None:
        self._learner.call_hook("before_run")

    def begin_batch(self) -> None:
        self._learner.call_hook("before_iter")

    def backward(self, data: Any, policy_kwargs: Mapping[str, Any]) -> None:
        self._learner._learn(data, policy_kwargs)

    def end_batch(self) -> None:
        self._learner.call_hook("after_iter")
        self._learner.last_iter.add(1)

    def end_training(self, exception: BaseException | None) -> None:
        self._learner._end(exception)


def _length(data: Any) -> int:
    if isinstance(data, Mapping):
        data = next(iter(data.values()), ())
    return len(data) if hasattr(data, "__len__") else 1


def _kind(key: str) -> tuple[str, str]:
    """Where a logged value belongs, by the mark before its name, and the name."""
    for kind in ("scalars", "histogram"):
        if key.startswith(f"[{kind}]"):
            return kind, key.removeprefix(f"[{kind}]")
    return "scalar", key
