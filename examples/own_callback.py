"""A callback of one's own in an algorithm put together from its parts: PPO whose bonus for entropy fades.

python -m gridrl.run examples/own_callback.py:fading_ppo --env CartPole-v1 --ent_coef 0.0 0.05 --seeds 2
"""

import inspect

from gridrl import ExperimentGrid, ppo
from gridrl.algos.on_policy import OnPolicyRun, RolloutSource
from gridrl.algos.ppo import MinibatchUpdates, PolicyLoss
from gridrl.log.progress import read_progress
from gridrl.schedules import LinearSchedule
from gridrl.train.callback import Callback
from gridrl.train.losses import ValueLoss
from gridrl.train.trainer import Trainer


class Fade(Callback):
    """Lets a loss's coefficient fall to nothing over so many updates, and sums up what the loss did in an epoch."""

    def __init__(self, loss, coefficient, updates):
        super().__init__()
        self.loss, self.schedule = loss, LinearSchedule(coefficient, 0.0, updates)
        self.done, self.longest = 0, 0.0

    def begin_batch(self):
        self.loss.ent_coef = self.schedule.at(self.done)

    def end_batch(self):  # a hook may ask for what stands in the batch too: def end_batch(self, obs, adv)
        self.done += 1
        self.longest = max(self.longest, self.loss.grad_norm)

    def columns(self):
        longest, self.longest = self.longest, 0.0
        return {"EntCoef": self.loss.ent_coef, "MaxGradNorm": longest}

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state_dict, *parts):
        self.done = state_dict["done"]


class FadingUpdates(MinibatchUpdates):
    """PPO's passes over minibatches, and one callback and two columns more."""

    def __init__(self, run, policy, value, fade, **kwargs):
        super().__init__(run, policy, value, **kwargs)
        self.callbacks = [fade, *self.callbacks]
        self.fade = fade

    def columns(self, logp, logp_old):
        return {**super().columns(logp, logp_old), **self.fade.columns()}


def fading_ppo(env_fn, ent_coef=0.05, epochs=4, steps_per_epoch=1024, passes=4, seed=0, logger_kwargs=None):
    """Trains by PPO whose bonus for entropy falls to nothing in the course of the run.

    Args:
        env_fn: makes the environment.
        ent_coef: weight of the entropy at the start.
        epochs: rows of progress.txt.
        steps_per_epoch: environment steps per epoch.
        passes: over each rollout.
        seed: of everything random.
        logger_kwargs: where to log.
    """
    given = inspect.signature(ppo).bind(
        env_fn,
        seed=seed,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        train_pi_iters=passes,
        minibatch_size=64,
        ent_coef=ent_coef,
        target_kl=None,
        max_grad_norm=0.5,
        logger_kwargs=logger_kwargs or {},
    )
    given.apply_defaults()  # what the run does not say is as in ppo
    with OnPolicyRun("fading_ppo", given.arguments) as run:
        networks = run.networks
        policy = PolicyLoss(
            networks.evaluation, 0.2, ent_coef, None, name="policy", optimizer=networks.policy_adam, max_grad_norm=0.5
        )
        value = ValueLoss(networks.evaluation, name="value", optimizer=networks.value_adam, max_grad_norm=0.5)
        fade = Fade(policy, ent_coef, updates=epochs * passes * steps_per_epoch // 64)
        run.state.shared.update(policy=policy, value=value, fade=fade)  # what stands in checkpoints
        updates = FadingUpdates(run, policy, value, fade, passes=passes, minibatch_size=64)
        Trainer(updates.callbacks, RolloutSource(run, updates)).train()


if __name__ == "__main__":
    grid = ExperimentGrid(name="own_callback")
    grid.add("env_name", "CartPole-v1")
    grid.add("ent_coef", [0.05, 0.01], in_name=True)
    grid.add("seed", [0])
    result = grid.run(fading_ppo, data_dir="data")
    assert result.ok
    for run in result:
        columns = read_progress(run.run_dir / "progress.txt")
        print(run.name, columns["EntCoef"].round(4), columns["MaxGradNorm"].round(2))
        assert (columns["EntCoef"][1:] < columns["EntCoef"][:-1]).all()
