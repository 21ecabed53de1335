"""The outer loop that on-policy algorithms share: epochs of rollouts, rows, models and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from gridrl.algos.assembly import Factor, local_steps, lr_factor, make_networks
from gridrl.algos.ranges import check_arguments
from gridrl.algos.saving import TrainingState, identity_of
from gridrl.collect.rollout import RolloutCollector
from gridrl.envs.stepping import Worlds, make_worlds
from gridrl.envs.wrappers import RewardNormalizer, RunningNormalizer
from gridrl.log.current import current_run
from gridrl.log.logger import EpochLogger
from gridrl.memory.rollout import RolloutStorage
from gridrl.ops.losses import approx_kl, approx_kl_k3, mean_squared
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback
from gridrl.utils.mpi import gather_objects, mpi_sum, num_procs, proc_id
from gridrl.utils.seeding import generator, rank_seed, seed_all
from gridrl.utils.torch_mpi import setup_pytorch_for_mpi

# What may change when a run goes on from its checkpoint.
_FREE = ("epochs", "logger_kwargs", "save_freq", "device", "exact_resume")


@dataclass(frozen=True)
class OnPolicySettings:
    """The hyperparameters that all on-policy algorithms have; their meanings stand in `gridrl.algos.ppo.ppo`."""

    env_fn: Callable[[], Any]
    actor_critic: Callable[..., torch.nn.Module]
    ac_kwargs: Mapping[str, Any]
    seed: int
    steps_per_epoch: int
    epochs: int
    gamma: float
    vf_lr: float
    lam: float
    max_ep_len: int | None
    logger_kwargs: Mapping[str, Any]
    save_freq: int
    num_envs: int
    lr_schedule: str | Factor | None
    normalize_obs: bool
    normalize_reward: bool
    device: str
    exact_resume: bool
    pi_lr: float = 0.0  # of policies that Adam moves

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> OnPolicySettings:
        """Picks them out of an algorithm's arguments."""
        return cls(**{field.name: arguments[field.name] for field in fields(cls) if field.name in arguments})


class Updates(Protocol):
    """How an algorithm learns from one rollout.

    Attributes:
        callbacks: what the trainer calls for each batch.
        data_groups: group -> names of its tensors.
    """

    callbacks: Sequence[Callback]
    data_groups: Mapping[str, Sequence[str]]

    def batches(self) -> Iterator[Mapping[str, Any]]:
        """The batches to learn from, in order."""
        ...

    def policy_loss(self, logp: Tensor, logp_old: Tensor, adv: Tensor) -> Tensor:
        """The policy's loss on the whole rollout, for the log."""
        ...

    def columns(self, logp: Tensor, logp_old: Tensor) -> dict[str, Any]:
        """More columns for the log, after the updates."""
        ...


