"""Prioritised replay by hand: episodes of a toy world, and a table that comes back to what was hard to predict."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch

from gridrl.memory.columns import Column, TagColumn, VirtualColumn
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.memory.storage import NextElementMapper, SyntheticDones
from gridrl.memory.strategies import FifoEjectionStrategy
from gridrl.memory.table import ArrayMemoryTable

GAMMA = 0.9

table = ArrayMemoryTable(
    columns=[
        Column("obs", (4,), np.float32),
        Column("actions", (), np.int64),
        Column("rewards", (), np.float32),
        TagColumn("episode", (), np.int64),
        VirtualColumn("next_obs", (4,), np.float32, "obs", NextElementMapper),
        VirtualColumn("masks", (), np.float32, "actions", SyntheticDones.as_mask),
    ],
    maxlen=2_000,
    sampler=PrioritisedSampleStrategy(alpha=0.6, beta=0.4, seed=1),
    ejector=FifoEjectionStrategy(),
)

# Random episodes of CartPole: all of them fall long before the time limit, so a mask of 0 is a death here.
env = gym.make("CartPole-v1")
rng = np.random.default_rng(0)
for identity in range(60):
    observations, actions, rewards = [env.reset(seed=identity)[0]], [], []
    over = False
    while not over:
        actions.append(int(rng.integers(2)))
        obs, reward, terminated, truncated, _ = env.step(actions[-1])
        observations.append(obs)
        rewards.append(float(reward))
        over = terminated or truncated
    table.add_sequence(identity, {"obs": observations, "actions": actions, "rewards": rewards, "episode": identity})
print(f"{table.size()} steps of {len(table.episodes)} episodes")

# The value of a random walk, by temporal differences; what it gets wrong is drawn more often.
torch.manual_seed(0)
value = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
optimizer = torch.optim.Adam(value.parameters(), lr=3e-3)
for _ in range(1000):
    batch = table.sample(count=64, sequence_length=1)
    with torch.no_grad():
        target = batch["rewards"] + GAMMA * batch["masks"] * value(batch["next_obs"])[:, 0]
    error = value(batch["obs"])[:, 0] - target
    loss = (batch["weight"] * error.square()).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    table.update_priorities(batch["index"], error.detach().abs())

# An episode is a view of the column: its first observation, and the last one that is acted upon.
episodes = table.storages["obs"]
with torch.no_grad():
    first, last = (
        value(torch.from_numpy(np.stack([episodes[identity][step] for identity in episodes]))).mean().item()
        for step in (0, -2)
    )
print(f"worth {first:.1f} at the start, {last:.1f} a step before the fall")
assert first > last + 2
