"""Anything that can be pickled is a thunk: here a closure over an array, with a class of this script as a value."""

from dataclasses import dataclass

import numpy as np

from gridrl import EpochLogger, ExperimentGrid

targets = np.linspace(-1, 1, 100_000)  # travels to every run inside the closure


@dataclass(frozen=True)
class Momentum:
    """A value of the grid: how a step is made. A dataclass has a text that is the same in every process."""

    beta: float

    def step(self, velocity, gradient):
        return self.beta * velocity + gradient


def descend(lr, momentum, seed, logger_kwargs):
    """Fits one number to the targets by noisy gradient steps."""
    rng = np.random.default_rng(seed)
    guess, velocity = 5.0, 0.0
    with EpochLogger(**logger_kwargs) as logger:
        for epoch in range(5):
            for _ in range(20):
                gradient = guess - rng.choice(targets)
                velocity = momentum.step(velocity, gradient)
                guess -= lr * velocity
                logger.store(Error=abs(guess))
            logger.log_tabular("Epoch", epoch)
            logger.log_tabular("Error", average_only=True)
            logger.dump_tabular()


grid = ExperimentGrid(name="descend")
grid.add("lr", [0.01, 0.1])
grid.add("momentum", [Momentum(0.0), Momentum(0.9)], in_name=True)
grid.add("seed", [0, 1])
assert grid.run(descend, data_dir="data").ok
