"""An algorithm of one's own, put together from parts: soft Q-learning (Haarnoja et al. 2017) for discrete actions.

    python -m gridrl.run examples/own_algorithm.py:soft_q --env CartPole-v1 --temperature 0.3 1.0 --seeds 2

One network gives the value of each action. It acts by their softmax, so that nothing else explores, and learns from
replay. What is new is one loss and two short callbacks; memory, collector, loader, trainer, rows and launcher are
gridrl's.
"""

import torch
from torch.nn.functional import smooth_l1_loss

from gridrl import ExperimentGrid
from gridrl.collect.actors import MLPAgentProxy
from gridrl.collect.vector import VectorCollector
from gridrl.collect.vector_steps import VectorSteps
from gridrl.envs.making import make_vector
from gridrl.log.metrics import LoggingMixin
from gridrl.log.progress import read_progress
from gridrl.memory.builders import DictObsMemoryTable
from gridrl.memory.loader import MemoryLoader
from gridrl.memory.staging import Staging
from gridrl.memory.strategies import UniformSampleStrategy
from gridrl.nn.policies import MLPCategoricalActor
from gridrl.train.callback import Callback
from gridrl.train.control import BackPropStepsTerminator
from gridrl.train.logging import SinkLogger
from gridrl.train.loss import LossCallback
from gridrl.train.trainer import Trainer


class SoftQLoss(LossCallback):
    """How far Q(s, a) is from r + gamma V(s'), where V is the soft maximum of Q: what its softmax earns, and more.

    The network gives Q / temperature, which are the logits of the policy.
    """

    def __init__(self, target, temperature, gamma, **kwargs):
        super().__init__(**kwargs)
        self.target, self.temperature, self.gamma = target, temperature, gamma

    def loss(self, observation, actions, rewards, next_observation, masks):
        with torch.no_grad():
            value = self.temperature * self.target(next_observation["obs"]).logsumexp(1, keepdim=True)
            wanted = rewards + self.gamma * masks * value
        q = self.temperature * self.network(observation["obs"]).gather(1, actions)
        return smooth_l1_loss(q, wanted)


class Collect(LoggingMixin, Callback):
    """Steps the environments once before each update, with the newest policy, and notes the returns."""

    def __init__(self, collector, first):
        super().__init__()
        self.collector, self.first = collector, first

    def begin_training(self):
        self.note(self.collector.collect(self.first))

    def begin_batch(self):
        self.note(self.collector.step())

    def note(self, episodes):
        for episode in episodes:
            self.log_windowed_scalar("windowed[20]:EpRet", episode.ret)
        self.log_scalar("TotalEnvInteracts", self.collector.env_steps)


class Follow(Callback):
    """Draws one network slowly after another."""

    def __init__(self, network, target, rate):
        super().__init__()
        self.pairs, self.rate = list(zip(network.parameters(), target.parameters(), strict=True)), rate

    @torch.no_grad()
    def end_batch(self):
        for parameter, target in self.pairs:
            target.lerp_(parameter, self.rate)


def soft_q(env_fn, temperature=0.3, updates=1500, gamma=0.98, lr=2e-3, seed=0, logger_kwargs=None):
    """Learns by soft Q-learning.

    Args:
        env_fn: makes an environment with discrete actions.
        temperature: what a nat of entropy is worth, in units of reward.
        updates: how often to learn; four environments step once before each.
        gamma: discount per environment step.
        lr: learning rate of Adam.
        seed: of everything random.
        logger_kwargs: where to log.
    """
    torch.manual_seed(seed)
    env = make_vector(env_fn, num_envs=4)
    inputs, actions = env.single_observation_space.shape[0], int(env.single_action_space.n)
    policy, target = (MLPCategoricalActor(inputs, actions, (64, 64), torch.nn.ReLU) for _ in range(2))
    target.load_state_dict(policy.state_dict())

    table = DictObsMemoryTable(
        spaces=VectorSteps(env).spaces,
        use_terminal_column=True,  # a time limit is no death
        maxlen=20_000,
        sampler=UniformSampleStrategy(seed=seed),
    )
    staging = Staging(table, num_envs=4, steps=16)
    collector = VectorCollector(env, MLPAgentProxy(policy, seed=seed), staging, seed=seed)
    loader = MemoryLoader(table, rollout_count=128, rollout_length=1, size_key="batch_size")

    collect = Collect(collector, first=128)
    loss = SoftQLoss(
        target.net,
        temperature,
        gamma,
        name="q",
        network=policy.net,
        optimizer=torch.optim.Adam(policy.parameters(), lr=lr),
        max_grad_norm=10.0,
    )
    output_dir = (logger_kwargs or {}).get("output_dir", ".")
    rows = SinkLogger([collect, loss], log_interval=updates // 10, output_dir=output_dir)
    Trainer([collect, loss, Follow(policy, target, 0.01), rows, BackPropStepsTerminator(updates)], loader).train()
    collector.close()


if __name__ == "__main__":
    grid = ExperimentGrid(name="own_algorithm")
    grid.add("env_name", "CartPole-v1")
    grid.add("temperature", [0.3, 1.0], in_name=True)
    grid.add("seed", [0])
    result = grid.run(soft_q, data_dir="data")
    assert result.ok
    for run in result:
        returns = read_progress(run.run_dir / "progress.txt")["EpRet"]
        print(f"{run.name}: {returns[0]:.0f} at first, {returns[-1]:.0f} in the end")
        assert returns[-1] > 80 > 40 > returns[0]
