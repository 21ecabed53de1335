"""Checkpoints of a training run over MPI ranks, complete enough that going on equals never having stopped."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gridrl.envs.stepping import Worlds
from gridrl.errors import CheckpointError
from gridrl.log.logger import Logger
from gridrl.train.checkpoint import Checkpoints, generators_state, set_generators_state
from gridrl.utils.files import RunPaths
from gridrl.utils.mpi import gather_objects, proc_id
from gridrl.utils.seeding import generator
from gridrl.utils.serialization import convert_json


class Restoree(Protocol):
    """What can stand in a checkpoint."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...


@runtime_checkable
class FollowsEpisodes(Protocol):
    """What knows of episodes that go on."""

    def forget_episodes(self) -> None:
        """New episodes begin everywhere."""
        ...


@dataclass
class TrainingState:
    """Everything that a run's next epochs depend on.

    Attributes:
        identity: what must be the same for a checkpoint to fit, as name -> plain value.
        logger: whose rows are kept up to the checkpoint.
        worlds: this rank's environments.
        generators: this rank's, by name.
        shared: what is the same on all ranks.
        own: what differs between ranks.
        resets_from: None, or a seed: then nobody knows the state of the worlds, and they begin anew at every
            checkpoint, which a resumed run can do as well.
    """

    identity: Mapping[str, Any]
    logger: Logger
    worlds: Worlds
    generators: Mapping[str, np.random.Generator]
    shared: dict[str, Restoree] = field(default_factory=dict)
    own: dict[str, Restoree] = field(default_factory=dict)
    resets_from: int | None = None

    def save(self, epochs_done: int, elapsed_s: float) -> None:
        """Writes a checkpoint; every rank calls it, rank 0 writes."""
        own = gather_objects(self._own_state())
        if proc_id() == 0:
            self._write(epochs_done, elapsed_s, own)
        if self.resets_from is not None:
            self._begin_anew(self.resets_from, epochs_done)

    def _write(self, epochs_done: int, elapsed_s: float, own: Sequence[Any]) -> None:
        state = {
            "identity": dict(self.identity),
            "elapsed_s": elapsed_s,
            "shared": {name: part.state_dict() for name, part in self.shared.items()},
            "own": list(own),
        }
        self._checkpoints().save(epochs_done, state)

    def restore(self) -> tuple[int, float]:
        """Takes up the newest checkpoint, if there is one; every rank calls it.

        Returns:
            How many epochs are done, and the seconds that they took.

        Raises:
            CheckpointError: the checkpoint cannot be read, or was written by another configuration.
        """
        found = self._checkpoints().load_everywhere()
        if found is None:
            return 0, 0.0
        epochs_done, state = found
        self._check(state["identity"])
        own = state["own"][proc_id()]
        self._load(state["shared"], self.shared)
        self._load(own["parts"], self.own)
        set_generators_state(own["generators"], **self.generators)
        self._restore_worlds(own["worlds"], epochs_done)
        self.logger.load_state_dict(own["logger"])
        return epochs_done, float(state["elapsed_s"])

    def _own_state(self) -> dict[str, Any]:
        return {
            "logger": self.logger.state_dict(),  # each rank has stored numbers of its own for the row
            "generators": generators_state(**self.generators),
            "worlds": self.worlds.get_state(),
            "parts": {name: part.state_dict() for name, part in self.own.items()},
        }

    def _checkpoints(self) -> Checkpoints:
        assert self.logger.output_dir is not None
        return Checkpoints(RunPaths(Path(self.logger.output_dir)).checkpoints)

    def _check(self, identity: Mapping[str, Any]) -> None:
        names = [*self.identity, *(name for name in identity if name not in self.identity)]
        differing = [
            f"{name}: {identity.get(name)!r} there, {self.identity.get(name)!r} now"
            for name in names
            if identity.get(name) != self.identity.get(name)
        ]
        if differing:
            raise CheckpointError(
                f"{self.logger.output_dir} holds a checkpoint of another configuration ({'; '.join(differing)}). Give "
                "the run another directory, or remove its checkpoints to begin from the start."
            )

    def _load(self, states: Mapping[str, Any], parts: Mapping[str, Restoree]) -> None:
        for name, part in parts.items():
            try:
                part.load_state_dict(states[name])
            except (CheckpointError, RuntimeError, KeyError, ValueError) as error:
                raise CheckpointError(
                    f"the checkpoint in {self.logger.output_dir} does not fit: {name}: {error}. Give the run another "
                    "directory, or remove its checkpoints to begin from the start."
                ) from error

    def _restore_worlds(self, state: Mapping[str, Any] | None, epochs_done: int) -> None:
        if self.resets_from is not None:
            self._begin_anew(self.resets_from, epochs_done)
            return
        if state is not None:
            self.worlds.set_state(dict(state))
            return
        self.logger.log(
            "resume: inexact. The state of these environments is not known to gridrl, so new episodes begin here; "
            "__gridrl_state__ and __gridrl_set_state__ of the environment would make it exact, or exact_resume from "
            "the start.",
            color="yellow",
        )
        # a seed of its own for each time, or every attempt would begin with the same episodes
        self._reset(int(self.generators["noise"].integers(2**31)))

    def _begin_anew(self, seed: int, epochs_done: int) -> None:
        """New episodes, the same ones whether or not the run has stopped here."""
        self._reset(int(generator(seed, "worlds", epochs_done).integers(2**31)))

    def _reset(self, seed: int) -> None:
        self.worlds.reset(seed)
        for part in self.own.values():
            if isinstance(part, FollowsEpisodes):
                part.forget_episodes()


def identity_of(
    algorithm: str, arguments: Mapping[str, Any], worlds: Worlds, ranks: int, free: Container[str]
) -> dict[str, Any]:
    """What must not differ between a run and its checkpoint: everything that its numbers depend on.

    Args:
        algorithm: its name.
        arguments: all of its arguments.
        worlds: its environments.
        ranks: how many there are.
        free: the arguments that may differ.
    """
    return {
        "algorithm": algorithm,
        "ranks": ranks,
        "observations": worlds.observation.dim,
        "actions": str(worlds.action_space),
        **{name: convert_json(value) for name, value in arguments.items() if name not in free},
    }
