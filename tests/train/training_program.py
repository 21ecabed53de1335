"""A small off-policy training with everything that a checkpoint has to hold; `python training_program.py DIR` runs it
until it is killed in the middle of writing its third checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gridrl.envs.spaces import BoxSpace, DictSpace, MDPSpace
from gridrl.log.metrics import LoggingMixin
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.journal import ReplayJournal
from gridrl.memory.loader import MemoryLoader
from gridrl.train.callback import Callback
from gridrl.train.checkpoint import Checkpointer, CheckpointLoader
from gridrl.train.control import BackPropStepsTerminator
from gridrl.train.loss import LossCallback
from gridrl.train.trainer import Trainer


class QLoss(LossCallback):
    def __init__(self, net: nn.Module) -> None:
        optimizer = torch.optim.Adam(net.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.9)
        super().__init__(schedule, name="q", network=net, optimizer=optimizer, max_grad_norm=1.0)
        self.net = net

    def loss(self, observation: dict[str, Tensor], q_target: Tensor) -> Tensor:
        return (self.net(observation["x"]) - q_target).pow(2).mean()


class Target(LoggingMixin, Callback):
    """A target network that follows, with noise from torch's global generator."""

    data_group = "default"
    provides = ("q_target",)

    def __init__(self, net: nn.Module, target: nn.Module) -> None:
        super().__init__()
        self.net, self.target = net, target

    def begin_batch(self, next_observation: dict[str, Tensor], rewards: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            value = self.target(next_observation["x"])
            self.log_windowed_scalar("windowed[3]:training/q_target", value.mean())
            return {"q_target": rewards + 0.9 * value + 0.1 * torch.randn_like(value)}

    def end_batch(self) -> None:
        with torch.no_grad():
            for mine, other in zip(self.target.parameters(), self.net.parameters(), strict=True):
                mine.lerp_(other, 0.1)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "target": self.target.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any], *flags: bool) -> None:
        super().load_state_dict(state_dict, *flags)
        self.target.load_state_dict(state_dict["target"])


class Collect(Callback):
    """Adds an episode before each update, drawn from a generator of its own and from numpy's global one."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program, self.episodes = program, 0

    def begin_training(self, bp_step: int) -> None:
        np.random.seed(5 + bp_step)  # as if something else drew here
        torch.manual_seed(5)
        if bp_step == 0:
            self.add()

    def begin_batch(self) -> None:
        self.add()

    def add(self) -> None:
        rng = self.program.generator
        rows = rng.standard_normal((9, 3)).astype(np.float32) + np.float32(np.random.normal())
        sequence = {"x": rows, "actions": rows[1:, :1], "rewards": rows[1:, 1]}
        self.program.table.add_sequence(self.episodes, sequence)
        self.episodes += 1

    def state_dict(self) -> dict[str, Any]:
        return {"episodes": self.episodes}

    def load_state_dict(self, state_dict: Mapping[str, Any], *flags: bool) -> None:
        self.episodes = state_dict["episodes"]


class Program:
    """All parts of the training, made anew."""

    def __init__(self, run_root: Path, hidden: int = 8, journal: bool = False) -> None:
        torch.manual_seed(1)
        net, target = (nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, 1)) for _ in range(2))
        self.run_root, self.generator = run_root, np.random.default_rng(2)
        spaces = MDPSpace(None, BoxSpace(np.float32, (1,)), DictSpace({"x": BoxSpace(np.float32, (3,))}))
        self.table = DictObsMemoryTable(spaces=spaces, maxlen=40)
        self.q, self.target, self.collect = QLoss(net), Target(net, target), Collect(self)
        self.restorees: list[Any] = [self.q, self.target, self.collect]
        self.memory: dict[str, Any] = {"replay": self.table}
        if journal:
            self.memory = {"replay": ReplayJournal(run_root / "replay", self.table)}

    def checkpointer(self, interval: int, **more: Any) -> Checkpointer:
        return Checkpointer(checkpoint_interval=interval, **self._kept(), **more)

    def loader(self, index: int | None = None, **more: Any) -> CheckpointLoader:
        return CheckpointLoader(checkpoint_index=index, **self._kept(), **more)

    def _kept(self) -> dict[str, Any]:
        return {
            "restorees": self.restorees,
            "run_root": self.run_root,
            "memory": self.memory,
            "generators": {"collect": self.generator},
        }

    def train(self, updates: int, *more: Callback) -> Trainer:
        callbacks = [*more, self.collect, self.target, self.q, BackPropStepsTerminator(updates)]
        trainer = Trainer(callbacks, MemoryLoader(self.table, 4, 1, "batch_size"))
        trainer.train()
        return trainer

    def result(self) -> dict[str, Any]:
        """Everything that could differ, to the last digit."""
        weights = [*self.q.net.parameters(), *self.target.target.parameters()]
        return {
            "weights": torch.cat([weight.detach().reshape(-1) for weight in weights]).tolist(),
            "lr": self.q.optimizer.param_groups[0]["lr"],
            "logs": [self.q.scalar_logs, self.target.windowed_means(), self.target.windowed_scalar_cumulative],
            "updates": self.q.updates,
            "draws": [self.generator.random(), np.random.random(), torch.rand(()).item()],
            "sample": self.table.sample(3, 1)["actions"].tolist(),
        }


def kill_in_the_middle_of_writing(times: int) -> None:
    """From now on the n-th file that is written aside is left half written, and the process is killed."""
    written = 0
    fdopen = os.fdopen

    def opened(descriptor: int, *how: Any, **more: Any) -> Any:
        nonlocal written
        written += 1
        if written == times:
            os.write(descriptor, b"half of a checkpoint")
            os.kill(os.getpid(), signal.SIGKILL)
        return fdopen(descriptor, *how, **more)

    os.fdopen = opened  # type: ignore[assignment]


if __name__ == "__main__":
    program = Program(Path(sys.argv[1]))
    kill_in_the_middle_of_writing(3)
    program.train(6, program.loader(), program.checkpointer(2))
