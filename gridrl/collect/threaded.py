"""Collecting in a thread beside the one that learns: its errors are raised here, and it always ends."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from gymnasium.vector import VectorEnv
from torch import Tensor, nn

from gridrl.agents import AgentProxy
from gridrl.collect.callbacks import GymCollector
from gridrl.envs.stepping import Episode
from gridrl.errors import BadValue, GridRLError
from gridrl.memory.staging import Staging
from gridrl.typing import MemoryProxy

# Episodes that wait to be noted in the log.
_EPISODES = 10_000
# More agents than begin between the moments in which a checkpoint takes the collector's counts and the memory.
_AGENTS = 1_000_000


class ThreadedGymCollector(GymCollector):
    """Collects in a thread of its own, from the beginning of the training to its end, while the trainer learns.

    What goes wrong in the thread is raised in the trainer, at the next update or in the wait for data; the thread ends
    with the training, however that ends. The agent acts by a copy of its policy, which takes up the newest parameters
    between two updates: no action is computed while the optimiser writes. What is learned from which step depends on
    the threads' speed: such a training cannot be repeated to the last digit.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        agent: AgentProxy,
        memory: MemoryProxy | Staging,
        render: bool = False,
        warmup_steps: int = 0,
        *,
        seed: int | None = None,
        steps_per_update: float | None = None,
        copies_policy: bool = True,
        join_timeout_s: float = 60.0,
    ) -> None:
        """Puts a collector together; its thread starts with the training.

        Args:
            env: see `GymCollector`; nobody else may step it.
            agent: who acts.
            memory: where the steps go.
            render: whether each step is rendered.
            warmup_steps: how often all environments are stepped before the thread starts.
            seed: of the environments, each its own.
            steps_per_update: steps of environments that may be collected for each update, beginning with the first
                one; then the thread waits. None: as many as there is time for.
            copies_policy: whether the agent acts by a copy of its policy; else by the very parameters that are being
                changed.
            join_timeout_s: seconds that a step of the environments may take before their thread is given up.
        """
        super().__init__(env, agent, memory, render, warmup_steps, seed=seed)
        self._agent, self._copies_policy, self._join_timeout_s = agent, copies_policy, join_timeout_s
        self._steps_per_update = steps_per_update
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._is_told = False
        self._ended: deque[Episode] = deque(maxlen=_EPISODES)
        self._stopping, self._stepped, self._turn = threading.Event(), threading.Event(), threading.Condition()
        self._mirror = _Mirror(None)
        self._limit: float | None = None

    def begin_training(self, while_waiting: Callable[[], Any] | None = None) -> dict[str, Any]:
        """Begins new episodes, warms up, and starts the thread.

        Args:
            while_waiting: of the collectors that came before.

        Raises:
            BadValue: the agent cannot be copied.
            GridRLError: the thread of the training before still does not end.
        """
        if self._thread is not None and self._thread.is_alive():
            raise GridRLError(
                "the collector's thread of the training before still waits for its environment, which two threads "
                "cannot step: make a collector with new environments."
            )
        provided = super().begin_training(while_waiting)
        self._stopping.clear()
        self._error, self._is_told, self._limit = None, False, None
        policy = _policy_of(self._agent) if self._copies_policy else None
        self._mirror = _Mirror(policy)
        if policy is not None:
            self.collector.agent = self._copied_agent()
        self._thread = threading.Thread(target=self.collect_forever, name="gridrl-collector", daemon=True)
        self._thread.start()
        return provided

    def begin_batch(self) -> dict[str, Any]:
        """Raises what went wrong in the thread, and lets it go on."""
        self._raise_error()
        if self._steps_per_update is not None:
            with self._turn:
                so_far = self.collector.env_steps if self._limit is None else self._limit
                self._limit = so_far + self._steps_per_update
                self._turn.notify()
        return {"inf_step": self.collector.env_steps}

    def end_batch(self) -> None:
        """Shows the thread the newest parameters, if it has taken up those before."""
        self._mirror.show()

    def end_training(self, exception: BaseException | None = None) -> None:
        """Ends the thread.

        Raises:
            BaseException: what went wrong in the thread, if that was not raised before.
            GridRLError: the thread does not end.
        """
        self._stopping.set()
        with self._turn:
            self._turn.notify()
        if self._thread is not None:
            self._thread.join(self._join_timeout_s)
            if self._thread.is_alive():
                raise GridRLError(
                    f"the collector's thread has not ended within {self._join_timeout_s:g} s: does the environment "
                    "come back from its step? The thread is left behind."
                )
        self._thread = None
        self.collector.agent = self._agent
        self._raise_error()

    def while_waiting(self) -> None:
        """Waits until the thread has done a step, a moment at most, and raises what went wrong in it."""
        if self._thread is None:
            super().while_waiting()
            return
        self._stepped.wait(0.05)
        self._stepped.clear()
        self._raise_error()

    def collect_forever(self) -> None:
        """Collects until the training ends; what the thread does."""
        try:
            while self._may_go_on():
                self._mirror.take_up(self.collector.agent)
                self._ended.extend(self._step())
                self._stepped.set()
        except BaseException as error:
            error.add_note("in the thread of a ThreadedGymCollector")
            self._error = error
        finally:
            self._stepped.set()

    def gather_logs(self) -> None:
        """Notes the episodes that ended in the thread since it was last asked."""
        super().gather_logs()
        self._note([self._ended.popleft() for _ in range(len(self._ended))])

    def load_state_dict(
        self,
        state_dict: Mapping[str, Any],
        load_network: bool = True,
        load_optimizer: bool = True,
        load_hparams: bool = True,
    ) -> None:
        """Goes on counting where `state_dict` was called, agents well behind: the thread went on, and the memory's part
        of the checkpoint may hold agents that began later."""
        super().load_state_dict(state_dict, load_network, load_optimizer, load_hparams)
        if load_hparams:
            self.collector.next_agent += _AGENTS

    def _copied_agent(self) -> AgentProxy:
        try:
            return copy.deepcopy(self._agent)
        except Exception as error:
            raise BadValue(
                f"{type(self._agent).__name__} cannot be copied ({error}), so that it could act while its policy is "
                "being changed: copies_policy=False lets it act by the very parameters."
            ) from error

    def _may_go_on(self) -> bool:
        if self._limit is not None and self.collector.env_steps >= self._limit:
            with self._turn:
                self._turn.wait_for(lambda: self._stopping.is_set() or self.collector.env_steps < (self._limit or 0))
        return not self._stopping.is_set()

    def _raise_error(self) -> None:
        if self._error is not None and not self._is_told:
            self._is_told = True
            raise self._error


class _Mirror:
    """Hands parameters from the thread that learns to the one that acts, without either waiting for the other."""

    def __init__(self, policy: nn.Module | None) -> None:
        self._policy = policy
        self._shown: list[Tensor] | None = None

    def show(self) -> None:
        if self._policy is not None and self._shown is None:
            self._shown = [value.detach().clone() for value in self._policy.state_dict().values()]

    def take_up(self, agent: AgentProxy) -> None:
        shown = self._shown
        if shown is None:
            return
        with torch.no_grad():
            for own, new in zip(agent.policy.state_dict().values(), shown, strict=True):
                own.copy_(new)
        self._shown = None


def _policy_of(agent: AgentProxy) -> nn.Module | None:
    """The network that an agent acts by, None if it acts without one."""
    try:
        return agent.policy
    except BadValue:
        return None
