"""Proximal policy optimisation with a clipped objective (Schulman et al. 2017, https://arxiv.org/abs/1707.06347)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gridrl.algos.on_policy import OnPolicyRun, RolloutSource, mean_over_ranks
from gridrl.errors import BadValue
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.evaluation import Evaluation
from gridrl.nn.flat import FlatParameters
from gridrl.ops.losses import approx_kl, clip_fraction, clipped_surrogate, mean_squared
from gridrl.signature import grows
from gridrl.train.callback import Callback
from gridrl.train.loss import JointLoss, LossCallback
from gridrl.train.losses import ValueLoss
from gridrl.train.trainer import Trainer

# Passes stop where the policy has moved further than this many times target_kl, as in Spinning Up.
_KL_MARGIN = 1.5


@grows("epochs")
def ppo(
    env_fn: Callable[[], Any],
    actor_critic: Callable[..., torch.nn.Module] = MLPActorCritic,
    ac_kwargs: dict[str, Any] = {},
    seed: int = 0,
    steps_per_epoch: int = 4000,
    epochs: int = 50,
    gamma: float = 0.99,
    clip_ratio: float = 0.2,
    pi_lr: float = 3e-4,
    vf_lr: float = 1e-3,
    train_pi_iters: int = 80,
    train_v_iters: int = 80,
    lam: float = 0.97,
    max_ep_len: int | None = 1000,
    target_kl: float | None = 0.01,
    logger_kwargs: dict[str, Any] = {},
    save_freq: int = 10,
    *,
    num_envs: int = 1,
    minibatch_size: int | None = None,
    ent_coef: float = 0.0,
    max_grad_norm: float | None = None,
    lr_schedule: str | Callable[[int], float] | None = None,
    normalize_obs: bool = False,
    normalize_reward: bool = False,
    device: str = "cpu",
    exact_resume: bool = False,
) -> None:
    """Trains a policy by proximal policy optimisation with a clipped objective.

    Each epoch collects a rollout, estimates advantages, and improves the policy by gradient steps on
    `-mean(min(r A, clip(r, 1 - clip_ratio, 1 + clip_ratio) A))`, r being the ratio of the action's probabilities under
    the new and the old policy; a value function is fitted to the returns beside it.

    Args:
        env_fn: makes one environment, `gridrl.envs.making.env_fn("CartPole-v1")` or any function without arguments.
        actor_critic: class of the networks, with the interface of MLPActorCritic.
        ac_kwargs: keyword arguments of actor_critic, such as hidden_sizes and activation.
        seed: of everything random; MPI rank r adds 10000 r.
        steps_per_epoch: environment steps per epoch, summed over environments and MPI ranks; of several environments,
            a step that only starts an episode again counts too.
        epochs: epochs to train, one row of progress.txt each; a finished run goes on when it is raised.
        gamma: discount per environment step, in [0, 1].
        clip_ratio: how far the probability ratio may move before its gradient is cut off, in (0, 1).
        pi_lr: learning rate of the policy's Adam.
        vf_lr: learning rate of the value function's Adam.
        train_pi_iters: policy updates per epoch at most; with minibatch_size, passes over the rollout.
        train_v_iters: value updates per epoch; not given with minibatch_size, where both networks step together.
        lam: lambda of generalised advantage estimation, in [0, 1].
        max_ep_len: steps after which an episode is cut, its last value being bootstrapped; None for the environment's
            own limit alone.
        target_kl: updates of an epoch stop when the mean KL divergence from the old policy exceeds 1.5 times this, in
            nats; None for no stop.
        logger_kwargs: keyword arguments of EpochLogger: output_dir, exp_name, log. A run whose directory holds a
            checkpoint goes on from it, and equals in the end one that was never interrupted.
        save_freq: epochs between two saved models and checkpoints; the last epoch is always saved.
        num_envs: environments per MPI rank, stepped together.
        minibatch_size: None for updates on the whole rollout at once; a number for shuffled minibatches of so many
            steps, summed over MPI ranks.
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
    if minibatch_size is not None and train_v_iters != 80:  # the default: it was given
        raise BadValue(
            "train_v_iters has no meaning with minibatch_size, where train_pi_iters counts passes in which both "
            "networks step together: leave one of the two out."
        )
    with OnPolicyRun("ppo", arguments) as run:
        networks = run.networks
        policy = PolicyLoss(
            networks.evaluation,
            clip_ratio,
            ent_coef,
            None if target_kl is None else _KL_MARGIN * target_kl,
            name="policy",
            optimizer=networks.policy_adam,
            max_grad_norm=max_grad_norm,
            data_group="policy",
        )
        adam = networks.value_adam
        value = ValueLoss(
            networks.evaluation, name="value", optimizer=adam, max_grad_norm=max_grad_norm, data_group="value"
        )
        run.state.shared.update(policy=policy, value=value)
        updates = (
            FullBatchUpdates(run, policy, value, train_pi_iters, train_v_iters)
            if minibatch_size is None
            else MinibatchUpdates(run, policy, value, train_pi_iters, minibatch_size)
        )
        Trainer(updates.callbacks, RolloutSource(run, updates)).train()


