"""What is wrong with an order, told before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gridrl.build import Reference, replace_references, resolve
from gridrl.errors import BadValue, GridRLError, Problems, UnknownFlag, did_you_mean
from gridrl.launch.arguments import Interface
from gridrl.launch.order import ISOLATIONS, Order
from gridrl.launch.payload import Payload, pickled
from gridrl.launch.preflight import preflight
from gridrl.launch.slots import Slots, find_slots
from gridrl.launch.thunks import Thunk, read_thunk
from gridrl.launch.variants import SEED
from gridrl.stand_ins import StandIns
from gridrl.utils.annotations import Wanted
from gridrl.utils.mpirun import resolve_num_cpu
from gridrl.utils.processes import usable_cores
from gridrl.utils.seeding import check_seed

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class CheckedRun:
    """A run of an order, found to make sense.

    Attributes:
        name: its name as asked for.
        variant: its hyperparameters as typed.
        thunk: what it calls.
        interface: what the thunk takes.
        rest: the variant without the key that names the thunk; each reference knows what it stands for.
        env_spec: how its environment is registered, where this process has done that.
        numbers_of_step: how many numbers of a step its replay will keep on the disk; None: there is none, or nobody
            knows.
    """

    name: str
    variant: Mapping[str, Any]
    thunk: Thunk
    interface: Interface
    rest: Mapping[str, Any]
    env_spec: Any = None
    numbers_of_step: int | None = None

    @property
    def saves_replay(self) -> bool:
        """Whether its checkpoints will hold what it remembers."""
        parameter = self.thunk.signature.get("save_replay") if self.is_ours and self.thunk.signature else None
        return parameter is not None and bool(self.rest.get("save_replay", parameter.default))

    @property
    def is_ours(self) -> bool:
        """Whether it calls an algorithm of gridrl, whose arguments mean the same in each."""
        return self.thunk.identity.startswith("gridrl.algos.")

    @property
    def device(self) -> str | None:
        """What only a look at the machine can tell to be there; None where that is sure."""
        device = self.rest.get("device")
        return device if self.is_ours and isinstance(device, str) and device != "cpu" else None

    @property
    def env_name(self) -> str | None:
        """The environment that becomes `env_fn`."""
        environment = self.interface.sort(self.rest).environment
        return environment[0] if environment is not None and isinstance(environment[0], str) else None


class _Faults:
    """Collects faults with the kind of error that each is; one kind is raised with all messages."""

    def __init__(self) -> None:
        self._problems = Problems()
        self._kinds: list[type[GridRLError]] = []

    def add(self, kind: type[GridRLError], message: str) -> None:
        self._problems.add(message)
        self._kinds.append(kind)

    def catch(self, check: Callable[..., T], *given: Any) -> T | None:
        """What `check` gives; None where it finds a fault, which is noted."""
        try:
            return check(*given)
        except GridRLError as error:
            for line in str(error).splitlines():
                self.add(type(error), line)
            return None

    def raise_if_any(self) -> None:
        if self._kinds:
            # beside a wrong value an unknown name is one more value that is wrong
            self._problems.raise_if_any(next((kind for kind in self._kinds if kind is not UnknownFlag), UnknownFlag))


def check_resources(order: Order) -> tuple[int, int, Slots]:
    """The ranks of each run, how many runs go at once, and what they get.

    Raises:
        BadValue: they make no sense, this machine has not enough for a single run, or a sink does not exist.
    """
    faults = _Faults()
    num_cpu = faults.catch(resolve_num_cpu, order.num_cpu) or 1
    if order.jobs is not None and (isinstance(order.jobs, bool) or not isinstance(order.jobs, int) or order.jobs < 1):
        faults.add(BadValue, f"jobs={order.jobs!r}: how many runs go at once is a whole number from 1.")
    faults.catch(order.limits.check)
    if order.isolation not in ISOLATIONS:
        near = did_you_mean(str(order.isolation), ISOLATIONS)
        faults.add(BadValue, f"isolation={order.isolation!r}: there are {' and '.join(map(repr, ISOLATIONS))}.{near}")
    if order.log:
        from gridrl.log.sinks import check_sinks

        faults.catch(check_sinks, order.log)
    faults.raise_if_any()
    slots = find_slots(num_cpu, order.limits)
    jobs = max(1, usable_cores() // (num_cpu * order.limits.threads)) if order.jobs is None else order.jobs
    return num_cpu, jobs if slots.capacity is None else min(jobs, slots.capacity), slots


def check_runs(order: Order, stand_ins: StandIns | None = None) -> list[CheckedRun]:
    """Checks thunks, keywords, seeds, references, environments, and that everything can be pickled.

    Args:
        order: what is asked for.
        stand_ins: the copies of the user's sources in which references and environments are looked up, if any.

    Raises:
        GridRLError: all faults at once. An unknown thunk is told first: without it nothing else can be checked.
    """
    faults = _Faults()
    thunks: dict[int, tuple[Thunk, Interface]] = {}
    found = [faults.catch(_split, order.thunk, name, variant, thunks) for name, variant in order.variants]
    faults.raise_if_any()
    runs = [run for run in found if run is not None]
    for run in runs:
        for kind, message in run.interface.faults(run.rest):
            faults.add(kind, message)
        faults.catch(check_seed, run.rest.get(SEED, 0))
        if run.is_ours:
            faults.catch(resolve("gridrl.algos.ranges:check_arguments"), _plain_values(run))
            faults.catch(resolve("gridrl.algos.ranges:check_networks"), run.rest)
    runs = _resolved(runs, faults, stand_ins)
    for payload in (*(Payload(thunk.target) for thunk, _ in thunks.values()), *(Payload("", run.rest) for run in runs)):
        faults.catch(pickled, payload)
    faults.raise_if_any()
    return runs


def _plain_values(run: CheckedRun) -> dict[str, Any]:
    """A run's numbers and texts, but for those that are wrong in kind: these are told already."""
    parameters = ((run.thunk.signature.get(name), value) for name, value in run.rest.items())
    return {
        parameter.name: value
        for parameter, value in parameters
        if parameter is not None
        and isinstance(value, (int, float, str))
        and not isinstance(value, bool)
        and Wanted(parameter.annotation).takes(value)
    }


