"""What a user asks for, and what is to be done about it: the messages between the steps of a launch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridrl.errors import BadValue
from gridrl.launch.directories import Place
from gridrl.launch.known import KnownRun
from gridrl.launch.limits import Limits
from gridrl.launch.payload import Payload
from gridrl.launch.resuming import USUAL, Resume
from gridrl.launch.slots import Slots
from gridrl.launch.snapshot import Snapshot
from gridrl.launch.spec import RunSpec, has_grown
from gridrl.launch.variants import SEED, Parameter
from gridrl.log.code_record import CodeRecord
from gridrl.log.record import derived_state
from gridrl.utils.files import RunPaths
from gridrl.utils.settings import settings

ISOLATIONS = ("auto", "fresh")
"""What the process of a run comes from: a fork server where that is safe and saves time, or always an interpreter of
its own."""


@dataclass(frozen=True, eq=False)
class Order:
    """What a user asks for.

    Attributes:
        grid: the name of the grid or experiment.
        variants: name and hyperparameters of each run.
        thunk: what they call, or the key of the variants that holds it.
        varying: the keys (their first parts) that differ between the variants.
        num_cpu: MPI ranks of each run, or "auto".
        data_dir: where the run directories go.
        datestamp: whether new directories bear date and time.
        jobs: how many runs at once; None: usable cores divided by ranks and threads.
        log: names of sinks beside the progress file and the terminal.
        command: how this was typed; None: the program's own command line.
        preset: the name of the set of defaults that filled the variants up.
        dry_run: whether nothing is to be started.
        resume: what is wanted of runs that are known already.
        limits: what runs get, and what is done about those that fail or take too long.
        isolation: one of `ISOLATIONS`.
        keys: what spans the variants.
        live_code: whether runs import the user's sources as they are when the run starts.
        code: "old" or "new": what goes on that is not done and was queued with other code; None: that is asked.
    """

    grid: str
    variants: Sequence[tuple[str, Mapping[str, Any]]]
    thunk: Callable[..., Any] | str
    data_dir: Path
    varying: frozenset[str] = frozenset()
    num_cpu: int | str = 1
    datestamp: bool = False
    jobs: int | None = None
    log: tuple[str, ...] = ()
    command: str | None = None
    preset: str | None = None
    dry_run: bool = False
    resume: Resume = USUAL
    limits: Limits = field(default_factory=Limits)
    isolation: str = "auto"
    keys: Sequence[Parameter] = ()
    live_code: bool = False
    code: str | None = None


@dataclass(frozen=True, eq=False)
class PlannedRun:
    """A run with its directory.

    Attributes:
        spec: what it computes.
        place: where.
        config: its `config.json`.
        log: names of sinks beside the usual ones.
        env_spec: how its environment is registered, where the launcher's script has done that itself.
        resume: what is wanted of it if it is known already.
        snapshot: the copy of the user's sources that it imports from; None: the sources themselves.
    """

    spec: RunSpec
    place: Place
    config: Mapping[str, Any]
    log: tuple[str, ...] = ()
    env_spec: Any = None
    resume: Resume = USUAL
    snapshot: Snapshot | None = None

    @property
    def paths(self) -> RunPaths:
        """Its files."""
        return RunPaths(self.place.run_dir)

    @property
    def has_grown(self) -> bool:
        """Whether it is done, but is now asked to go further."""
        before = self.place.known.config.get("grows") if self.place.known is not None else None
        return isinstance(before, dict) and has_grown(before, self.spec.grows)

    @property
    def has_changed(self) -> bool:
        """Whether its state is another one than when it was planned."""
        state = derived_state(self.place.run_dir)
        return self.place.state != ("new" if state == "unknown" else state)

    @property
    def code_before(self) -> CodeRecord:
        """The code that it was made by so far."""
        return CodeRecord.of(self.place.known.config) if self.place.known is not None else CodeRecord()

    @property
    def is_stale(self) -> bool:
        """Whether it is done, but was made by other code than it would call now."""
        return self.place.state == "done" and self.code_before.is_other(self.spec.code.hash)

    @property
    def is_accepted(self) -> bool:
        """Whether it is stale, but is to count as made by the present code."""
        return self.is_stale and self.resume.accept_code

    @property
    def is_repeated(self) -> bool:
        """Whether it is done, but is to be run again from nothing."""
        return self.place.state == "done" and self.resume.repeats(self.is_stale)

    @property
    def goes_on(self) -> bool:
        """Whether it is to be started now and has a checkpoint to go on from."""
        return self.is_due and not self.is_repeated and self.place.known is not None and self.paths.has_checkpoint()

    @property
    def changes_code(self) -> bool:
        """Whether it goes on from a checkpoint that was made under other code."""
        is_former = self.snapshot is not None and self.snapshot.is_old
        return (
            not is_former and not self.is_accepted and self.goes_on and self.code_before.is_other(self.spec.code.hash)
        )

    def code_now(self) -> CodeRecord:
        """The code that it will have been made by, once it has been started or accepted."""
        present = self.spec.code.hash
        if self.is_accepted:
            return self.code_before.accepting(present)
        return self.code_before.going_on(present) if self.goes_on else CodeRecord(present)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.place.state == "done" and not self.has_grown and not self.is_repeated

    @property
    def is_due(self) -> bool:
        """Whether it is to be started now."""
        return not self.is_done and not self.resume.leaves_out(self.place.state)

    def payload(self) -> Payload:
        """What its process needs."""
        arguments, snapshot = self.spec.arguments, self.snapshot
        target, env_name = self.spec.thunk.target, (arguments.environment or (None,))[0]
        logger = {"output_dir": str(self.place.run_dir), "exp_name": self.place.name}
        logger_kwargs = {**logger, **({"log": list(self.log)} if self.log else {}), **arguments.logger_kwargs}
        return Payload(
            thunk=target if snapshot is None else snapshot.thunk(self.spec.thunk.identity, target),
            keywords={
                **arguments.keywords,
                **({SEED: self.spec.seed} if arguments.takes_seed else {}),
                **({"logger_kwargs": logger_kwargs} if arguments.takes_logger else {}),
            },
            seed=self.spec.seed,
            environment=arguments.environment,
            env_spec=self.env_spec if snapshot is None else snapshot.env_spec(env_name, self.env_spec),
            logger_kwargs=logger_kwargs,
            stand_ins=None if snapshot is None else snapshot.stand_ins,
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """All runs, and how they are to be carried out.

    Attributes:
        runs: in the order in which they were asked for.
        num_cpu: MPI ranks of each.
        jobs: how many at once.
        slots: what they get.
        notes: what the user should know before they start.
        moved: the old run directories that make room for them.
        known: the runs that there were, as far as they have been looked at.
        replay: the disk that replays in checkpoints will need, in words; None: no run keeps one.
    """

    runs: list[PlannedRun]
    num_cpu: int
    jobs: int
    slots: Slots
    notes: list[str] = field(default_factory=list)
    moved: list[Path] = field(default_factory=list)
    known: list[KnownRun] = field(default_factory=list)
    replay: str | None = None


def data_directory(data_dir: str | Path | None) -> Path:
    """The absolute path of a data directory; None: the one of `user_config.py`.

    Raises:
        BadValue: it is no path.
    """
    if data_dir is None:
        return settings().DEFAULT_DATA_DIR.absolute()
    if not isinstance(data_dir, (str, os.PathLike)) or not os.fspath(data_dir):
        raise BadValue(f"data_dir={data_dir!r}: the path of a directory is wanted.")
    return Path(data_dir).expanduser().absolute()