class OnPolicyRun:
    """Worlds, networks, a collector and a logger, and what happens to them once per epoch.

    Attributes:
        settings: the run's hyperparameters.
        networks: the policy and the value function.
        storage: the newest rollout.
        logger: of this run.
        rng: what minibatches are shuffled by; differs between ranks.
        state: what stands in checkpoints; losses are to be added to `state.shared` before the first epoch.
    """

    def __init__(self, algorithm: str, arguments: Mapping[str, Any]) -> None:
        """Makes everything, and the run's directory last.

        Args:
            algorithm: its name.
            arguments: all of its arguments; they stand in `config.json`.

        Raises:
            BadValue: for what is not supported, or makes no sense together.
        """
        check_arguments(arguments)
        self.settings = given = OnPolicySettings.of(arguments)
        setup_pytorch_for_mpi()
        self._ranks = num_procs()
        seed = rank_seed(given.seed, proc_id())
        seed_all(seed, with_torch=True)
        worlds = make_worlds(given.env_fn, given.num_envs, max_ep_len=given.max_ep_len)
        self.networks = make_networks(
            given.actor_critic,
            given.ac_kwargs,
            worlds.observation.space,
            worlds.action_space,
            seed=given.seed,
            device=given.device,
            pi_lr=given.pi_lr,
            vf_lr=given.vf_lr,
        )
        self._lr_factor = lr_factor(given.lr_schedule, given.epochs)
        noise, self.rng = generator(seed, "noise"), generator(seed, "shuffle")
        own: dict[str, Any] = {}
        if given.normalize_obs:
            own["obs_normalizer"] = RunningNormalizer((worlds.observation.dim,))
        if given.normalize_reward:
            own["reward_normalizer"] = RewardNormalizer(given.num_envs, given.gamma)
        self._collector = _collector(given, worlds, self.networks.actor, noise, self._ranks, own)
        self.storage = self._collector.storage
        worlds.reset(seed)
        self.logger = EpochLogger(**given.logger_kwargs)
        self.logger.save_config(arguments)
        normalizer = {"obs_normalizer": own["obs_normalizer"]} if "obs_normalizer" in own else {}
        self.logger.setup_pytorch_saver({"actor_critic": self.networks.module, **normalizer})
        is_known = all(gather_objects(worlds.get_state() is not None))
        resets = given.exact_resume and not is_known
        current_run().note_resume(None if is_known or resets else "inexact")
        self.state = TrainingState(
            identity=identity_of(algorithm, arguments, worlds, self._ranks, _FREE)
            | ({"exact_resume": True, "save_freq": given.save_freq} if resets else {}),
            logger=self.logger,
            worlds=worlds,
            generators={"noise": noise, "shuffle": self.rng},
            shared={"networks": self.networks.module},
            own=own,
            resets_from=seed if resets else None,
        )
        self._on_cpu = self.networks.flat.param.device.type == "cpu"
        self._elapsed_before, self._started = 0.0, time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.state.worlds.close()
        self.logger.close()

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs that are still to do, after the newest checkpoint was taken up.

        Each time the caller comes back, the epoch is over: its row is written, and what `save_freq` asks for is saved.
        """
        first, self._elapsed_before = self.state.restore()
        total = self.settings.epochs
        self._tell_rounding()
        if first:
            done = f"{self.logger.output_dir}: {first} epochs are done"
            self.logger.log(f"{done}, going on to {total}." if first < total else f"{done}, nothing is left to do.")
        self._started = time.perf_counter()
        saved = first
        for epoch in range(first, total):
            if current_run().should_stop():
                self._make_room(epoch, saved)
                return
            self._set_learning_rates(epoch)
            yield epoch
            self.logger.dump_tabular()
            if epoch % self.settings.save_freq == 0 or epoch == total - 1:
                self._save(epoch + 1)
                saved = epoch + 1

    def _save(self, epochs_done: int) -> None:
        # losses are looked at before anything is written; then the model, since what the last checkpoint says is done
        # is not done again
        for part in self.state.shared.values():
            if isinstance(part, LossCallback):
                part.check_finite()
        self.logger.save_state({"epoch": epochs_done - 1})
        self.state.save(epochs_done, self._elapsed())

    def _make_room(self, epochs_done: int, saved: int) -> None:
        """The run was asked to stop: what has been done since the last checkpoint is saved.

        Where checkpoints begin new episodes, one out of turn would make the run another one.
        """
        if epochs_done > saved and self.state.resets_from is None:
            self._save(epochs_done)
            saved = epochs_done
        stopped = f"Asked to stop after {epochs_done} epochs"
        self.logger.log(f"{stopped}; the same command goes on after epoch {saved}.", "yellow")

    def _tell_rounding(self) -> None:
        asked, done = self.settings.steps_per_epoch, self._steps_per_epoch
        if asked != done:
            self.logger.log(
                f"steps_per_epoch={asked} is no multiple of {self._ranks} rank(s) x {self.storage.num_envs} "
                f"environment(s): an epoch has {done} steps.",
                color="yellow",
            )

    @property
    def _steps_per_epoch(self) -> int:
        return self.storage.num_steps * self.storage.num_envs * self._ranks

    def collect(self) -> None:
        """Fills the storage with a rollout of the newest policy, and notes its episodes and values for the log."""
        for episode in self._collector.collect():
            self.logger.store(EpRet=episode.ret, EpLen=episode.length)
        self.logger.store(VVals=self.storage.batch(["value"])["value"])
        self._collector.normalize_advantages()

    def tensors(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The arrays of a batch as tensors on the device that learns; on the CPU they share their memory."""
        if self._on_cpu:
            return {name: torch.from_numpy(column) for name, column in batch.items()}
        return {name: torch.from_numpy(column).to(self.networks.flat.param.device) for name, column in batch.items()}

    def share_of_rank(self, minibatch_size: int) -> int:
        """This rank's part of a minibatch that is counted over all ranks."""
        return max(1, minibatch_size // self._ranks)

    def kl(self) -> float:
        """How far the policy has moved since it acted: an estimate of KL(old || new) in nats, over all ranks' rows.

        The estimate cannot be negative. The plain one of the log's column KL can, and after passes over the very
        actions that it is estimated from it does.
        """
        batch = self.storage.batch(["obs", "action", "logp"])
        self.networks.actor.refresh()
        logp, _ = self.networks.actor.look(batch["obs"], batch["action"])
        kl = approx_kl_k3(torch.from_numpy(logp), torch.from_numpy(batch["logp"]))
        (mean,) = mean_over_ranks([float(kl)], len(logp))
        return mean

    def report(self, epoch: int, updates: Updates) -> None:
        """Puts the epoch's columns into the row, in the documented order, after the updates."""
        log = self.logger.log_tabular
        log("Epoch", epoch)
        log("EpRet", with_min_and_max=True)
        log("EpLen", average_only=True)
        log("VVals", with_min_and_max=True)
        log("TotalEnvInteracts", (epoch + 1) * self._steps_per_epoch)
        for name, value in self._measured(updates).items():
            log(name, value)
        log("Time", self._elapsed())

    def _measured(self, updates: Updates) -> dict[str, Any]:
        batch = self.storage.batch()
        logp_old, adv, ret = (torch.from_numpy(batch[name]) for name in ("logp", "adv", "ret"))
        value_old = torch.from_numpy(self.storage.batch(["value"])["value"])
        self.networks.actor.refresh()
        logp_array, entropy = self.networks.actor.look(batch["obs"], batch["action"])
        logp, value = torch.from_numpy(logp_array), torch.from_numpy(self.networks.actor.value(batch["obs"]))
        numbers = {
            "LossPi": updates.policy_loss(logp_old, logp_old, adv),
            "LossV": mean_squared(value_old, ret),
            "DeltaLossPi": updates.policy_loss(logp, logp_old, adv),
            "DeltaLossV": mean_squared(value, ret),
            "Entropy": entropy,
            "KL": approx_kl(logp, logp_old),
            **updates.columns(logp, logp_old),
        }
        means = mean_over_ranks([float(number) for number in numbers.values()], len(logp))
        columns = dict(zip(numbers, means, strict=True))
        columns["DeltaLossPi"] -= columns["LossPi"]
        columns["DeltaLossV"] -= columns["LossV"]
        return columns

    def _set_learning_rates(self, epoch: int) -> None:
        factor = self._lr_factor(epoch)
        given, networks = self.settings, self.networks
        networks.policy_adam.param_groups[0]["lr"] = given.pi_lr * factor
        networks.value_adam.param_groups[0]["lr"] = given.vf_lr * factor

    def _elapsed(self) -> float:
        return self._elapsed_before + time.perf_counter() - self._started


class RolloutSource:
    """Feeds a trainer: for every epoch a rollout, the batches that an algorithm makes of it, and a row in the log.

    Attributes:
        data_groups: group -> names of its tensors.
    """

    def __init__(self, run: OnPolicyRun, updates: Updates) -> None:
        """Takes the run, and how it learns from a rollout."""
        self._run, self._updates = run, updates
        self.data_groups = updates.data_groups

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for epoch in self._run.epochs():
            self._run.collect()
            yield from self._updates.batches()
            self._run.report(epoch, self._updates)


def mean_over_ranks(means: Sequence[float], rows: int) -> list[float]:
    """Means of the rows of all ranks, from each rank's own."""
    message = mpi_sum(np.array([*means, 1.0]) * rows)
    overall: list[float] = (message[:-1] / message[-1]).tolist()
    return overall


def _collector(
    given: OnPolicySettings,
    worlds: Worlds,
    actor: Any,
    noise: np.random.Generator,
    ranks: int,
    normalizers: Mapping[str, Any],
) -> RolloutCollector:
    steps = local_steps(given.steps_per_epoch, ranks, given.num_envs)
    discrete = isinstance(worlds.action_space, spaces.Discrete)
    storage = RolloutStorage(
        steps,
        given.num_envs,
        worlds.observation.dim,
        action_shape=() if discrete else (worlds.action_dim,),
        action_dtype=np.int64 if discrete else np.float32,
    )
    return RolloutCollector(worlds, actor, storage, noise, gamma=given.gamma, lam=given.lam, **normalizers)
