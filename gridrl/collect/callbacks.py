"""Collectors as callbacks of a `Trainer`, stepping environments between two updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gymnasium.vector import VectorEnv

from gridrl.agents import AgentProxy
from gridrl.collect.vector import VectorCollector
from gridrl.envs.stepping import Episode
from gridrl.errors import BadValue
from gridrl.log.metrics import LoggingMixin
from gridrl.memory.staging import Staging
from gridrl.train.callback import Callback
from gridrl.typing import MemoryProxy


class GymCollector(LoggingMixin, Callback):
    """Collects in a vector environment: before the training begins, and whenever `collect_data` is called.

    The trainer's state gets `inf_step`, how many steps of environments were stored, and `while_waiting`, which whoever
    waits for the memory to fill calls again and again. Logs hold `episode/reward` and `episode/length` of the newest
    episode, `episode/smooth_reward` and `episode/smooth_length` as windows, and how much was collected.

    Attributes:
        collector: does the work.
    """

    provides = ("inf_step",)

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        agent: AgentProxy,
        memory: MemoryProxy | Staging,
        render: bool = False,
        warmup_steps: int = 0,
        *,
        seed: int | None = None,
    ) -> None:
        """Puts a collector together; nothing is stepped yet.

        Args:
            env: a vector environment, or a `DictGymWrapper` around one.
            agent: who acts.
            memory: where the steps go.
            render: whether each step is rendered.
            warmup_steps: how often all environments are stepped before the first update.
            seed: of the environments, each its own.

        Raises:
            BadValue: see `VectorCollector`.
            ColumnError: see there too.
        """
        super().__init__()
        self.collector = VectorCollector(env, agent, memory, seed=seed)
        self._env, self._render, self._warmup_steps = env, render, warmup_steps
        self._steps_done = 0

    def collect_data(self) -> None:
        """Steps all environments once."""
        self._note(self._step())

    def collect_multiple(self, count: int) -> None:
        """Steps all environments `count` times."""
        for _ in range(count):
            self.collect_data()

    def begin_training(self, while_waiting: Callable[[], Any] | None = None) -> dict[str, Any]:
        """Begins new episodes, and collects what is missing of the warm-up.

        Args:
            while_waiting: of the collectors that came before.
        """
        self.collector.reset()
        self.collect_multiple(self._warmup_steps - self._steps_done)
        together = while_waiting if isinstance(while_waiting, _Together) else _Together()
        together.add(self.while_waiting)
        return {"inf_step": self.collector.env_steps, "while_waiting": together}

    def while_waiting(self) -> None:
        """Called again and again while the memory does not hold enough for a batch: collects."""
        self.collect_data()

    def gather_logs(self) -> None:
        """Notes how much was collected."""
        super().gather_logs()
        self.log_scalar("collect/env_steps", self.collector.env_steps)
        self.log_scalar("collect/episodes", self.collector.num_episodes)

    def state_dict(self) -> dict[str, Any]:
        """The logs, and how much was collected; not the episodes that are under way."""
        collector = self.collector
        counts = [self._steps_done, collector.env_steps, collector.num_episodes, collector.next_agent]
        return {**super().state_dict(), "counts": counts}

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Goes on counting where `state_dict` was called, agents too; new episodes begin with the training."""
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)
        if load_hparams:
            collector = self.collector
            self._steps_done, collector.env_steps, collector.num_episodes, collector.next_agent = state_dict["counts"]

    def _step(self) -> list[Episode]:
        if self._render:
            self._env.render()
        self._steps_done += 1
        return self.collector.step()

    def _note(self, episodes: list[Episode]) -> None:
        for episode in episodes:
            for key, value in (("reward", episode.ret), ("length", float(episode.length))):
                self.log_scalar(f"episode/{key}", value)
                self.log_windowed_scalar(f"episode/smooth_{key}", value)


class SimpleGymCollector(GymCollector):
    """Collects in the trainer's thread: a step of all environments after every so many updates.

    >>> from gridrl.collect.actors import RandomAgentProxy
    >>> from gridrl.collect.gym_wrapper import DictGymWrapper
    >>> from gridrl.envs.making import env_fn
    >>> from gridrl.memory.builders import DictObsMemoryTable
    >>> from gridrl.memory.loader import MemoryLoader
    >>> from gridrl.memory.proxy import MemoryTableProxy
    >>> from gridrl.train.trainer import Trainer
    >>> env = DictGymWrapper(env_fn("CartPole-v1").vector(2))
    >>> table = DictObsMemoryTable(spaces=env.dict_space, use_terminal_column=True, maxlen=1000)
    >>> agent, proxy = RandomAgentProxy(env.single_action_space), MemoryTableProxy(table, use_terminal=True)
    >>> collector = SimpleGymCollector(env, agent, proxy, warmup_steps=100, bp_steps_per_inf=2)
    >>> trainer = Trainer([collector], MemoryLoader(table, 16, 1, "batch_size"))
    >>> trainer.train(shutdown_signal=lambda: trainer.state["bp_step"] == 50)
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        agent: AgentProxy,
        memory: MemoryProxy | Staging,
        render: bool = False,
        warmup_steps: int = 0,
        bp_steps_per_inf: int = 10,
        *,
        seed: int | None = None,
    ) -> None:
        """Puts a collector together; nothing is stepped yet.

        Args:
            env: see `GymCollector`.
            agent: who acts.
            memory: where the steps go.
            render: whether each step is rendered.
            warmup_steps: how often all environments are stepped before the first update.
            bp_steps_per_inf: updates from one step of all environments to the next.
            seed: of the environments, each its own.

        Raises:
            BadValue: no whole number of updates; and see `GymCollector`.
        """
        if bp_steps_per_inf < 1:
            raise BadValue(f"bp_steps_per_inf is {bp_steps_per_inf}: a step follows at least one update.")
        super().__init__(env, agent, memory, render, warmup_steps, seed=seed)
        self._bp_steps_per_inf = bp_steps_per_inf

    def begin_batch(self, bp_step: int) -> dict[str, Any]:
        """Collects, if it is time to."""
        if bp_step % self._bp_steps_per_inf == 0:
            self.collect_data()
        return {"inf_step": self.collector.env_steps}


class _Together:
    """What the collectors of one training do while somebody waits: each its part, in turn."""

    def __init__(self) -> None:
        self._parts: list[Callable[[], Any]] = []

    def add(self, part: Callable[[], Any]) -> None:
        if part not in self._parts:  # it is, in a second training
            self._parts.append(part)

    def __call__(self) -> None:
        for part in self._parts:
            part()
