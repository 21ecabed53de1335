"""A module of your own inside the networks of `ppo`, as a value of the grid."""

import torch

import gridrl
from gridrl.nn.actor_critic import MLPActorCritic


class Residual(torch.nn.Module):
    """Adds its input to its output, so that depth costs little at the start of training."""

    def __init__(self):
        super().__init__()

    def forward(self, x):
        return x + torch.tanh(x)


grid = gridrl.ExperimentGrid(name="own_network")
grid.add("env_name", "CartPole-v1")
grid.add("actor_critic", MLPActorCritic)
grid.add("ac_kwargs:activation", [torch.nn.Tanh, Residual], "act")
grid.add("seed", 0)
grid.add("steps_per_epoch", 500)
grid.add("epochs", 2)
assert grid.run(gridrl.ppo, data_dir="data").ok
