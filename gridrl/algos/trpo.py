"""Trust-region policy optimisation (Schulman et al. 2015, https://arxiv.org/abs/1502.05477), natural policy gradient.

The natural policy gradient (Kakade 2001) is the same without a line search: it trusts the quadratic model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from gridrl.algos.assembly import Networks
from gridrl.algos.on_policy import OnPolicyRun, RolloutSource, mean_over_ranks
from gridrl.errors import BadValue, did_you_mean
from gridrl.nn.actor_critic import MLPActorCritic
from gridrl.nn.fisher import Neighbourhood
from gridrl.nn.natural_gradient import NaturalGradient
from gridrl.ops.curvature import Product
from gridrl.ops.losses import surrogate
from gridrl.ops.trust_region import backtrack
from gridrl.signature import grows
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback, average_gradient
from gridrl.train.losses import ValueLoss
from gridrl.train.trainer import Trainer


@grows("epochs")
def trpo(
    env_fn: Callable[[], Any],
    actor_critic: Callable[..., torch.nn.Module] = MLPActorCritic,
    ac_kwargs: dict[str, Any] = {},
    seed: int = 0,
    steps_per_epoch: int = 4000,
    epochs: int = 50,
    gamma: float = 0.99,
    delta: float = 0.01,
    vf_lr: float = 1e-3,
    train_v_iters: int = 80,
    damping_coeff: float = 0.1,
    cg_iters: int = 10,
    backtrack_iters: int = 10,
    backtrack_coeff: float = 0.8,
    lam: float = 0.97,
    max_ep_len: int | None = 1000,
    logger_kwargs: dict[str, Any] = {},
    save_freq: int = 10,
    algo: Literal["trpo", "npg"] = "trpo",
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
    """Trains a policy by trust-region policy optimisation, or by the natural policy gradient.

    Each epoch collects a rollout, estimates advantages, and takes one step that improves `mean(r A)`, r being the ratio
    of the action's probabilities under the new and the old policy, while the mean KL divergence from the old policy
    stays within delta; then it fits a value function to the returns.

    Args:
        env_fn: makes one environment, `gridrl.envs.making.env_fn("CartPole-v1")` or any function without arguments.
        actor_critic: class of the networks, with the interface of MLPActorCritic; its policy gives a Categorical or a
            Normal, or another distribution for which torch.distributions.kl_divergence is defined.
        ac_kwargs: keyword arguments of actor_critic, such as hidden_sizes and activation.
        seed: of everything random; MPI rank r adds 10000 r.
        steps_per_epoch: environment steps per epoch, summed over environments and MPI ranks; of several environments,
            a step that only starts an episode again counts too.
        epochs: epochs to train, one row of progress.txt each; a finished run goes on when it is raised.
        gamma: discount per environment step, in [0, 1].
        delta: how far the policy may move in an epoch, a mean KL divergence in nats.
        vf_lr: learning rate of the value function's Adam.
        train_v_iters: value updates per epoch; with minibatch_size, passes over the rollout.
        damping_coeff: what is added to the diagonal of the Fisher information; larger is more careful.
        cg_iters: conjugate gradient iterations per epoch, one Fisher-vector product each.
        backtrack_iters: how many lengths of the step are tried before the policy is left as it is.
        backtrack_coeff: each length is so much of the one before, in (0, 1).
        lam: lambda of generalised advantage estimation, in [0, 1].
        max_ep_len: steps after which an episode is cut, its last value being bootstrapped; None for the environment's
            own limit alone.
        logger_kwargs: keyword arguments of EpochLogger: output_dir, exp_name, log. A run whose directory holds a
            checkpoint goes on from it, and equals in the end one that was never interrupted.
        save_freq: epochs between two saved models and checkpoints; the last epoch is always saved.
        algo: trpo, or npg for the natural policy gradient, which takes the whole step whatever comes of it.
        num_envs: environments per MPI rank, stepped together.
        minibatch_size: None for value updates on the whole rollout at once; a number for shuffled minibatches of so
            many steps, summed over MPI ranks. The policy's step is always on the whole rollout.
        ent_coef: weight of the policy's entropy in its objective.
        max_grad_norm: longest gradient of the value function (L2 norm) that is left as it is; None for no limit.
        lr_schedule: None for a constant learning rate, linear for a fall to 0 over all epochs (raising epochs later
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
    if algo not in ("trpo", "npg"):
        raise BadValue(f"algo={algo!r}: 'trpo' or 'npg' is needed.{did_you_mean(str(algo), ['trpo', 'npg'])}")
    with OnPolicyRun("trpo", arguments) as run:
        networks = run.networks
        policy = TrustRegionStep(
            networks,
            ent_coef,
            backtrack_iters if algo == "trpo" else None,
            backtrack_coeff,
            name="policy",
            optimizer=NaturalGradient(networks.flat.segments[0], delta, damping_coeff, cg_iters),
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
        updates = TRPOUpdates(run, policy, value, train_v_iters, minibatch_size)
        Trainer(updates.callbacks, RolloutSource(run, updates)).train()


class TrustRegionStep(LossCallback):
    """Moves the policy along its natural gradient to the border of the trust region, or less far (appendix C).

    Attributes:
        kl: how far the last step went, the mean KL(old || new) over all ranks' rows in nats.
        shortened: how often it had to be shortened; all `backtrack_iters` times where the policy stayed as it was.
    """

    def __init__(
        self,
        networks: Networks,
        ent_coef: float,
        backtrack_iters: int | None,
        backtrack_coeff: float,
        *,
        optimizer: NaturalGradient,
        **kwargs: Any,
    ) -> None:
        """Takes the networks, the coefficients, and the keyword arguments of `LossCallback`.

        Args:
            networks: with the policy to move.
            ent_coef: weight of the entropy in the objective.
            backtrack_iters: lengths to try; None to take the whole step unseen.
            backtrack_coeff: what each length is of the one before.
            optimizer: finds the step.
            kwargs: for `LossCallback`.
        """
        super().__init__(optimizer=optimizer, **kwargs)
        self.networks = networks.evaluation
        self.ent_coef, self.backtrack_iters, self.backtrack_coeff = ent_coef, backtrack_iters, backtrack_coeff
        self.kl, self.shortened = 0.0, 0
        self._natural = optimizer
        module: Any = networks.module
        self._policy_parameters = [p for p in module.pi.parameters() if p.requires_grad]

    def loss(self, obs: Tensor, action: Tensor, logp: Tensor, adv: Tensor) -> Tensor:
        """The surrogate of a rollout (equation 14), less a bonus for entropy, to be minimised."""
        new_logp, entropy = self.networks.policy(obs, action, with_entropy=self.ent_coef != 0.0)
        loss = surrogate(new_logp, logp, adv)
        return loss if entropy is None else loss - self.ent_coef * entropy

    @Callback.takes_from("loss")
    def backward(self, obs: Tensor, action: Tensor, logp: Tensor, adv: Tensor) -> None:
        """Takes one step on a whole rollout."""
        around = Neighbourhood(lambda: self.networks.distribution(obs))
        param = self._natural.segment.param
        before = param.clone()
        self._natural.fisher = self._fisher_product(around, len(obs))
        super().backward(obs, action, logp, adv)
        self._natural.fisher = None  # lets go of its graph
        loss_before = self._loss_over_ranks(len(obs))

        def is_good(share: float) -> bool:
            torch.sub(before, self._natural.found, alpha=share, out=param)
            self.kl, loss = self._look(around, obs, action, logp, adv)
            return self.kl <= self._natural.delta and loss <= loss_before

        if self.backtrack_iters is None:
            is_good(1.0)
            return
        share, self.shortened = backtrack(is_good, self.backtrack_coeff, self.backtrack_iters)
        if share == 0.0:
            param.copy_(before)
            self.kl = 0.0

    def _fisher_product(self, around: Neighbourhood, rows: int) -> Product:
        """The Fisher information over all ranks' rows, one message for each product."""
        product = around.fisher_product(self._policy_parameters)
        if self._num_procs == 1:
            return product

        def over_ranks(v: Tensor) -> Tensor:
            message = torch.cat([product(v), v.new_empty(1)])
            average_gradient(message, rows)
            return message[:-1]

        return over_ranks

    def _loss_over_ranks(self, rows: int) -> float:
        assert self.loss_value is not None
        return mean_over_ranks([float(self.loss_value)], rows)[0]

    @torch.no_grad()
    def _look(self, around: Neighbourhood, obs: Tensor, *rest: Tensor) -> tuple[float, float]:
        """How far the policy is from where it was, and its loss, over all ranks' rows."""
        kl = around.kl(self.networks.distribution(obs))
        moved, loss = mean_over_ranks([float(kl), float(self.loss(obs, *rest))], len(obs))
        return moved, loss


class TRPOUpdates:
    """One step of the policy on the whole rollout, then the value function's updates."""

    data_groups: Mapping[str, Sequence[str]] = {"policy": ("obs", "action", "logp", "adv"), "value": ("obs", "ret")}

    def __init__(
        self, run: OnPolicyRun, policy: TrustRegionStep, value: ValueLoss, value_iters: int, minibatch_size: int | None
    ) -> None:
        self.run, self.policy = run, policy
        self.callbacks: Sequence[Callback] = [policy, value]
        self.value_iters = value_iters
        self.size = None if minibatch_size is None else run.share_of_rank(minibatch_size)

    def batches(self) -> Iterator[Mapping[str, Any]]:
        """See `Updates`."""
        rollout = self.run.tensors(self.run.storage.batch())
        rows = len(rollout["obs"])
        yield {"policy": rollout, "batch_size": rows}
        for _ in range(self.value_iters):
            if self.size is None:
                yield {"value": rollout, "batch_size": rows}
                continue
            for minibatch in self.run.storage.minibatches(self.size, self.run.rng):
                yield {"value": self.run.tensors(minibatch), "batch_size": len(minibatch["obs"])}

    def policy_loss(self, logp: Tensor, logp_old: Tensor, adv: Tensor) -> Tensor:
        """See `Updates`."""
        return surrogate(logp, logp_old, adv)

    def columns(self, logp: Tensor, logp_old: Tensor) -> dict[str, Any]:
        """How far the policy has moved, exactly, and how often its step was shortened."""
        kl = {"KL": self.policy.kl}
        return kl if self.policy.backtrack_iters is None else {**kl, "BacktrackIters": self.policy.shortened}
