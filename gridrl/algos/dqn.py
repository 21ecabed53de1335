"""Deep Q-learning (Mnih et al. 2015, https://doi.org/10.1038/nature14236), with what has been found to improve it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gridrl.algos.discrete import Priorities, learning_rate, make_discrete, with_streams
from gridrl.algos.off_policy import OffPolicyRun
from gridrl.algos.watching import Watch
from gridrl.log.metrics import LoggingMixin
from gridrl.memory.prioritised import PrioritisedSampleStrategy
from gridrl.nn.continuous import evaluate
from gridrl.nn.q_networks import Asked, MLPQNetwork
from gridrl.nn.targets import Following, target_of
from gridrl.ops.q_learning import double_value, greedy_value, taken, td_loss, td_target
from gridrl.ops.returns import discount, make_gamma_matrix, split_rollouts
from gridrl.schedules import LinearSchedule
from gridrl.signature import acts_in, grows
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback

__all__ = ["Priorities", "QLoss", "QTarget", "dqn"]


@grows("epochs")
@acts_in("Discrete")
def dqn(
    env_fn: Callable[[], Any],
    actor_critic: Callable[..., torch.nn.Module] = MLPQNetwork,
    ac_kwargs: dict[str, Any] = {},
    seed: int = 0,
    steps_per_epoch: int = 4000,
    epochs: int = 15,
    replay_size: int = 100_000,
    gamma: float = 0.99,
    polyak: float = 0.99,
    lr: float = 1e-3,
    batch_size: int = 128,
    start_steps: int = 1000,
    update_after: int = 1000,
    update_every: int = 128,
    num_test_episodes: int = 10,
    max_ep_len: int | None = 1000,
    logger_kwargs: dict[str, Any] = {},
    save_freq: int = 10,
    *,
    updates_per_cycle: int | None = 64,
    target_update_every: int = 1,
    double: bool = True,
    dueling: bool = True,
    n_step: int = 10,
    prioritised: bool = False,
    priority_alpha: float = 0.6,
    priority_beta: float = 0.4,
    priority_beta_steps: float = 1.0,
    epsilon_start: float = 1.0,
    epsilon_end: float = 0.05,
    epsilon_steps: float = 10_000,
    huber_delta: float | None = 1.0,
    max_grad_norm: float | None = 10.0,
    lr_schedule: str | Callable[[int], float] | None = "linear",
    num_envs: int = 1,
    device: str = "cpu",
    exact_resume: bool = False,
    save_replay: bool = True,
) -> None:
    """Trains a network of action values by deep Q-learning, and acts by its greatest value.

    The network is fitted to `r + gamma (1 - terminated) Q'(s', a')`, Q' being an older copy of it, for transitions
    drawn from a replay memory. `a'` is the best action by Q itself (double Q-learning), or by Q' (the original).

    Args:
        env_fn: makes one environment, `gridrl.envs.making.env_fn("CartPole-v1")` or any function without arguments.
        actor_critic: class of the network, with the interface of MLPQNetwork.
        ac_kwargs: keyword arguments of actor_critic, such as hidden_sizes and activation.
        seed: of everything random; MPI rank r adds 10000 r.
        steps_per_epoch: environment steps per epoch, as all numbers of steps here summed over environments and MPI
            ranks; of several environments, a step that only starts an episode again counts too.
        epochs: epochs to train, one row of progress.txt each; a finished run goes on when it is raised.
        replay_size: transitions that are remembered, over all ranks; the oldest leave.
        gamma: discount per environment step, in [0, 1].
        polyak: share of the old target network that stays when it is renewed, in [0, 1]; 0 makes it a copy.
        lr: learning rate of Adam.
        batch_size: transitions of an update, summed over MPI ranks.
        start_steps: steps at the start whose actions are drawn uniformly.
        update_after: steps that are collected before the first update.
        update_every: steps between two cycles of updates.
        num_test_episodes: greedy episodes after each epoch, in an environment of their own.
        max_ep_len: steps after which an episode is cut, its last value being bootstrapped; None for the environment's
            own limit alone.
        logger_kwargs: keyword arguments of EpochLogger: output_dir, exp_name, log. A run whose directory holds a
            checkpoint goes on from it, and equals in the end one that was never interrupted.
        save_freq: epochs between two saved models and checkpoints; the last epoch is always saved.
        updates_per_cycle: updates of each cycle; None for one per environment step.
        target_update_every: updates between two renewals of the target network.
        double: whether the network that learns chooses the action whose value the target network gives.
        dueling: whether a network that takes dueling, as ours does, learns a state's value and its actions' advantages
            in streams of their own; others are as they are.
        n_step: steps whose rewards are summed before the value that follows them is added; fewer where an episode
            ends.
        prioritised: whether transitions with a greater error are drawn more often.
        priority_alpha: exponent of the priorities, in [0, 1]; 0 draws uniformly.
        priority_beta: exponent of the importance weights at the start, in [0, 1]; it rises to 1.
        priority_beta_steps: steps until it is 1; up to 1, a share of all steps of the run.
        epsilon_start: share of random actions at the start, in [0, 1].
        epsilon_end: share of random actions in the end, in [0, 1].
        epsilon_steps: steps over which it falls in a straight line; up to 1, a share of all steps of the run (raising
            epochs later stretches it).
        huber_delta: errors beyond count linearly, with this slope, instead of squared; None for the squared error.
        max_grad_norm: longest gradient (L2 norm) that is left as it is; None for no limit.
        lr_schedule: None for a constant learning rate, linear for a fall to 0 over all epochs (raising epochs later
            stretches the rest of it), or a function that gives a factor for each epoch.
        num_envs: environments per MPI rank, stepped together.
        device: where to learn, cpu or cuda; acting goes on on the CPU.
        exact_resume: whether environments whose state gridrl does not know are reset at every checkpoint, so that a
            resumed run equals an undisturbed one; for those that it knows, this holds anyway.
        save_replay: whether checkpoints hold the replay, which takes disk; without it, a resumed run fills it anew.

    Raises:
        BadValue: for values that are out of range or make no sense together; before anything is written.
        CheckpointError: if the directory's checkpoint belongs to another configuration.
        NotFinite: the loss is NaN or infinite; the last checkpoint stands.
    """
    arguments = dict(locals())
    if dueling:
        arguments["ac_kwargs"] = with_streams(actor_critic, ac_kwargs)  # by which the network is made again later
    with OffPolicyRun("dqn", arguments, discrete=True) as run:
        epsilon = LinearSchedule(epsilon_start, epsilon_end, run.steps_of(epsilon_steps))
        nets = make_discrete(actor_critic, arguments["ac_kwargs"], run.worlds, epsilon, seed=seed, device=device, lr=lr)
        target = QTarget(
            q_net=nets.q, gamma=gamma, target_q_tau=1.0 - polyak, double=double, target_update_every=target_update_every
        )
        loss = QLoss(name="q", q=nets.q, opt=nets.adam, max_grad_norm=max_grad_norm, huber_delta=huber_delta)
        callbacks: list[Callback] = [target, loss, *learning_rate(nets.adam, lr_schedule, epochs, run)]
        sampler = PrioritisedSampleStrategy(priority_alpha, priority_beta) if prioritised else None
        replay = run.make_replay(sampler=sampler, n_step=n_step, gamma=gamma)
        if sampler is not None:
            beta = LinearSchedule(priority_beta, 1.0, run.steps_of(priority_beta_steps))
            callbacks.append(Priorities(loss.finite_errors, replay.table, sampler, beta, lambda: run.interactions))
        run.start(nets.module, nets.explorer, replay)
        columns = {"Epsilon": lambda: nets.explorer.epsilon}
        run.learn(callbacks, Watch(run.logger, {"QVals": lambda: loss.prediction}, {"LossQ": loss}, columns))


class QTarget(LoggingMixin, Callback):
    """Gives every batch its `q_target`, what the values should be, and keeps the target network that it asks.

    `sum_i gamma^i r_i + gamma^n (1 - terminated) max_a Q'(s', a)`: Mnih et al. 2015, algorithm 1; with `double` the
    action is chosen by the network that learns: van Hasselt et al. 2016, equation 4.
    """

    provides = ("q_target",)

    def __init__(
        self,
        *,
        q_net: nn.Module,
        target_q_net: nn.Module | None = None,
        gamma: float = 0.99,
        reward_scale: float = 1.0,
        target_q_tau: float = 0.005,
        data_group: str | None = "default",
        roll_length: int = 1,
        double: bool = False,
        target_update_every: int = 1,
    ) -> None:
        """Takes the networks: `q(obs)`, of a dict of observations `q(**obs)`, gives the values [B, A].

        Args:
            q_net: the network that learns.
            target_q_net: the one that is asked what follows is worth; None: a copy.
            gamma: discount per step.
            reward_scale: rewards are multiplied by it.
            target_q_tau: share of `q_net` that is mixed into the target network when it is renewed.
            data_group: the batch that is read and added to.
            roll_length: n, steps of the rollouts that a batch holds. No rollout runs past the end of an episode.
            double: whether `q_net` chooses the action whose value `target_q_net` gives.
            target_update_every: updates between two renewals.
        """
        super().__init__()
        self.q_net, self.data_group = q_net, data_group
        self.target_q_net = target_of(q_net)[0] if target_q_net is None else target_q_net
        self._following = Following(q_net, self.target_q_net)
        self._by_target, self._by_learner = Asked(self.target_q_net), Asked(q_net)
        self._gamma, self._scale, self._tau, self._double = gamma, reward_scale, target_q_tau, double
        self._length, self._every, self._updates = roll_length, target_update_every, 0
        device = next((parameter.device for parameter in q_net.parameters()), torch.device("cpu"))
        self._matrix = make_gamma_matrix(gamma, roll_length).to(device)
        self._newest: tuple[Tensor, Tensor] | None = None

    def begin_batch(
        self, next_observation: Any, rewards: Tensor, masks: Tensor, bootstrap_discount: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The targets of a batch, of the shape of its rewards.

        Args:
            next_observation: what followed, one row a rollout; where there is one for each step, the last counts.
            rewards: [B * n] or [B * n, 1].
            masks: 0 where the step ended with a death, else 1; same shape.
            bootstrap_discount: what the value that follows counts, [B], where rewards are of several steps already.
        """
        reward = rewards.detach() if self._scale == 1.0 else self._scale * rewards.detach()
        value = self._value(next_observation)
        if self._length == 1:
            factor = self._gamma if bootstrap_discount is None else bootstrap_discount
            target = td_target(reward.reshape(-1), value, masks.reshape(-1), factor)
        else:
            target = self._over_rollouts(reward.reshape(-1), value, masks.reshape(-1))
        self._newest = reward, target
        return {"q_target": target.view_as(rewards)}

    def _value(self, next_observation: Any) -> Tensor:
        """What observations are worth, [B]."""
        by_target = self._by_target(next_observation)
        if not self._double:
            return greedy_value(by_target)
        return double_value(by_target, self._by_learner(next_observation))

    def _over_rollouts(self, reward: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """The returns of all steps of rollouts, from what follows the last one."""
        rewards, masks = split_rollouts(reward, self._length), split_rollouts(mask, self._length)
        if len(value) == len(reward):
            value = split_rollouts(value, self._length)[:, -1]
        return discount(rewards, (value * masks[:, -1])[:, None], self._matrix)

    def end_batch(self) -> None:
        """Renews the target network, where it is time."""
        self._updates += 1
        if self._updates % self._every == 0:
            self._following.move(self._tau)

    def gather_logs(self) -> None:
        """Notes the newest batch's mean reward and target, just before the log is read."""
        super().gather_logs()
        if self._newest is not None:
            for name, tensor in zip(("scaled_reward", "q_target"), self._newest, strict=True):
                self.log_scalar(f"training/{name}", tensor.mean())

    def state_dict(self) -> dict[str, Any]:
        """The target network, the number of updates, and the log."""
        return {**super().state_dict(), "target_q_net": self.target_q_net.state_dict(), "updates": self._updates}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Takes up what `state_dict` gave."""
        if load_network:
            self.target_q_net.load_state_dict(state_dict["target_q_net"])
        if load_hparams:
            self._updates = int(state_dict["updates"])
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)


class QLoss(LossCallback):
    """Fits the values of the actions that were taken to `q_target`, which another callback gives.

    Attributes:
        prediction: the values in the last update, [B], without graph.
    """

    def __init__(
        self,
        *,
        name: str,
        q: nn.Module,
        opt: Any,
        lr_schedule: Any = None,
        max_grad_norm: float | None = 10.0,
        data_group: str | None = "default",
        log_per_param_weights: bool = False,
        log_per_param_grads: bool = False,
        huber_delta: float | None = None,
    ) -> None:
        """Takes the network: `q(obs)`, of a dict of observations `q(**obs)`, gives the values [B, A].

        Args:
            name: what logs and checkpoints call it.
            q: the network.
            opt: its optimiser.
            lr_schedule: of `opt`, see `LossCallback`.
            max_grad_norm: longest gradient (L2 norm) that is left as it is; None for no limit.
            data_group: the batch that is read.
            log_per_param_weights: whether loggers get a histogram of each parameter.
            log_per_param_grads: whether they get one of its gradient.
            huber_delta: errors beyond count linearly; None for the squared error.
        """
        super().__init__(
            lr_schedule,
            name=name,
            network=q,
            optimizer=opt,
            max_grad_norm=max_grad_norm,
            data_group=data_group,
            log_per_param_weights=log_per_param_weights,
            log_per_param_grads=log_per_param_grads,
        )
        self.q, self._huber_delta = q, huber_delta
        self.prediction, self._target = torch.zeros(0), torch.zeros(0)

    @property
    def td_error(self) -> Tensor:
        """How far the values were from their targets in the last update, [B]."""
        return self.prediction - self._target

    def finite_errors(self) -> Tensor:
        """`td_error`, looked at first: a priority has to be a number.

        Raises:
            NotFinite: see `check_finite`.
        """
        self.check_finite()
        return self.td_error

    def loss(self, observation: Any, q_target: Tensor, actions: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss on a batch.

        Args:
            observation: [B, D], or a dict of tensors.
            q_target: what the values should be, [B] or [B, 1].
            actions: indices of what was done, [B] or [B, 1], of any kind of number.
            weight: of each sample, [B], where they were not drawn alike.
        """
        index = actions if actions.ndim == 1 else actions.reshape(-1)
        value = taken(evaluate(self.q, observation), index.long())
        self.prediction, self._target = value.detach(), q_target.reshape(-1)
        return td_loss(value, self._target, weight, self._huber_delta)

    def gather_logs(self) -> None:
        """Notes the newest mean prediction too, just before the log is read."""
        super().gather_logs()
        if len(self.prediction):
            self.log_scalar(f"training/{self.name}_prediction", self.prediction.mean())