def _split(thunk: Any, name: str, variant: Mapping[str, Any], thunks: dict[int, tuple[Thunk, Interface]]) -> CheckedRun:
    """A variant with what it calls, which one of its own keys may say; each thunk is read once."""
    rest = dict(variant)
    if isinstance(thunk, str) and ":" not in thunk:
        if thunk not in variant:
            raise BadValue(
                f"The thunk {thunk!r} is no key of the grid.{did_you_mean(thunk, variant)} A thunk is a function, "
                "'module:function', 'file.py:function', or a key whose values are functions."
            )
        thunk = rest.pop(thunk)
    if id(thunk) not in thunks:  # `variant` keeps it alive
        read = read_thunk(_with_colon(thunk.path) if isinstance(thunk, Reference) else thunk)
        thunks[id(thunk)] = (read, Interface(read.label, read.signature))
    return CheckedRun(name, variant, *thunks[id(thunk)], rest)


def _with_colon(path: str) -> str:
    return path if ":" in path else ":".join(path.rpartition(".")[::2])


def _resolved(runs: Sequence[CheckedRun], faults: _Faults, stand_ins: StandIns | None) -> list[CheckedRun]:
    """Lets another process resolve references and look environments up; gives the runs with what it has found."""
    references: list[str] = []
    for run in runs:
        replace_references(run.rest, lambda found: references.append(found.path))
    env_names = {run.env_name for run in runs if run.env_name is not None}
    own = {name: spec for name in env_names if (spec := _registered_here(name)) is not None}
    importable = {run.thunk.identity for run in runs if run.thunk.is_importable}
    environments = {(run.env_name, _env_arguments(run)) for run in runs if run.env_name not in (None, *own)}
    devices = {run.device for run in runs if run.device is not None}
    sized = {run.env_name for run in runs if run.env_name and run.saves_replay and not _env_arguments(run)}
    acting = {asked for run in runs if (asked := _acting(run)) is not None}
    answer = faults.catch(preflight, references, environments, importable, devices, stand_ins, sized, acting)
    if answer is None:
        return list(runs)
    for message in answer.faults:
        faults.add(BadValue, message)
    return [
        replace(
            run,
            rest=_with_canonical(run.rest, answer.canonical),
            env_spec=own.get(run.env_name or ""),
            numbers_of_step=answer.numbers.get(run.env_name or "") if run.saves_replay else None,
        )
        for run in runs
    ]


def _acting(run: CheckedRun) -> tuple[str, str, str] | None:
    """An algorithm that takes one kind of actions only, with its environment and the kind.

    None where that is not known: an environment's arguments may change its actions, and only its run makes it with
    them.
    """
    signature = run.thunk.signature
    if signature is None or signature.actions is None or run.env_name is None or _env_arguments(run):
        return None
    return run.interface.label, run.env_name, signature.actions


def _env_arguments(run: CheckedRun) -> tuple[str, ...]:
    """The names of the arguments that a run gives its environment."""
    arguments = run.rest.get("env_kwargs")
    return tuple(sorted(map(str, arguments))) if isinstance(arguments, Mapping) else ()


def _with_canonical(rest: Mapping[str, Any], texts: Mapping[str, str]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = replace_references(rest, lambda ref: replace(ref, canonical=texts.get(ref.path)))
    return found


def _registered_here(name: str) -> Any:
    """How an environment is registered in this process, None where it is not: the user's script may have done that."""
    gymnasium = sys.modules.get("gymnasium")
    return None if gymnasium is None else gymnasium.registry.get(name)
