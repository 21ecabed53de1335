"""Deep deterministic policy gradient (Lillicrap et al. 2016, https://arxiv.org/abs/1509.02971)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gridrl.algos.continuous import check_policy, make_continuous, q_columns
from gridrl.algos.critics import QLoss
from gridrl.algos.deterministic import DeterministicPolicyLoss, DeterministicTarget
from gridrl.algos.off_policy import OffPolicyRun
from gridrl.algos.watching import Watch
from gridrl.nn.continuous import DeterministicActorCritic, DeterministicHead
from gridrl.signature import acts_in, grows


@grows("epochs")
@acts_in("Box")
def ddpg(
    env_fn: Callable[[], Any],
    actor_critic: Callable[..., torch.nn.Module] = DeterministicActorCritic,
    ac_kwargs: dict[str, Any] = {},
    seed: int = 0,
    steps_per_epoch: int = 4000,
    epochs: int = 100,
    replay_size: int = 1_000_000,
    gamma: float = 0.99,
    polyak: float = 0.995,
    pi_lr: float = 1e-3,
    q_lr: float = 1e-3,
    batch_size: int = 100,
    start_steps: int = 10_000,
    update_after: int = 1000,
    update_every: int = 50,
    act_noise: float = 0.1,
    num_test_episodes: int = 10,
    max_ep_len: int | None = 1000,
    logger_kwargs: dict[str, Any] = {},
    save_freq: int = 1,
    *,
    num_envs: int = 1,
    updates_per_cycle: int | None = None,
    max_grad_norm: float | None = None,
    device: str = "cpu",
    exact_resume: bool = False,
    save_replay: bool = True,
) -> None:
    """Trains a deterministic policy by DDPG.

    A critic is fitted to `r + gamma (1 - terminated) Q'(s', pi'(s'))`, and the policy moved to greater `Q(s, pi(s))`;
    both targets follow at every update. Actions are counted in half the range of the Box: noise of 0.1 is a twentieth
    of the way from its lower bound to its upper one.

    Args:
        env_fn: makes one environment, `gridrl.envs.making.env_fn("Pendulum-v1")` or any function without arguments.
        actor_critic: class of the networks, with the interface of DeterministicActorCritic.
        ac_kwargs: keyword arguments of actor_critic, such as hidden_sizes and activation.
        seed: of everything random; MPI rank r adds 10000 r.
        steps_per_epoch: environment steps per epoch, as all numbers of steps here summed over environments and MPI
            ranks; of several environments, a step that only starts an episode again counts too.
        epochs: epochs to train, one row of progress.txt each; a finished run goes on when it is raised.
        replay_size: transitions that are remembered, over all ranks; the oldest leave.
        gamma: discount per environment step, in [0, 1].
        polyak: share of the old targets that each of their updates keeps, in [0, 1].
        pi_lr: learning rate of the policy's Adam.
        q_lr: learning rate of the critic's Adam.
        batch_size: transitions of an update, summed over MPI ranks.
        start_steps: steps at the start whose actions are drawn uniformly.
        update_after: steps that are collected before the first update.
        update_every: steps between two cycles of updates.
        act_noise: deviation of the noise that exploring actions get, in half the range of an action.
        num_test_episodes: episodes without noise after each epoch, in an environment of their own.
        max_ep_len: steps after which an episode is cut, its last value being bootstrapped; None for the environment's
            own limit alone.
        logger_kwargs: keyword arguments of EpochLogger: output_dir, exp_name, log. A run whose directory holds a
            checkpoint goes on from it, and equals in the end one that was never interrupted.
        save_freq: epochs between two saved models and checkpoints; the last epoch is always saved.
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
    with OffPolicyRun("ddpg", arguments) as run:
        head = DeterministicHead(run.worlds.action_dim, act_noise)
        nets = make_continuous(
            actor_critic, ac_kwargs, run.worlds, seed=seed, device=device, pi_lr=pi_lr, q_lr=q_lr, head=head
        )
        check_policy(nets, run.worlds, with_logp=False)
        columns = q_columns(nets, run.worlds)
        target = DeterministicTarget(nets.pi, nets.q, gamma=gamma, tau=1.0 - polyak)
        q_loss = QLoss(name="q", q=nets.q, opt=nets.q_adam, max_grad_norm=max_grad_norm)
        pi_loss = DeterministicPolicyLoss(
            nets.pi, nets.q, name="policy", optimizer=nets.pi_adam, max_grad_norm=max_grad_norm
        )
        run.start(nets.module, nets.explorer)
        watch = Watch(run.logger, q_loss.by_critic(columns), {"LossPi": pi_loss, "LossQ": q_loss})
        run.learn([target, q_loss, pi_loss], watch)
