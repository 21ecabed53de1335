"""Two network sizes with two seeds each, trained side by side; then the curve and the policy of the best run."""

import torch

import gridrl

grid = gridrl.ExperimentGrid(name="ppo_grid")
grid.add("env_name", "CartPole-v1")
grid.add("seed", [0, 1])
grid.add("ac_kwargs:hidden_sizes", [[32], [64, 64]], "hid")
grid.add("ac_kwargs:activation", torch.nn.Tanh)
grid.add("steps_per_epoch", 1000)
grid.add("epochs", 3)
grid.add("minibatch_size", 64)
grid.add("train_pi_iters", 10)
result = grid.run(gridrl.ppo, data_dir="data")

for run in result:
    print(f"{run.name} seed {run.seed}: {run.state}, {run.run_dir}")
assert result.ok

gridrl.plot(["data/ppo_grid"], save=["data/ppo_grid.png"])

policy = gridrl.load(result.runs[0].run_dir)
env = policy.make_env()
observation, _ = env.reset(seed=0)
total, done = 0.0, False
while not done:
    observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
    total, done = total + float(reward), terminated or truncated
print(f"one greedy episode: {total:.0f}")
