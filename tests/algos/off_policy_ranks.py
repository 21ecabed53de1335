"""What `test_off_policy_ranks` runs once, as two MPI ranks: `python -m tests.algos.off_policy_ranks DIRECTORY`."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

from gridrl.algos.dqn import QLoss
from gridrl.algos.off_policy import OffPolicyRun
from gridrl.log.current import CurrentRun, current_run, enter_run
from gridrl.nn.optimizers import FlatAdam
from gridrl.utils.mpi import proc_id
from tests.algos.off_policy_runs import train

DQN: dict[str, Any] = {
    "algorithm": "dqn",
    "env": "gridrl.envs.toy:GridrlSignpost-v0",
    "steps_per_epoch": 120,
    "updates_per_cycle": 3,
    "prioritised": True,
    "lr_schedule": None,
    "epsilon_steps": 200,
    "priority_beta_steps": 200,
    "num_envs": 2,
}

SAC: dict[str, Any] = {"epochs": 1, "steps_per_epoch": 200}


def stopped_in_the_midst(directory: Path) -> None:
    """Trains for one epoch, without and with a stop in the midst of it, for which one rank alone is asked."""
    train(directory / "whole", **SAC)
    collect = OffPolicyRun._collect

    def asked(run: OffPolicyRun, steps: int) -> None:
        collect(run, steps)
        if proc_id() == 1:
            current_run().ask_to_stop(signal.SIGTERM)

    OffPolicyRun._collect = asked  # type: ignore[method-assign]
    enter_run(CurrentRun())
    train(directory / "stopped", **SAC)
    if proc_id() == 0:
        found = [path.name for path in (directory / "stopped" / "checkpoints").glob("*.pt")]
        (directory / "when stopped").write_text(" ".join(found))
    OffPolicyRun._collect = collect  # type: ignore[method-assign]
    enter_run(CurrentRun())
    train(directory / "stopped", **SAC)


def main(directory: Path) -> None:
    """Trains without and with a pause; leaves each rank's parameters and targets."""
    parameters: list[list[float]] = []
    targets: list[float] = []
    loss = QLoss.loss

    def noted(self: QLoss, observation: Any, q_target: Any, actions: Any, weight: Any = None) -> Any:
        targets.extend(q_target.tolist())
        return loss(self, observation, q_target, actions, weight)

    QLoss.loss = noted  # type: ignore[method-assign]
    step = FlatAdam.step

    def stepped(self: FlatAdam) -> None:
        step(self)
        parameters.append(self.segment.param.tolist())

    FlatAdam.step = stepped  # type: ignore[method-assign]
    train(directory / "undisturbed", epochs=3, **DQN)
    found = {"parameters": parameters[-1], "targets": list(targets)}
    for epochs in (1, 3):
        train(directory / "continued", epochs=epochs, **DQN)
    (directory / f"found{proc_id()}.json").write_text(json.dumps(found))
    stopped_in_the_midst(directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
