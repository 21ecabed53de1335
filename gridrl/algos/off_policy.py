"""The outer loop that off-policy algorithms share: worlds, memory, test episodes, rows, models and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from gridrl.algos.counting import OffPolicySettings, StepPlan, share_of_rank
from gridrl.algos.ranges import check_arguments
from gridrl.algos.replay import Replay, SavedReplay
from gridrl.algos.saving import TrainingState, identity_of
from gridrl.algos.testing import Testing
from gridrl.algos.watching import Watch
from gridrl.collect.replay import ReplayCollector
from gridrl.envs.scaling import action_maker
from gridrl.envs.stepping import make_worlds
from gridrl.log.current import current_run
from gridrl.log.logger import EpochLogger
from gridrl.memory.strategy import SampleStrategy
from gridrl.nn.exploring import Explorer
from gridrl.train.callback import Callback
from gridrl.train.loss import LossCallback
from gridrl.train.trainer import Trainer
from gridrl.typing import SampleResult
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi import gather_objects, num_procs, proc_id
from gridrl.utils.seeding import generator, rank_seed, seed_all
from gridrl.utils.torch_mpi import setup_pytorch_for_mpi

# What may change when a run goes on from its checkpoint.
_FREE = ("epochs", "logger_kwargs", "save_freq", "device", "exact_resume", "save_replay")
# Steps of each environment between two questions whether the run is to make room.
_ASKED_EVERY = 64


class OffPolicyRun:
    """Worlds, a memory, who explores, and a logger; and what happens to them step by step and once per epoch.

    An algorithm makes its networks for `worlds`, calls `start` with who acts by them, and `learn` with its callbacks.
    These get batches in the data group `default` with the keys `obs, action, reward, next_obs, terminated` and what the
    memory's sampler adds. Everything that is learned is held by one of them: checkpoints hold what their `state_dict`s
    give.

    Attributes:
        settings: the run's hyperparameters.
        worlds: this rank's environments.
        plan: when what happens.
        steps: steps that each environment has done.
        is_stopping: whether the run was asked to make room, and does.
        replay: the memory; there after `start`.
        logger: of this run; there after `start`.
        state: what stands in checkpoints; there after `start`.
    """

    replay: Replay
    logger: EpochLogger
    state: TrainingState

    def __init__(self, algorithm: str, arguments: Mapping[str, Any], *, discrete: bool = False) -> None:
        """Makes the worlds; nothing is written.

        Args:
            algorithm: its name.
            arguments: all of its arguments; they stand in `config.json`.
            discrete: whether it takes Discrete actions, else Box ones with bounds.

        Raises:
            BadValue: for what is not supported, or makes no sense together.
        """
        check_arguments(arguments)
        self.settings = given = OffPolicySettings.of(arguments)
        self._algorithm, self._arguments = algorithm, arguments
        setup_pytorch_for_mpi()
        self._ranks = num_procs()
        self.plan = StepPlan.of(given, self._ranks)
        self.batch_size = share_of_rank(given.batch_size, self._ranks)
        self._seed = rank_seed(given.seed, proc_id())
        seed_all(self._seed, with_torch=True)
        self.worlds = make_worlds(given.env_fn, given.num_envs, max_ep_len=given.max_ep_len)
        self._to_env = action_maker(algorithm, self.worlds.action_space, discrete)
        self.steps = 0
        self._discrete = discrete
        self._noise, self._draws = generator(self._seed, "noise"), generator(self._seed, "replay")
        self._elapsed_before, self._started = 0.0, time.perf_counter()
        self._saved_at = 0
        self.is_stopping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worlds.close()
        if hasattr(self, "logger"):
            self._testing.close()
            self.logger.close()

    @property
    def interactions(self) -> int:
        """Environment steps that have been done, of all environments and ranks."""
        return self.steps * self.plan.width

    @property
    def epoch(self) -> int:
        """The epoch that the newest step belongs to, counted from 0."""
        return max(0, self.steps - 1) // self.plan.epoch

    def steps_of(self, steps: float) -> float:
        """A number of environment steps, of which one up to 1 is a share of all of the run."""
        return steps * self.settings.steps_per_epoch * self.settings.epochs if steps <= 1 else steps

    def make_replay(self, *, n_step: int = 1, gamma: float = 1.0, sampler: SampleStrategy | None = None) -> Replay:
        """An empty memory for these worlds, `replay_size` steps over all ranks.

        Args:
            n_step: steps that a transition spans, see `Replay`.
            gamma: discount within it.
            sampler: draws; None: uniformly.
        """
        given, worlds = self.settings, self.worlds
        return Replay(
            max(given.num_envs, given.replay_size // self._ranks),
            given.num_envs,
            worlds.observation.dim,
            action_shape=() if self._discrete else (worlds.action_dim,),
            action_dtype=np.int64 if self._discrete else np.float32,
            n_step=n_step,
            gamma=gamma,
            sampler=sampler,
            device=given.device,
        )

    def start(self, module: torch.nn.Module, explorer: Explorer, replay: Replay | None = None) -> None:
        """Makes the run's directory and all that is left to make.

        Args:
            module: the networks that are saved as the run's model.
            explorer: who acts.
            replay: the memory; None: what `make_replay` gives.
        """
        given = self.settings
        self.replay = self.make_replay() if replay is None else replay
        self._collector = ReplayCollector(self.worlds, explorer, self.replay.staging, self._noise, self._to_env)
        self._testing = Testing(
            given.env_fn,
            explorer,
            given.num_test_episodes,
            seed=given.seed,
            max_ep_len=given.max_ep_len,
            to_env=self._to_env,
        )
        self.worlds.reset(self._seed)
        self.logger = EpochLogger(**given.logger_kwargs)
        self.logger.save_config(self._arguments)
        self.logger.setup_pytorch_saver({"actor_critic": module})
        is_known = all(gather_objects(self.worlds.get_state() is not None))
        resets = given.exact_resume and not is_known
        current_run().note_resume(None if (is_known or resets) and given.save_replay else "inexact")
        self._saved_replay = SavedReplay(self.replay, self._replay_directory(), is_saved=given.save_replay)
        self.state = TrainingState(
            identity=identity_of(self._algorithm, self._arguments, self.worlds, self._ranks, _FREE)
            | ({"exact_resume": True, "save_freq": given.save_freq} if resets else {}),
            logger=self.logger,
            worlds=self.worlds,
            generators={"noise": self._noise, "replay": self._draws},
            shared={"progress": _Progress(self)},
            own={"replay": self._saved_replay, "testing": self._testing},
            resets_from=self._seed if resets else None,
        )

    def _replay_directory(self) -> Path:
        assert self.logger.output_dir is not None
        return RunPaths(Path(self.logger.output_dir)).checkpoints / "replay" / f"rank{proc_id()}"

    def learn(self, callbacks: Sequence[Callback], watch: Watch) -> None:
        """Trains until all epochs are done, or the run is asked to make room.

        Args:
            callbacks: what learns from each batch, in order.
            watch: notes what they leave for the log.
        """
        self._callbacks, self._watch = callbacks, watch
        self.state.shared.update({callback.name: callback for callback in callbacks})
        self.state.own["watch"] = watch
        Trainer([*callbacks, watch], ReplaySource(self)).train()

    def epochs(self) -> Iterator[int]:
        """The numbers of the epochs that are still to do, after the newest checkpoint was taken up.

        Each time the caller comes back, the epoch is over: its row is written, and what `save_freq` asks for is saved.
        """
        first, self._elapsed_before = self.state.restore()
        self._saved_at = self.steps
        total = self.settings.epochs
        self._tell(first, total)
        self._started = time.perf_counter()
        for epoch in range(first, total):
            yield epoch
            if self.is_stopping:
                self._make_room()
                return
            self.logger.dump_tabular()
            if epoch % self.settings.save_freq == 0 or epoch == total - 1:
                self._save()

    def batches(self, epoch: int) -> Iterator[SampleResult]:
        """Collects the rest of an epoch, and gives the batches that are learned from on the way.

        Ends early where the run is asked to make room.
        """
        end, plan = (epoch + 1) * self.plan.epoch, self.plan
        asked_at = -_ASKED_EVERY
        while self.steps < end:
            if self.steps - asked_at >= _ASKED_EVERY:
                asked_at = self.steps
                self.is_stopping = current_run().should_stop()
                if self.is_stopping:
                    return
            self._collect(plan.until_next(self.steps, end))
            if plan.is_due(self.steps, self._saved_replay.lost):
                for _ in range(plan.updates):
                    yield self.replay.sample(self.batch_size, self._draws)

    def _collect(self, steps: int) -> None:
        done = self.steps * self.plan.width
        for episode in self._collector.collect(steps, done, at_random=self.steps < self.plan.start):
            self.logger.store(EpRet=episode.ret, EpLen=episode.length)
        self.steps += steps

    def report(self, epoch: int) -> None:
        """Plays the test episodes, and puts the epoch's columns into the row, in the documented order."""
        log = self.logger.log_tabular
        for episode in self._testing.play(epoch, self.steps * self.plan.width):
            self.logger.store(TestEpRet=episode.ret, TestEpLen=episode.length)
        log("Epoch", epoch)
        log("EpRet", with_min_and_max=True)
        log("TestEpRet", with_min_and_max=True)
        log("EpLen", average_only=True)
        log("TestEpLen", average_only=True)
        log("TotalEnvInteracts", self.steps * self.plan.width)
        self._watch.log()
        log("Time", self._elapsed())

    def _save(self) -> None:
        # losses are looked at before anything is written; then the model, since what the last checkpoint says is done
        # is not done again
        for callback in self._callbacks:
            if isinstance(callback, LossCallback):
                callback.check_finite()
        epochs_done = self.steps // self.plan.epoch
        self.logger.save_state({"epoch": epochs_done - 1})
        self.state.save(epochs_done, self._elapsed())
        self._saved_at = self.steps

    def _make_room(self) -> None:
        """The run was asked to stop: what has been done since the last checkpoint is saved.

        Where checkpoints begin new episodes, one out of turn would make the run another one.
        """
        if self.steps > self._saved_at and self.state.resets_from is None:
            self.state.save(self.steps // self.plan.epoch, self._elapsed())
            self._saved_at = self.steps
        done, saved = self.steps * self.plan.width, self._saved_at * self.plan.width
        self.logger.log(f"Asked to stop after {done} steps; the same command goes on after step {saved}.", "yellow")

    def _tell(self, first: int, total: int) -> None:
        given = self.settings
        for difference in self.plan.differences(given, self._ranks):
            self.logger.log(difference, color="yellow")
        if first:
            done = f"{self.logger.output_dir}: {first} epochs are done"
            self.logger.log(f"{done}, going on to {total}." if first < total else f"{done}, nothing is left to do.")
        if self.steps and not len(self.replay):
            self._saved_replay.lost = self.steps
            self.logger.log(
                "resume: inexact. The replay was not saved (save_replay=False): it fills anew, and updates wait until "
                f"more than update_after={given.update_after} steps are in it.",
                color="yellow",
            )

    def _elapsed(self) -> float:
        return self._elapsed_before + time.perf_counter() - self._started


class ReplaySource:
    """Feeds a trainer: batches from a memory that fills on the way, and for every epoch a row in the log.

    Attributes:
        data_groups: group -> names of its tensors.
    """

    data_groups: Mapping[str, tuple[str, ...]] = {
        "default": ("obs", "action", "reward", "next_obs", "terminated"),
    }

    def __init__(self, run: OffPolicyRun) -> None:
        self._run = run

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        run = self._run
        for epoch in run.epochs():
            for batch in run.batches(epoch):
                yield {"default": batch, "batch_size": len(batch["obs"])}
            if not run.is_stopping:
                run.report(epoch)


class _Progress:
    """How far a run is, for its checkpoints."""

    def __init__(self, run: OffPolicyRun) -> None:
        self._run = run

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self._run.steps}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._run.steps = int(state_dict["steps"])
