"""Vanilla policy gradient with a learned baseline (Sutton et al. 2000; Schulman et al. 2016 for the advantages)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gridrl.algos.on_policy import OnPolicyRun, RolloutSource
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.evaluation import Evaluation
from gridrl.ops.losses import policy_gradient
from gridrl.signature import grows
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback
from gridrl.train.losses import ValueLoss
from gridrl.train.trainer import Trainer


@grows("epochs")
def vpg(
    env_fn: Callable[[], Any],
    actor_critic: Callable[..., torch.nn.Module] = MLPActorCritic,
    ac_kwargs: dict[str, Any] = {},
    seed: int = 0,
    steps_per_epoch: int = 4000,
    epochs: int = 50,
    gamma: float = 0.99,
    pi_lr: float = 3e-4,
    vf_lr: float = 1e-3,
    train_v_iters: int = 80,
    lam: float = 0.97,
    max_ep_len: int | None = 1000,
    logger_kwargs: dict[str, Any] = {},
    save_freq: int = 10,
    *,
    num_envs: int = 1,
    ent_coef: float = 0.0,
    max_grad_norm: float | None = None,
    lr_schedule: str | Callable[[int], float] | None = None,
    normalize_obs: bool = False,
    normalize_reward: bool = False,
    device: str = "cpu",
    exact_resume: bool = False,
) -> None:
    """Trains a policy by the plain policy gradient.

    Each epoch collects a rollout, estimates advantages, takes one gradient step on `-mean(log pi(a|s) A)`, and fits a
    value function to the returns.

    Args:
        env_fn: makes one environment, `gridrl.envs.making.env_fn("CartPole-v1")` or any function without arguments.
        actor_critic: class of the networks, with the interface of MLPActorCritic.
        ac_kwargs: keyword arguments of actor_critic, such as hidden_sizes and activation.
        seed: of everything random; MPI rank r adds 10000 r.
        steps_per_epoch: environment steps per epoch, summed over environments and MPI ranks; of several environments,
            a step that only starts an episode again counts too.
        epochs: epochs to train, one row of progress.txt each; a finished run goes on when it is raised.
        gamma: discount per environment step, in [0, 1].
        pi_lr: learning rate of the policy's Adam.
        vf_lr: learning rate of the value function's Adam.
        train_v_iters: value updates per epoch.
        lam: lambda of generalised advantage estimation, in [0, 1].
        max_ep_len: steps after which an episode is cut, its last value being bootstrapped; None for the environment's
            own limit alone.
        logger_kwargs: keyword arguments of EpochLogger: output_dir, exp_name, log. A run whose directory holds a
            checkpoint goes on from it, and equals in the end one that was never interrupted.
        save_freq: epochs between two saved models and checkpoints; the last epoch is always saved.
        num_envs: environments per MPI rank, stepped together.
        ent_coef: weight of the policy's entropy in its objective.
        max_grad_norm: longest gradient of each network (L2 norm) that is left as it is; None for no limit.
        lr_schedule: None for constant learning rates, linear for a fall to 0 over all epochs (raising epochs later
            stretches the rest of it), or a function that gives a factor for each epoch.
        normalize_obs: whether observations are shifted and scaled by their running mean and deviation.
        normalize_reward: whether rewards are scaled by the running deviation of their discounted sum.
        device: where to learn, cpu or cuda; acting goes on on the CPU.
        exact_resume: whether environments whose state gridrl does not know are reset at every checkpoint, so that a
            resumed run equals an undisturbed one; for those that it knows, this holds anyway.

    Raises:
        BadValue: for values that are out of range or make no sense together; before anything is written.
        CheckpointError: if the directory's checkpoint belongs to another configuration.
    """
    arguments = dict(locals())
    with OnPolicyRun("vpg", arguments) as run:
        networks = run.networks
        policy = PolicyGradientLoss(
            networks.evaluation,
            ent_coef,
            name="policy",
            optimizer=networks.policy_adam,
            max_grad_norm=max_grad_norm,
            data_group="policy",
        )
        value = ValueLoss(
            networks.evaluation,
            name="value",
            optimizer=networks.value_adam,
            max_grad_norm=max_grad_norm,
            data_group="value",
        )
        run.state.shared.update(policy=policy, value=value)
        updates = VPGUpdates(run, [policy, value], train_v_iters)
        Trainer(updates.callbacks, RolloutSource(run, updates)).train()


class PolicyGradientLoss(LossCallback):
    """The loss whose gradient is the policy gradient, less a bonus for entropy."""

    def __init__(self, networks: Evaluation, ent_coef: float, **kwargs: Any) -> None:
        """Takes what evaluates the policy, the coefficient, and the keyword arguments of `LossCallback`."""
        super().__init__(**kwargs)
        self.networks = networks
        self.ent_coef = ent_coef

    def loss(self, obs: Tensor, action: Tensor, adv: Tensor) -> Tensor:
        """The loss on a rollout's observations, actions and advantages."""
        logp, entropy = self.networks.policy(obs, action, with_entropy=self.ent_coef != 0.0)
        loss = policy_gradient(logp, adv)
        return loss if entropy is None else loss - self.ent_coef * entropy


class VPGUpdates:
    """One update of the policy on the whole rollout, then the value function's."""

    data_groups: Mapping[str, Sequence[str]] = {"policy": ("obs", "action", "adv"), "value": ("obs", "ret")}

    def __init__(self, run: OnPolicyRun, callbacks: Sequence[Callback], value_iters: int) -> None:
        self.run, self.callbacks, self.value_iters = run, callbacks, value_iters

    def batches(self) -> Iterator[Mapping[str, Any]]:
        """See `Updates`."""
        rollout = self.run.tensors(self.run.storage.batch())
        rows = len(rollout["obs"])
        yield {"policy": rollout, "batch_size": rows}
        for _ in range(self.value_iters):
            yield {"value": rollout, "batch_size": rows}

    def policy_loss(self, logp: Tensor, logp_old: Tensor, adv: Tensor) -> Tensor:
        """See `Updates`."""
        return policy_gradient(logp, adv)

    def columns(self, logp: Tensor, logp_old: Tensor) -> dict[str, Any]:
        """No more than all algorithms log."""
        return {}
