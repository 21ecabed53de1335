"""From what was asked for to what is to be done: every run checked, identified and given its directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gridrl.errors import BadValue, DuplicateKey, Problems, RunDirectoryInUse
from gridrl.launch.checks import CheckedRun, check_resources, check_runs
from gridrl.launch.claiming import is_claimed
from gridrl.launch.code import CodeReader
from gridrl.launch.configuration import make_config
from gridrl.launch.directories import Directories, check_data_dir, still_running
from gridrl.launch.former import check_choice, last_stand_ins, settle_code
from gridrl.launch.order import Order, Plan, PlannedRun
from gridrl.launch.replay_disk import replay_note
from gridrl.launch.spec import RunSpec, growth, identify_run, keys_outside
from gridrl.launch.variants import SEED
from gridrl.log.record import derived_state
from gridrl.utils.mpirun import check_mpi
from gridrl.utils.seeding import check_seed


def make_plan(order: Order) -> Plan:
    """Checks an order and says what is to be done; nothing is started and no run directory is made.

    Raises:
        GridRLError: what is wrong with it; all faults of one kind of check are told at once.
    """
    order.resume.check()
    check_choice(order.code)
    num_cpu, jobs, slots = check_resources(order)
    checked = check_runs(order, last_stand_ins(order))
    specs = _specified(order, checked, num_cpu)
    wanted = [(spec.grid, spec.run_id) for spec in specs]
    directories = Directories(order.data_dir, order.datestamp, dry_run=order.dry_run, left=_left(order), wanted=wanted)
    problems = Problems()
    runs = []
    for spec, run in zip(specs, checked, strict=True):
        config = make_config(spec, order, order.limits.threads)
        place = directories.place(spec, config, problems)
        planned = PlannedRun(spec, place, {"exp_name": place.name, **config}, order.log, run.env_spec, order.resume)
        code = planned.code_now().within(config["code"])
        runs.append(replace(planned, config={**planned.config, "code": code}))
    for run_dir in () if order.dry_run else directories.left:
        if derived_state(run_dir) == "running" and not is_claimed(run_dir):
            problems.add(still_running(run_dir))
    problems.raise_if_any(RunDirectoryInUse)
    notes = [*_fewer(order, jobs), *directories.notes]
    runs = settle_code(order, runs, notes)
    if not order.dry_run and any(run.is_due for run in runs):
        check_mpi(num_cpu)
        check_data_dir(order.data_dir)
    moved = [*directories.left, *(run.place.run_dir for run in runs if run.is_repeated)]
    due = [one for one, run in zip(checked, runs, strict=True) if run.is_due]
    replay = replay_note(due, order.data_dir)
    return Plan(runs, num_cpu, jobs, slots, notes, moved, list(directories.seen), replay)


def _fewer(order: Order, jobs: int) -> list[str]:
    """What is told where less goes at once than was asked for."""
    return [f"jobs={order.jobs}: there is room for {jobs} at once."] if order.jobs not in (None, jobs) else []


def _left(order: Order) -> str | None:
    """The grid whose earlier runs count for nothing this time."""
    return order.grid if order.resume.fresh else None


def _specified(order: Order, checked: Sequence[CheckedRun], num_cpu: int) -> list[RunSpec]:
    """The runs with their ids, no two of which are the same."""
    problems = Problems()
    reader = CodeReader()
    specs = []
    for run in checked:
        try:
            specs.append(_specify(order, run, num_cpu, reader))
        except BadValue as error:
            problems.add(str(error))
    problems.raise_if_any(BadValue)
    _check_repetitions(specs)
    return specs


def _specify(order: Order, run: CheckedRun, num_cpu: int, reader: CodeReader) -> RunSpec:
    seed = check_seed(run.rest.get(SEED, 0))
    outside = keys_outside(run.thunk, order.varying)
    variant_id, run_id = identify_run(run.thunk, run.rest, seed, num_cpu, outside)
    return RunSpec(
        grid=order.grid,
        name=run.name,
        variant=run.variant,
        seed=seed,
        thunk=run.thunk,
        arguments=run.interface.sort(run.rest),
        num_cpu=num_cpu,
        grows=growth(run.thunk, run.rest, order.varying),
        variant_id=variant_id,
        run_id=run_id,
        code=reader.read(run.thunk, run.rest, run.env_spec),
    )


def _check_repetitions(specs: Sequence[RunSpec]) -> None:
    seen: dict[str, RunSpec] = {}
    for spec in specs:
        other = seen.setdefault(spec.run_id, spec)
        if other is not spec:
            raise DuplicateKey(
                f"Two runs of {spec.grid!r} would be the same: {other.name!r} and {spec.name!r} with seed {spec.seed}. "
                "Two of the values mean the same."
            )