class PolicyLoss(LossCallback):
    """The clipped objective, to be minimised (equation 7), less a bonus for entropy (equation 9).

    Attributes:
        has_moved: whether the policy has moved further than `max_kl` from the one that acted; then it is left alone.
    """

    def __init__(
        self, networks: Evaluation, clip_ratio: float, ent_coef: float, max_kl: float | None, **kwargs: Any
    ) -> None:
        """Takes what evaluates the policy, the coefficients, and the keyword arguments of `LossCallback`."""
        super().__init__(**kwargs)
        self.networks = networks
        self.clip_ratio, self.ent_coef, self.max_kl = clip_ratio, ent_coef, max_kl
        self.has_moved = False

    def loss(self, obs: Tensor, action: Tensor, logp: Tensor, adv: Tensor) -> Tensor | None:
        """The loss on a whole rollout, None once the policy has moved too far."""
        new_logp, entropy = self.networks.policy(obs, action, with_entropy=self.ent_coef != 0.0)
        if self.max_kl is not None:
            kl = mean_over_ranks([float(approx_kl(new_logp.detach(), logp))], len(logp))[0]
            self.has_moved = kl > self.max_kl
        return None if self.has_moved else self.objective(new_logp, entropy, logp, adv)

    def objective(self, new_logp: Tensor, entropy: Tensor | None, logp: Tensor, adv: Tensor) -> Tensor:
        """The loss of new log-probabilities [B] beside old ones [B], a scalar."""
        surrogate = clipped_surrogate(new_logp, logp, adv, self.clip_ratio)
        return surrogate if entropy is None else surrogate - self.ent_coef * entropy


class PolicyAndValueLoss(JointLoss):
    """Both losses on a minibatch, whose networks are evaluated together."""

    def __init__(self, policy: PolicyLoss, value: ValueLoss, flat: FlatParameters) -> None:
        """Joins the losses of two networks whose parameters lie in `flat`."""
        super().__init__([policy, value], flat, data_group="minibatch")
        self.policy = policy

    def losses(self, obs: Tensor, action: Tensor, logp: Tensor, adv: Tensor, ret: Tensor) -> Sequence[Tensor]:
        """The policy's and the value function's loss."""
        with_entropy = self.policy.ent_coef != 0.0
        new_logp, entropy, value = self.policy.networks.both(obs, action, with_entropy)
        return self.policy.objective(new_logp, entropy, logp, adv), mean_squared(value, ret)


class PPOUpdates:
    """What both ways to learn from a rollout have in common."""

    def __init__(self, run: OnPolicyRun, policy: PolicyLoss, value: ValueLoss) -> None:
        self.run, self.policy, self.value = run, policy, value
        self.last_iter = 0

    def policy_loss(self, logp: Tensor, logp_old: Tensor, adv: Tensor) -> Tensor:
        """See `Updates`."""
        return clipped_surrogate(logp, logp_old, adv, self.policy.clip_ratio)

    def columns(self, logp: Tensor, logp_old: Tensor) -> dict[str, Any]:
        """The share of clipped probability ratios, and the policy iteration at which the epoch's updates ended."""
        return {"ClipFrac": clip_fraction(logp, logp_old, self.policy.clip_ratio), "StopIter": self.last_iter}


class FullBatchUpdates(PPOUpdates):
    """Updates on the whole rollout: first the policy's, until it has moved too far, then the value function's."""

    data_groups: Mapping[str, Sequence[str]] = {
        "policy": ("obs", "action", "logp", "adv"),
        "value": ("obs", "ret"),
    }

    def __init__(
        self, run: OnPolicyRun, policy: PolicyLoss, value: ValueLoss, policy_iters: int, value_iters: int
    ) -> None:
        super().__init__(run, policy, value)
        self.callbacks: Sequence[Callback] = [policy, value]
        self.policy_iters, self.value_iters = policy_iters, value_iters

    def batches(self) -> Iterator[Mapping[str, Any]]:
        """See `Updates`."""
        rollout = self.run.tensors(self.run.storage.batch())
        rows = len(rollout["obs"])
        for i in range(self.policy_iters):
            self.last_iter = i
            yield {"policy": rollout, "batch_size": rows}
            if self.policy.has_moved:
                break
        for _ in range(self.value_iters):
            yield {"value": rollout, "batch_size": rows}


class MinibatchUpdates(PPOUpdates):
    """Passes over shuffled minibatches, each of which steps both networks, until the policy has moved too far."""

    data_groups: Mapping[str, Sequence[str]] = {"minibatch": ("obs", "action", "logp", "adv", "ret")}

    def __init__(
        self, run: OnPolicyRun, policy: PolicyLoss, value: ValueLoss, passes: int, minibatch_size: int
    ) -> None:
        super().__init__(run, policy, value)
        self.callbacks: Sequence[Callback] = [PolicyAndValueLoss(policy, value, run.networks.flat)]
        self.passes, self.size = passes, run.share_of_rank(minibatch_size)

    def batches(self) -> Iterator[Mapping[str, Any]]:
        """See `Updates`."""
        for i in range(self.passes):
            self.last_iter = i
            for minibatch in self.run.storage.minibatches(self.size, self.run.rng):
                yield {"minibatch": self.run.tensors(minibatch), "batch_size": len(minibatch["obs"])}
            if self.policy.max_kl is not None and self.run.kl() > self.policy.max_kl:
                break
