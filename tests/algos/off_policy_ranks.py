"""What `test_off_policy_ranks` runs once, as two MPI ranks: `python -m tests.algos.off_policy_ranks DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gridrl.algos.dqn import QLoss
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
