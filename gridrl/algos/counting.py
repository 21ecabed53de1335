"""What off-policy algorithms have in common to set, and when their runs act at random, update and end an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from gridrl.algos.assembly import local_steps


@dataclass(frozen=True)
class OffPolicySettings:
    """The hyperparameters that all off-policy algorithms have; their meanings stand in `gridrl.algos.sac.sac`."""

    env_fn: Callable[[], Any]
    seed: int
    steps_per_epoch: int
    epochs: int
    replay_size: int
    batch_size: int
    start_steps: int
    update_after: int
    update_every: int
    num_test_episodes: int
    max_ep_len: int | None
    logger_kwargs: Mapping[str, Any]
    save_freq: int
    num_envs: int
    updates_per_cycle: int | None
    device: str
    exact_resume: bool
    save_replay: bool

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Self:
        """Picks them out of an algorithm's arguments."""
        return cls(**{field.name: arguments[field.name] for field in fields(cls)})


def share_of_rank(batch_size: int, ranks: int) -> int:
    """Transitions that each rank draws of a batch that is counted over all of them."""
    return max(1, batch_size // ranks)


@dataclass(frozen=True)
class StepPlan:
    """How many steps of each environment are done before something happens.

    What users count in environment steps, over all environments of all ranks, is here turned into steps of each.

    Attributes:
        width: environments of all ranks: what one step of each adds to the count.
        epoch: steps of an epoch.
        start: steps with random actions.
        update_after: no updates before more than so many steps were collected.
        cycle: steps between two cycles of updates.
        updates: updates of a cycle.
    """

    width: int
    epoch: int
    start: int
    update_after: int
    cycle: int
    updates: int

    @classmethod
    def of(cls, given: OffPolicySettings, ranks: int) -> Self:
        """Plans a run over so many ranks.

        Raises:
            BadValue: an epoch has too few steps for an environment to do one.
        """
        width = given.num_envs * ranks
        cycle = max(1, given.update_every // width)
        return cls(
            width=width,
            epoch=local_steps(given.steps_per_epoch, ranks, given.num_envs),
            start=-(-given.start_steps // width),
            update_after=given.update_after // width,
            cycle=cycle,
            updates=cycle * width if given.updates_per_cycle is None else given.updates_per_cycle,
        )

    def differences(self, given: OffPolicySettings, ranks: int) -> Iterator[str]:
        """What so many ranks and environments cannot do to the letter, and what they do instead."""
        who = f"is no multiple of {ranks} rank(s) x {given.num_envs} environment(s)"
        if given.steps_per_epoch != self.epoch * self.width:
            yield f"steps_per_epoch={given.steps_per_epoch} {who}: an epoch has {self.epoch * self.width} steps."
        if given.updates_per_cycle is not None and given.update_every != self.cycle * self.width:
            every = self.cycle * self.width
            yield f"update_every={given.update_every} {who}: {self.updates} update(s) follow every {every} steps."
        batch = share_of_rank(given.batch_size, ranks) * ranks
        if given.batch_size != batch:
            yield f"batch_size={given.batch_size} is no multiple of {ranks} rank(s): an update has {batch} transitions."

    def until_next(self, steps: int, end: int) -> int:
        """How many steps can be done in one go after `steps`, until updates are due, random actions end, or `end`."""
        stops = [end, steps + self.cycle - steps % self.cycle]
        if steps < self.start:
            stops.append(self.start)
        return min(stops) - steps

    def is_due(self, steps: int, lost: int = 0) -> bool:
        """Whether updates follow after `steps` steps, of which the memory has never held the first `lost`."""
        return steps % self.cycle == 0 and steps - lost > self.update_after
