"""Soft actor-critic (Haarnoja et al. 2018, https://arxiv.org/abs/1801.01290 and https://arxiv.org/abs/1812.05905)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.algos.continuous import check_policy, frozen, make_continuous, q_columns
from gridrl.algos.critics import QLoss
from gridrl.algos.off_policy import OffPolicyRun
from gridrl.algos.temperature import AlphaLoss, Temperature, TemperatureLoss
from gridrl.algos.watching import Watch
from gridrl.log.metrics import LoggingMixin
from gridrl.nn.continuous import SquashedActorCritic, critic_values, evaluate
from gridrl.nn.targets import Following, soft_update_from_to, target_of
from gridrl.ops.returns import discount, make_gamma_matrix, split_rollouts
from gridrl.signature import acts_in, grows
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback

__all__ = ["AlphaLoss", "PolicyLoss", "QLoss", "QTarget", "sac", "soft_update_from_to"]


_LOGGED = ("next_logp_pi", "min_next_q_target", "scaled_reward", "q_target")


@grows("epochs")
@acts_in("Box")
def sac(
    env_fn: Callable[[], Any],
    actor_critic: Callable[..., torch.nn.Module] = SquashedActorCritic,
    ac_kwargs: dict[str, Any] = {},
    seed: int = 0,
    steps_per_epoch: int = 4000,
    epochs: int = 100,
    replay_size: int = 1_000_000,
    gamma: float = 0.99,
    polyak: float = 0.995,
    lr: float = 1e-3,
    alpha: float = 0.2,
    batch_size: int = 100,
    start_steps: int = 10_000,
    update_after: int = 1000,
    update_every: int = 50,
    num_test_episodes: int = 10,
    max_ep_len: int | None = 1000,
    logger_kwargs: dict[str, Any] = {},
    save_freq: int = 1,
    *,
    adaptive_temperature: bool = False,
    target_entropy: float | None = None,
    alpha_lr: float | None = None,
    num_envs: int = 1,
    updates_per_cycle: int | None = None,
    max_grad_norm: float | None = None,
    device: str = "cpu",
    exact_resume: bool = False,
    save_replay: bool = True,
) -> None:
    """Trains a stochastic policy by soft actor-critic.

    Two critics are fitted to `r + gamma (1 - terminated) (min_i Q'_i(s', a') - alpha log pi(a'|s'))`, a' being drawn
    from the policy and Q' following Q; the policy is moved to greater `min_i Q_i(s, a) - alpha log pi(a|s)`. The
    temperature alpha is fixed, or learned so that the policy keeps an entropy.

    Args:
        env_fn: makes one environment, `gridrl.envs.making.env_fn("Pendulum-v1")` or any function without arguments.
        actor_critic: class of the networks, with the interface of SquashedActorCritic.
        ac_kwargs: keyword arguments of actor_critic, such as hidden_sizes and activation.
        seed: of everything random; MPI rank r adds 10000 r.
        steps_per_epoch: environment steps per epoch, as all numbers of steps here summed over environments and MPI
            ranks; of several environments, a step that only starts an episode again counts too.
        epochs: epochs to train, one row of progress.txt each; a finished run goes on when it is raised.
        replay_size: transitions that are remembered, over all ranks; the oldest leave.
        gamma: discount per environment step, in [0, 1].
        polyak: share of the old target critics that each update keeps, in [0, 1].
        lr: learning rate of the policy's and the critics' Adam.
        alpha: temperature, the weight of the entropy beside the reward; where it is learned, what it starts from.
        batch_size: transitions of an update, summed over MPI ranks.
        start_steps: steps at the start whose actions are drawn uniformly.
        update_after: steps that are collected before the first update.
        update_every: steps between two cycles of updates.
        num_test_episodes: episodes without chance after each epoch, in an environment of their own.
        max_ep_len: steps after which an episode is cut, its last value being bootstrapped; None for the environment's
            own limit alone.
        logger_kwargs: keyword arguments of EpochLogger: output_dir, exp_name, log. A run whose directory holds a
            checkpoint goes on from it, and equals in the end one that was never interrupted.
        save_freq: epochs between two saved models and checkpoints; the last epoch is always saved.
        adaptive_temperature: whether alpha is learned.
        target_entropy: entropy in nats that alpha is learned for; None for the number of action dimensions, negated.
        alpha_lr: learning rate of alpha's Adam; None for lr.
        num_envs: environments per MPI rank, stepped together.
        updates_per_cycle: updates of each cycle; None for one per environment step.
        max_grad_norm: longest gradient of each network (L2 norm) that is left as it is; None for no limit.
        device: where to learn, cpu or cuda; acting goes on on the CPU.
        exact_resume: whether environments whose state gridrl does not know are reset at every checkpoint, so that a
            resumed run equals an undisturbed one; for those that it knows, this holds anyway.
        save_replay: whether checkpoints hold the replay, which takes disk; without it, a resumed run fills it anew.

    Raises:
        BadValue: for values that are out of range or make no sense together; before anything is written.
        CheckpointError: if the directory's checkpoint belongs to another configuration.
        NotFinite: a loss is NaN or infinite; the last checkpoint stands.
    """
    arguments = dict(locals())
    with OffPolicyRun("sac", arguments) as run:
        nets = make_continuous(actor_critic, ac_kwargs, run.worlds, seed=seed, device=device, pi_lr=lr, q_lr=lr)
        check_policy(nets, run.worlds, with_logp=True)
        temperature = Temperature(alpha).to(device)
        ln_alpha = temperature.ln_alpha
        target = QTarget(pi=nets.pi, ln_alpha=ln_alpha, q1=nets.q, gamma=gamma, target_q_tau=1.0 - polyak)
        q_loss = QLoss(name="q", q=nets.q, opt=nets.q_adam, max_grad_norm=max_grad_norm)
        pi_loss = PolicyLoss(pi=nets.pi, ln_alpha=ln_alpha, q=nets.q, opt=nets.pi_adam, max_grad_norm=max_grad_norm)
        callbacks: list[Callback] = [target, q_loss, pi_loss]
        values = {**q_loss.by_critic(q_columns(nets, run.worlds)), "LogPi": lambda: pi_loss.logp}
        losses: dict[str, LossCallback] = {"LossPi": pi_loss, "LossQ": q_loss}
        if adaptive_temperature:
            losses["LossAlpha"] = alpha_loss = TemperatureLoss(
                temperature,
                lambda: pi_loss.logp,
                lr=lr if alpha_lr is None else alpha_lr,
                pi=nets.pi,
                n_actions=run.worlds.action_dim,
                t_entropy=target_entropy,
                max_grad_norm=max_grad_norm,
            )
            callbacks.append(alpha_loss)
        run.start(nets.module, nets.explorer)
        now = {"Alpha": temperature.value} if adaptive_temperature else {}
        run.learn(callbacks, Watch(run.logger, values, losses, now))


class QTarget(LoggingMixin, Callback):
    """Gives every batch its `q_target`, what the critics should say, and keeps the target critics that it asks.

    `sum_i gamma^i r_i + gamma^n (1 - terminated) (min_k Q'_k(s', a') - alpha log pi(a'|s'))`, a' drawn from the policy
    (equation 3 of the first paper, with the two critics of the second).

    Loggers find the means of the newest batch: `training/next_logp_pi`, `training/min_next_q_target`,
    `training/scaled_reward` and `training/q_target`.
    """

    provides = ("q_target",)

    def __init__(
        self,
        *,
        pi: nn.Module,
        ln_alpha: Tensor,
        q1: nn.Module,
        q2: nn.Module | None = None,
        q1t: nn.Module | None = None,
        q2t: nn.Module | None = None,
        gamma: float = 0.99,
        reward_scale: float = 1.0,
        target_q_tau: float = 0.005,
        data_group: str = "default",
        roll_length: int = 1,
        use_terminal_masking: bool = True,
    ) -> None:
        """Takes the networks; see `gridrl.nn.continuous.evaluate` for how they are called.

        Args:
            pi: gives actions [B, A] and their log-probabilities [B] or [B, 1].
            ln_alpha: natural logarithm of the temperature, one number; the newest value counts at each batch.
            q1: gives the values of actions, [B], [B, 1] or, of K critics at once, [K, B].
            q2: a second one, if `q1` is not already several.
            q1t: target of `q1`; None: a copy.
            q2t: target of `q2`; None: a copy.
            gamma: discount per step.
            reward_scale: rewards are multiplied by it.
            target_q_tau: share of the newest critics that each update mixes into their targets.
            data_group: the batch that is read and added to.
            roll_length: n, steps of the rollouts that a batch holds; `next_observation` has one row for each.
            use_terminal_masking: whether nothing is expected to come after a death. False bootstraps through deaths.
        """
        super().__init__()
        self.pi, self.ln_alpha, self.data_group = pi, ln_alpha, data_group
        self.targets = nn.ModuleList(
            target_of(q)[0] if target is None else target for q, target in ((q1, q1t), (q2, q2t)) if q is not None
        )
        self._following = [Following(q, t) for q, t in zip((q1, q2), self.targets, strict=False) if q is not None]
        self._gamma, self._scale, self._tau = gamma, reward_scale, target_q_tau
        self._length, self._masks = roll_length, use_terminal_masking
        self._matrix = make_gamma_matrix(gamma, roll_length).to(ln_alpha.device)
        self._newest: tuple[Tensor, ...] = ()

    @torch.no_grad()
    def begin_batch(self, next_observation: Any, rewards: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """The targets of a batch, of the shape of its rewards.

        Args:
            next_observation: what followed, one row a rollout.
            rewards: [B * n] or [B * n, 1].
            masks: 0 where the step ended with a death, else 1; same shape.
        """
        action, logp = evaluate(self.pi, next_observation)
        logp = logp.reshape(-1)
        least = torch.cat([critic_values(q, action, next_observation) for q in self.targets]).amin(0)
        value = least - self.ln_alpha.exp() * logp
        if self._masks:
            value *= split_rollouts(masks.reshape(-1), self._length)[:, -1]
        reward = rewards if self._scale == 1.0 else self._scale * rewards
        if self._length == 1:
            q_target = reward + self._gamma * value.view_as(reward)
        else:
            rollouts = split_rollouts(reward.reshape(-1), self._length)
            q_target = discount(rollouts, value[:, None], self._matrix).view_as(reward)
        self._newest = (logp, least, reward, q_target)
        return {"q_target": q_target}

    def gather_logs(self) -> None:
        """Notes the newest batch, just before the log is read."""
        super().gather_logs()
        for name, value in zip(_LOGGED, self._newest, strict=False):
            self.log_scalar(f"training/{name}", value.mean())

    def end_batch(self) -> None:
        """Moves the target critics."""
        for following in self._following:
            following.move(self._tau)

    def state_dict(self) -> dict[str, Any]:
        """The target critics, and the log."""
        return {**super().state_dict(), "targets": self.targets.state_dict()}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)
        if load_network:
            self.targets.load_state_dict(state_dict["targets"])


class PolicyLoss(LossCallback):
    """Moves the policy to actions of greater soft value: the mean of `alpha log pi(a|s) - min_k Q_k(s, a)`.

    Attributes:
        logp: log-probabilities [B] of the last update's actions, without graph.
    """

    def __init__(
        self,
        *,
        pi: nn.Module,
        ln_alpha: Tensor,
        q: nn.Module,
        opt: Any,
        lr_schedule: Any = None,
        q2: nn.Module | None = None,
        max_grad_norm: float | None = 10.0,
        name: str = "policy",
        data_group: str = "default",
        log_per_param_weights: bool = False,
        log_per_param_grads: bool = False,
    ) -> None:
        """Takes the networks.

        Args:
            pi: gives actions [B, A] and their log-probabilities [B] or [B, 1].
            ln_alpha: natural logarithm of the temperature.
            q: gives the values of actions, [B], [B, 1] or, of K critics at once, [K, B].
            opt: of `pi`.
            lr_schedule: of `opt`.
            q2: a second one.
            max_grad_norm: see `LossCallback`, as what follows.
        """
        super().__init__(
            lr_schedule,
            name=name,
            network=pi,
            optimizer=opt,
            max_grad_norm=max_grad_norm,
            data_group=data_group,
            log_per_param_weights=log_per_param_weights,
            log_per_param_grads=log_per_param_grads,
        )
        self.pi, self.ln_alpha = pi, ln_alpha
        self._critics = [critic for critic in (q, q2) if critic is not None]
        self.logp = torch.zeros(0)

    def loss(self, observation: Any) -> Tensor:
        """The loss on a batch of observations; the critics are constants in it."""
        action, logp = evaluate(self.pi, observation)
        logp = logp.reshape(-1)
        self.logp = logp.detach()
        with frozen(*self._critics):
            value = torch.cat([critic_values(q, action, observation) for q in self._critics]).amin(0)
        soft: Tensor = self.ln_alpha.detach().exp() * logp - value
        return soft.mean()
